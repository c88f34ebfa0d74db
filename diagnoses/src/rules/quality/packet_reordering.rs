//! Packets overtake each other on the way; says where.
//!
//! Why it happens: one flow goes over several links or queues (balancing by packet, several receive queues, a program that
//! holds packets back), so a later packet can pass an earlier one. TCP takes this for loss, and slows down.
//!
//! How it knows: packets of a watched flow were in order at one place of the hop trail and out of order at the next (packets
//! that were sent twice do not count). Or answers of the echo train came back in another order, or TCP itself counted such
//! segments.
//!
//! Remedy: keep a flow on one path: balance by flow, not by packet.
//!
//! Silent on: single swaps, loss (a packet that never came did not overtake anything), the first packets of a train, which may wait
//! for a program's word about it, and what a program that decides about packets (NFQUEUE) lets go in an order of its own, as long as
//! it is not TCP.

use crate::case::Case;
use crate::case::echo_train;
use crate::case::trail::{Leg, Stop};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, warning};
use crate::words::{at, count};
use model::attempt::Attempt;
use model::event::Seen;
use model::flow::TCP;
use model::report::Happened;
use model::word::Hook;
use std::collections::HashMap;

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Probe("transmit"), Need::Fact("queues")];

/// Fewer overtakings than this say nothing.
const OVERTAKEN_LEAST: usize = 2;

pub fn check(case: &Case<'_>) -> Checked {
    let whole = case.saw_all();
    for tried in &case.tried {
        let attempt = tried.attempt;
        // Where sights were lost, what was sent twice may look like one that was overtaken.
        let (in_train, counted) = (in_train(case, attempt), counted(attempt));
        let told = in_train.max(counted) >= OVERTAKEN_LEAST;
        let place = most_broken(case, attempt.id).filter(|_| whole || told);
        // The order seen at two places is proof; without places, the echoes' own order or TCP's account is.
        if place.is_none() && !told {
            continue;
        }
        let between = place.as_ref().map_or_else(
            || "on the way".to_owned(),
            |broken| format!("between {} and {}", broken.before, broken.after),
        );
        let mut ids = vec![attempt.id];
        ids.extend(case.failed_ids());
        let mut claim = warning("packet-reordering", format!("packets overtake each other {between}"))
            .of(ids)
            .remedy("keep a flow on one way: balance by flow, not by packet; look at programs and queues there");
        if let Some(broken) = &place {
            claim = claim.at(case.node(broken.netns), case.name(broken.netns));
        }
        let mut facts: Vec<String> = Vec::new();
        facts.extend(place.map(|broken| {
            format!(
                "packets of {} were in order at {}, and {} of them came before an earlier one at {}",
                attempt.flow, broken.before, broken.overtaken, broken.after
            )
        }));
        if in_train > 0 {
            facts.push(format!("{in_train} echoes came back after one that was sent later"));
        }
        if counted > 0 {
            facts.push(format!("TCP counted reordering {}", count(counted, "time")));
        }
        let mut facts = facts.into_iter();
        let Some(first) = facts.next() else { continue };
        return Ok(vec![facts.fold(claim.because(first), Finding::and)]);
    }
    Ok(Vec::new())
}

/// Echoes that came back after one that was sent later. Those that were sent before the first answer came may have waited together
/// until a program had decided about the first.
fn in_train(case: &Case<'_>, attempt: &Attempt) -> usize {
    let Some(train) = attempt.echo.as_ref().filter(|_| attempt.kind == "echo") else {
        return 0;
    };
    if case.evidence.netns.iter().any(|netns| has_queues(case, netns.id)) {
        return 0;
    }
    let waited = echo_train::before_first_answer(case, attempt);
    let later = train.order.iter().copied().filter(|number| !waited(*number));
    overtaken(later.map(u32::from))
}

/// A program there decides about packets one by one, and may let a later one go first.
fn has_queues(case: &Case<'_>, netns: u32) -> bool {
    let queues = case.before(netns, "queues of packets", |facts| &facts.queues).ok();
    queues.is_some_and(|queues| !queues.is_empty())
}

