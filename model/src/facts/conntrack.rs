//! Connection tracking: its table, its statistics, its entries.

use crate::flow::Flow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Connection tracking of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Conntrack {
    /// Entries now.
    pub count: u64,
    /// The most there may be.
    pub max: u64,
    /// Statistics summed over CPUs by name (`drop`, `early_drop`, `insert_failed`, `invalid`, `clash_resolve`...).
    pub stats: BTreeMap<String, u64>,
    /// Entries of the flows asked for.
    pub entries: Vec<ConntrackEntry>,
}

/// One tracked connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConntrackEntry {
    /// As the first packet had it.
    pub original: Flow,
    /// As the answer is expected.
    pub reply: Flow,
    /// An answer was seen.
    pub seen_reply: bool,
    /// TCP state as conntrack names it; empty for others.
    pub state: String,
    /// Seconds until it ends.
    pub timeout_s: u32,
}
