//! The receiver's socket buffer overflows: datagrams arrive and are dropped at the socket.
//!
//! Why it happens: the program reads slower than datagrams come (a burst, a slow loop, too little CPU), and its receive buffer
//! (`SO_RCVBUF`, `net.core.rmem_default`) is too small for the burst.
//!
//! How it knows: the kernel dropped datagrams of the watched flow with `SOCKET_RCVBUFF`. Or it counted them at the socket they
//! were sent to (its drops and `Udp.RcvbufErrors` grew by what was not read).
//!
//! Remedy: make the program read faster, with more sockets (`SO_REUSEPORT`), or give it a larger buffer.
//!
//! Silent on: overflows of other sockets, and loss on the way. If answers overflow the socket from which we send, nobody is
//! accused; it is only told as worth knowing.

use crate::case::Case;
use crate::case::far_end::{FarEnd, far_end, holders, latest, listener, process_words, target_words};
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal, info};
use crate::words::count;
use model::event::{Event, Seen};
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("sockets"),
    Need::Fact("counters"),
];

pub fn check(case: &Case<'_>) -> Checked {
    Ok(overflow(case).into_iter().chain(ours(case)).collect())
}

/// The socket that datagrams were sent to has no room for them.
fn overflow(case: &Case<'_>) -> Option<Finding> {
    let drops = case.all_drops(Class::ReceiveBuffer);
    let told = told(case);
    let mut ids: Vec<u32> = drops.iter().map(|drop| drop.attempt).collect();
    ids.extend(told.iter().map(|(id, _)| *id));
    let end = match drops.first() {
        // The user's own flow is watched, and answers find no room.
        Some(drop) if drop.direction == Direction::Answer => FarEnd {
            netns: drop.event.netns,
            flow: drop.event.flow,
        },
        _ => far_end(case, *ids.first()?)?,
    };
    let netns = case.name(end.netns);
    let socket = listener(case, end).ok().flatten();
    let program = socket
        .and_then(|socket| holders(case, end.netns, socket).first().copied())
        .map(|process| process_words(latest(process)));
    let who = program.as_deref().unwrap_or("the program");
    let grew = case.growth(end.netns, "Udp.RcvbufErrors").unwrap_or(0)
        + case.growth(end.netns, "Udp6.RcvbufErrors").unwrap_or(0);
    let packets = drops.len().max(told.len());
    let seen = match drops.first() {
        Some(drop) => format!(
            "{} of {} dropped at the socket in {netns} ({})",
            count(packets, "datagram"),
            drop.event.flow,
            drop.words()
        ),
        None => format!(
            "{} found the receive buffer full in {netns}",
            count(packets, "datagram")
        ),
    };
    Some(
        fatal(
            "udp-buffer-overflow",
            format!(
                "the receive buffer of {} in {netns} overflows: {who} reads too slowly",
                target_words(end.flow)
            ),
        )
        .at(case.node(end.netns), &netns)
        .of(ids)
        .remedy(format!(
            "make {who} read faster, or enlarge its buffer (SO_RCVBUF, net.core.rmem_max)"
        ))
        .because(seen)
        .and_if((grew > 0).then(|| format!("RcvbufErrors of {netns} grew by {grew} in the window")))
        .and_if(socket.filter(|socket| socket.rcvbuf_bytes > 0).map(|socket| {
            format!(
                "the socket holds {} bytes unread of {} at most, and has dropped {}",
                socket.rx_queue, socket.rcvbuf_bytes, socket.drops
            )
        })),
    )
}

/// Sockets that refused a datagram of a watched request: where it came to its end. Kernels before 6.10 tell the socket's own
/// tuple alone, which of ours reads like a request.
fn told<'a>(case: &Case<'a>) -> Vec<(u32, &'a Event)> {
    let source = case.evidence.source.netns;
    let requests = case.trail.legs.iter().filter(|leg| leg.direction == Direction::Request);
    let full = requests.flat_map(|leg| leg.others.iter().map(move |event| (leg.attempt, *event)));
    full.filter(|(_, event)| matches!(event.seen, Seen::ReceiveBufferFull { .. }))
        .filter(|(id, event)| {
            let there = far_end(case, *id).is_some_and(|end| end.netns == event.netns);
            there && (event.packet.is_some() || source != Some(event.netns))
        })
        .collect()
}

