//! Client and helper: one JSON object a line, each line numbered.
//!
//! The helper says nothing until it is spoken to, and ends when its input does. Words and fields that one side does not
//! know are counted and skipped within a version; another version is refused.

use crate::attempt::{Attempt, AttemptSpec, WatchedFlow};
use crate::endpoint::Endpoint;
use crate::event::Event;
use crate::facts::{NetnsFacts, NodeFacts, Phase, ProcessFacts};
use crate::flow::Flow;
use crate::missing::{Known, Missing};
use crate::series::{Round, Sample, Series};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::iter::Sum;
use std::net::IpAddr;

/// The version both ends must speak.
pub const VERSION: u32 = 1;

/// The longest line either end accepts, in bytes.
pub const LINE_MAX_BYTES: usize = 16 * 1024 * 1024;

/// The helper says something at least this often, in milliseconds.
pub const HEARTBEAT_MS: u64 = 5_000;

/// The helper ends when it hears nothing from the client for this long, in milliseconds.
pub const SILENCE_MS: u64 = 15_000;

/// A numbered line. Numbers start at 1 and have no gaps; a gap or a step back means that the stream cannot be trusted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Line<T> {
    /// Its number.
    pub seq: u64,
    /// What it says.
    pub say: T,
    /// What was said before it, where [`Reply::is_sum`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub said: Option<Tally>,
}

/// Lines said so far, by their words: what was taken out of a stream is missing here, though the rest was numbered anew. It
/// does not show what was changed inside a line, nor lines that were taken out of the counts as well.
pub type Tally = BTreeMap<String, u64>;

/// What the client asks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Request {
    /// The first line. Answer: [`Reply::Hello`].
    Hello {
        /// The client's [`VERSION`].
        version: u32,
    },
    /// What is this endpoint (`netns/NAME`, `pid/N`, `container/ID`, `pod/UID`, `host`, an address)? Answer: [`Reply::Resolved`].
    Resolve {
        /// As the user wrote it, without a port.
        endpoint: String,
        /// The endpoint that wants to reach it: of networks with the same addresses, the one that this one is in is meant.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    /// Read facts. Answer: any number of [`Reply::Facts`], [`Reply::Process`], [`Reply::Node`], then [`Reply::Read`].
    Read(Ask),
    /// Reserve source ports for these attempts. Answer: [`Reply::Planned`].
    Plan {
        /// Repeated in the answer.
        id: u32,
        /// What will be sent at `Go`.
        attempts: Vec<AttemptSpec>,
    },
    /// Attach probes. Answer: [`Reply::Armed`].
    Arm {
        /// Repeated in the answer.
        id: u32,
        /// Probes by name.
        probes: Vec<String>,
        /// What to let through.
        filter: Filter,
    },
    /// Open the window: send what was planned, stream what is seen. Answer: [`Reply::Going`], events, [`Reply::Attempt`]s.
    Go {
        /// That of `Plan` and `Arm`.
        id: u32,
    },
    /// Follow these flows too, by the probes that are armed. No answer, but [`Reply::Failed`] where that cannot be.
    Watch {
        /// That of `Arm`.
        id: u32,
        /// The flows, as [`Filter::flows`].
        flows: Vec<WatchedFlow>,
    },
    /// Close the window: unfinished attempts are cancelled and reported. Answer: [`Reply::Stopped`].
    Stop {
        /// That of `Go`.
        id: u32,
    },
    /// Nothing to ask, still here.
    Alive,
    /// The end. Answer: [`Reply::Done`].
    Bye,
}

/// Which facts to read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ask {
    /// Repeated in the answer.
    pub id: u32,
    /// Before or after the window.
    pub phase: Option<Phase>,
    /// Namespaces, by inode.
    pub netns: Vec<u32>,
    /// Facts by the names of [`NetnsFacts`]' fields; empty means all.
    pub facts: Vec<String>,
    /// Processes, as the host counts.
    pub pids: Vec<u32>,
    /// Look for the processes that hold listening sockets on these ports.
    pub ports: Vec<u16>,
    /// Flows whose conntrack entries and sockets are wanted.
    pub flows: Vec<Flow>,
    /// Addresses to look a route up for: (destination, source).
    pub lookups: Vec<(IpAddr, Option<IpAddr>)>,
    /// Facts of the node too.
    pub node: bool,
}

