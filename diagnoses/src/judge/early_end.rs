//! When no further packet can change the answer, so that the window may end early.

use crate::case::clocks;
use crate::case::far_end::far_end;
use crate::case::lookups::{answers_seen, lookups};
use crate::case::trail::Dropped;
use crate::case::{Case, Failure, Fate};
use crate::kernel::drops::Class;
use model::attempt::{AttemptSpec, DnsExchange, Sending};
use model::evidence::{Evidence, Intent};
use model::flow::{SYN, TCP};
use model::report::Direction;
use std::net::IpAddr;

/// The window may end: every attempt that can still tell something has ended, or what was seen decides it.
///
/// Attempts are looked at by the address they go to: one family may work while the other is dropped.
#[must_use]
pub fn settled(evidence: &Evidence) -> bool {
    if evidence.passive || evidence.specs.is_empty() {
        return false;
    }
    let ended = |spec: &AttemptSpec| evidence.attempts.iter().any(|attempt| attempt.id == spec.id);
    if evidence.specs.iter().all(ended) {
        return true;
    }
    let evidence = &*clocks::aligned(evidence);
    let case = Case::new(evidence);
    let asked: Vec<&AttemptSpec> = evidence.specs.iter().filter(|spec| is_asked(evidence, spec)).collect();
    if asked.is_empty() {
        return false;
    }
    let worked = |to: IpAddr| case.worked().iter().any(|tried| tried.attempt.flow.dst() == to);
    evidence.specs.iter().filter(|spec| !ended(spec)).all(|spec| {
        let Some(to) = target(spec) else {
            return false;
        };
        if is_asked(evidence, spec) {
            // One that works says that the others may: wait for them.
            !worked(to) && (silent(&case, to) || lost(&case, spec))
        } else {
            // Echoes tell how well a way works that works at all.
            let of_it: Vec<_> = asked.iter().filter(|other| target(other) == Some(to)).collect();
            let failed = !of_it.is_empty() && of_it.iter().all(|other| failed(&case, other.id) || lost(&case, other));
            failed || silent(&case, to) || lost(&case, spec)
        }
    })
}

/// A name server may still answer a lookup that has given up: its queries got as far as can be seen, none was dropped, and no
/// answer was seen. Whether it answers late or never is worth a moment more.
#[must_use]
pub fn answer_due(evidence: &Evidence) -> bool {
    let evidence = &*clocks::aligned(evidence);
    let case = Case::new(evidence);
    lookups(&case).into_iter().any(|lookup| {
        let id = lookup.id();
        let dropped = case.trail.drops().any(|drop| drop.attempt == id);
        let arrived = case
            .leg(id, Direction::Request)
            .is_some_and(|leg| far_end(&case, id).is_none_or(|end| leg.reached(end.netns)));
        let silent = lookup.unanswered();
        let heard = |query: &&DnsExchange| query.errno.is_some() || !answers_seen(&case, query).is_empty();
        !lookup.found() && arrived && !dropped && !silent.is_empty() && !silent.iter().any(heard)
    })
}

/// It has ended for good, without success.
fn failed(case: &Case<'_>, id: u32) -> bool {
    case.attempt(id).is_some_and(|tried| {
        tried.fate == Fate::Failed && tried.failure().is_none_or(|failure| failure != Failure::TooBig)
    })
}

/// Its packets were lost in a way that repeats.
fn lost(case: &Case<'_>, spec: &AttemptSpec) -> bool {
    let id = spec.id;
    let for_good = |class: Class| {
        matches!(
            class,
            Class::Netfilter
                | Class::Bpf
                | Class::Ipsec
                | Class::TcpSignature
                | Class::Neighbour
                | Class::BridgeNoPort
                | Class::BridgeRefuses
                | Class::OtherHost
                | Class::Route
                | Class::NotForwarding
                | Class::ReversePath
                | Class::OwnSource
                | Class::Loopback
                | Class::Ttl
                | Class::Overlay
        )
    };
    // What was answered may go on.
    let answered = case.leg(id, Direction::Answer).is_some_and(|leg| {
        case.evidence
            .source
            .netns
            .is_some_and(|source| leg.stops.iter().any(|stop| stop.netns == source))
    });
    !answered
        && case
            .trail
            .drops()
            .any(|drop| drop.attempt == id && for_good(drop.class) && opens(drop))
}

