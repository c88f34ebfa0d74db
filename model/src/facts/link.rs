//! Interfaces: their kind, state and addresses, what they count and queue, and the eBPF programs attached to them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// An interface.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Link {
    /// Index in its namespace.
    pub index: u32,
    /// Name.
    pub name: String,
    /// Kind (`veth`, `bridge`, `vxlan`, `macvlan`, ...); empty for physical devices and loopback.
    pub kind: String,
    /// Administratively up (`IFF_UP`).
    pub up: bool,
    /// The lower layer is up (`IFF_LOWER_UP`): carrier.
    pub carrier: bool,
    /// Operational state as `ip link` prints it (`UP`, `DOWN`, `LOWERLAYERDOWN`, `UNKNOWN`).
    pub operstate: String,
    /// Loopback (`IFF_LOOPBACK`).
    pub loopback: bool,
    /// Largest packet, in bytes.
    pub mtu: u32,
    /// Hardware address as `aa:bb:..`; empty where there is none.
    pub mac: String,
    /// The bridge or bond it belongs to, by index.
    pub master: Option<u32>,
    /// The other end (veth) or lower device (vlan, macvlan, vxlan).
    pub peer: Option<Peer>,
    /// Its state as a port of a bridge.
    pub bridge_port: Option<BridgePort>,
    /// VXLAN settings.
    pub vxlan: Option<Vxlan>,
    /// Settings of any other tunnel (`geneve`, `ipip`, `gre`, ...).
    pub tunnel: Option<Tunnel>,
    /// Counters.
    pub stats: LinkStats,
    /// Its queueing disciplines.
    pub qdiscs: Vec<Qdisc>,
    /// An XDP program is attached: its id.
    pub xdp: Option<u32>,
    /// Largest GSO size, in bytes; 0 when not told.
    pub gso_max_bytes: u32,
}

/// The other end of a veth pair, or a lower device.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Peer {
    /// Inode of its namespace; `None` when that could not be found.
    pub netns: Option<u32>,
    /// Its index there.
    pub ifindex: u32,
}

/// A bridge's view of one port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct BridgePort {
    /// Spanning tree state as a number (0 disabled, 1 listening, 2 learning, 3 forwarding, 4 blocking).
    pub state: u8,
    /// Frames may leave through the port they came in by.
    pub hairpin: bool,
    /// Isolated from other isolated ports.
    pub isolated: bool,
    /// Learns addresses.
    pub learning: bool,
    /// Floods frames to unknown addresses.
    pub flood: bool,
}

/// VXLAN settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Vxlan {
    /// Network identifier.
    pub vni: u32,
    /// UDP port.
    pub port: u16,
    /// Local address.
    pub local: Option<IpAddr>,
    /// Remote or group address.
    pub remote: Option<IpAddr>,
    /// Lower device.
    pub lower: Option<u32>,
    /// Learns addresses.
    pub learning: bool,
    /// In collect-metadata mode: a program (Cilium, Open vSwitch) tells the network and the far end of each packet.
    pub external: bool,
}

/// Settings of a tunnel that is not VXLAN; of `WireGuard` the link tells none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Tunnel {
    /// Local address.
    pub local: Option<IpAddr>,
    /// The far end; `None` where each packet's next hop is its far end, or a program tells it.
    pub remote: Option<IpAddr>,
    /// UDP port; `None` where its packets are not UDP.
    pub port: Option<u16>,
    /// Network identifier (Geneve).
    pub id: Option<u32>,
    /// In collect-metadata mode: a program tells the far end of each packet.
    pub external: bool,
}

/// Counters of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "named as in `struct rtnl_link_stats64`")]
pub struct LinkStats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_bytes: u64,
    pub tx_bytes: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub rx_missed: u64,
    pub rx_fifo: u64,
    pub tx_fifo: u64,
    pub rx_nohandler: u64,
    pub carrier_changes: u64,
    pub rx_over: u64,
    pub rx_crc: u64,
    pub rx_frame: u64,
    pub rx_length: u64,
    pub tx_aborted: u64,
    pub tx_carrier: u64,
    pub tx_heartbeat: u64,
    pub tx_window: u64,
    pub collisions: u64,
    pub multicast: u64,
    pub rx_compressed: u64,
    pub tx_compressed: u64,
}

/// A queueing discipline.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Qdisc {
    /// Kind (`tbf`, `fq_codel`, `noqueue`, `clsact`...).
    pub kind: String,
    /// Handle as `ip` prints it.
    pub handle: String,
    /// Parent as `tc` prints it (`root`, `ingress`, `1:1`).
    pub parent: String,
    /// Sent.
    pub packets: u64,
    /// Sent bytes.
    pub bytes: u64,
    /// Dropped.
    pub drops: u64,
    /// Times the limit was met.
    pub overlimits: u64,
    /// Times a packet was put back because the device was busy.
    pub requeues: u64,
    /// Now queued, packets.
    pub qlen: u64,
    /// Now queued, bytes.
    pub backlog_bytes: u64,
    /// Rate limit, bits per second, where the kind has one.
    pub rate_bits: Option<u64>,
}

/// An address of an interface.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Address {
    /// Interface index.
    pub ifindex: u32,
    /// The address.
    pub address: IpAddr,
    /// Prefix length.
    pub prefix: u8,
    /// Duplicate address detection is under way.
    #[serde(default)]
    pub tentative: bool,
    /// It failed: somebody else has this address.
    #[serde(default)]
    pub dad_failed: bool,
    /// Link-local scope.
    #[serde(default)]
    pub link_scope: bool,
}

/// An attached eBPF program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BpfAttachment {
    /// `xdp`, `tc-ingress`, `tc-egress`, `cgroup-skb-egress`...
    pub kind: String,
    /// Interface or cgroup it hangs on.
    pub on: String,
    /// Interface index, 0 for cgroups.
    pub ifindex: u32,
    /// Program id.
    pub id: u32,
    /// Program name.
    pub name: String,
}
