//! What was seen of an attempt, in words: the proofs that rules give for what they conclude.

use crate::case::trail::Dropped;
use crate::case::unseen_arrivals;
use crate::case::{Case, Failure, Tried};
use crate::kernel::drops::Class;
use crate::verdict::finding::Finding;
use crate::words::{at, count, the, time};
use model::event::Seen;
use model::report::Direction;

/// What an attempt met, in words.
pub fn met(tried: &Tried<'_>) -> String {
    let attempt = tried.attempt;
    let end = match tried.failure() {
        Some(Failure::Silent(during)) => format!("no answer while waiting to {during}, for {}", time(attempt.took_ns)),
        Some(Failure::Refused) => format!("ECONNREFUSED after {}", time(attempt.took_ns)),
        Some(Failure::Reset) => format!("ECONNRESET after {}", time(attempt.took_ns)),
        Some(Failure::NetUnreachable) => format!("ENETUNREACH after {}", time(attempt.took_ns)),
        Some(Failure::HostUnreachable) => format!("EHOSTUNREACH after {}", time(attempt.took_ns)),
        Some(Failure::Forbidden) => format!("EPERM after {}", time(attempt.took_ns)),
        Some(Failure::NoLocalAddress) => "EADDRNOTAVAIL: no local port or address".to_owned(),
        Some(Failure::TooBig) => "EMSGSIZE: larger than the path takes".to_owned(),
        Some(Failure::Other(during, errno)) => format!("{} ({}) while trying to {during}", errno.name, errno.number),
        None => "nothing came back".to_owned(),
    };
    format!("{} {}: {end}", attempt.kind, attempt.flow)
}

/// Adds where the packets of both directions were seen last.
pub fn last_seen(case: &Case<'_>, mut finding: Finding, attempt: u32) -> Finding {
    for direction in [Direction::Request, Direction::Answer] {
        let who = the(direction);
        let leg = case.leg(attempt, direction);
        if let Some(stop) = leg.and_then(|leg| leg.farthest()) {
            let place = at(&case.name(stop.netns), stop.interface.as_deref());
            finding = finding.and(format!(
                "{who} was last seen at {place} ({}, {})",
                count(stop.packets as usize, "packet"),
                stop.flow
            ));
        }
        let retransmits = leg.map_or(0, crate::case::trail::Leg::retransmits);
        if retransmits > 0 {
            finding = finding.and(format!("{who} was sent again {}", count(retransmits, "time")));
        }
    }
    if let Some(destination) = case.evidence.destination.netns {
        let reached = case
            .leg(attempt, Direction::Request)
            .is_some_and(|leg| leg.reached(destination));
        if !reached && case.watched_by("path") && case.saw_all() {
            let name = case.name(destination);
            finding = finding.and(match unseen_arrivals::before(case, attempt, destination) {
                Some((_, place)) => format!("whether it came into {name} cannot be told: it came to {place}"),
                None => format!("it was never seen in {name}"),
            });
        }
    }
    finding
}

/// A packet of this attempt ran out of its TTL.
pub fn expired(case: &Case<'_>, attempt: u32) -> bool {
    let dropped = case
        .trail
        .drops()
        .any(|drop| drop.attempt == attempt && drop.class == Class::Ttl);
    dropped
        || case
            .about(attempt)
            .any(|event| matches!(event.seen, Seen::IcmpSent { kind: 11 | 3, code: 0, .. } if time_exceeded(event)))
}

/// A packet of this attempt that went this way ran out of its TTL.
pub fn expired_towards(case: &Case<'_>, attempt: u32, direction: Direction) -> bool {
    let mut drops = case.trail.drops();
    drops.any(|drop| drop.attempt == attempt && drop.class == Class::Ttl && drop.direction == direction)
}

/// "Time exceeded in transit": type 11 of ICMP, type 3 of `ICMPv6`.
fn time_exceeded(event: &model::event::Event) -> bool {
    let kind = if event.flow.dst().is_ipv6() { 3 } else { 11 };
    matches!(event.seen, Seen::IcmpSent { kind: sent, .. } if sent == kind)
}

/// `3 watched packets freed in netns/x cbr0: REASON in function (tuple)`: losses at one place, of which there is at least one.
pub fn freed(case: &Case<'_>, drops: &[Dropped<'_>]) -> String {
    let Some(first) = drops.first() else {
        return String::new();
    };
    format!(
        "{} freed in {}: {} ({})",
        count(drops.len(), "watched packet"),
        at(&case.name(first.event.netns), Some(&case.interface(first.event))),
        first.words(),
        first.event.flow
    )
}
