//! Where packets to an address really went: the target that a translation on the way put in its place. Pure.

use model::attempt::{Sending, WatchedFlow};
use model::event::{Event, Seen};
use model::evidence::Evidence;
use model::flow::{ACK, Flow, SYN, TCP};
use std::net::IpAddr;

/// The address to which the packets for `to` were sent on, as the first of them showed. Where it is known what the address stands
/// for, it is one of these `ends`.
pub fn of(evidence: &Evidence, ends: &[IpAddr], to: IpAddr) -> Option<IpAddr> {
    let asked = |id: u32| {
        let mut specs = evidence.specs.iter().filter(|spec| spec.id == id);
        specs.any(|spec| match &spec.send {
            Sending::Tcp { to: other, .. } | Sending::Udp { to: other, .. } => *other == to,
            Sending::DnsQuery { server, .. } => *server == to,
            Sending::Echo { .. } | Sending::Dns { .. } => false,
        })
    };
    let sent = |id: u32| evidence.watched.iter().find(|watched| watched.attempt == id);
    let towards = |event: &&Event| {
        let attempt = event.attempt.filter(|id| asked(*id));
        matches!(event.seen, Seen::Hop { .. }) && attempt.and_then(sent).is_some_and(|sent| is_request(event, sent))
    };
    let elsewhere = |flow: &Flow| {
        let behind = ends.is_empty() || ends.contains(&flow.dst());
        flow.dst() != to && flow.src() != to && behind && !evidence.source.addresses.contains(&flow.dst())
    };
    let mut requests = evidence.events.iter().filter(towards).map(|event| event.flow);
    requests.find(elsewhere).map(|flow| flow.dst())
}

/// It goes to the target. Where the source was translated too, the answers go to an address that is none of the sender's, and
/// that is no target.
fn is_request(event: &Event, sent: &WatchedFlow) -> bool {
    let flow = &event.flow;
    let opens = |flags: u8| flags & (SYN | ACK) == SYN;
    let by_flags = event
        .packet
        .filter(|_| flow.protocol == TCP)
        .map(|packet| opens(packet.tcp_flags));
    let by_port = flow.sport == sent.flow.sport && flow.dport != sent.flow.sport;
    by_port || by_flags == Some(true)
}

#[cfg(test)]
mod tests {
    use super::of;
    use model::attempt::{AttemptSpec, Exchange, Sending, WatchedFlow};
    use model::event::{Event, Packet, Seen};
    use model::evidence::Evidence;
    use model::flow::{ACK, Flow, SYN, TCP, UDP};
    use model::owner::Owner;
    use model::word::Hook;
    use std::net::IpAddr;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn flow(protocol: u8, from: &str, to: &str) -> Flow {
        Flow::new(protocol, from.parse().unwrap(), to.parse().unwrap())
    }

    fn hop(flow: Flow, tcp_flags: u8) -> Event {
        Event {
            node: String::new(),
            at_ns: 0,
            probe: "path".to_owned(),
            netns: 1,
            ifindex: 2,
            interface: None,
            pid: 0,
            process: None,
            owner: Owner::Unknown,
            flow,
            skb: 1,
            sk: 0,
            exchanged: None,
            quoted: None,
            attempt: Some(1),
            packet: Some(Packet {
                tcp_flags,
                ..Packet::default()
            }),
            seen: Seen::Hop {
                hook: Hook::Receive,
                learned: true,
            },
        }
    }

    /// What is asked of a node's port, and met in these forms.
    fn asked(protocol: u8, events: Vec<Event>) -> Evidence {
        let (to, port) = (ip("10.200.0.12"), 30_080);
        let mut evidence = Evidence {
            events,
            ..Evidence::default()
        };
        evidence.source.addresses = vec![ip("10.244.1.3")];
        evidence.specs.push(AttemptSpec {
            id: 1,
            netns: 1,
            pid: None,
            start_ms: 0,
            timeout_ms: 2_000,
            send: if protocol == TCP {
                Sending::Tcp {
                    to,
                    port,
                    hold_ms: 200,
                    exchange: Exchange::None,
                }
            } else {
                Sending::Udp {
                    to,
                    port,
                    payload: Vec::new(),
                }
            },
        });
        evidence.watched.push(WatchedFlow {
            attempt: 1,
            netns: 1,
            flow: flow(protocol, "10.244.1.3:40001", "10.200.0.12:30080"),
        });
        evidence
    }

    #[test]
    fn answers_to_a_translated_source_are_no_target() {
        // The node puts its own address in the place of the client's: the answer goes there.
        let answer = hop(flow(TCP, "10.244.2.7:80", "10.200.0.11:51234"), SYN | ACK);
        let to = ip("10.200.0.12");
        assert_eq!(of(&asked(TCP, vec![answer.clone()]), &[], to), None);
        let request = hop(flow(TCP, "10.200.0.11:51234", "10.244.2.7:80"), SYN);
        let evidence = asked(TCP, vec![answer, request]);
        assert_eq!(of(&evidence, &[], to), Some(ip("10.244.2.7")));
        assert_eq!(
            of(&evidence, &[ip("10.244.2.9")], to),
            None,
            "it is known what stands behind"
        );
    }

    #[test]
    fn a_datagram_is_known_by_the_port_it_was_sent_from() {
        let to = ip("10.200.0.12");
        let answer = hop(flow(UDP, "10.244.2.7:80", "10.200.0.11:40001"), 0);
        assert_eq!(of(&asked(UDP, vec![answer]), &[], to), None);
        let request = hop(flow(UDP, "10.200.0.11:40001", "10.244.2.7:80"), 0);
        assert_eq!(of(&asked(UDP, vec![request]), &[], to), Some(ip("10.244.2.7")));
    }
}
