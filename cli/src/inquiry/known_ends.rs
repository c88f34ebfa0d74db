//! What a site knows of both ends before any helper is asked.

use super::attempt_plan::Protocol;
use model::endpoint::Endpoint;
use model::evidence::Intent;
use model::inventory::Inventory;
use model::missing::Known;
use serde::{Deserialize, Serialize};

/// What a site knows before any helper was asked. Of an endpoint it fills in what it knows; the rest is found by the
/// helper of the endpoint's node.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct KnownEnds {
    /// The end that sends.
    pub source: Endpoint,
    /// The end that should answer.
    pub destination: Endpoint,
    /// What the destination, or the source's name server, may be translated to.
    pub backends: Vec<Endpoint>,
    /// Nodes to look at, the source's first; none where the site's own knowledge is all there can be.
    pub nodes: Vec<String>,
    /// What the site knows of the objects in question.
    pub inventory: Known<Inventory>,
    /// What is meant, where the question left it open.
    pub settled: Option<(Intent, Protocol)>,
}
