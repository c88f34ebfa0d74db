//! The document that `map` prints: who talks to whom, how that is known, and where it is lost.

use crate::missing::Missing;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Who talked to whom in a window.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrafficMap {
    /// `skoop/v1`.
    #[serde(rename = "apiVersion")]
    pub api_version: String,
    /// `Map`.
    pub kind: String,
    /// When the window closed, RFC 3339.
    pub at: String,
    /// How long was looked, milliseconds.
    pub window_ms: u64,
    /// The ends, by id.
    pub ends: Vec<MapEnd>,
    /// What passes between them, what suffers most first.
    pub edges: Vec<MapEdge>,
    /// What could not be seen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// What an end is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MapEndKind {
    /// A workload of Kubernetes, with all of its pods, or a pod that nothing keeps.
    Workload,
    /// A service.
    Service,
    /// A node.
    Node,
    /// A network namespace or a container of a machine.
    Place,
    /// An address that none of them has.
    #[default]
    Outside,
}

/// One end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MapEnd {
    /// By which edges mean it: unique in the document.
    pub id: String,
    /// What it is.
    pub kind: MapEndKind,
    /// The kind of Kubernetes' object (`Deployment`, `Pod`, `Service`); empty for what is none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Its namespace; empty for what has none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name there.
    pub name: String,
    /// Its own sockets were looked at.
    pub watched: bool,
}

/// How an edge is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EdgeSource {
    /// Connections, lookups or sockets of it were seen.
    Observed,
    /// A service stands for these pods.
    Declared,
    /// Network policies select the pods that answer, and let these in. Told only where it is asked for.
    Permitted,
}

/// What policies say about it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum EdgeRuling {
    /// They allow it, or none selects an end.
    Allowed,
    /// At an end, none allows it.
    Denied,
    /// Of some pods they allow it, of others not.
    Mixed,
    /// It was not asked, or it cannot be told: an end is no pod, or a policy is of a kind that is not evaluated.
    #[default]
    Unknown,
}

/// What passed from one end to another on one port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MapEdge {
    /// Who asks.
    pub source: String,
    /// Who answers.
    pub destination: String,
    /// On which port.
    pub port: u16,
    /// `tcp`, `udp`...
    pub protocol: String,
    /// How it is known.
    pub known: Vec<EdgeSource>,
    /// What policies say about it.
    pub ruling: EdgeRuling,
    /// Policies that deny it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub denied_by: Vec<String>,
    /// Connections that were begun in the window.
    pub connections: u64,
    /// Connections or lookups of the window that failed.
    pub failed: u64,
    /// Connections that are open at its end.
    pub open: u64,
    /// Lookups of names in the window.
    pub lookups: u64,
    /// Segments that were sent again.
    pub retransmits: u64,
    /// Connections that were reset.
    pub resets: u64,
    /// Packets that a kernel dropped, and where.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub drops: Vec<MapDrop>,
    /// Bytes from source to destination that arrived in the window, of TCP.
    pub sent_bytes: u64,
    /// Bytes back.
    pub received_bytes: u64,
    /// Half of the open connections have a smoothed round trip time of no more, microseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rtt_p50_us: Option<u32>,
}

/// Packets that were dropped at one place for one reason.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MapDrop {
    /// Where: a pod, a node, a namespace.
    pub place: String,
    /// Why, in words, with the kernel's word.
    pub why: String,
    /// How many.
    pub packets: u64,
}

impl MapEdge {
    /// Packets of it that were dropped.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.drops.iter().map(|drop| drop.packets).sum()
    }

    /// Something of it was seen.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.known.contains(&EdgeSource::Observed)
    }

    /// Somebody felt it.
    #[must_use]
    pub fn suffers(&self) -> bool {
        self.failed > 0 || self.dropped() > 0
    }
}
