//! Where a tunnel's packets are lost between two nodes: do the nodes reach each other at all, and does its port pass there?

use super::later_attempts;
use crate::conversation::session::Session;
use crate::inquiry::attempt_plan;
use diagnoses::TunnelWay;
use model::attempt::{Attempt, AttemptSpec, Outcome, Sending};
use model::event::Event;
use model::evidence::TunnelWayTry;
use std::time::Duration;
use tokio::time::Instant;

/// Packets of each kind that are sent: the loss of one tells nothing.
const PACKETS: u32 = 3;
/// Milliseconds between two of them.
const APART_MS: u64 = 50;
/// A packet that takes longer between two nodes will not come, in milliseconds.
const TIMEOUT_MS: u64 = 500;
/// What is sent has come, or is reported as lost, so long after its time at most.
const REPORTED_WITHIN: Duration = Duration::from_millis(300);

/// Sends a few echo requests and a few datagrams from node to node, outside the tunnel, while `window` is open. Does nothing where
/// no tunnel's packets are lost.
pub async fn try_it(session: &mut Session, window: u32) {
    session.state.evidence.tunnel_way = None;
    session.state.order();
    let evidence = &session.state.evidence;
    let Some(way) = diagnoses::tunnel_way_to_try(evidence) else {
        return;
    };
    let Some(node) = session.state.home(way.netns) else {
        return;
    };
    session
        .progress
        .stage("trying the way between the nodes outside the tunnel");
    let first = evidence.specs.iter().map(|spec| spec.id).max().unwrap_or_default() + 1;
    let specs = specs(&way, first);
    let bound = Duration::from_millis(attempt_plan::bound_ms(&specs)) + REPORTED_WITHIN;
    let all = specs.len();
    let id = later_attempts::send(session, node, window, specs).await;
    let is_ours = move |attempt: u32| (first..=first + PACKETS).contains(&attempt);
    session
        .until(Some(Instant::now() + bound), |state| {
            let attempts = state.evidence.attempts.iter();
            attempts.filter(|attempt| is_ours(attempt.id)).count() >= all
        })
        .await;
    session.close_each(&[(node, id)]).await;
    // They were never asked for: no rule is to judge them as attempts.
    let evidence = &mut session.state.evidence;
    let attempts = take(&mut evidence.attempts, |attempt| is_ours(attempt.id));
    let events = take(&mut evidence.events, |event| event.attempt.is_some_and(is_ours));
    evidence.watched.retain(|watched| !is_ours(watched.attempt));
    let home = &evidence.nodes[node].name;
    evidence.tunnel_way = Some(met(&way, home, &attempts, &events));
}

fn take<T>(all: &mut Vec<T>, is_it: impl FnMut(&T) -> bool) -> Vec<T> {
    let (taken, left) = std::mem::take(all).into_iter().partition(is_it);
    *all = left;
    taken
}

fn specs(way: &TunnelWay, first: u32) -> Vec<AttemptSpec> {
    let echoes = Sending::Echo {
        to: way.to,
        count: PACKETS,
        interval_ms: APART_MS,
        packet_bytes: None,
        dont_fragment: false,
    };
    let datagram = |_| Sending::Udp {
        to: way.to,
        port: way.port,
        payload: Vec::new(),
    };
    let all = std::iter::once(echoes).chain((0..PACKETS).map(datagram));
    all.zip(0..)
        .map(|(send, nth)| AttemptSpec {
            id: first + nth,
            netns: way.netns,
            pid: None,
            start_ms: u64::from(nth.saturating_sub(1)) * APART_MS,
            timeout_ms: TIMEOUT_MS,
            send,
        })
        .collect()
}

/// What became of them: an echo by its answer, a datagram by what was seen away from the node `home` that sent it.
fn met(way: &TunnelWay, home: &str, attempts: &[Attempt], events: &[Event]) -> TunnelWayTry {
    let mut met = TunnelWayTry {
        from: way.from,
        to: way.to,
        port: way.port,
        echoes_sent: 0,
        echoes_answered: 0,
        datagrams_sent: 0,
        datagrams_arrived: 0,
    };
    for attempt in attempts
        .iter()
        .filter(|attempt| !matches!(attempt.outcome, Outcome::NotTried { .. }))
    {
        if let Some(train) = &attempt.echo {
            met.echoes_sent += train.rtt_ns.len() as u32;
            met.echoes_answered += train.rtt_ns.iter().flatten().count() as u32;
        } else {
            let mut own = events.iter().filter(|event| event.attempt == Some(attempt.id));
            let arrived = own.any(|event| event.node != home);
            met.datagrams_sent += 1;
            met.datagrams_arrived += u32::from(arrived);
        }
    }
    met
}

#[cfg(test)]
mod tests {
    use super::{PACKETS, met, specs};
    use diagnoses::TunnelWay;
    use model::attempt::{Attempt, EchoTrain, Outcome, Sending};
    use model::event::Event;
    use model::flow::Flow;

    fn way() -> TunnelWay {
        TunnelWay {
            netns: 7,
            from: "172.31.90.1".parse().unwrap(),
            to: "172.31.90.2".parse().unwrap(),
            port: 8472,
        }
    }

    #[test]
    fn the_far_end_is_asked_by_echoes_and_its_port_by_datagrams() {
        let specs = specs(&way(), 9);
        assert!(matches!(&specs[0].send, Sending::Echo { to, .. } if *to == way().to));
        let to_port = |send: &Sending| matches!(send, Sending::Udp { port: 8472, .. });
        assert_eq!(specs.iter().filter(|spec| to_port(&spec.send)).count() as u32, PACKETS);
        assert!(specs.iter().zip(9..).all(|(spec, id)| spec.id == id && spec.netns == 7));
    }

    #[test]
    fn a_datagram_has_come_where_it_was_seen_at_another_node() {
        let datagram = |id| Attempt {
            id,
            outcome: Outcome::Ok,
            ..Attempt::default()
        };
        let echoes = Attempt {
            id: 9,
            outcome: Outcome::Ok,
            echo: Some(EchoTrain {
                rtt_ns: vec![Some(5), None],
                ..EchoTrain::default()
            }),
            ..Attempt::default()
        };
        let not_sent = Attempt {
            id: 12,
            outcome: Outcome::NotTried {
                why: "no socket".to_owned(),
            },
            ..Attempt::default()
        };
        let seen = |attempt: u32, node: &str| -> Event {
            serde_json::from_value(serde_json::json!({
                "at_ns": 1, "probe": "path", "node": node, "netns": 7, "attempt": attempt,
                "flow": Flow::default(), "seen": {"what": "hop", "hook": "queue"},
            }))
            .unwrap()
        };
        let events = [seen(10, "n1"), seen(10, "n2"), seen(11, "n1")];
        let attempts = [echoes, datagram(10), datagram(11), not_sent];
        let met = met(&way(), "n1", &attempts, &events);
        assert_eq!((met.echoes_sent, met.echoes_answered), (2, 1));
        assert_eq!((met.datagrams_sent, met.datagrams_arrived), (2, 1));
    }
}
