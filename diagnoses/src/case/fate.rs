//! What became of an attempt: as the sender saw it, and, where the sender cannot know, as the trail tells.

use super::{Failure, Fate};
use crate::astray;
use crate::drops::Class;
use crate::route;
use crate::trail::{Leg, Trail};
use model::attempt::{Attempt, Outcome};
use model::evidence::{Evidence, Intent};
use model::flow::{ICMP, ICMPV6, protocol_name};
use model::protocol::ProbeStatus;
use model::report::Direction;

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

/// Of the protocol asked for, or sent beside it?
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

pub fn fate(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> Fate {
    match &attempt.outcome {
        Outcome::Cancelled | Outcome::NotTried { .. } => cancelled(attempt, trail),
        Outcome::Ok | Outcome::TimedOut { .. } if attempt.kind == "udp" => datagram(evidence, attempt, trail),
        // A lookup that was answered and found nothing did not do what was asked.
        Outcome::Ok if attempt.kind == "dns" && attempt.dns.as_ref().is_some_and(|dns| dns.addresses.is_empty()) => {
            Fate::Failed
        }
        Outcome::Ok if waited_for_lost(evidence, attempt, trail) => Fate::Failed,
        Outcome::Ok => Fate::Worked,
        Outcome::Error { .. } | Outcome::TimedOut { .. } => Fate::Failed,
    }
}

/// An attempt that the window's end cut short has failed when its packets were seen to be lost and nothing came back.
fn cancelled(attempt: &Attempt, trail: &Trail<'_>) -> Fate {
    if matches!(attempt.outcome, Outcome::NotTried { .. }) || attempt.connected_ns.is_some() {
        return Fate::Unknown;
    }
    let unanswered = attempt.first_answer_ns.is_none() || asked_in_vain(attempt);
    if lost(attempt, trail) && unanswered {
        Fate::Failed
    } else {
        Fate::Unknown
    }
}

/// A lookup that found what it looked for, and took longer than the limit because packets of its queries were lost.
fn waited_for_lost(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> bool {
    let limit_ns = evidence.limits.dns_slow_ms * 1_000_000;
    attempt.kind == "dns" && attempt.took_ns > limit_ns && asked_in_vain(attempt) && lost(attempt, trail)
}

/// A lookup asks several questions at once, and waits for the answer to each: one of them has none.
fn asked_in_vain(attempt: &Attempt) -> bool {
    let dns = attempt.dns.as_ref();
    dns.is_some_and(|dns| dns.queries.iter().any(|query| query.rcode.is_none()))
}

fn lost(attempt: &Attempt, trail: &Trail<'_>) -> bool {
    trail.drops().any(|drop| drop.attempt == attempt.id)
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
    watched && bound && route::owns(&netns.before, to)
}

/// A datagram has worked when it was answered or delivered, and failed when it was dropped or refused.
fn datagram(evidence: &Evidence, attempt: &Attempt, trail: &Trail<'_>) -> Fate {
    if attempt.first_answer_ns.is_some() || attempt.received_bytes > 0 {
        return Fate::Worked;
    }
    if astray::answers(evidence, attempt.flow).next().is_some() {
        return Fate::Failed;
    }
    let request = trail.leg(attempt.id, Direction::Request);
    let answered = trail
        .leg(attempt.id, Direction::Answer)
        .is_some_and(|leg| leg.drops.iter().any(|drop| drop.class != Class::NoSocket));
    if attempt.icmp.iter().any(|error| error.kind != 0) || request.is_some_and(|leg| !leg.drops.is_empty()) || answered
    {
        return Fate::Failed;
    }
    if request.is_some_and(|leg| leg.delivered() || queued(evidence, leg)) {
        return Fate::Worked;
    }
    if failure(attempt).is_some() && matches!(attempt.flow.protocol, ICMP | ICMPV6) {
        return Fate::Failed;
    }
    Fate::Unknown
}
