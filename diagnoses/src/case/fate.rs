//! What became of an attempt: as the sender saw it, and, where the sender cannot know, as the trail tells.

use crate::case::foreign_answers;
use crate::case::trail::{Dropped, Leg, Trail};
use crate::kernel::drops::Class;
use crate::kernel::interfaces;
use model::attempt::{Attempt, Outcome};
use model::errno::Errno;
use model::evidence::{Evidence, Intent};
use model::flow::{ICMP, ICMPV6, protocol_name};
use model::protocol::ProbeStatus;
use model::report::Direction;

/// What became of an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It did what was asked.
    Worked,
    /// It did not.
    Failed,
    /// Nobody can tell: cancelled, never tried, or a datagram that was neither delivered nor dropped in our sight.
    Unknown,
}

/// An attempt and what became of it.
#[derive(Clone, Copy, Debug)]
pub struct Tried<'a> {
    /// As the sender saw it.
    pub attempt: &'a Attempt,
    /// Whether it is of the protocol asked for; else it was sent beside it (echo trains).
    pub asked: bool,
    /// What became of it.
    pub fate: Fate,
}

/// How an attempt failed, in the sender's eyes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure<'a> {
    /// No answer in time, while doing this.
    Silent(&'a str),
    /// Refused: RST or ICMP port unreachable before the connection was made.
    Refused,
    /// Reset after the connection was made.
    Reset,
    /// ENETUNREACH.
    NetUnreachable,
    /// EHOSTUNREACH.
    HostUnreachable,
    /// EPERM or EACCES: this kernel refused to send.
    Forbidden,
    /// EADDRNOTAVAIL.
    NoLocalAddress,
    /// EMSGSIZE.
    TooBig,
    /// Any other error, while doing this.
    Other(&'a str, &'a Errno),
}

impl<'a> Tried<'a> {
    /// How it failed; `None` when the sender saw no failure.
    pub fn failure(&self) -> Option<Failure<'a>> {
        failure(self.attempt)
    }

    /// Its handshake was done.
    pub fn connected(&self) -> bool {
        self.attempt.connected_ns.is_some()
    }
}

/// How an attempt failed, in the sender's eyes.
pub fn failure(attempt: &Attempt) -> Option<Failure<'_>> {
    match &attempt.outcome {
        Outcome::TimedOut { during } => Some(Failure::Silent(during)),
        Outcome::Error { during, errno } => Some(match errno.name.as_str() {
            "ECONNREFUSED" => Failure::Refused,
            "ECONNRESET" | "EPIPE" => Failure::Reset,
            "ENETUNREACH" => Failure::NetUnreachable,
            "EHOSTUNREACH" => Failure::HostUnreachable,
            "EPERM" | "EACCES" => Failure::Forbidden,
            "EADDRNOTAVAIL" => Failure::NoLocalAddress,
            "EMSGSIZE" => Failure::TooBig,
            "ETIMEDOUT" => Failure::Silent(during),
            _ => Failure::Other(during, errno),
        }),
        Outcome::Ok | Outcome::Cancelled | Outcome::NotTried { .. } => None,
    }
}

/// A probe runs on every node that was looked at.
pub fn runs_everywhere(evidence: &Evidence, probe: &str) -> bool {
    let runs = |status: &ProbeStatus| status.name == probe && status.unsupported.is_none();
    !evidence.nodes.is_empty() && evidence.nodes.iter().all(|node| node.probes.iter().any(runs))
}

/// Whether an attempt is of the protocol asked for, and was not sent beside it.
pub fn is_asked(evidence: &Evidence, attempt: &Attempt) -> bool {
    match evidence.intent {
        Intent::Dns => attempt.kind.starts_with("dns"),
        _ => match evidence.protocol.as_str() {
            "icmp" | "icmpv6" => attempt.kind == "echo",
            "udp" => attempt.kind == "udp" || attempt.kind.starts_with("dns"),
            "" => !attempt.kind.starts_with("echo"),
            protocol => attempt.kind == protocol || protocol_name(attempt.flow.protocol) == protocol,
        },
    }
}

/// An answer for which the socket that we send from had no room: that is our limit, and says nothing of any program. Where the
/// user's own flow is watched the socket is the user's.
pub fn overran_us(evidence: &Evidence, drop: &Dropped<'_>) -> bool {
    let at_us = drop.direction == Direction::Answer && evidence.source.netns == Some(drop.event.netns);
    // A full buffer of this socket; `PROTO_MEM` is about the memory of all sockets.
    let of_socket = drop.class == Class::ReceiveBuffer || drop.reason() == "SOCKET_BACKLOG";
    !evidence.passive && at_us && of_socket
}

