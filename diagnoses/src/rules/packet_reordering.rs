//! Packets overtake each other on the way; says where.
//!
//! Why it happens: several links or queues share one flow (per-packet balancing, several receive queues, a program that holds
//! packets back), so that a later one may pass an earlier one. TCP takes reordering for loss and slows down.
//!
//! How it knows: packets of a watched flow were in order at one place of the hop trail and out of order at the next (those that
//! were sent twice left out); or answers of the echo train came back in another order, or TCP itself counted such segments.
//!
//! Remedy: keep a flow on one way: balance by flow, not by packet.
//!
//! Silent on: single swaps, and loss (what never came overtakes nothing).

use super::{Checked, Need};
use crate::case::Case;
use crate::finding::{Finding, warning};
use crate::trail::{Leg, Stop};
use crate::words::at;
use model::event::{Event, Seen};
use model::flow::TCP;
use model::report::Happened;
use model::word::Hook;
use std::collections::HashMap;

pub const NEEDS: &[Need] = &[Need::Probe("path")];

/// Fewer overtakings than this say nothing.
const OVERTAKEN_LEAST: usize = 2;

pub fn check(case: &Case<'_>) -> Checked {
    for tried in &case.tried {
        let attempt = tried.attempt;
        let place = first_broken(case, attempt.id);
        let train = attempt.echo.as_ref().filter(|_| attempt.kind == "echo");
        let in_train = train.map_or(0, |echo| overtaken(echo.order.iter().copied().map(u32::from)));
        let counted = attempt.tcp.map_or(0, |tcp| tcp.reord_seen) as usize;
        // The order seen at two places is proof; without places, the echoes' own order or TCP's account is.
        if place.is_none() && in_train.max(counted) < OVERTAKEN_LEAST {
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
            facts.push(format!("TCP met reordering {counted} times"));
        }
        let mut facts = facts.into_iter();
        let Some(first) = facts.next() else { continue };
        return Ok(vec![facts.fold(claim.because(first), Finding::and)]);
    }
    Ok(Vec::new())
}

/// How many came after one that was sent later.
fn overtaken(order: impl IntoIterator<Item = u32>) -> usize {
    let mut highest: Option<u32> = None;
    let mut count = 0;
    for number in order {
        match highest {
            // Sequence numbers wrap: what lies less than half the circle ahead is later.
            Some(high) if number.wrapping_sub(high) > u32::MAX / 2 => count += 1,
            _ => highest = Some(number),
        }
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

/// The last place in order and the first out of order, on the request's way or on the answer's.
fn first_broken(case: &Case<'_>, attempt: u32) -> Option<Broken> {
    case.trail
        .legs
        .iter()
        .filter(|leg| leg.attempt == attempt)
        .find_map(|leg| in_leg(case, leg))
}

fn in_leg(case: &Case<'_>, leg: &Leg<'_>) -> Option<Broken> {
    let mut before: Option<String> = None;
    let mut sent: Option<HashMap<u32, u32>> = None;
    for stop in &leg.stops {
        let seen = numbers(case, stop);
        // What was sent twice comes late without having been overtaken.
        let once = sent.get_or_insert_with(|| {
            let mut times: HashMap<u32, u32> = HashMap::new();
            for number in &seen {
                *times.entry(*number).or_default() += 1;
            }
            times.retain(|_, times| *times == 1);
            times
        });
        let late = overtaken(seen.into_iter().filter(|number| once.contains_key(number)));
        let here = at(&case.name(stop.netns), stop.interface.as_deref());
        if late >= OVERTAKEN_LEAST {
            return before.map(|before| Broken {
                before,
                after: here,
                netns: stop.netns,
                overtaken: late,
            });
        }
        before = Some(here);
    }
    None
}

/// The sequence numbers of the packets that carry something, in the order in which this place saw them.
fn numbers(case: &Case<'_>, stop: &Stop) -> Vec<u32> {
    let hook = match stop.happened {
        Happened::Left => Hook::Queue,
        Happened::Arrived => Hook::Receive,
        _ => return Vec::new(),
    };
    let here = |event: &&Event| {
        matches!(event.seen, Seen::Hop { hook: own, .. } if own == hook)
            && event.netns == stop.netns
            && event.ifindex == stop.ifindex
            && event.flow == stop.flow
    };
    let mut seen: Vec<(u64, u32)> = case
        .evidence
        .events
        .iter()
        .filter(here)
        .filter_map(|event| Some((event.at_ns, event.packet?)))
        .filter(|(_, packet)| stop.flow.protocol != TCP || packet.len > BARE_BYTES)
        .map(|(at_ns, packet)| (at_ns, packet.seq))
        .collect();
    seen.sort_unstable();
    seen.into_iter().map(|(_, seq)| seq).collect()
}

/// A TCP segment without data: headers with all options at most.
const BARE_BYTES: u32 = 100;

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scene::{self, Scene};
    use model::attempt::{EchoTrain, Outcome};

    fn train(order: Vec<u16>) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let flow = scene::tcp("10.90.1.2:9", "10.90.2.2:0");
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
    fn answers_out_of_order_are_reordering() {
        let judgement = judge(&train(vec![0, 2, 1, 4, 3, 5, 7, 6]).evidence);
        assert_eq!(scene::causes(&judgement), ["packet-reordering"]);
    }

    #[test]
    fn one_swap_or_a_hole_is_not() {
        for order in [vec![0, 1, 3, 2, 4], vec![0, 2, 3, 7]] {
            assert_eq!(scene::causes(&judge(&train(order).evidence)), Vec::<String>::new());
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
        segments(&mut scene, scene::A, "eth0", &[1, 2, 3, 4, 5, 6]);
        segments(&mut scene, scene::X, "up0", &[2, 1, 4, 3, 6, 5]);
        let judgement = judge(&scene.evidence);
        assert_eq!(scene::causes(&judgement), ["packet-reordering"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/x"));
    }

    #[test]
    fn segments_that_were_lost_and_sent_again_overtake_nothing() {
        let mut scene = Scene::two_nodes();
        scene.connects(1);
        segments(&mut scene, scene::A, "eth0", &[1, 2, 3, 4, 5, 6, 1, 3]);
        segments(&mut scene, scene::X, "up0", &[2, 4, 5, 6, 1, 3]);
        assert_eq!(scene::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
