//! Processes at the ends, and the nodes they run on.

use crate::missing::Known;
use crate::owner::Owner;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// A process at one end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProcessFacts {
    /// Process id as the host counts.
    pub pid: u32,
    /// Node it runs on, as the client knows it: two nodes count alike.
    pub node: String,
    /// Network namespace it lives in.
    pub netns: u32,
    /// Name (`comm`).
    pub name: String,
    /// State letter of `/proc/PID/stat` (`R`, `S`, `D`, `T`, `Z`, `t`).
    pub state: String,
    /// Where it sleeps in the kernel (`wchan`), where shown.
    pub wchan: Option<String>,
    /// Open file descriptors.
    pub fds: Known<u64>,
    /// Its limit (`RLIMIT_NOFILE`, soft).
    pub fd_limit: u64,
    /// CPU throttling of its cgroup.
    pub throttling: Known<Throttling>,
    /// To whom it belongs.
    pub owner: Owner,
}

/// CPU throttling of a cgroup (`cpu.stat`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Throttling {
    /// Periods so far.
    pub periods: u64,
    /// Of them throttled.
    pub throttled: u64,
    /// Time throttled, microseconds.
    pub throttled_us: u64,
    /// Quota as a share of one CPU in percent; `None` for no limit.
    pub quota_percent: Option<u32>,
}

/// Facts of the whole node that traffic can change.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeFacts {
    /// Packets dropped because a CPU's backlog was full (`softnet_stat`, column 2), all CPUs.
    pub softnet_dropped: Known<u64>,
    /// Times a CPU ran out of its budget (column 3).
    pub softnet_squeezed: Known<u64>,
    /// Load of the last minute times 100, and CPUs.
    pub load: Known<(u64, u32)>,
    /// Node-wide sysctls (`net.core.netdev_max_backlog`, `net.ipv4.tcp_mem`...).
    pub sysctls: Known<BTreeMap<String, String>>,
    /// Open files of the node and their limit (`file-nr`).
    pub files: Known<(u64, u64)>,
}
