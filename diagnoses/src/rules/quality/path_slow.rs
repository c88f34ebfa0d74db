//! The path is slow: packets take long, but are not lost; says where the time goes.
//!
//! Why it happens: distance, an overloaded link or device, a program on the way that holds packets back (an inspection agent
//! behind NFQUEUE, a VPN), or power saving.
//!
//! How it knows: the handshake or the echoes took longer than the limit, although nothing was sent twice: no kernel told of a
//! segment that it sent again, and no SYN or answer to one was met twice at a place. Kernels answer both, so no application is
//! involved. The hop trail shows between which two places most of the time passed.
//!
//! Remedy: look at what is between the two places that are named.
//!
//! Silent on: handshakes that are slow because a packet was lost and sent again, slow applications, slow lookups, and single
//! slow packets.

use crate::case::Case;
use crate::case::clocks;
use crate::case::trail::{Leg, Stop};
use crate::rules::{Checked, Need};
use crate::verdict::finding::warning;
use crate::words::{at, list, time};
use model::event::{Event, Seen};
use model::evidence::Clock;
use model::flow::SYN;
use model::report::{Direction, Happened};

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Probe("tcpretrans"), Need::Probe("drop")];

/// Nothing is sent again sooner (`TCP_RTO_MIN` is 200 ms); one packet may be told of twice at once.
const AGAIN_NS: u64 = 100_000_000;

pub fn check(case: &Case<'_>) -> Checked {
    let limit_ns = case.evidence.limits.slow_ms * 1_000_000;
    let mut handshakes: Vec<(u64, u32)> = case
        .asked()
        .filter(|tried| whole(case, tried.attempt.id))
        .filter_map(|tried| Some((tried.attempt.connected_ns?, tried.attempt.id)))
        .collect();
    handshakes.sort_unstable();
    let mut echoes: Vec<(u64, u32)> = case
        .tried
        .iter()
        .filter(|tried| tried.attempt.kind == "echo")
        .flat_map(|tried| {
            let answered = tried.attempt.echo.iter().flat_map(|echo| &echo.rtt_ns).flatten();
            answered.map(|rtt| (*rtt, tried.attempt.id))
        })
        .collect();
    echoes.sort_unstable();
    // The middle one: neither the first packet, which may wait for ARP, nor a single straggler decides.
    let slow = |sorted: &[(u64, u32)]| {
        sorted
            .get((sorted.len().max(1) - 1) / 2)
            .copied()
            .filter(|(ns, _)| *ns > limit_ns)
    };
    let (Some((took, _)), what) = (match slow(&handshakes) {
        Some(handshake) => (Some(handshake), "handshakes"),
        None => (slow(&echoes), "echoes"),
    }) else {
        return Ok(Vec::new());
    };
    let gap = handshakes
        .iter()
        .chain(&echoes)
        .filter_map(|(_, id)| widest_gap(case, *id))
        .max_by_key(|(_, ns, _)| *ns);
    let place = gap
        .as_ref()
        .map_or_else(String::new, |(words, ..)| format!(", most of it {words}"));
    let mut claim = warning("path-slow", format!("{what} take {}{place}", time(took)));
    if let Some((_, _, netns)) = &gap {
        claim = claim.at(case.node(*netns), case.name(*netns));
    }
    let times: Vec<String> = handshakes.iter().map(|(ns, _)| time(*ns)).collect();
    let mut ids: Vec<u32> = handshakes.iter().map(|(_, id)| *id).collect();
    ids.extend(echoes.iter().map(|(_, id)| *id));
    ids.dedup();
    Ok(vec![
        claim
            .of(ids)
            .remedy("look at what lies between these places: programs that hold packets, queues, the link itself")
            .because(format!("{what} take {}, the limit is {}", time(took), time(limit_ns)))
            .and_if((!times.is_empty()).then(|| format!("TCP handshakes took {}", list(&times))))
            .and_if((!echoes.is_empty()).then(|| format!("echoes took {} at best", time(echoes[0].0))))
            .and_if(gap.map(|(words, ns, _)| format!("{} passed {words}", time(ns))))
            .and("nothing was lost or sent twice".to_owned()),
    ])
}

/// Nothing of the attempt was lost or sent again: neither end told so, and no packet that opens a connection was met twice.
fn whole(case: &Case<'_>, attempt: u32) -> bool {
    let answered_again = |event: &&Event| matches!(event.seen, Seen::RetransmitSynAck);
    let in_one_go = [Direction::Request, Direction::Answer].into_iter().all(|direction| {
        case.leg(attempt, direction).is_none_or(|leg| {
            leg.drops.is_empty() && Leg::retransmits(leg) == 0 && !leg.others.iter().any(answered_again)
        })
    });
    in_one_go && !opened_twice(case, attempt)
}

/// A SYN, or its answer, came to the same place again: the first one, or what answered it, was lost or came too late.
fn opened_twice(case: &Case<'_>, attempt: u32) -> bool {
    let forms = case.trail.forms(attempt);
    let opens = |event: &&Event| {
        let is_own = forms.contains(&event.flow) || forms.contains(&event.flow.reversed());
        is_own && event.packet.is_some_and(|packet| packet.tcp_flags & SYN != 0)
    };
    let place = |event: &Event| match event.seen {
        Seen::Hop { hook, .. } => Some((event.netns, event.ifindex, hook, event.flow)),
        _ => None,
    };
    let met: Vec<&Event> = case.evidence.events.iter().filter(opens).collect();
    met.iter().any(|first| {
        let again = |event: &&&Event| event.at_ns.saturating_sub(first.at_ns) > AGAIN_NS;
        place(first).is_some() && met.iter().filter(again).any(|event| place(event) == place(first))
    })
}

