//! What surrounds the end that is looked at: who its peers are, and helpers on their nodes.

use crate::conversation::link::HelperLink;
use crate::inquiry::known_ends::KnownEnds;
use anyhow::Result;
use diagnoses::conversations::Key;
use model::endpoint::Endpoint;
use std::future::Future;
use std::time::Duration;

/// Where the end that is looked at lives.
pub trait Surroundings {
    /// What is known of both ends of a conversation before any helper is asked, and the nodes that it passes.
    fn ends(&self, target: &Endpoint, key: &Key) -> impl Future<Output = Result<KnownEnds>>;

    /// Starts helpers on these further nodes, for as long as is left.
    fn helpers(&self, ends: &KnownEnds, nodes: Vec<String>, left: Duration) -> Result<Vec<(String, HelperLink)>>;
}
