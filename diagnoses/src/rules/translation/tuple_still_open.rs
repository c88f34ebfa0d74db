//! The target still holds a connection with the very addresses and ports of the new one.
//!
//! Why it happens: a translation on the way, or the client itself, uses a source port again while the target still has the
//! connection that was made from it before (the client's end died, or connection tracking forgot it). The target's TCP does not
//! open a new connection then, but asks back with a challenge ACK (RFC 5961), also from `TIME_WAIT`.
//!
//! How it knows: the SYN of the watched connection was met at the target, and nothing else of it before the target's first answer:
//! a plain ACK of bytes that the SYN did not begin, where a listener answers with SYN and ACK. A socket of the target was seen to hold
//! the very tuple. The connection got no answer else, or was made only by another SYN.
//!
//! Remedy: let the old connections end (keep-alive at the target), or give the translation more ports, and longer time-outs than
//! the connections have.
//!
//! Silent on: connections that were answered with SYN and ACK, acknowledgements of data where the handshake was not seen, connects
//! that are refused (also by a server that has just crashed), and tuples that no socket was seen to hold.

use crate::case::far_end::{FarEnd, answer_packets, far_end};
use crate::case::observations;
use crate::case::trail::is_reset;
use crate::case::{Case, Failure, Fate, Tried};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::at;
use model::event::{Event, Packet, Seen};
use model::facts::Socket;
use model::flow::{ACK, RST, SYN, TCP};

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Probe("tcpreset"), Need::Fact("sockets")];

/// What acknowledges so few bytes after a SYN may acknowledge what came with or after it.
const BEGUN_BYTES: u32 = 1 << 20;

pub fn check(case: &Case<'_>) -> Checked {
    let mut suffering = case
        .asked()
        .filter(|tried| tried.attempt.flow.protocol == TCP && is_kept_waiting(case, tried));
    let Some((tried, challenge, held)) = suffering.find_map(|tried| {
        let challenge = challenged(case, tried)?;
        let held = holder(case, tried, &challenge)?;
        Some((tried, challenge, held))
    }) else {
        return Ok(Vec::new());
    };
    let netns = challenge.end.netns;
    let (name, flow) = (case.name(netns), challenge.ack.flow);
    Ok(vec![
        fatal(
            "tuple-still-open",
            format!("{name} still holds an older connection {}, and opens no new one", flow.reversed()),
        )
        .at(case.node(netns), &name)
        .of([tried.attempt.id])
        .remedy(format!(
            "end the old connection in {name} (keep-alive would find its client gone), and see why its source port was used again: \
             too few ports of a translation, or one that forgets connections which still live"
        ))
        .because(format!("{name} answered the SYN with a plain ACK ({flow}), not with SYN and ACK"))
        .and(format!("a socket of {name} {held}"))
        .and_if(reset_lost(case, tried))
        .and(observations::met(tried)),
    ])
}

/// By its reset the client ends the older connection, unless that is dropped.
fn reset_lost(case: &Case<'_>, tried: &Tried<'_>) -> Option<String> {
    let mut dropped = case
        .about(tried.attempt.id)
        .filter(|event| matches!(event.seen, Seen::Drop { .. }) && is_reset(event));
    let event = dropped.next()?;
    let place = at(&case.name(event.netns), Some(&case.interface(event)));
    Some(format!(
        "the client's reset, which would have ended it, was dropped at {place}"
    ))
}

/// It got no answer that would have ended the wait, or was made late.
fn is_kept_waiting(case: &Case<'_>, tried: &Tried<'_>) -> bool {
    let limit_ns = case.evidence.limits.slow_ms * 1_000_000;
    match tried.attempt.connected_ns {
        Some(connected_ns) => connected_ns > limit_ns,
        None => tried.fate == Fate::Failed && matches!(tried.failure(), Some(Failure::Silent(_)) | None),
    }
}

/// A SYN that was answered for an older connection.
struct Challenge<'a> {
    /// Where the SYN came to its end.
    end: FarEnd,
    /// The answer.
    ack: &'a Event,
    /// When the next SYN arrived.
    again_ns: Option<u64>,
}

/// The first answer of the target to the attempt's SYN, where it is a plain ACK of something else, and all that had arrived of the
/// attempt until then were SYNs.
fn challenged<'a>(case: &Case<'a>, tried: &Tried<'a>) -> Option<Challenge<'a>> {
    let end = far_end(case, tried.attempt.id)?;
    let answers = answer_packets(case, tried.attempt.id).filter(|event| event.netns == end.netns);
    let ack = answers.min_by_key(|event| event.at_ns)?;
    let packet = ack
        .packet
        .filter(|packet| packet.tcp_flags & (SYN | RST | ACK) == ACK)?;
    let mut arrived: Vec<(u64, Packet)> = case
        .evidence
        .events
        .iter()
        .filter(|event| matches!(event.seen, Seen::Hop { .. }) && (event.netns, event.flow) == (end.netns, end.flow))
        .filter_map(|event| Some((event.at_ns, event.packet?)))
        .collect();
    arrived.sort_by_key(|(at_ns, _)| *at_ns);
    let is_syn = |packet: &Packet| packet.tcp_flags & (SYN | ACK) == SYN;
    let (before, after): (Vec<_>, Vec<_>) = arrived.iter().partition(|(at_ns, _)| *at_ns <= ack.at_ns);
    let (_, syn) = before.first()?;
    let is_of_older = packet.ack.wrapping_sub(syn.seq) > BEGUN_BYTES;
    let again_ns = after.iter().find(|(_, packet)| is_syn(packet)).map(|(at_ns, _)| *at_ns);
    let came_of_it = !tried.connected() || again_ns.is_some();
    let only_syns = before.iter().all(|(_, packet)| is_syn(packet));
    (only_syns && is_of_older && came_of_it).then_some(Challenge { end, ack, again_ns })
}

