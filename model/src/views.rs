//! Numbers as they are shown: the documents that `top`, `inspect`, `compare` and `latency` print with `-o json`.

use crate::missing::Missing;
use crate::protocol::BpfCost;
use crate::series::{SeriesKind, Unit};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version of these documents.
pub const API_VERSION: &str = "skoop/v1";

/// Who suffers: one row for each pod, container or namespace, those that suffer most first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Top {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `Top`.
    pub kind: String,
    /// When it was read, RFC 3339.
    pub at: String,
    /// Seconds in which counters grew, as they were measured.
    pub seconds: f64,
    /// Which columns.
    pub view: String,
    /// Milliseconds on a CPU that the last reading took, on all nodes together.
    pub reading_cpu_ms: f64,
    /// What our own eBPF programs cost, on all nodes together; absent where that is not known, as before the window closed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf: Option<BpfCost>,
    /// The rows.
    pub pods: Vec<TopRow>,
    /// Processes or peers that helpers did not tell one by one, because there are more than they tell.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub left_out: u64,
    /// With the view `conntrack`: who holds the tables of tracked connections, most entries first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub holders: Vec<TableHolder>,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// One row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TopRow {
    /// Its namespace of Kubernetes; empty outside of it.
    pub namespace: String,
    /// The pod's name, or what the machine calls it.
    pub name: String,
    /// The node.
    pub node: String,
    /// Inode of its network namespace.
    pub netns: u32,
    /// It shares its node's network: it has only what its cgroup and its sockets tell, and the rest is the node's.
    #[serde(skip_serializing_if = "is_false")]
    pub host_network: bool,
    /// With `--by`: the process (its number and name) or the peer (its name, address and port).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub part: Option<String>,
    /// Its numbers by the column's key: growth is told for the whole window, levels as they are at its end, in units of the
    /// key's ending (`_s`, `_bytes`, `_ratio`), else as counts.
    pub values: BTreeMap<String, f64>,
    /// What hurts most, in words; absent where nothing does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// What hurts most is a wait: `latency` shows where it is.
    #[serde(skip_serializing_if = "is_false")]
    pub waits: bool,
    /// All that hurts.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hurts: Vec<String>,
}

/// Who holds entries of a table of tracked connections. Absent ends stand for all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TableHolder {
    /// Whose table it is.
    pub table: String,
    /// The node.
    pub node: String,
    /// What is counted: `source`, `destination`, or `pair` of both.
    pub by: String,
    /// Where the connections begin: an address, with the name of who lives there where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Where they lead to, the same, with the port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<String>,
    /// It stands for all that are not told one by one.
    #[serde(skip_serializing_if = "is_false")]
    pub others: bool,
    /// Entries.
    pub entries: u64,
    /// By how many they became more in the window, or fewer; absent where the first reading did not tell this one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub growth: Option<i64>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
const fn is_zero(number: &u64) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde gives it so")]
const fn is_false(is: &bool) -> bool {
    !*is
}

/// What a column's number is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnUnit {
    /// How many.
    Count,
    /// How many a second.
    Rate,
    /// A share of 1.
    Share,
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes a second.
    BytesPerSecond,
}

/// A column of `top`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopColumn {
    /// Its name among a row's values.
    pub key: &'static str,
    /// The word above it.
    pub heading: &'static str,
    /// What its number is.
    pub unit: ColumnUnit,
}

/// All numbers of one place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Inspect {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `Inspect`.
    pub kind: String,
    /// When it was read, RFC 3339.
    pub at: String,
    /// Seconds in which counters grew, as they were measured.
    pub seconds: f64,
    /// The places asked for.
    pub places: Vec<InspectedPlace>,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct InspectedPlace {
    /// The pod, node or namespace.
    pub name: String,
    /// The node.
    pub node: String,
    /// Inode of its network namespace; 0 for the node as a whole.
    pub netns: u32,
    /// What hurts, most first.
    pub hurts: Vec<String>,
    /// Its numbers, grouped as on the screen.
    pub groups: Vec<NumberGroup>,
}

/// Numbers that belong together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NumberGroup {
    /// What they speak of.
    pub name: String,
    /// The ordinary command that shows the same.
    pub shown_by: String,
    /// The numbers.
    pub numbers: Vec<ShownNumber>,
}

/// One number.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ShownNumber {
    /// Its name.
    pub name: String,
    /// Which of several.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How it moves.
    pub kind: SeriesKind,
    /// What it counts.
    pub unit: Unit,
    /// What it is now.
    pub now: u64,
    /// The most it can be, where something limits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<u64>,
    /// By how much a counter grew in the window.
    pub growth: u64,
    /// It growing says that something was lost, refused or late.
    pub hurts: bool,
    /// What it means, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// What is different between two places.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Compare {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `Compare`.
    pub kind: String,
    /// When it was read, RFC 3339.
    pub at: String,
    /// Seconds in which counters grew, as they were measured.
    pub seconds: f64,
    /// The one, and where it is.
    pub one: ComparedPlace,
    /// The other.
    pub other: ComparedPlace,
    /// What is different, what explains most first.
    pub differences: Vec<Difference>,
    /// Facts and numbers that are alike.
    pub alike: usize,
    /// What was read of neither, and so was not compared.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub in_neither: Vec<String>,
    /// What could not be read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// One of two places.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ComparedPlace {
    /// The pod or namespace.
    pub name: String,
    /// The node.
    pub node: String,
    /// The recording it was read from; absent where it was looked at just now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recording: Option<String>,
    /// What hurts there, most first.
    pub hurts: Vec<String>,
}

/// Something that is different.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Difference {
    /// What.
    pub what: String,
    /// What it is at the one; empty where it is not there.
    pub one: String,
    /// What it is at the other.
    pub other: String,
    /// It growing says that something was lost, refused or late.
    pub hurts: bool,
    /// What it means, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub help: Option<String>,
}

/// Where time passes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Latency {
    /// [`API_VERSION`].
    pub api_version: String,
    /// `Latency`.
    pub kind: String,
    /// When it was read, RFC 3339.
    pub at: String,
    /// Seconds in which it was measured.
    pub seconds: f64,
    /// Which stage takes most of the time that was measured, in words; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<String>,
    /// What was sent to have something to measure; absent where nothing was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent: Option<SentAttempts>,
    /// The places asked for.
    pub places: Vec<LatencyPlace>,
    /// What our own eBPF programs cost, on all nodes together; absent where that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bpf: Option<BpfCost>,
    /// What could not be measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// Attempts that were made while it was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SentAttempts {
    /// All of them that were over in time.
    pub made: usize,
    /// Those of them that failed.
    pub failed: usize,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LatencyPlace {
    /// The pod, node or namespace.
    pub name: String,
    /// The node.
    pub node: String,
    /// Inode of its network namespace.
    pub netns: u32,
    /// The other end, where only what goes on between the two was measured; then the stages are those at both.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub with: Option<String>,
    /// Where time passed, in the order in which data goes through; none where nothing was measured.
    pub stages: Vec<LatencyStage>,
}

/// What happens to data at one point, and how long it takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LatencyStage {
    /// What happens.
    pub stage: String,
    /// Where.
    #[serde(rename = "where")]
    pub location: String,
    /// How often it was measured.
    pub count: u64,
    /// Half of them took no more, in microseconds; a bucket's upper bound, at most an eighth too much.
    pub p50_us: f64,
    /// 99 of 100 took no more.
    pub p99_us: f64,
    /// None took more.
    pub max_us: f64,
    /// From how many microseconds, to below how many, and how many took so long.
    pub buckets: Vec<(f64, f64, u64)>,
}
