//! Where packets spend their time inside the kernel, against queues and programs that hold them as long as the test says. Needs root.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bed;
mod counted;

use bed::NetnsBed;
use counted::{Counted, now_ns, until_ns};
use model::event::{Event, Seen};
use model::histogram::Measure;
use model::protocol::Filter;
use nfq::{Queue, Verdict};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

const HELD_NS: u64 = 20_000_000;
/// What a packet takes where nobody holds it, on a machine that does other things beside.
const AT_ONCE_NS: u64 = 10_000_000;
/// No packet is held longer than it should be by more than this.
const LATE_NS: u64 = 15_000_000;
const SLOW_NS: u64 = 15_000_000;

fn count(lab: &NetnsBed) -> Counted {
    let filter = Filter {
        slow_ns: SLOW_NS,
        ..lab.filter()
    };
    counted::count("kernellatency", &filter)
}

/// A program that holds packets of a chain of a namespace until it is dropped.
struct Holder<'a> {
    lab: &'a NetnsBed,
    name: &'static str,
    rule: String,
    queue: Queue,
}

impl<'a> Holder<'a> {
    fn new(lab: &'a NetnsBed, name: &'static str, chain_and_match: &str) -> Self {
        let queue = lab.inside(name, || {
            let mut queue = Queue::open().unwrap();
            queue.bind(7).unwrap();
            queue.set_copy_range(7, 0).unwrap();
            queue
        });
        let rule = format!("{chain_and_match} -j NFQUEUE --queue-num 7");
        lab.run(name, &format!("iptables-legacy -w -t mangle -A {rule}"));
        Self { lab, name, rule, queue }
    }

    /// Takes so many packets, and lets each go when it has been held.
    fn hold(&mut self, packets: usize) {
        for _ in 0..packets {
            let mut message = self.queue.recv().unwrap();
            until_ns(now_ns() + HELD_NS);
            message.set_verdict(Verdict::Accept);
            self.queue.verdict(message).unwrap();
        }
    }

    /// Takes no more.
    fn end(self) {
        self.lab
            .run(self.name, &format!("iptables-legacy -w -t mangle -D {}", self.rule));
    }
}

/// All values lie between these.
#[track_caller]
fn assert_between(values: &[(u64, u64)], count: std::ops::RangeInclusive<usize>, least: u64, most: u64) {
    assert!(count.contains(&values.len()), "{} values: {values:?}", values.len());
    for (from, to) in values {
        assert!(*to >= least && *from <= most, "{from}..{to}: {values:?}");
    }
}

/// Those of them that were held.
fn held(values: &[(u64, u64)]) -> Vec<(u64, u64)> {
    values.iter().filter(|(from, _)| *from > AT_ONCE_NS).copied().collect()
}

/// Of each slow packet its flow, how long it took in all, and in each stage.
fn slow(events: &[Event]) -> Vec<(String, u64, Vec<(String, u64)>)> {
    let slow = |event: &Event| match &event.seen {
        Seen::Slow { took_ns, stages, .. } => {
            let stages = stages
                .iter()
                .map(|stage| (stage.stage.clone(), stage.took_ns))
                .collect();
            Some((event.flow.to_string(), *took_ns, stages))
        }
        _ => None,
    };
    // The node's softirqs are as slow as they are.
    let of_packets = events.iter().filter(|event| event.netns != 0);
    of_packets.filter_map(slow).collect()
}

const SERVER: &str = "10.77.2.2:53";

