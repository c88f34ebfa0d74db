//! State at a moment: one plain struct per fact, read by the helper, never by rules.
//!
//! Everything here is as the kernel or its tools say it; nothing is judged.

use crate::errno::Errno;
use crate::flow::Flow;
use crate::missing::Known;
pub use crate::netfilter::{Action, Chain, IpSet, Match, Netfilter, NetfilterRule, SetMark};
use crate::owner::Owner;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// When a fact was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// Before the window.
    Before,
    /// After it: only facts that change by traffic.
    After,
}

/// All facts of one network namespace at one moment. A field nobody asked for is `missing` with that reason.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NetnsFacts {
    /// Inode of the namespace.
    pub netns: u32,
    /// When the reading began, `CLOCK_MONOTONIC` nanoseconds.
    pub at_ns: u64,
    /// Interfaces (`RTM_GETLINK`), with qdiscs (`RTM_GETQDISC`).
    pub links: Known<Vec<Link>>,
    /// Addresses (`RTM_GETADDR`).
    pub addresses: Known<Vec<Address>>,
    /// Routes of all tables (`RTM_GETROUTE`).
    pub routes: Known<Vec<Route>>,
    /// Policy routing rules (`RTM_GETRULE`).
    pub rules: Known<Vec<RoutingRule>>,
    /// Neighbours (`RTM_GETNEIGH`).
    pub neighbours: Known<Vec<Neighbour>>,
    /// Bridge and VXLAN forwarding entries (`RTM_GETNEIGH`, `AF_BRIDGE`).
    pub fdb: Known<Vec<FdbEntry>>,
    /// Sysctls that matter, by dotted name (`net.ipv4.ip_forward`).
    pub sysctls: Known<BTreeMap<String, String>>,
    /// Listening sockets and those of the watched flows (`SOCK_DIAG`).
    pub sockets: Known<Vec<Socket>>,
    /// Sockets by protocol and state, e.g. `tcp TIME_WAIT` 12.
    pub socket_counts: Known<BTreeMap<String, u64>>,
    /// `snmp`, `snmp6` and `netstat` counters by name, e.g. `TcpExt.ListenOverflows`, `Ip6.InNoRoutes`; those at zero are
    /// left out.
    pub counters: Known<BTreeMap<String, u64>>,
    /// Connection tracking.
    pub conntrack: Known<Conntrack>,
    /// Netfilter rules, from every backend found.
    pub netfilter: Known<Netfilter>,
    /// Attached eBPF programs (XDP, tc).
    pub bpf: Known<Vec<BpfAttachment>>,
    /// `IPsec` policies (`XFRM_MSG_GETPOLICY`), one line each.
    pub xfrm: Known<Vec<String>>,
    /// What the kernel itself answers to "how would this leave?" (`RTM_GETROUTE`, one per address asked for).
    pub lookups: Known<Vec<RouteLookup>>,
}

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
}

/// Counters of an interface.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[expect(missing_docs, reason = "named as in `struct rtnl_link_stats64`")]
pub struct LinkStats {
    pub rx_packets: u64,
    pub tx_packets: u64,
    pub rx_errors: u64,
    pub tx_errors: u64,
    pub rx_dropped: u64,
    pub tx_dropped: u64,
    pub carrier_changes: u64,
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

/// What a route or rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "named as in rtnetlink(7)")]
pub enum RouteKind {
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
    Other,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Table (254 main, 255 local, 253 default).
    pub table: u32,
    /// Destination prefix; the unspecified address with 0 for a default route.
    pub dst: IpAddr,
    /// Its length.
    pub prefix: u8,
    /// What it does.
    pub kind: RouteKind,
    /// Next hops; empty for routes that lead nowhere.
    pub hops: Vec<NextHop>,
    /// Preferred source address.
    pub prefsrc: Option<IpAddr>,
    /// Metric; smaller wins.
    pub metric: u32,
    /// MTU set on the route.
    pub mtu: Option<u32>,
    /// Who made it (`kernel`, `boot`, `static`, `bird`..., or a number).
    pub protocol: String,
}

/// One next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextHop {
    /// Gateway; `None` means the target is on the link.
    pub via: Option<IpAddr>,
    /// Interface.
    pub oif: Option<u32>,
    /// `onlink`: the gateway is taken to be on the link.
    #[serde(default)]
    pub onlink: bool,
    /// Flags say that it cannot be used (`dead`, `linkdown`).
    #[serde(default)]
    pub dead: bool,
}

