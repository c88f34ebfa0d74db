//! What Cilium's datapath counts on a node, read from its own map: its agent is not asked.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Its counters, by the programs of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CiliumMetrics {
    /// Programs attached to interfaces here, whose maps were looked at.
    pub programs: Vec<u32>,
    /// The id of the map `cilium_metrics` that one of them uses; `None` where none does.
    pub map: Option<u32>,
    /// What it counted, since it was made.
    pub counts: Vec<CiliumCount>,
}

/// Packets of one reason in one direction, of all places in Cilium's programs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct CiliumCount {
    /// Cilium's number for it; below 130 it is no drop.
    pub reason: u8,
    /// 1 ingress, 2 egress, as seen from the endpoint; 0 where neither was told.
    pub direction: u8,
    /// Packets.
    pub packets: u64,
    /// Their bytes.
    pub bytes: u64,
}