/// What the kernel lets through. Every list that is not empty must match; within a list any.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Filter {
    /// Namespaces by inode.
    pub netns: Vec<u32>,
    /// Addresses of what lives in those namespaces: what happens to their packets elsewhere (on the node's own interfaces, in
    /// another node's firewall) is let through too. Without namespaces they mean nothing.
    pub residents: Vec<IpAddr>,
    /// Processes, for probes that see them.
    pub pids: Vec<u32>,
    /// Addresses, either end.
    pub addresses: Vec<IpAddr>,
    /// Addresses of the other end: of what one of `addresses` is an end of, only that whose other end is one of these. Without
    /// addresses they mean nothing.
    pub peers: Vec<IpAddr>,
    /// Ports, either end.
    pub ports: Vec<u16>,
    /// Flows to follow hop by hop. What was planned is always among them.
    pub flows: Vec<WatchedFlow>,
    /// The most single events a second and probe; beyond it only totals. 0 for the default.
    pub events_per_second: u32,
    /// For probes that read numbers: how often, in milliseconds. 0 for once when the window opens and once when it closes.
    pub interval_ms: u32,
    /// For probes that measure times: what takes so many nanoseconds or more is an event of its own (whole microseconds count, up to an
    /// hour). 0 for none.
    pub slow_ns: u64,
}

/// What the helper says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way to a pipe")]
pub enum Reply {
    /// Who this is.
    Hello(Hello),
    /// What an endpoint is, or why it is none.
    Resolved(Known<Endpoint>),
    /// Facts of one namespace.
    Facts {
        /// That of the ask.
        id: u32,
        /// Name of the namespace for people.
        name: String,
        /// Before or after.
        phase: Phase,
        /// What was read.
        facts: NetnsFacts,
    },
    /// Facts of one process.
    Process {
        /// That of the ask.
        id: u32,
        /// Before or after.
        phase: Phase,
        /// What was read.
        facts: ProcessFacts,
    },
    /// Facts of the node.
    Node {
        /// That of the ask.
        id: u32,
        /// Before or after.
        phase: Phase,
        /// What was read.
        facts: NodeFacts,
    },
    /// All that was asked for has been said.
    Read {
        /// That of the ask.
        id: u32,
    },
    /// Source ports are reserved.
    Planned {
        /// That of the request.
        id: u32,
        /// The tuples that will be seen.
        flows: Vec<WatchedFlow>,
        /// Attempts that cannot be made, and why.
        missing: Vec<Missing>,
    },
    /// Probes are attached, or have said why not.
    Armed {
        /// That of the request.
        id: u32,
        /// Each probe asked for.
        probes: Vec<ProbeStatus>,
    },
    /// The window is open since this moment of `CLOCK_MONOTONIC`.
    Going {
        /// That of the request.
        id: u32,
        /// When.
        at_ns: u64,
    },
    /// Something was seen.
    Event(Event),
    /// A number that samples will tell.
    Describe(Series),
    /// What the numbers of one namespace were.
    Series(Sample),
    /// All namespaces were read once more.
    Round(Round),
    /// An attempt ended.
    Attempt(Attempt),
    /// The window is closed; probes are detached.
    Stopped {
        /// That of the request.
        id: u32,
        /// When.
        at_ns: u64,
        /// Events said of this window.
        events: u64,
        /// Events lost by probe.
        lost: Vec<Lost>,
        /// Exact totals.
        totals: Vec<Total>,
        /// What our programs cost.
        bpf: Option<BpfCost>,
    },
    /// Nothing to say, still here.
    Alive,
    /// A request could not be carried out.
    Failed {
        /// What was asked, by its name.
        request: String,
        /// What failed.
        missing: Missing,
    },
    /// The last line. A stream without it was cut.
    Done {
        /// Events said in all.
        events: u64,
        /// Events lost in all.
        lost: u64,
        /// Exit code of the helper.
        exit: u8,
        /// Lines of the client that were not understood.
        skipped: u64,
        /// Why it ends, unless the client said [`Request::Bye`]: what came before is not all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<Missing>,
    },
}