/// The sockets that we send from had no room for all that came back.
fn ours(case: &Case<'_>) -> Option<Finding> {
    let drops = case.overruns();
    let first = drops.first()?;
    let netns = case.name(first.event.netns);
    let end = first.event.flow;
    let says = format!("{} sends more at once than our own socket in {netns} takes", end.src());
    let place = info("udp-buffer-overflow", says).at(case.node(first.event.netns), &netns);
    let seen = format!(
        "{} of {end} dropped at that socket ({})",
        count(drops.len(), "answer"),
        first.words()
    );
    Some(place.of(drops.iter().map(|drop| drop.attempt)).because(seen))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;
    use model::event::Seen;
    use model::flow::{Flow, UDP};
    use model::report::{Conclusion, Severity};

    #[test]
    fn a_datagram_dropped_at_the_socket_names_it() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::C, "eth0", "SOCKET_RCVBUFF", "udp_queue_rcv_one_skb");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["udp-buffer-overflow"]);
    }

    #[test]
    fn another_sockets_overflow_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3).grew(scenes::C, "Udp.RcvbufErrors", 30);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    /// Every datagram was answered, and some answers found no room at our own socket.
    fn flooded(passive: bool) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.evidence.protocol = "udp".to_owned();
        scene.evidence.passive = passive;
        for id in 0..3 {
            let src = (scene.evidence.source.addresses[0], 41_000 + id).into();
            let flow = Flow::new(UDP, src, (scene.evidence.destination.addresses[0], 700).into());
            scene.watch(u32::from(id), flow);
            scene.walk_to(u32::from(id), flow, scenes::C, "eth0");
            scene.hop(scenes::A, "eth0", flow.reversed(), u64::from(id) * 100 + 2);
            scene.drop(
                scenes::A,
                "",
                flow.reversed(),
                "SOCKET_RCVBUFF",
                "udp_queue_rcv_one_skb",
            );
            scene.saw(scenes::A, "", flow.reversed(), Seen::ReceiveBufferFull { errno: 12 });
            // As kernels before 6.10 tell it.
            scene.saw(scenes::A, "", flow, Seen::ReceiveBufferFull { errno: 12 });
            scene.evidence.events.last_mut().unwrap().packet = None;
            if !passive {
                let attempt = scene.attempt(u32::from(id), flow, Outcome::Ok);
                (attempt.kind, attempt.first_answer_ns, attempt.received_bytes) = ("udp".to_owned(), Some(400_000), 9);
            }
        }
        scene
    }

    #[test]
    fn what_our_own_socket_drops_accuses_nobody_and_is_told() {
        let mut scene = flooded(false);
        let judgement = judge(&scene.evidence);
        assert_eq!(
            (judgement.outcome, scenes::causes(&judgement)),
            (Conclusion::Healthy, vec![]),
            "{judgement:#?}"
        );
        let told = &judgement.verdicts[0];
        assert_eq!(
            (told.severity, told.place.netns.as_deref()),
            (Severity::Info, Some("netns/a"))
        );
        assert!(
            told.because[0].starts_with("3 answers of 10.90.2.2:700 -> 10.90.1.2:41000 udp"),
            "{told:?}"
        );
        // Unanswered, it may be what our socket dropped that was waited for.
        for attempt in &mut scene.evidence.attempts {
            let during = "lookup".to_owned();
            attempt.kind = "dns".to_owned();
            (attempt.outcome, attempt.first_answer_ns) = (Outcome::TimedOut { during }, None);
        }
        let judgement = judge(&scene.evidence);
        assert_eq!(
            (judgement.outcome, scenes::causes(&judgement)),
            (Conclusion::Inconclusive, vec![]),
            "{judgement:#?}"
        );
        assert!(
            judgement.missing.iter().any(|lack| lack.why.contains("our own socket")),
            "{:?}",
            judgement.missing
        );
    }

    #[test]
    fn of_a_users_own_flow_it_accuses_the_program_that_does_not_read() {
        let judgement = judge(&flooded(true).evidence);
        assert_eq!(scenes::causes(&judgement), ["udp-buffer-overflow"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/a"));
        assert!(
            judgement.verdicts[0].says.contains("10.90.1.2:41000/udp"),
            "{}",
            judgement.verdicts[0].says
        );
    }
}