/// The loss of a packet that opens a connection decides; a later one was answered before, though that may not have been heard yet
/// (probes tell in no common order).
fn opens(drop: &Dropped<'_>) -> bool {
    let flags = drop.event.packet.map(|packet| packet.tcp_flags);
    drop.event.flow.protocol != TCP || flags.is_none_or(|flags| flags == 0 || flags & SYN != 0)
}

/// A next hop on the way to it answers nothing.
fn silent(case: &Case<'_>, to: IpAddr) -> bool {
    case.silent
        .iter()
        .any(|silent| silent.address.is_ipv4() == to.is_ipv4())
}

fn target(spec: &AttemptSpec) -> Option<IpAddr> {
    match &spec.send {
        Sending::Tcp { to, .. } | Sending::Udp { to, .. } | Sending::Echo { to, .. } => Some(*to),
        Sending::DnsQuery { server, .. } => Some(*server),
        // With several servers the next one may answer.
        Sending::Dns { resolv, .. } => match resolv.nameservers.as_slice() {
            [only] => Some(*only),
            _ => None,
        },
    }
}

/// Whether an attempt is of the protocol asked for, and is not sent beside it.
pub fn is_asked(evidence: &Evidence, spec: &AttemptSpec) -> bool {
    match (&spec.send, evidence.intent) {
        (Sending::Dns { .. } | Sending::DnsQuery { .. }, _) => true,
        (_, Intent::Dns) => false,
        (Sending::Tcp { .. }, _) => evidence.protocol == "tcp" || evidence.protocol.is_empty(),
        (Sending::Udp { .. }, _) => evidence.protocol == "udp",
        (Sending::Echo { dont_fragment, .. }, _) => evidence.protocol.starts_with("icmp") && !dont_fragment,
    }
}

#[cfg(test)]
mod tests {
    use super::settled;
    use crate::scenes::{self, Scene};
    use model::attempt::{AttemptSpec, Exchange, Sending};

    fn plan(scene: &mut Scene, count: u32) {
        for id in 0..count {
            scene.evidence.specs.push(AttemptSpec {
                id,
                netns: scenes::A,
                pid: None,
                start_ms: u64::from(id) * 100,
                timeout_ms: 2_000,
                send: Sending::Tcp {
                    to: scenes::ip("10.90.2.2"),
                    port: 80,
                    hold_ms: 200,
                    exchange: Exchange::None,
                },
            });
        }
    }

    #[test]
    fn drops_of_every_attempt_decide_before_the_time_out() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        scene.evidence.attempts.clear();
        plan(&mut scene, 3);
        assert!(settled(&scene.evidence));
        plan(&mut scene, 4);
        assert!(!settled(&scene.evidence), "one of them was not seen yet");
    }

    #[test]
    fn the_loss_of_data_decides_nothing_about_a_connection_that_was_made() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        scene.evidence.attempts.clear();
        plan(&mut scene, 3);
        for event in &mut scene.evidence.events {
            if let Some(packet) = &mut event.packet {
                packet.tcp_flags = 24;
            }
        }
        assert!(
            !settled(&scene.evidence),
            "acknowledgements came, and were not heard of yet"
        );
    }

    #[test]
    fn a_packet_that_is_underway_is_waited_for() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::X, "up0");
        scene.evidence.attempts.clear();
        plan(&mut scene, 3);
        assert!(!settled(&scene.evidence));
    }

    #[test]
    fn one_that_works_lets_the_others_hope() {
        let mut scene = Scene::two_nodes();
        scene.connects(1);
        let flow = scene.flow(1);
        scene.drop(scenes::X, "cbr0", flow, "NETFILTER_DROP", "nf_hook_slow");
        plan(&mut scene, 2);
        assert!(!settled(&scene.evidence));
    }
}