/// Between which two places most of the time of the first packet and its answer passed.
fn widest_gap(case: &Case<'_>, attempt: u32) -> Option<(String, u64, u32)> {
    let request = case.leg(attempt, Direction::Request)?;
    let answer = case.leg(attempt, Direction::Answer);
    let compared = case.evidence.nodes.iter().all(|node| node.clock != Clock::Unknown);
    let mut stops: Vec<((usize, u8, u64), &Stop)> = Vec::new();
    for (way, leg) in core::iter::once(request).chain(answer).enumerate() {
        // What a program reads comes when it likes; only the way counts.
        for stop in leg.stops.iter().filter(|stop| stop.happened != Happened::Delivered) {
            let (rank, first_ns) = stop.first_met();
            let order = if compared {
                (0, 0, first_ns)
            } else {
                (way, rank, first_ns)
            };
            stops.push((order, stop));
        }
    }
    stops.sort_by_key(|(order, stop)| (*order, stop.netns));
    let total = stops.last()?.1.first_ns.saturating_sub(stops.first()?.1.first_ns);
    let mut gaps: Vec<Gap> = Vec::new();
    for pair in stops.windows(2) {
        let (from, to) = (pair[0].1, pair[1].1);
        let mut between = [node(case, from), node(case, to)];
        between.sort_unstable();
        let gap_ns = i128::from(to.first_ns) - i128::from(from.first_ns);
        let crossed = gaps
            .iter_mut()
            .find(|gap| between[0] != between[1] && gap.between == between);
        match crossed {
            // How long each way took, two clocks cannot tell; both ways together they can.
            Some(gap) => (gap.ns, gap.back) = (gap.ns + gap_ns, true),
            None => gaps.push(Gap {
                between,
                from,
                to,
                ns: gap_ns,
                back: false,
            }),
        }
    }
    let exact = |[one, other]: [&str; 2]| clocks::error_ns(case.evidence, one, other) == Some(0);
    let whole = gaps.iter().filter(|gap| gap.back || exact(gap.between));
    let widest = whole.max_by_key(|gap| gap.ns)?;
    let gap_ns = u64::try_from(widest.ns).unwrap_or_default();
    let place = |stop: &Stop| at(&case.name(stop.netns), stop.interface.as_deref());
    let (from, to) = (place(widest.from), place(widest.to));
    let words = if widest.from.netns == widest.to.netns {
        format!("inside {}, between {from} and {to}", case.name(widest.to.netns))
    } else if widest.back {
        format!("between {from} and {to}, there and back")
    } else {
        format!("between {from} and {to}")
    };
    (gap_ns.saturating_mul(3) > total).then_some((words, gap_ns, widest.to.netns))
}

/// Time between two places one after the other; between nodes on both ways together.
struct Gap<'a> {
    between: [&'a str; 2],
    from: &'a Stop,
    to: &'a Stop,
    ns: i128,
    back: bool,
}

fn node<'a>(case: &Case<'a>, stop: &Stop) -> &'a str {
    case.evidence.netns(stop.netns).map_or("", |netns| netns.node.as_str())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::event::{Seen, TcpState};

    fn slow(times_ms: &[u64]) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(times_ms.len() as u32);
        for (attempt, ms) in scene.evidence.attempts.iter_mut().zip(times_ms) {
            attempt.connected_ns = Some(ms * 1_000_000);
        }
        scene
    }

    #[test]
    fn slow_handshakes_without_loss_are_a_slow_path_and_the_place_is_told() {
        let mut scene = slow(&[300, 310, 305]);
        let up = scene
            .evidence
            .events
            .iter()
            .position(|event| event.netns == scenes::X && event.interface.as_deref() == Some("up0"));
        for event in &mut scene.evidence.events[up.unwrap()..] {
            event.at_ns += 300_000_000;
        }
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["path-slow"]);
        assert!(
            judgement.verdicts[0].says.contains("inside netns/x"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    #[test]
    fn one_slow_handshake_is_not() {
        assert_eq!(
            scenes::causes(&judge(&slow(&[300, 1, 1]).evidence)),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_handshake_that_waited_for_a_retransmission_is_not() {
        let mut scene = slow(&[1003, 1004, 1002]);
        for watched in scene.evidence.watched.clone() {
            let state = TcpState::SynSent;
            scene.saw(scenes::A, "", watched.flow, Seen::Retransmit { state, errno: 0 });
        }
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"path-slow".to_owned()));
    }

    #[test]
    fn a_handshake_whose_answer_was_sent_again_is_not() {
        let mut scene = slow(&[1003, 1004, 1002]);
        for watched in scene.evidence.watched.clone() {
            scene.saw(scenes::C, "", watched.flow.reversed(), Seen::RetransmitSynAck);
        }
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn a_handshake_whose_first_packet_came_twice_is_not() {
        let mut scene = slow(&[1003, 1004, 1002]);
        for watched in scene.evidence.watched.clone() {
            scene.pauses_ms(1_000).hop(scenes::C, "eth0", watched.flow, 77);
        }
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