/// A policy routing rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutingRule {
    /// 4 or 6.
    pub family: u8,
    /// Priority; smaller first.
    pub priority: u32,
    /// Source prefix.
    pub src: Option<(IpAddr, u8)>,
    /// Destination prefix.
    pub dst: Option<(IpAddr, u8)>,
    /// Incoming interface.
    pub iif: Option<String>,
    /// Outgoing interface.
    pub oif: Option<String>,
    /// Firewall mark and mask.
    pub fwmark: Option<(u32, u32)>,
    /// Table it leads to.
    pub table: Option<u32>,
    /// `lookup`, `blackhole`, `unreachable`, `prohibit`, `goto`, `nop`.
    pub action: String,
    /// IP protocol, by number.
    #[serde(default)]
    pub protocol: Option<u8>,
    /// Source ports, both ends included.
    #[serde(default)]
    pub sport: Option<(u16, u16)>,
    /// Destination ports, both ends included.
    #[serde(default)]
    pub dport: Option<(u16, u16)>,
    /// Users whose sockets send, both ends included. The kernel takes a forwarded packet for the user 0's.
    #[serde(default)]
    pub uids: Option<(u32, u32)>,
    /// What a lookup found with a prefix as short as this or shorter is passed over.
    #[serde(default)]
    pub suppress_prefixlength: Option<u32>,
    /// Matches are inverted.
    #[serde(default)]
    pub invert: bool,
    /// It has a selector that is not listed here (TOS, tunnel id), so it cannot be evaluated.
    #[serde(default)]
    pub opaque: bool,
}

impl RoutingRule {
    /// A packet with this firewall mark has the mark that the rule asks for; `None` where it asks for none.
    #[must_use]
    pub fn fits_mark(&self, mark: u32) -> Option<bool> {
        let (value, mask) = self.fwmark?;
        Some(mark & mask == value & mask)
    }
}

/// What the kernel answered to one route lookup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteLookup {
    /// Destination asked for.
    pub dst: IpAddr,
    /// Source given, if any.
    pub src: Option<IpAddr>,
    /// The route, or the error (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL).
    pub answer: LookupAnswer,
}

/// A route lookup's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LookupAnswer {
    /// It leaves this way.
    Route(Route),
    /// It does not.
    Error(Errno),
}

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

/// A socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[derive(Default)]
pub struct Socket {
    /// Local and remote tuple, seen from the socket (`src` is local).
    pub flow: Flow,
    /// `LISTEN`, `ESTABLISHED`..., for UDP `UNCONN` or `ESTABLISHED`.
    pub state: String,
    /// IPv6 only.
    pub v6only: bool,
    /// For a listener: connections waiting to be accepted. Else bytes not yet read.
    pub rx_queue: u32,
    /// For a listener: the most that may wait. Else bytes not yet acknowledged.
    pub tx_queue: u32,
    /// Packets this socket dropped (`sk_drops`).
    pub drops: u32,
    /// Receive buffer limit, in bytes.
    pub rcvbuf_bytes: u32,
    /// Interface it is bound to, 0 for none.
    pub bound_ifindex: u32,
    /// Inode, which tells the process.
    pub inode: u64,
    /// Processes that hold it; empty when not looked for.
    pub pids: Vec<u32>,
    /// TCP details of an established connection.
    pub tcp: Option<TcpInfo>,
}

/// TCP details (`struct tcp_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TcpInfo {
    /// Smoothed round trip time, microseconds.
    pub rtt_us: u32,
    /// Retransmissions so far.
    pub total_retrans: u32,
    /// Segments not yet acknowledged.
    pub unacked: u32,
    /// Window the peer grants, bytes.
    pub peer_window_bytes: u32,
    /// Bytes not yet sent.
    pub not_sent_bytes: u32,
    /// Time spent blocked by the peer's window, microseconds.
    pub rwnd_limited_us: u64,
    /// Congestion window, segments.
    pub cwnd: u32,
    /// Path MTU, bytes.
    pub pmtu: u32,
    /// Largest segment sent, bytes.
    pub snd_mss: u32,
    /// Segments found out of order by the peer's acknowledgements.
    pub reord_seen: u32,
}

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

/// A resolv.conf, as glibc reads it (resolv.conf(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResolvConf {
    /// Where it was read.
    pub path: String,
    /// Name servers in order; glibc uses the first three.
    pub nameservers: Vec<IpAddr>,
    /// Search list.
    pub search: Vec<String>,
    /// Dots a name needs to be tried as it is first.
    pub ndots: u32,
    /// Seconds to wait for one answer.
    pub timeout_s: u32,
    /// Rounds through the servers.
    pub attempts: u32,
    /// Other options as written.
    pub options: Vec<String>,
    /// Lines that could not be read, by their number (`line 3`): what they hold may be another file's, and nobody's to see.
    pub garbage: Vec<String>,
}