fn connected(lab: &NetnsBed) -> (TcpStream, TcpStream) {
    let listener = lab.inside("c", || TcpListener::bind("10.77.2.2:80")).unwrap();
    let client = lab.inside("a", || TcpStream::connect("10.77.2.2:80")).unwrap();
    client.set_nodelay(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

fn datagrams(lab: &NetnsBed) -> (UdpSocket, UdpSocket) {
    let server = lab.inside("c", || UdpSocket::bind(SERVER)).unwrap();
    server.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
    let client = lab.inside("a", || UdpSocket::bind("10.77.1.2:0")).unwrap();
    (client, server)
}

const TIMES: usize = 5;

#[test]
fn packets_that_nobody_holds_are_in_every_stage_and_slow_in_none() {
    let lab = NetnsBed::routed();
    let (mut client, mut server) = connected(&lab);
    let (sender, receiver) = datagrams(&lab);
    let counted = count(&lab);
    let mut buffer = [0; 64];
    for _ in 0..TIMES {
        client.write_all(b"ask").unwrap();
        server.read_exact(&mut buffer[..3]).unwrap();
        server.write_all(b"answer").unwrap();
        client.read_exact(&mut buffer[..6]).unwrap();
        sender.send_to(b"ask", SERVER).unwrap();
        receiver.recv(&mut buffer).unwrap();
    }
    let many = TIMES..=TIMES * 8;
    for (name, measure) in [
        ("a", Measure::SendTcp),
        ("c", Measure::SendTcp),
        ("a", Measure::ReceiveTcp),
        ("c", Measure::ReceiveTcp),
        ("r", Measure::Forward),
        ("a", Measure::Queue),
        ("r", Measure::Queue),
        ("c", Measure::Queue),
    ] {
        let values = counted.of(&lab, name, measure);
        assert!(!values.is_empty(), "{name} {measure:?}");
        assert_between(&values, many.clone(), 0, AT_ONCE_NS);
    }
    assert_between(
        &counted.of(&lab, "c", Measure::ReceiveUdp),
        TIMES..=TIMES,
        0,
        AT_ONCE_NS,
    );
    assert_eq!(counted.of(&lab, "r", Measure::ReceiveTcp), []);
    assert_eq!(counted.of(&lab, "r", Measure::SendTcp), []);
    assert!(!counted.of_netns(0, Measure::SoftirqReceive).is_empty());
    let (events, lost) = counted.stop();
    assert_eq!(slow(&events), []);
    assert_eq!(
        (lost[0].uncounted, lost[0].ring_full, lost[0].over_budget),
        (0, 0, 0),
        "{lost:?}"
    );
}

/// Sends `TIMES` datagrams and as many segments, of which each is held for 20 ms in that chain of that namespace; gives what was counted
/// there, and the slow ones.
fn traffic_held_in(name: &'static str, chain: &str) -> (NetnsBed, Counted) {
    let lab = NetnsBed::routed();
    let (mut client, mut server) = connected(&lab);
    let (sender, receiver) = datagrams(&lab);
    let counted = count(&lab);
    let mut holder = Holder::new(&lab, name, &format!("{chain} -d 10.77.2.2 -m length --length 30:60"));
    let mut buffer = [0; 64];
    for _ in 0..TIMES {
        sender.send_to(b"ask", SERVER).unwrap();
        holder.hold(1);
        assert_eq!(receiver.recv(&mut buffer).unwrap(), 3);
        client.write_all(b"ask").unwrap();
        holder.hold(1);
        server.read_exact(&mut buffer[..3]).unwrap();
    }
    holder.end();
    (lab, counted)
}

#[test]
fn what_is_held_on_its_way_to_a_socket_is_long_in_that_stage_alone() {
    let (lab, counted) = traffic_held_in("c", "INPUT");
    let most = HELD_NS + LATE_NS;
    assert_between(
        &counted.of(&lab, "c", Measure::ReceiveUdp),
        TIMES..=TIMES,
        HELD_NS,
        most,
    );
    assert_between(
        &held(&counted.of(&lab, "c", Measure::ReceiveTcp)),
        TIMES..=TIMES,
        HELD_NS,
        most,
    );
    for (name, measure) in [
        ("a", Measure::SendTcp),
        ("a", Measure::Queue),
        ("r", Measure::Forward),
        ("r", Measure::Queue),
    ] {
        assert_eq!(held(&counted.of(&lab, name, measure)), [], "{name} {measure:?}");
    }
    let (events, _) = counted.stop();
    let told = slow(&events);
    assert_eq!(told.len(), 2 * TIMES, "{told:?}");
    for (flow, took_ns, stages) in told {
        assert!(flow.contains("10.77.2.2:53") || flow.contains("10.77.2.2:80"), "{flow}");
        assert!((HELD_NS..most).contains(&took_ns), "{took_ns}");
        assert_eq!(stages, [("kernellatency.receive".to_owned(), took_ns)]);
    }
}

#[test]
fn what_is_held_while_it_is_forwarded_is_long_in_that_stage_alone() {
    let (lab, counted) = traffic_held_in("r", "FORWARD");
    let most = HELD_NS + LATE_NS;
    assert_between(
        &held(&counted.of(&lab, "r", Measure::Forward)),
        2 * TIMES..=2 * TIMES,
        HELD_NS,
        most,
    );
    assert_eq!(held(&counted.of(&lab, "r", Measure::Queue)), []);
    assert_eq!(held(&counted.of(&lab, "c", Measure::ReceiveTcp)), []);
    assert_eq!(held(&counted.of(&lab, "c", Measure::ReceiveUdp)), []);
    let (events, _) = counted.stop();
    let told = slow(&events);
    assert_eq!(told.len(), 2 * TIMES, "{told:?}");
    for (_, took_ns, stages) in told {
        let names: Vec<&str> = stages.iter().map(|(stage, _)| stage.as_str()).collect();
        assert_eq!(names, ["kernellatency.forward", "kernellatency.queue"]);
        assert!(stages[0].1 >= HELD_NS && stages[1].1 < AT_ONCE_NS, "{stages:?}");
        assert_eq!(took_ns, stages[0].1 + stages[1].1);
    }
}

#[test]
fn what_is_held_behind_tcp_is_long_in_that_stage_alone() {
    let lab = NetnsBed::routed();
    let (mut client, mut server) = connected(&lab);
    let counted = count(&lab);
    let mut holder = Holder::new(&lab, "a", "OUTPUT -d 10.77.2.2 -m length --length 55");
    let mut buffer = [0; 64];
    for _ in 0..TIMES {
        client.write_all(b"ask").unwrap();
        holder.hold(1);
        server.read_exact(&mut buffer[..3]).unwrap();
    }
    holder.end();
    let values = held(&counted.of(&lab, "a", Measure::SendTcp));
    assert_between(&values, TIMES..=TIMES, HELD_NS, HELD_NS + LATE_NS);
    assert_eq!(held(&counted.of(&lab, "a", Measure::Queue)), []);
    let (events, _) = counted.stop();
    let told = slow(&events);
    assert_eq!(told.len(), TIMES, "{told:?}");
    assert!(
        told.iter().all(|(_, _, stages)| stages[0].0 == "kernellatency.send"),
        "{told:?}"
    );
}