impl Reply {
    /// All words, as they stand on the wire.
    pub const WORDS: [&str; 18] = [
        "hello", "resolved", "facts", "process", "node", "read", "planned", "armed", "going", "event", "describe",
        "series", "round", "attempt", "stopped", "alive", "failed", "done",
    ];

    /// Its word, as it stands on the wire.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        match self {
            Self::Hello(_) => "hello",
            Self::Resolved(_) => "resolved",
            Self::Facts { .. } => "facts",
            Self::Process { .. } => "process",
            Self::Node { .. } => "node",
            Self::Read { .. } => "read",
            Self::Planned { .. } => "planned",
            Self::Armed { .. } => "armed",
            Self::Going { .. } => "going",
            Self::Event(_) => "event",
            Self::Describe(_) => "describe",
            Self::Series(_) => "series",
            Self::Round(_) => "round",
            Self::Attempt(_) => "attempt",
            Self::Stopped { .. } => "stopped",
            Self::Alive => "alive",
            Self::Failed { .. } => "failed",
            Self::Done { .. } => "done",
        }
    }

    /// It closes something: a reading, a window, or all. Its line carries the [`Tally`] of those before it.
    #[must_use]
    pub const fn is_sum(&self) -> bool {
        matches!(self, Self::Read { .. } | Self::Stopped { .. } | Self::Done { .. })
    }
}

/// Who the helper is and what it can do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Hello {
    /// The helper's [`VERSION`].
    pub version: u32,
    /// Host name.
    pub node: String,
    /// Kernel release.
    pub kernel: String,
    /// Machine (`x86_64`, `aarch64`).
    pub arch: String,
    /// Identity of this boot.
    pub boot_id: String,
    /// Inode of the network namespace that the helper itself lives in: the node's own.
    pub netns: u32,
    /// `CLOCK_MONOTONIC` now, nanoseconds.
    pub monotonic_ns: u64,
    /// `CLOCK_BOOTTIME` now.
    pub boottime_ns: u64,
    /// `CLOCK_REALTIME` now.
    pub wall_ns: u64,
    /// Capabilities it has, e.g. `CAP_BPF`.
    pub capabilities: Vec<String>,
    /// What each probe can do on this kernel.
    pub probes: Vec<ProbeStatus>,
}

/// What a probe can do on a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ProbeStatus {
    /// Its name.
    pub name: String,
    /// What it sees, in one sentence.
    pub about: String,
    /// What it costs, in words.
    pub cost: String,
    /// It reads numbers again and again, and reports no events.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub reads: bool,
    /// Hooks in use, or those that would be; of a probe that reads, what it reads.
    pub hooks: Vec<String>,
    /// Why it cannot run; absent when it can.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsupported: Option<Missing>,
    /// Details this kernel does not give.
    pub lacks: Vec<String>,
}

/// Events that were lost.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lost {
    /// By which probe.
    pub probe: String,
    /// No room in the ring.
    pub ring_full: u64,
    /// Thinned on purpose: over the budget; totals are still exact.
    pub over_budget: u64,
    /// They touch a watched flow.
    #[serde(default)]
    pub of_watched: u64,
    /// In no total: more kinds of them were met than the kernel side has room for.
    #[serde(default)]
    pub uncounted: u64,
    /// Times the kernel left its programs out, because they were running already on that CPU when an interrupt came
    /// (`recursion_misses` of `bpf_prog_info`), less those that another program saw. What would have been seen then is in no
    /// event and in no total, and may have been of a watched flow.
    #[serde(default)]
    pub missed: u64,
    /// Times one of two programs of a hook was left out and the other saw it. All of these are counted. Yet where interrupts
    /// bring packets while others are counted, Linux 6.18 was seen to call no program of a hook for some hundred packets in a
    /// row, and no number tells of it: totals are exact only if this is 0.
    #[serde(default)]
    pub nested: u64,
}