/// Answers to this attempt came faster than our socket could take them.
fn overran(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> bool {
    let mut drops = trail.drops().filter(|drop| drop.attempt == attempt.id);
    drops.any(|drop| overran_us(evidence, drop))
}

pub fn fate(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> Fate {
    match &attempt.outcome {
        Outcome::Cancelled | Outcome::NotTried { .. } => cancelled(evidence, attempt, trail),
        Outcome::Ok | Outcome::TimedOut { .. } if attempt.kind == "udp" => datagram(evidence, attempt, trail),
        // A lookup that was answered and found nothing did not do what was asked.
        Outcome::Ok
            if attempt.kind == "dns"
                && attempt
                    .dns
                    .as_ref()
                    .is_some_and(|dns| dns.addresses.is_empty() && dns.found.is_none()) =>
        {
            Fate::Failed
        }
        Outcome::Ok if waited_for_lost(evidence, attempt, trail) => Fate::Failed,
        Outcome::Ok => Fate::Worked,
        // What it waited for may have been among what our own socket dropped.
        Outcome::TimedOut { .. } if overran(evidence, attempt, trail) => Fate::Unknown,
        Outcome::Error { .. } | Outcome::TimedOut { .. } => Fate::Failed,
    }
}

/// An attempt that the window's end cut short has failed when its packets were seen to be lost and nothing came back.
fn cancelled(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> Fate {
    if matches!(attempt.outcome, Outcome::NotTried { .. }) || attempt.connected_ns.is_some() {
        return Fate::Unknown;
    }
    let unanswered = attempt.first_answer_ns.is_none() || asked_in_vain(attempt);
    if lost(evidence, attempt, trail) && unanswered {
        Fate::Failed
    } else {
        Fate::Unknown
    }
}

/// A lookup that found what it looked for, and took longer than the limit because packets of its queries were lost.
fn waited_for_lost(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> bool {
    let limit_ns = evidence.limits.dns_slow_ms * 1_000_000;
    attempt.kind == "dns" && attempt.took_ns > limit_ns && asked_in_vain(attempt) && lost(evidence, attempt, trail)
}

/// A lookup asks several questions at once, and waits for the answer to each: one of them has none.
fn asked_in_vain(attempt: &Attempt) -> bool {
    let dns = attempt.dns.as_ref();
    dns.is_some_and(|dns| dns.queries.iter().any(|query| query.rcode.is_none()))
}

fn lost(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> bool {
    let mut drops = trail.drops().filter(|drop| drop.attempt == attempt.id);
    drops.any(|drop| !overran_us(evidence, drop))
}

/// Cut short before anything came back.
pub fn unanswered(attempt: &Attempt) -> bool {
    attempt.outcome == Outcome::Cancelled && attempt.connected_ns.is_none() && attempt.first_answer_ns.is_none()
}

/// It arrived where a socket is bound to its port, and a probe that would tell saw no loss: it waits in the socket's queue.
fn queued(evidence: &Evidence, leg: &Leg<'_>) -> bool {
    let Some(stop) = leg.farthest() else {
        return false;
    };
    let Some(netns) = evidence.netns(stop.netns) else {
        return false;
    };
    let watched = runs_everywhere(evidence, "drop");
    let to = stop.flow.dst();
    let bound = netns.before.sockets.ok().is_some_and(|sockets| {
        sockets.iter().any(|socket| {
            let local = socket.flow.src();
            socket.flow.protocol == stop.flow.protocol
                && socket.flow.sport == stop.flow.dport
                && (local == to || local.is_unspecified())
                && (to.is_ipv6() || local.is_ipv4() || !socket.v6only)
        })
    });
    watched && bound && interfaces::owns(&netns.before, to)
}

/// A datagram has worked when it was answered or delivered, and failed when it was dropped or refused.
fn datagram(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> Fate {
    if attempt.first_answer_ns.is_some() || attempt.received_bytes > 0 {
        return Fate::Worked;
    }
    if foreign_answers::answers(evidence, attempt.flow).next().is_some() {
        return Fate::Failed;
    }
    let request = trail.leg(attempt.id, Direction::Request);
    let answered = trail.leg(attempt.id, Direction::Answer).is_some_and(|leg| {
        let mut drops = leg.drops.iter();
        drops.any(|drop| drop.class != Class::NoSocket && !overran_us(evidence, drop))
    });
    if attempt.icmp.iter().any(|error| error.kind != 0) || request.is_some_and(|leg| !leg.drops.is_empty()) || answered
    {
        return Fate::Failed;
    }
    if overran(evidence, attempt, trail) || request.is_some_and(|leg| leg.delivered() || queued(evidence, leg)) {
        return Fate::Worked;
    }
    if failure(attempt).is_some() && matches!(attempt.flow.protocol, ICMP | ICMPV6) {
        return Fate::Failed;
    }
    Fate::Unknown
}
