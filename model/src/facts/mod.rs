//! State at a moment: one plain struct per fact, read by the helper, never by rules.
//!
//! Everything here is as the kernel or its tools say it; nothing is judged. A struct belongs into the file of its subject, and is
//! named through this module; what is told of a moment in time and not read at one is `crate::event`.

mod cilium;
mod conntrack;
mod link;
mod neighbour;
mod netfilter;
mod process;
mod resolv_conf;
mod routing;
mod socket;
mod socket_peer;

pub use cilium::{CiliumCount, CiliumMetrics};
pub use conntrack::{Conntrack, ConntrackEntry};
pub use link::{Address, BpfAttachment, BridgePort, Link, LinkStats, Peer, Qdisc, Tunnel, Vxlan};
pub use neighbour::{FdbEntry, Neighbour};
pub use netfilter::{Action, Chain, IpSet, Match, Netfilter, NetfilterRule, PacketQueue, SetMark};
pub use process::{NodeFacts, ProcessFacts, Throttling};
pub use resolv_conf::{HostsEntry, HostsFile, ResolvConf};
pub use routing::{LookupAnswer, NextHop, Route, RouteKind, RouteLookup, RoutingRule};
pub use socket::{Socket, TcpInfo};
pub use socket_peer::SocketPeer;

use crate::missing::Known;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

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
    /// Whom its sockets are connected to (`SOCK_DIAG`).
    pub peers: Known<Vec<SocketPeer>>,
    /// Sockets by protocol and state, e.g. `tcp TIME_WAIT` 12.
    pub socket_counts: Known<BTreeMap<String, u64>>,
    /// `snmp`, `snmp6` and `netstat` counters by name, e.g. `TcpExt.ListenOverflows`, `Ip6.InNoRoutes`; those at zero are
    /// left out.
    pub counters: Known<BTreeMap<String, u64>>,
    /// Connection tracking.
    pub conntrack: Known<Conntrack>,
    /// Netfilter rules, from every backend found.
    pub netfilter: Known<Netfilter>,
    /// Queues of packets that programs read (NFQUEUE).
    pub queues: Known<Vec<PacketQueue>>,
    /// Attached eBPF programs (XDP, tc).
    pub bpf: Known<Vec<BpfAttachment>>,
    /// What Cilium's programs among them count.
    pub cilium_metrics: Known<CiliumMetrics>,
    /// `IPsec` policies (`XFRM_MSG_GETPOLICY`), one line each.
    pub xfrm: Known<Vec<String>>,
    /// What the kernel itself answers to "how would this leave?" (`RTM_GETROUTE`, one per address asked for).
    pub lookups: Known<Vec<RouteLookup>>,
}

impl NetnsFacts {
    /// Which facts it knows, a bit each.
    #[must_use]
    pub fn known(&self) -> u32 {
        // The pattern names them all, so that none is forgotten.
        macro_rules! known {
            ($($fact:ident),*) => {{
                let Self { netns: _, at_ns: _, $($fact),* } = self;
                [$($fact.ok().is_some()),*]
            }};
        }
        let known = known![
            links,
            addresses,
            routes,
            rules,
            neighbours,
            fdb,
            sysctls,
            sockets,
            peers,
            socket_counts,
            counters,
            conntrack,
            netfilter,
            queues,
            bpf,
            cilium_metrics,
            xfrm,
            lookups
        ];
        known
            .into_iter()
            .fold(0, |bits, is_known| bits << 1 | u32::from(is_known))
    }

    /// Takes over what was read later. What was not asked for again stays as it is, and so do answers to other lookups.
    pub fn update(&mut self, later: Self) {
        let earlier = std::mem::replace(self, later);
        let Self {
            netns: _,
            at_ns,
            links,
            addresses,
            routes,
            rules,
            neighbours,
            fdb,
            sysctls,
            sockets,
            peers,
            socket_counts,
            counters,
            conntrack,
            netfilter,
            queues,
            bpf,
            xfrm,
            lookups,
            cilium_metrics,
        } = earlier;
        // Most of it is still as old.
        if at_ns != 0 {
            self.at_ns = at_ns;
        }
        self.links.or(links);
        self.addresses.or(addresses);
        self.routes.or(routes);
        self.rules.or(rules);
        self.neighbours.or(neighbours);
        self.fdb.or(fdb);
        self.sysctls.or(sysctls);
        self.sockets.or(sockets);
        self.peers.or(peers);
        self.socket_counts.or(socket_counts);
        self.counters.or(counters);
        self.conntrack.or(conntrack);
        self.netfilter.or(netfilter);
        self.queues.or(queues);
        self.bpf.or(bpf);
        self.xfrm.or(xfrm);
        self.cilium_metrics.or(cilium_metrics);
        match (&mut self.lookups, lookups) {
            (Known::Known(lookups), Known::Known(earlier)) => {
                let other = |old: &RouteLookup| !lookups.iter().any(|new| (new.dst, new.src) == (old.dst, old.src));
                let others: Vec<RouteLookup> = earlier.into_iter().filter(other).collect();
                lookups.extend(others);
            }
            (lookups, earlier) => lookups.or(earlier),
        }
    }
}