impl Lost {
    /// How many were not told one by one.
    #[must_use]
    pub fn untold(&self) -> u64 {
        self.ring_full + self.over_budget + self.missed
    }
}

impl Lost {
    /// Of what was lost, the most that may touch a watched flow: what is *not* among the events proves nothing where there
    /// is any.
    pub fn of_watched_at_most(&self) -> u64 {
        self.of_watched.saturating_add(self.missed)
    }
}

/// An exact total.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Total {
    /// By which probe.
    pub probe: String,
    /// Namespace.
    pub netns: u32,
    /// What, e.g. `drop`, with its particulars in words (`NETFILTER_DROP nft_do_chain`).
    pub what: String,
    /// Further parts of the key (`protocol`, `dport`).
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// How often.
    pub count: u64,
}

/// What our own programs cost while they were armed (`BPF_ENABLE_STATS`). The kernel measures them all the time while they
/// run seldom, and for slices of the time when they run often; what it found in a slice stands for the time up to the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BpfCost {
    /// Times they ran; an estimate unless they were measured all the time.
    pub runs: u64,
    /// Nanoseconds they ran, the clock's own cost included; an estimate likewise.
    pub ns: u64,
    /// Nanoseconds during which they were measured.
    #[serde(default)]
    pub measured_ns: u64,
    /// Nanoseconds during which they were armed.
    #[serde(default)]
    pub armed_ns: u64,
}

impl BpfCost {
    /// The share of the time during which they were measured, in percent, where that was not all of it.
    pub fn sampled_percent(self) -> Option<u64> {
        let percent = (self.measured_ns * 100).checked_div(self.armed_ns)?;
        (percent < 99).then_some(percent.max(1))
    }

    /// What was measured is enough to say what they used in all of the time: packets come in bursts, and a few short slices
    /// meet them by chance.
    pub fn rests_on_enough(self) -> bool {
        const LONG_NS: u64 = 1_000_000_000;
        const PERCENT: u64 = 20;
        self.measured_ns >= LONG_NS || self.sampled_percent().is_none_or(|percent| percent >= PERCENT)
    }
}

/// That of several machines.
impl Sum for BpfCost {
    fn sum<I: Iterator<Item = Self>>(costs: I) -> Self {
        costs.fold(Self::default(), |sum, cost| Self {
            runs: sum.runs + cost.runs,
            ns: sum.ns + cost.ns,
            measured_ns: sum.measured_ns + cost.measured_ns,
            armed_ns: sum.armed_ns + cost.armed_ns,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Reply, Request};

    #[test]
    fn a_line_is_one_json_object_with_its_number() {
        let line = serde_json::to_string(&Line {
            seq: 1,
            say: Request::Hello { version: 1 },
            said: None,
        })
        .unwrap();
        assert_eq!(line, r#"{"seq":1,"say":{"hello":{"version":1}}}"#);
        let back: Line<Reply> = serde_json::from_str(r#"{"seq":7,"say":"alive"}"#).unwrap();
        assert_eq!(
            back,
            Line {
                seq: 7,
                say: Reply::Alive,
                said: None
            }
        );
    }

    #[test]
    fn every_word_of_a_helper_is_known_by_its_name() {
        let word = |name: &str| -> String {
            // Serde names the words that there are where it meets another one.
            serde_json::from_str::<Reply>(&format!("{{\"{name}\":1}}"))
                .unwrap_err()
                .to_string()
        };
        let others = word("weather");
        assert!(
            Reply::WORDS.iter().all(|name| others.contains(&format!("`{name}`"))),
            "{others}"
        );
        assert_eq!(others.matches('`').count(), 2 * (1 + Reply::WORDS.len()), "{others}");
        let done = Reply::Done {
            events: 0,
            lost: 0,
            exit: 0,
            skipped: 0,
            why: None,
        };
        for say in [Reply::Alive, Reply::Read { id: 1 }, done] {
            let text = serde_json::to_string(&say).unwrap();
            assert!(text.contains(&format!("\"{}\"", say.word())), "{text}");
        }
    }
}
