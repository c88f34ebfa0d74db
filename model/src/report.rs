//! The answer: what `-o json` and `-o yaml` print, and what the table is drawn from.

use crate::attempt::Attempt;
use crate::endpoint::Endpoint;
use crate::evidence::Intent;
use crate::flow::Flow;
use crate::missing::Missing;
use crate::object_ref::ObjectRef;
use crate::protocol::{BpfCost, Lost, ProbeStatus};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The version of this document.
pub const API_VERSION: &str = "skoop/v1";

/// A finished diagnosis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Always `skoop/v1`.
    pub api_version: String,
    /// Always `Diagnosis`.
    pub kind: String,
    /// What was asked.
    pub intent: Intent,
    /// The end that sends.
    pub source: Endpoint,
    /// The end that should answer.
    pub destination: Endpoint,
    /// The answer.
    pub outcome: Conclusion,
    /// The answer in one plain sentence.
    pub headline: String,
    /// Causes first, then symptoms, then what is only worth knowing.
    pub verdicts: Vec<Verdict>,
    /// What was proven to work, one short fact each.
    pub proven: Vec<String>,
    /// The way of the watched packets, and of the answers.
    pub path: Vec<Hop>,
    /// What each attempt met.
    pub attempts: Vec<Attempt>,
    /// What could not be seen.
    pub missing: Vec<Missing>,
    /// Where it was looked.
    pub nodes: Vec<NodeReport>,
    /// How long it took.
    pub timing: Timing,
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Conclusion {
    /// Everything asked for worked and was seen to work.
    Healthy,
    /// An attempt failed, or a cause is proven.
    Fault,
    /// Something that was not seen could change the answer.
    Inconclusive,
}

/// How bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// It does not work.
    Fatal,
    /// It works badly, or will break.
    Warning,
    /// Worth knowing; never changes the outcome.
    Info,
}

/// What a rule concluded. One without evidence cannot be built (see `diagnoses`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Verdict {
    /// The rule's permanent id.
    pub rule: String,
    /// How bad.
    pub severity: Severity,
    /// A root cause (true), or a symptom of one.
    pub cause: bool,
    /// Where it is.
    #[serde(rename = "where")]
    pub place: Place,
    /// One plain sentence.
    pub says: String,
    /// The facts that prove it, each a thing seen.
    pub because: Vec<String>,
    /// The command or the object to change.
    pub remedy: String,
    /// Of a question about one end: the conversations that suffer from it, the worst first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conversations: Vec<ConversationReport>,
}

/// What a target and a peer had to say to each other on one port, and what went wrong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ConversationReport {
    /// The client, by name where it has one.
    pub source: String,
    /// The server, likewise. Of lookups the name server.
    pub destination: String,
    /// The server's port.
    pub port: u16,
    /// `tcp`, `udp`, or a number.
    pub protocol: String,
    /// Connections or lookups that were begun in the window.
    pub tried: u32,
    /// Of them those that failed.
    pub failed: u32,
    /// Segments sent again, datagrams dropped, queries without an answer.
    pub lost: u32,
    /// Time spent waiting in vain, or for what came late, in milliseconds.
    pub waited_ms: u64,
}

/// What was seen to work of a target's traffic.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SeenTraffic {
    /// Connections that were made in the window, by the target and to it.
    pub connections: u64,
    /// Lookups that were answered.
    pub lookups: u64,
    /// Datagrams that its namespace sent and received, those of lookups among them.
    pub datagrams: u64,
    /// Other ends that it had connections or lookups with.
    pub peers: u64,
    /// The time below which 99 of 100 connections were made that the target asked for, in milliseconds; absent where there was none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connect_p99_ms: Option<f64>,
    /// The same of answers to its queries.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lookup_p99_ms: Option<f64>,
}

