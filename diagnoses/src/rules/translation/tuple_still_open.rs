//! The target still holds a connection with the very addresses and ports of the new one.
//!
//! Why it happens: a translation on the way, or the client itself, uses a source port again while the target still has the
//! connection that was made from it before (the client's end died, or connection tracking forgot it). The target's TCP does not
//! open a new connection then, but asks back with a challenge ACK (RFC 5961), also from `TIME_WAIT`.
//!
//! How it knows: the target's first answer to the SYN of the watched connection is a plain ACK, where a listener answers with
//! SYN and ACK. The connection failed, or was made only after another SYN.
//!
//! Remedy: let the old connections end (keep-alive at the target), or give the translation more ports, and longer time-outs than
//! the connections have.
//!
//! Silent on: connections that were answered with SYN and ACK, acknowledgements of data, and refusals.

use crate::case::far_end::{answer_packets, far_end};
use crate::case::observations;
use crate::case::{Case, Fate, Tried};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use model::event::Event;
use model::flow::{ACK, RST, SYN, TCP};

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Fact("sockets")];

pub fn check(case: &Case<'_>) -> Checked {
    let limit_ns = case.evidence.limits.slow_ms * 1_000_000;
    let late = |tried: &&Tried<'_>| {
        tried
            .attempt
            .connected_ns
            .is_some_and(|connected_ns| connected_ns > limit_ns)
    };
    let mut suffering = case
        .asked()
        .filter(|tried| tried.attempt.flow.protocol == TCP)
        .filter(|tried| (tried.fate == Fate::Failed && !tried.connected()) || late(tried));
    let Some((tried, netns, challenge)) = suffering.find_map(|tried| {
        let (netns, challenge) = challenged(case, tried)?;
        Some((tried, netns, challenge))
    }) else {
        return Ok(Vec::new());
    };
    let name = case.name(netns);
    let sockets = case.before(netns, "sockets", |facts| &facts.sockets).ok();
    let held = sockets.and_then(|sockets| {
        let mut same = sockets.iter().filter(|socket| socket.flow == challenge.flow);
        same.next()
    });
    Ok(vec![
        fatal(
            "tuple-still-open",
            format!("{name} still holds an older connection {}, and opens no new one", challenge.flow.reversed()),
        )
        .at(case.node(netns), &name)
        .of([tried.attempt.id])
        .remedy(format!(
            "end the old connection in {name} (keep-alive would find its client gone), and see why its source port was used again: \
             too few ports of a translation, or one that forgets connections which still live"
        ))
        .because(format!("{name} answered the SYN with a plain ACK ({}), not with SYN and ACK", challenge.flow))
        .and_if(held.map(|socket| format!("a socket of {name} had this tuple before, in state {}", socket.state)))
        .and(observations::met(tried)),
    ])
}

/// The first answer of the target to the attempt's SYN, where it is a plain ACK.
fn challenged<'a>(case: &Case<'a>, tried: &Tried<'a>) -> Option<(u32, &'a Event)> {
    let end = far_end(case, tried.attempt.id)?;
    let first = answer_packets(case, tried.attempt.id)
        .filter(|event| event.netns == end.netns)
        .min_by_key(|event| event.at_ns)?;
    let flags = first.packet?.tcp_flags;
    (flags & (SYN | RST | ACK) == ACK).then_some((end.netns, first))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    /// The target answers the first SYN with these flags, and nothing comes of it.
    fn answered_with(flags: u8) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.answers_vanish(1);
        for event in &mut scene.evidence.events {
            if event.flow.dport > event.flow.sport {
                event.packet.as_mut().unwrap().tcp_flags = flags;
            }
        }
        scene
    }

    #[test]
    fn a_plain_ack_in_answer_to_a_syn_is_a_challenge() {
        let judgement = judge(&answered_with(0x10).evidence);
        assert_eq!(scenes::causes(&judgement), ["tuple-still-open"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
    }

    #[test]
    fn other_answers_are_none() {
        for flags in [0x12, 0x14] {
            let causes = scenes::causes(&judge(&answered_with(flags).evidence));
            assert!(!causes.contains(&"tuple-still-open".to_owned()), "{flags:#x}");
        }
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
