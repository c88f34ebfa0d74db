//! Something on the way resets the connection: neither end sent the reset, and no visible rule did.
//!
//! Why it happens: a firewall or load balancer between the nodes ends idle or unwanted connections, or an intrusion prevention
//! system or a proxy injects resets.
//!
//! How it knows: the sender's TCP accepted a reset of the watched connection. The target's kernel was watched too and sent none
//! (no event, and its `Tcp.OutRsts` did not grow). And no netfilter rule matched the connection's packets.
//!
//! Remedy: look at the devices between the two ends: idle time-outs, inspection, connection limits.
//!
//! Silent on: resets that either end's TCP is seen to send, resets made by a rule (`netfilter-reject`), and targets whose own
//! kernel is not watched (then nobody can know).

use crate::case::clocks;
use crate::case::far_end::{far_end, resets_sent};
use crate::case::{Case, Failure};
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{count, time};
use model::event::{Event, Seen};
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("tcpreset"),
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("counters"),
];

pub fn check(case: &Case<'_>) -> Checked {
    // It rests on what neither end and no rule did.
    let told_by = ["tcpreset", "drop"];
    if !told_by.iter().all(|probe| case.watched_by(probe)) || !case.saw_all_by(&told_by) {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    let mut first = None;
    for tried in case.failed() {
        let id = tried.attempt.id;
        let Some(end) = far_end(case, id).filter(|end| case.evidence.netns(end.netns).is_some()) else {
            continue;
        };
        let reset = matches!(tried.failure(), Some(Failure::Reset | Failure::Refused));
        let accepted = case
            .about(id)
            .filter(|event| Some(event.netns) == case.evidence.source.netns)
            .find(|event| accepted_open(case, event));
        // Once reset, an end answers what still comes for the connection with resets of its own.
        let own = resets_sent(case, id)
            .iter()
            .any(|event| accepted.is_none_or(|accepted| !surely_after(case, event, accepted)));
        let by_a_rule = case
            .trail
            .drops()
            .any(|drop| drop.attempt == id && drop.class == Class::Netfilter);
        // A reset in answer to a handshake that never came is a refusal by whoever; there the request must have arrived.
        let arrived = tried.connected()
            || case
                .leg(id, Direction::Request)
                .is_some_and(|leg| leg.reached(end.netns) && leg.drops.is_empty());
        if reset && accepted.is_some() && arrived && !by_a_rule && !own {
            ids.push(id);
            first.get_or_insert((tried, end));
        }
    }
    let Some((tried, end)) = first else {
        return Ok(Vec::new());
    };
    let out = case.growth(end.netns, "Tcp.OutRsts")?;
    if out >= ids.len() as u64 {
        return Ok(Vec::new());
    }
    let (source, target) = (case.source(), case.name(end.netns));
    let when = match tried.attempt.connected_ns {
        Some(ns) => format!("made after {} and then reset", time(ns)),
        None => "reset before it was made".to_owned(),
    };
    Ok(vec![
        fatal(
            "reset-by-middlebox",
            format!("something between {source} and {target} resets the connection: neither end did"),
        )
        .of(ids.iter().copied())
        .remedy(
            "look at firewalls, load balancers and proxies between the two ends: idle time-outs, inspection, limits",
        )
        .because(format!(
            "{} {when}; TCP of {source} accepted the reset",
            count(ids.len(), "connection")
        ))
        .and(format!(
            "TCP of {target} sent no reset for it (no event, OutRsts grew by {out})"
        ))
        .and("no netfilter rule on the path met its packets".to_owned()),
    ])
}

/// TCP accepted a reset of a connection that the program had not closed: of one that it had, the kernel tells the same when mere
/// data comes, unless the program is told of an error.
fn accepted_open(case: &Case<'_>, event: &Event) -> bool {
    let Seen::ResetReceived { state } = event.seen else {
        return false;
    };
    let told = |other: &Event| {
        let error = matches!(other.seen, Seen::SocketError { soft: false, .. });
        error && (other.netns, other.sk) == (event.netns, event.sk)
    };
    !state.has_closed() || case.evidence.events.iter().any(told)
}

/// It happened later, whatever the clocks of both places may be off by.
fn surely_after(case: &Case<'_>, event: &Event, other: &Event) -> bool {
    let node = |event| case.evidence.node_of(event);
    let error = clocks::error_ns(case.evidence, node(event), node(other));
    error.is_some_and(|error| event.at_ns > other.at_ns.saturating_add(error))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;
    use model::errno::Errno;
    use model::event::{Seen, TcpState};

    fn reset() -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        for attempt in &mut scene.evidence.attempts {
            attempt.outcome = Outcome::Error {
                during: "read".to_owned(),
                errno: Errno {
                    number: 104,
                    name: "ECONNRESET".to_owned(),
                },
            };
        }
        for watched in scene.evidence.watched.clone() {
            let state = TcpState::Established;
            scene.saw(scenes::A, "eth0", watched.flow, Seen::ResetReceived { state });
        }
        scene
    }

    #[test]
    fn a_reset_that_neither_end_sent_came_from_the_way() {
        assert_eq!(scenes::causes(&judge(&reset().evidence)), ["reset-by-middlebox"]);
    }

    #[test]
    fn data_that_comes_after_the_client_has_closed_is_no_reset() {
        let mut scene = reset();
        for event in &mut scene.evidence.events {
            if let Seen::ResetReceived { state } = &mut event.seen {
                *state = TcpState::FinWait2;
            }
        }
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"reset-by-middlebox".to_owned()));
    }

    #[test]
    fn a_target_that_counted_resets_may_have_sent_it() {
        let mut scene = reset();
        scene.grew(scenes::C, "Tcp.OutRsts", 3);
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"reset-by-middlebox".to_owned()));
    }

    #[test]
    fn what_the_client_resets_after_it_was_reset_itself_proves_nothing() {
        let mut scene = reset();
        let state = TcpState::Close;
        let flow = scene.evidence.watched[0].flow;
        let reason = Some("NO_SOCKET".to_owned());
        scene.saw(
            scenes::A,
            "eth0",
            flow,
            Seen::ResetSent {
                reason,
                state,
                active: false,
            },
        );
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["reset-by-middlebox"]);
    }

    #[test]
    fn a_target_that_cannot_be_watched_is_not_cleared() {
        let mut scene = reset();
        scene.evidence.destination.netns = None;
        scene.evidence.netns.retain(|netns| netns.id != scenes::C);
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"reset-by-middlebox".to_owned()));
    }

    #[test]
    fn a_dropped_packet_of_the_connection_points_at_a_rule() {
        let mut scene = reset();
        for watched in scene.evidence.watched.clone() {
            scene.drop(scenes::X, "up0", watched.flow, "NETFILTER_DROP", "nf_hook_slow");
        }
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"reset-by-middlebox".to_owned()));
    }
}
