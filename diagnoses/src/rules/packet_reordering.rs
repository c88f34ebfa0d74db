//! Packets overtake each other on the way; says where.
//!
//! Why it happens: several links or queues share one flow (per-packet balancing, several receive queues, a program that holds
//! packets back), so that a later one may pass an earlier one. TCP takes reordering for loss and slows down.
//!
//! How it knows: answers of the echo train came back in another order than they were sent, and the hop trail says at which place
//! the order was first broken; or TCP itself counted segments out of order.
//!
//! Remedy: keep a flow on one way: balance by flow, not by packet.
//!
//! Silent on: single swaps, and loss (what never came overtakes nothing).

use super::{Checked, Need};
use crate::case::Case;
use crate::finding::warning;
use crate::words::at;
use model::event::Seen;
use model::flow::Flow;

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Fact("counters")];

/// Fewer swaps than this say nothing.
const SWAPS_LEAST: usize = 2;

pub fn check(case: &Case<'_>) -> Checked {
    for tried in &case.tried {
        let Some(echo) = tried.attempt.echo.as_ref().filter(|_| tried.attempt.kind == "echo") else {
            continue;
        };
        let swaps = swaps(echo.order.iter().copied().map(u32::from));
        if swaps < SWAPS_LEAST {
            continue;
        }
        let place = first_broken(case, tried.attempt.id);
        let between = place.as_ref().map_or_else(
            || "on the way".to_owned(),
            |(before, after)| format!("between {before} and {after}"),
        );
        let mut ids = vec![tried.attempt.id];
        ids.extend(case.failed_ids());
        return Ok(vec![
            warning("packet-reordering", format!("packets overtake each other {between}"))
                .of(ids)
                .remedy("keep a flow on one way: balance by flow, not by packet; look at programs and queues there")
                .because(format!(
                    "{swaps} of {} echoes came back before one sent earlier",
                    echo.order.len()
                ))
                .and_if(place.map(|(before, after)| format!("in order at {before}, out of order at {after}"))),
        ]);
    }
    Ok(counted(case))
}

/// TCP's own account on an exchange of some size.
fn counted(case: &Case<'_>) -> Vec<crate::finding::Finding> {
    let seen: Vec<_> = case
        .asked()
        .filter(|tried| {
            tried
                .attempt
                .tcp
                .is_some_and(|tcp| tcp.reord_seen as usize >= SWAPS_LEAST)
        })
        .collect();
    let Some(first) = seen.first() else {
        return Vec::new();
    };
    let times = first.attempt.tcp.map_or(0, |tcp| tcp.reord_seen);
    vec![
        warning("packet-reordering", "packets overtake each other on the way")
            .of(seen.iter().map(|tried| tried.attempt.id))
            .remedy("keep a flow on one way: balance by flow, not by packet")
            .because(format!("TCP met reordering {times} times on {}", first.attempt.flow)),
    ]
}

/// How many came after one that was sent later.
fn swaps(order: impl IntoIterator<Item = u32>) -> usize {
    let mut highest = None;
    let mut swaps = 0;
    for number in order {
        if highest.is_some_and(|highest| number < highest) {
            swaps += 1;
        }
        highest = highest.max(Some(number));
    }
    swaps
}

/// The last place in order and the first out of order, of the request's way and then of the answer's.
fn first_broken(case: &Case<'_>, attempt: u32) -> Option<(String, String)> {
    let forms: Vec<Flow> = case.trail.forms(attempt);
    let mut before: Option<String> = None;
    for leg in case.trail.legs.iter().filter(|leg| leg.attempt == attempt) {
        for stop in &leg.stops {
            let mut seen: Vec<(u64, u32)> = case
                .evidence
                .events
                .iter()
                .filter(|event| matches!(event.seen, Seen::Hop { .. }))
                .filter(|event| event.netns == stop.netns && event.ifindex == stop.ifindex && event.flow == stop.flow)
                .filter(|event| forms.contains(&event.flow) || forms.contains(&event.flow.reversed()))
                .filter_map(|event| Some((event.at_ns, event.packet?.seq)))
                .collect();
            seen.sort_unstable();
            let mut once: Vec<u32> = Vec::new();
            for (_, seq) in seen {
                if !once.contains(&seq) {
                    once.push(seq);
                }
            }
            let here = at(&case.name(stop.netns), stop.interface.as_deref());
            if swaps(once) >= SWAPS_LEAST {
                return before.map(|before| (before, here));
            }
            before = Some(here);
        }
    }
    None
}

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
}
