//! All that was seen in one run. Rules read this and nothing else.

use crate::attempt::{Attempt, AttemptSpec, DnsLookup, WatchedFlow};
use crate::endpoint::Endpoint;
use crate::event::{Event, Seen};
use crate::facts::{NetnsFacts, NodeFacts, ProcessFacts};
use crate::inventory::Inventory;
use crate::missing::{Known, Missing};
use crate::protocol::{BpfCost, Lost, ProbeStatus, Total};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What the user wants to know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Intent {
    /// Can the source reach the destination?
    #[default]
    PodToPod,
    /// Does a name resolve from the source?
    Dns,
    /// Can a pod reach a service, by the address that was chosen?
    PodToService,
    /// Can a pod reach a node?
    PodToNode,
    /// Can a pod reach something outside the cluster?
    PodToExternal,
    /// Can a node reach a pod?
    NodeToPod,
    /// What is wrong with a pod, whoever it talks to?
    Pod,
    /// What is wrong with the pods of a node, and with the node?
    Node,
    /// What is wrong with the pods behind a service?
    Service,
    /// What is wrong with the pods of a namespace?
    Namespace,
}

/// Everything known about one question.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Evidence {
    /// What was asked.
    pub intent: Intent,
    /// The end that sends.
    pub source: Endpoint,
    /// The end that should answer. For a DNS question: the first name server.
    pub destination: Endpoint,
    /// Protocol asked for (`tcp`, `udp`, `icmp`).
    pub protocol: String,
    /// What the cluster's API said of both ends; missing where the site has no API.
    pub inventory: Known<Inventory>,
    /// Nodes that were looked at.
    pub nodes: Vec<NodeEvidence>,
    /// Namespaces on the path, in the order in which they were found: source, between, destination.
    pub netns: Vec<NetnsEvidence>,
    /// Processes at the ends, before and after.
    pub processes: Vec<(ProcessFacts, Option<ProcessFacts>)>,
    /// What was to be sent.
    pub specs: Vec<AttemptSpec>,
    /// What it met.
    pub attempts: Vec<Attempt>,
    /// The lookup by which the destination's name was found; `None` where an address, an object or the lookup itself is asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found_by: Option<DnsLookup>,
    /// The tuples followed.
    pub watched: Vec<WatchedFlow>,
    /// What packets of our own met on the way of a tunnel's packets; `None` where none of those was lost between nodes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tunnel_way: Option<TunnelWayTry>,
    /// Events in time order, of watched flows and of others.
    pub events: Vec<Event>,
    /// What was not seen, besides the facts that say so themselves.
    pub missing: Vec<Missing>,
    /// Nothing was sent: the user's own flow was watched.
    pub passive: bool,
    /// Every family that both ends have was asked for, since nobody chose one: neither the user, nor a service or a name.
    pub every_family: bool,
    /// The window, `CLOCK_MONOTONIC` nanoseconds.
    pub window: Window,
    /// Limits that were set for this run.
    pub limits: Limits,
}

/// A tunnel's packets were lost between two nodes: does what is sent from node to node outside the tunnel arrive?
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TunnelWayTry {
    /// The address of the tunnel's sending end.
    pub from: IpAddr,
    /// That of its far end.
    pub to: IpAddr,
    /// The tunnel's UDP port.
    pub port: u16,
    /// Echo requests sent to the far end.
    pub echoes_sent: u32,
    /// Of them answered.
    pub echoes_answered: u32,
    /// Datagrams sent to the far end's port, small ones.
    pub datagrams_sent: u32,
    /// Of them seen at the far node.
    pub datagrams_arrived: u32,
}

/// The window's bounds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Window {
    /// When it opened.
    pub start_ns: u64,
    /// When it closed.
    pub end_ns: u64,
}

/// How a node's times compare with those of the node that sends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Clock {
    /// The same clock.
    #[default]
    Same,
    /// Brought to it by packets that were seen at both nodes.
    Within {
        /// Off by at most this much, in nanoseconds.
        ns: u64,
    },
    /// Packets were seen at both on their way there, or back, only: those are in order, and nothing else is known.
    OneWay,
    /// No packet was seen at both.
    Unknown,
}

/// What counts as slow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Limits {
    /// A connect or echo above this is slow, in milliseconds.
    pub slow_ms: u64,
    /// A DNS lookup above this is slow, in milliseconds.
    pub dns_slow_ms: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            slow_ms: 100,
            dns_slow_ms: 1000,
        }
    }
}

/// What one node brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NodeEvidence {
    /// Name; for this machine its host name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// `/proc/sys/kernel/random/boot_id`; nodes that share a kernel share it.
    pub boot_id: String,
    /// Inode of the node's own network namespace; 0 when not told.
    pub host_netns: u32,
    /// How its times compare with the source's.
    pub clock: Clock,
    /// Its own window.
    pub window: Window,
    /// What each probe could do.
    pub probes: Vec<ProbeStatus>,
    /// Events seen.
    pub events: u64,
    /// Events lost, by probe.
    pub lost: Vec<Lost>,
    /// Exact totals by key.
    pub totals: Vec<Total>,
    /// Cost of our own eBPF programs.
    pub bpf: Option<BpfCost>,
    /// The helper's stream ended before its last line, and why.
    pub truncated: Option<Missing>,
    /// Facts of the node, before and after.
    pub before: NodeFacts,
    /// After.
    pub after: NodeFacts,
}

/// What is known of one namespace.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NetnsEvidence {
    /// Inode.
    pub id: u32,
    /// Name for people.
    pub name: String,
    /// Node it is on.
    pub node: String,
    /// Before the window.
    pub before: NetnsFacts,
    /// After it.
    pub after: NetnsFacts,
}

impl Evidence {
    /// A namespace by inode.
    #[must_use]
    pub fn netns(&self, id: u32) -> Option<&NetnsEvidence> {
        self.netns.iter().find(|netns| netns.id == id)
    }

    /// A node by name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&NodeEvidence> {
        self.nodes.iter().find(|node| node.name == name)
    }

    /// The own namespace of a node, where it could be looked into.
    #[must_use]
    pub fn host(&self, node: &str) -> Option<&NetnsEvidence> {
        self.netns(self.node(node)?.host_netns)
    }

    /// The node on which an event happened; empty where there is only one.
    #[must_use]
    pub fn node_of<'a>(&'a self, event: &'a Event) -> &'a str {
        match event.node.as_str() {
            "" => self.netns(event.netns).map_or("", |netns| netns.node.as_str()),
            name => name,
        }
    }

    /// The namespace of the source.
    #[must_use]
    pub fn source_netns(&self) -> Option<&NetnsEvidence> {
        self.netns(self.source.netns?)
    }

    /// The namespace of the destination, where it is one that could be looked into.
    #[must_use]
    pub fn destination_netns(&self) -> Option<&NetnsEvidence> {
        self.netns(self.destination.netns?)
    }

    /// Events that a probe said, in time order.
    pub fn seen<'a>(&'a self, wanted: impl Fn(&Seen) -> bool + 'a) -> impl Iterator<Item = &'a Event> {
        self.events.iter().filter(move |event| wanted(&event.seen))
    }
}
