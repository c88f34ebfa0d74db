//! Neighbours (ARP, ND), and the forwarding entries of bridges and VXLAN devices.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A neighbour entry (ARP, ND).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Neighbour {
    /// Interface index.
    pub ifindex: u32,
    /// Its address.
    pub address: IpAddr,
    /// Its hardware address; empty while unresolved.
    pub mac: String,
    /// State as `ip neigh` prints it (`REACHABLE`, `STALE`, `FAILED`, `PERMANENT`...).
    pub state: String,
    /// A proxy entry.
    #[serde(default)]
    pub proxy: bool,
}

/// A forwarding entry of a bridge or VXLAN device.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FdbEntry {
    /// Interface index: the port, or the VXLAN device.
    pub ifindex: u32,
    /// Hardware address.
    pub mac: String,
    /// Remote tunnel end, for VXLAN.
    pub dst: Option<IpAddr>,
    /// Bridge it belongs to.
    pub master: Option<u32>,
    /// State as `bridge fdb` prints it (`permanent`, `static`, empty for learned).
    pub state: String,
}