/// What shows that a socket of the target held the tuple: its sockets before or after, or a reset that met it there.
fn holder(case: &Case<'_>, tried: &Tried<'_>, challenge: &Challenge<'_>) -> Option<String> {
    let netns = challenge.end.netns;
    let own = |sockets: &[Socket]| {
        let mut own = sockets.iter().filter(|socket| socket.flow == challenge.ack.flow);
        own.find(|socket| socket.state != "SYN_RECV")
            .map(|socket| socket.state.clone())
    };
    let before = case.before(netns, "sockets", |facts| &facts.sockets).ok();
    if let Some(state) = before.and_then(|sockets| own(sockets)) {
        return Some(format!("had this tuple before, in state {state}"));
    }
    let after = case.after(netns, "sockets", |facts| &facts.sockets).ok();
    let not_its_own = after.filter(|_| !tried.connected());
    if let Some(state) = not_its_own.and_then(|sockets| own(sockets)) {
        return Some(format!("has this tuple, in state {state}, and no connection was made"));
    }
    let ended = challenge.ack.at_ns..challenge.again_ns.unwrap_or(u64::MAX);
    let mut resets = case.about(tried.attempt.id).filter(|event| {
        let of_connection = matches!(event.seen, Seen::ResetReceived { state } if state.is_synchronized());
        of_connection && event.netns == netns && ended.contains(&event.at_ns)
    });
    resets
        .next()
        .map(|_| "had this tuple: the client's reset, by which it answers such an ACK, ended it".to_owned())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;
    use model::errno::Errno;
    use model::event::{Seen, TcpState};
    use model::facts::Socket;
    use model::missing::Known;

    /// What the older connection had received until then.
    const OLDER: u32 = 3_000_000_000;

    /// The target answers the first SYN with these flags and this acknowledgement, and nothing comes of it. A socket of the target
    /// has the tuple.
    fn answered_with(flags: u8, ack: u32) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.answers_vanish(1);
        for event in &mut scene.evidence.events {
            if event.flow.dport > event.flow.sport {
                let packet = event.packet.as_mut().unwrap();
                (packet.tcp_flags, packet.ack) = (flags, ack);
            }
        }
        let flow = scene.evidence.watched[0].flow.reversed();
        scene.facts(scenes::C, |facts| {
            if let Known::Known(sockets) = &mut facts.sockets {
                sockets.push(Socket {
                    flow,
                    state: "ESTABLISHED".to_owned(),
                    ..Socket::default()
                });
            }
        });
        scene
    }

    fn without_sockets(scene: &mut Scene) {
        scene.facts(scenes::C, |facts| facts.sockets = Known::Known(Vec::new()));
    }

    fn is_named(scene: &Scene) -> bool {
        scenes::causes(&judge(&scene.evidence)).contains(&"tuple-still-open".to_owned())
    }

    #[test]
    fn a_plain_ack_in_answer_to_a_syn_is_a_challenge() {
        let judgement = judge(&answered_with(0x10, OLDER).evidence);
        assert_eq!(scenes::causes(&judgement), ["tuple-still-open"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
    }

    #[test]
    fn other_answers_are_none() {
        for flags in [0x12, 0x14] {
            assert!(!is_named(&answered_with(flags, OLDER)), "{flags:#x}");
        }
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn a_tuple_that_no_socket_was_seen_to_hold_is_not_open() {
        let mut scene = answered_with(0x10, OLDER);
        without_sockets(&mut scene);
        assert!(!is_named(&scene));
        let flow = scene.evidence.watched[0].flow;
        let state = TcpState::Established;
        scene.saw(scenes::C, "", flow, Seen::ResetReceived { state });
        assert!(is_named(&scene), "the client's reset met it");
    }

    /// A server that crashes: its listener and its connections go, and some acknowledgement was the first that was met.
    #[test]
    fn a_connect_that_was_refused_by_a_server_that_has_just_crashed_is_not_it() {
        let mut scene = answered_with(0x10, OLDER);
        let during = "connect".to_owned();
        let (number, name) = (111, "ECONNREFUSED".to_owned());
        scene.evidence.attempts[0].outcome = Outcome::Error {
            during,
            errno: Errno { number, name },
        };
        scene.evidence.attempts[0].took_ns = 9_000_000;
        assert!(!is_named(&scene));
    }

    #[test]
    fn an_acknowledgement_of_what_the_syn_began_is_none() {
        // The SYN of the scene has the number 1.
        for ack in [2, 402] {
            assert!(!is_named(&answered_with(0x10, ack)), "{ack}");
        }
        // The handshake was not seen, and a request was.
        let mut scene = answered_with(0x10, OLDER);
        let arrived =
            |event: &&mut model::event::Event| event.netns == scenes::C && event.flow.dport < event.flow.sport;
        for event in scene.evidence.events.iter_mut().filter(arrived) {
            event.packet.as_mut().unwrap().tcp_flags = 0x18;
        }
        assert!(!is_named(&scene));
    }

    #[test]
    fn one_that_was_made_late_needs_another_syn() {
        let mut scene = answered_with(0x10, OLDER);
        scene.evidence.attempts[0].outcome = Outcome::Ok;
        scene.evidence.attempts[0].connected_ns = Some(1_003_000_000);
        assert!(!is_named(&scene));
        let flow = scene.evidence.watched[0].flow;
        scene.pauses_ms(1_000).hop(scenes::C, "eth0", flow, 3);
        assert!(is_named(&scene));
    }
}