/// A finished diagnosis of one end: what is wrong with it, and with whom it suffers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OneEndReport {
    /// Always `skoop/v1`.
    pub api_version: String,
    /// Always `Diagnosis`.
    pub kind: String,
    /// What was asked: `pod`, `node`, `service`, `namespace`.
    pub intent: Intent,
    /// The target.
    pub source: Endpoint,
    /// The answer.
    pub outcome: Conclusion,
    /// The answer in one plain sentence.
    pub headline: String,
    /// Causes first, the most expensive first; then symptoms, then what is only worth knowing.
    pub verdicts: Vec<Verdict>,
    /// What was seen to work.
    pub seen: SeenTraffic,
    /// What could not be seen.
    pub missing: Vec<Missing>,
    /// Where it was looked.
    pub nodes: Vec<NodeReport>,
    /// How long it took.
    pub timing: Timing,
}

/// The causes that a capture proved by the way: the last line that `capture -o json` prints.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct CausesReport {
    /// Always `skoop/v1`.
    pub api_version: String,
    /// Always `Causes`.
    pub kind: String,
    /// The causes, the most expensive first.
    pub verdicts: Vec<Verdict>,
    /// Conversations in which something failed, and of which what was seen proves no cause.
    pub unexplained: Vec<ConversationReport>,
}

/// A place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Place {
    /// Node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Pod, `namespace/name`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<String>,
    /// Network namespace, by its name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netns: Option<String>,
    /// Interface.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Netfilter rule.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RulePlace>,
    /// Kubernetes object.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
}

/// A netfilter rule or chain.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RulePlace {
    /// `nftables`, `iptables-nft`, `iptables-legacy`.
    pub backend: String,
    /// Family of an nftables table (`ip`, `ip6`, `inet`, `bridge`, `netdev`); empty for iptables.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub family: String,
    /// Table.
    pub table: String,
    /// Chain.
    pub chain: String,
    /// Handle or position; absent when only the chain is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub handle: Option<u64>,
    /// The rule's text, or the chain's policy.
    pub text: String,
}

/// One hop of the trail.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Hop {
    /// `request` or `answer`.
    pub direction: Direction,
    /// Attempt it belongs to.
    pub attempt: u32,
    /// Node.
    pub node: String,
    /// Namespace, by its name for people.
    pub netns: String,
    /// Inode of the namespace.
    pub netns_id: u32,
    /// Interface, where the packet was at one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// What happened here.
    pub happened: Happened,
    /// The tuple here.
    pub flow: Flow,
    /// The tuple on the hop before, where an address or port was translated on the way here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated_from: Option<Flow>,
    /// What translated it, where that was no place that packets pass: `connect()`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub translated_in: Option<String>,
    /// First time, nanoseconds since the window opened.
    pub at_ns: u64,
    /// Packets of this attempt and direction seen here.
    pub packets: u32,
    /// In words, e.g. "dropped: `NETFILTER_DROP` in `nft_do_chain`".
    pub says: String,
}

/// Which way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From source to destination.
    Request,
    /// Back.
    Answer,
}

/// What happened at a hop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Happened {
    /// Made here.
    Sent,
    /// Left through an interface.
    Left,
    /// Came in through an interface.
    Arrived,
    /// Dropped here.
    Dropped,
    /// Delivered to a socket.
    Delivered,
    /// Delivered to no socket: nothing listens.
    NoSocket,
    /// Last seen here, without a known end.
    LastSeen,
}

/// What one node brought.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct NodeReport {
    /// Name.
    pub name: String,
    /// Kernel release.
    pub kernel: String,
    /// Identity of this boot.
    pub boot_id: String,
    /// Probes.
    pub probes: Vec<ProbeStatus>,
    /// Events seen.
    pub events: u64,
    /// Events lost.
    pub lost: Vec<Lost>,
    /// Our own cost.
    pub bpf: Option<BpfCost>,
}

/// How long each part took, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct Timing {
    /// From the command's start to its answer.
    pub total_ms: u64,
    /// Until the helper answered.
    pub hello_ms: u64,
    /// Reading facts before the window.
    pub facts_ms: u64,
    /// Until all probes were armed.
    pub armed_ms: u64,
    /// The window.
    pub window_ms: u64,
    /// Reading facts after it and judging.
    pub verdict_ms: u64,
}