/// How often the sender's TCP met reordering.
fn counted(attempt: &Attempt) -> usize {
    attempt.tcp.map_or(0, |tcp| tcp.reord_seen) as usize
}

/// How many came after one that was sent later.
fn overtaken(order: impl IntoIterator<Item = u32>) -> usize {
    let mut highest: Option<u32> = None;
    let mut count = 0;
    for number in order {
        if highest.is_some_and(|highest| number < highest) {
            count += 1;
        }
        highest = highest.max(Some(number));
    }
    count
}

/// Where the order was broken.
struct Broken {
    before: String,
    after: String,
    netns: u32,
    overtaken: usize,
}

/// The two places one after the other between which most packets were overtaken, on the request's way or on the answer's.
fn most_broken(case: &Case<'_>, attempt: u32) -> Option<Broken> {
    let legs = case.trail.legs.iter().filter(|leg| leg.attempt == attempt);
    legs.flat_map(|leg| in_leg(case, leg))
        .filter(|broken| broken.overtaken >= OVERTAKEN_LEAST)
        .max_by_key(|broken| broken.overtaken)
}

fn in_leg(case: &Case<'_>, leg: &Leg<'_>) -> Vec<Broken> {
    // The first packet of a flow meets its places in order, before there is too much to see.
    let mut stops: Vec<&Stop> = leg.stops.iter().collect();
    stops.sort_by_key(|stop| stop.first_met());
    let seen: Vec<(&Stop, Vec<(u64, u32)>)> = stops
        .into_iter()
        .map(|stop| (stop, numbers(case, stop)))
        .filter(|(_, numbers)| numbers.len() > OVERTAKEN_LEAST)
        .collect();
    let place = |stop: &Stop| at(&case.name(stop.netns), stop.interface.as_deref());
    let by_program = |pair: &&[(&Stop, Vec<(u64, u32)>)]| {
        let (before, after) = (pair[0].0, pair[1].0);
        after.flow.protocol != TCP && [before, after].iter().any(|stop| has_queues(case, stop.netns))
    };
    seen.windows(2)
        .filter(|pair| !by_program(pair))
        .map(|pair| {
            let ((before, first), (after, second)) = (&pair[0], &pair[1]);
            let passed_ns = second.first().map_or(0, |(at_ns, _)| *at_ns);
            // The first of a connection may wait for a program's decision about it, with all that comes until then.
            let waits = |at_ns: u64| after.flow.protocol != TCP && at_ns < passed_ns;
            let ranks = first.iter().zip(0..).filter(|((at_ns, _), _)| !waits(*at_ns));
            let rank: HashMap<u32, u32> = ranks.map(|((_, number), rank)| (*number, rank)).collect();
            let ranks = second.iter().filter_map(|(_, number)| rank.get(number).copied());
            Broken {
                before: place(before),
                after: place(after),
                netns: after.netns,
                overtaken: overtaken(ranks),
            }
        })
        .collect()
}

/// When packets were seen here that carry something, and their sequence numbers, of those that were seen once: what was sent twice comes
/// late without having been overtaken.
fn numbers(case: &Case<'_>, stop: &Stop) -> Vec<(u64, u32)> {
    let hooks: &[Hook] = match stop.happened {
        // Large packets are cut between the queue and the driver.
        Happened::Left => &[Hook::Transmit, Hook::Queue],
        Happened::Arrived => &[Hook::Receive],
        _ => &[],
    };
    let at_hook = |wanted: Hook| {
        let mut seen: Vec<(u64, u32)> = case
            .evidence
            .events
            .iter()
            .filter(|event| matches!(event.seen, Seen::Hop { hook, .. } if hook == wanted))
            .filter(|event| (event.netns, event.ifindex, event.flow) == (stop.netns, stop.ifindex, stop.flow))
            .filter_map(|event| Some((event.at_ns, event.packet?)))
            .filter(|(_, packet)| stop.flow.protocol != TCP || packet.len > BARE_BYTES)
            .map(|(at_ns, packet)| (at_ns, packet.seq))
            .collect();
        seen.sort_unstable();
        let mut times: HashMap<u32, u32> = HashMap::new();
        for (_, number) in &seen {
            *times.entry(*number).or_default() += 1;
        }
        seen.retain(|(_, number)| times[number] == 1);
        seen
    };
    hooks
        .iter()
        .map(|hook| at_hook(*hook))
        .max_by_key(Vec::len)
        .unwrap_or_default()
}

