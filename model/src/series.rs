//! Numbers over time: what each one is, and what it was at a moment. The third thing a helper says, beside events and facts.
//!
//! A counter is said as the kernel has it, since whenever it counts; how it grew in a window is the client's to reckon, by the
//! time between two readings. What was never anything but zero is not said at all.

use crate::missing::Missing;
use crate::owner::Owner;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// How a number moves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeriesKind {
    /// It only grows, until what counts it goes.
    #[default]
    Counter,
    /// It is what it is now.
    Gauge,
    /// How many values fell into each of [`crate::histogram`]'s buckets; each of them only grows.
    Histogram,
}

/// What a number counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Unit {
    /// Things: packets, sockets, times.
    #[default]
    Count,
    /// Bytes.
    Bytes,
    /// Microseconds.
    Microseconds,
    /// Nanoseconds.
    Nanoseconds,
    /// Bits a second.
    BitsPerSecond,
}

/// One number of a place, described once and meant by its id from then on. The same id is used for all namespaces.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Series {
    /// The window in which it is read.
    pub window: u32,
    /// By which it is meant there; counted from 1.
    pub id: u32,
    /// The probe that reads it.
    pub probe: String,
    /// Its name, as [`crate::numbers`] has it, or as the kernel names a counter (`TcpExt.ListenOverflows`).
    pub name: String,
    /// How it moves.
    pub kind: SeriesKind,
    /// What it counts.
    pub unit: Unit,
    /// Which of several (`interface`, `cpu`, `state`, `process`).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
}

/// What the numbers of one namespace were at one moment: those that changed since the reading before, or all that are not zero
/// in the first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Sample {
    /// The window in which it was read.
    pub window: u32,
    /// Namespace by inode; 0 for numbers of the whole node.
    pub netns: u32,
    /// When it was read, `CLOCK_MONOTONIC` nanoseconds.
    pub at_ns: u64,
    /// Whose it is, said with its first sample.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub whose: Option<Whose>,
    /// Numbers by id.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<(u32, u64)>,
    /// Numbers that are gone: what they counted is no more (an interface, a process).
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<u32>,
    /// Buckets of histograms by id: number of the bucket, and how many values it holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub buckets: Vec<(u32, Vec<(u16, u64)>)>,
    /// What could not be read here, said when that changes.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub missing: Vec<Missing>,
}

/// Whose a namespace is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Whose {
    /// Its name for people, as the node has it.
    pub name: String,
    /// Its owner.
    pub owner: Owner,
    /// Processes that live in it.
    pub processes: u32,
    /// Its addresses that others can reach.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<IpAddr>,
}

/// All namespaces were read once more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Round {
    /// The window.
    pub window: u32,
    /// Its number; the first, from which growth is reckoned, is 1.
    pub number: u64,
    /// When the reading ended, `CLOCK_MONOTONIC` nanoseconds.
    pub at_ns: u64,
    /// How long it took, microseconds.
    pub took_us: u64,
    /// Time on a CPU that it took, microseconds.
    pub cpu_us: u64,
    /// How much later than planned it began, microseconds.
    pub late_us: u64,
}
