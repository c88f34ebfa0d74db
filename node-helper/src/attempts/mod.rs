//! Packets of our own, sent from inside the source's namespaces, and what each of them met.
//!
//! Each source has a process of its own (`worker`): network namespaces belong to threads, but cgroups, to which
//! policies are bound, belong to processes. Its source ports are chosen when it is planned, so that the kernel can be
//! told what to watch before the first packet leaves. Packets are never marked (`SO_MARK`): others read marks.
//!
//! This is what such a process does; it uses `system`, `processes` and `identity`, and reads TCP's account of a connection as
//! `facts` do. Who starts it, and passes on what it says, stands in `conversation::workers`.

use model::attempt::{Attempt, AttemptSpec, Outcome, Sending, WatchedFlow};
use model::flow::Flow;
use model::missing::Missing;
use serde::{Deserialize, Serialize};
pub use socket::source_by;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) mod cgroup;
mod dns;
mod echo;
mod mtu;
mod socket;
mod task;
mod tcp;
mod udp;
/// The process that sends for one source.
pub mod worker;

/// What a name server answered to a lookup is read; whether it is an answer to it.
pub(crate) fn reads_answer(bytes: &[u8]) -> bool {
    let _ = dns::message::id(bytes);
    dns::message::answer(bytes, "example.com", hickory_proto::rr::RecordType::A).is_some()
}

/// What a worker is for: its first line.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WorkerOrder {
    /// Process whose cgroup to join.
    pub(crate) cgroup_of: Option<u32>,
    /// What to send.
    pub(crate) attempts: Vec<AttemptSpec>,
}

/// What a worker is told after that. The end of its input is its end.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum WorkerCommand {
    /// The window is open since this moment of `CLOCK_MONOTONIC`.
    Go { at_ns: u64 },
    /// This tuple is watched now.
    Watched { flow: Flow },
    /// Report what is unfinished.
    Stop,
}

/// What a worker says.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[expect(clippy::large_enum_variant, reason = "one at a time, on its way to a pipe")]
pub(crate) enum WorkerReport {
    /// Ports are reserved.
    Planned {
        flows: Vec<WatchedFlow>,
        missing: Vec<Missing>,
    },
    /// Nothing can be sent.
    Failed { why: String },
    /// A tuple nobody could know before is about to be used; it waits for [`WorkerCommand::Watched`].
    Watch(WatchedFlow),
    /// An attempt ended; said again when something came later.
    Attempt(Attempt),
    /// All that was unfinished has been reported.
    Stopped,
}

/// The name of what is sent, as [`Attempt::kind`] has it.
fn kind(sending: &Sending) -> &'static str {
    match sending {
        Sending::Tcp { .. } => "tcp",
        Sending::Udp { .. } => "udp",
        Sending::Echo {
            packet_bytes: Some(_), ..
        } => "echo-full-size",
        Sending::Echo { .. } => "echo",
        Sending::Dns { .. } => "dns",
        Sending::DnsQuery { .. } => "dns-query",
    }
}

/// The result of an attempt that was never made.
pub(crate) fn not_tried(spec: &AttemptSpec, why: impl Into<String>) -> Attempt {
    Attempt {
        id: spec.id,
        kind: kind(&spec.send).into(),
        started_ns: crate::system::clock::monotonic_ns(),
        outcome: Outcome::NotTried { why: why.into() },
        ..Attempt::default()
    }
}

/// The wildcard address of a family.
fn any(like: IpAddr) -> IpAddr {
    match like {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