/// A TCP segment without data: headers with all options at most.
const BARE_BYTES: u32 = 100;

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::{EchoTrain, Outcome};
    use model::facts::PacketQueue;
    use model::missing::Known;

    fn train(order: Vec<u16>) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let flow = scenes::tcp("10.90.1.2:9", "10.90.2.2:0");
        let attempt = scene.attempt(90, flow, Outcome::Ok);
        "echo".clone_into(&mut attempt.kind);
        attempt.echo = Some(EchoTrain {
            packet_bytes: 64,
            rtt_ns: vec![Some(300_000); order.len()],
            order,
        });
        scene
    }

    #[test]
    fn what_is_sent_before_the_first_answer_may_wait_for_a_decision_about_the_first() {
        for (interval_ms, causes) in [(20, vec![]), (200, vec!["packet-reordering"])] {
            let mut scene = train(vec![0, 4, 5, 1, 2, 3, 6, 7, 8]);
            scene.echoes(90, 9, interval_ms);
            let train = scene.evidence.attempts.last_mut().unwrap().echo.as_mut().unwrap();
            train.rtt_ns[0] = Some(80_000_000);
            assert_eq!(scenes::causes(&judge(&scene.evidence)), causes, "{interval_ms}");
        }
    }

    #[test]
    fn answers_out_of_order_are_reordering() {
        let judgement = judge(&train(vec![0, 2, 1, 4, 3, 5, 7, 6]).evidence);
        assert_eq!(scenes::causes(&judgement), ["packet-reordering"]);
    }

    #[test]
    fn the_order_of_a_program_that_decides_about_packets_is_its_own() {
        let mut scene = train(vec![0, 2, 1, 4, 3, 5, 7, 6]);
        let queue = PacketQueue {
            number: 98,
            ..PacketQueue::default()
        };
        scene.facts(scenes::Y, |facts| facts.queues = Known::Known(vec![queue.clone()]));
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn one_swap_or_a_hole_is_not() {
        for order in [vec![0, 1, 3, 2, 4], vec![0, 2, 3, 7]] {
            assert_eq!(scenes::causes(&judge(&train(order).evidence)), Vec::<String>::new());
        }
    }

    fn segments(scene: &mut Scene, netns: u32, interface: &str, order: &[u32]) {
        let flow = scene.evidence.watched[0].flow;
        for seq in order {
            scene.hop(netns, interface, flow, 1000 + u64::from(*seq));
            if let Some(packet) = scene.evidence.events.last_mut().and_then(|event| event.packet.as_mut()) {
                packet.len = 1500;
            }
        }
    }

    #[test]
    fn segments_that_overtake_each_other_inside_a_node_name_it() {
        let mut scene = Scene::two_nodes();
        scene.connects(1);
        segments(&mut scene, scenes::A, "eth0", &[1, 2, 3, 4, 5, 6]);
        segments(&mut scene, scenes::X, "up0", &[2, 1, 4, 3, 6, 5]);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["packet-reordering"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/x"));
    }

    #[test]
    fn segments_that_were_lost_and_sent_again_overtake_nothing() {
        let mut scene = Scene::two_nodes();
        scene.connects(1);
        segments(&mut scene, scenes::A, "eth0", &[1, 2, 3, 4, 5, 6, 1, 3]);
        segments(&mut scene, scenes::X, "up0", &[2, 4, 5, 6, 1, 3]);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
