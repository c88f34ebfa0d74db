//! What a pod's own traffic looks like to the kernel, and which conversations suffer in it.

mod untold;

use super::{
    ConversationTable, Cost, Ends, Key, ObservedConnection, ObservedLookup, PathOf, TargetRole, question, suffering,
};
use model::endpoint::Endpoint;
use model::event::{Event, Exchanged, Packet, Seen, TcpState};
use model::evidence::{Evidence, NetnsEvidence, NodeEvidence, Window};
use model::facts::ResolvConf;
use model::flow::{Flow, TCP, UDP};
use model::missing::Known;
use model::owner::Owner;
use model::protocol::Lost;
use model::word::Hook;
use std::net::IpAddr;

const POD: u32 = 101;
const PEER: u32 = 104;
const MS: u64 = 1_000_000;
const SLOW: u64 = 100 * MS;

/// A pod at 10.0.0.1 (and `fd00::1`) whose traffic is watched from outside of it.
struct Watch {
    table: ConversationTable,
    events: Vec<Event>,
    now_ns: u64,
    sockets: u64,
}

impl Watch {
    fn begin() -> Self {
        let resolv = ResolvConf {
            nameservers: vec!["10.0.0.53".parse().unwrap()],
            search: vec!["shop.svc.cluster.local".to_owned(), "cluster.local".to_owned()],
            ..ResolvConf::default()
        };
        let pod = Endpoint {
            netns: Some(POD),
            name: "web".to_owned(),
            addresses: vec!["10.0.0.1".parse().unwrap(), "fd00::1".parse().unwrap()],
            resolv: Known::Known(resolv),
            ..Endpoint::default()
        };
        Self {
            table: ConversationTable::of(&[pod], |_| Vec::new()),
            events: Vec::new(),
            now_ns: 1_000 * MS,
            sockets: 0,
        }
    }

    fn wait(&mut self, ms: u64) -> &mut Self {
        self.now_ns += ms * MS;
        self
    }

    fn event(&self, netns: u32, sk: u64, flow: Flow, seen: Seen) -> Event {
        Event {
            at_ns: self.now_ns,
            probe: "test".to_owned(),
            node: String::new(),
            netns,
            ifindex: 0,
            interface: None,
            pid: 0,
            process: None,
            owner: Owner::Unknown,
            flow,
            skb: 0,
            sk,
            packet: None,
            exchanged: None,
            quoted: None,
            attempt: None,
            seen,
        }
    }

    fn take(&mut self, event: Event) {
        self.table.take(&event);
        self.events.push(event);
    }

    fn tell(&mut self, netns: u32, sk: u64, flow: Flow, seen: Seen) {
        let event = self.event(netns, sk, flow, seen);
        self.take(event);
    }

    fn state(&mut self, sk: u64, flow: Flow, old: TcpState, new: TcpState) {
        self.tell(POD, sk, flow, Seen::StateChange { old, new, since_ns: 0 });
    }

    /// The pod begins to connect: its socket has no port yet.
    fn connect(&mut self, to: &str) -> (u64, Flow) {
        self.sockets += 1;
        let flow = tcp(&self.own(to), to);
        let portless = Flow { sport: 0, ..flow };
        self.state(self.sockets, portless, TcpState::Close, TcpState::SynSent);
        (self.sockets, flow)
    }

    fn own(&self, to: &str) -> String {
        let port = 40_000 + self.sockets;
        if to.starts_with('[') {
            format!("[fd00::1]:{port}")
        } else {
            format!("10.0.0.1:{port}")
        }
    }

    fn made(&mut self, to: &str) -> (u64, Flow) {
        let (sk, flow) = self.connect(to);
        self.wait(1).state(sk, flow, TcpState::SynSent, TcpState::Established);
        (sk, flow)
    }

    fn refused(&mut self, to: &str) {
        let (sk, flow) = self.connect(to);
        self.wait(1).tell(
            POD,
            sk,
            flow,
            Seen::SocketError {
                errno: 111,
                soft: false,
            },
        );
        self.state(sk, flow, TcpState::SynSent, TcpState::Close);
    }

    /// A connection of the pod is reset by its server, and closed by that or a moment before.
    fn reset_in_vain(&mut self, to: &str, after_ms: u64, closed_first: bool) {
        let (sk, flow) = self.made(to);
        self.wait(after_ms);
        if closed_first {
            self.closes(sk, flow, TcpState::FinWait1);
            self.wait(1);
        }
        let state = TcpState::Established;
        self.tell(POD, sk, flow.reversed(), Seen::ResetReceived { state });
        self.wait(1).closes(sk, flow, TcpState::Close);
    }

    /// A socket that exchanged nothing leaves ESTABLISHED.
    fn closes(&mut self, sk: u64, flow: Flow, new: TcpState) {
        self.state(sk, flow, TcpState::Established, new);
        let mut event = self.events.pop().unwrap();
        event.exchanged = Some(Exchanged::default());
        self.table.take(&event);
        self.events.push(event);
    }

    /// The pod's kernel drops a SYN from this client.
    fn syn_dropped(&mut self, from: &str, to: &str, reason: &str) {
        let seen = Seen::Drop {
            reason: reason.to_owned(),
            location: Some("tcp_v4_rcv".to_owned()),
            state: TcpState::Unknown,
        };
        self.tell(POD, 0, tcp(from, to), seen);
        // A packet that opens a connection.
        let mut event = self.events.pop().unwrap();
        event.packet = Some(Packet {
            tcp_flags: 2,
            ..Packet::default()
        });
        self.table.take(&event);
        self.events.push(event);
    }

    /// The pod's kernel drops an answer to a SYN: a packet that has the address of the one before.
    fn drops_answer(&mut self, answer: Flow) {
        let seen = Seen::Drop {
            reason: "NETFILTER_DROP".to_owned(),
            location: Some("nft_do_chain".to_owned()),
            state: TcpState::Unknown,
        };
        let packet = Packet {
            tcp_flags: 18,
            ..Packet::default()
        };
        let event = Event {
            skb: 7,
            packet: Some(packet),
            ..self.event(POD, 0, answer, seen)
        };
        self.take(event);
    }

    fn accepted(&mut self, from: &str, to: &str) {
        self.sockets += 1;
        let flow = tcp(from, to).reversed();
        self.state(self.sockets, flow, TcpState::SynRecv, TcpState::Established);
    }

    fn asks(&mut self, port: u16, id: u16, name: &str, qtype: &str) {
        let seen = Seen::DnsQuery {
            id,
            name: name.to_owned(),
            qtype: qtype.to_owned(),
        };
        self.tell(POD, 0, dns(port), seen);
    }

    fn answered(&mut self, port: u16, id: u16, rcode: &str, answers: u16) {
        let seen = Seen::DnsAnswer {
            id,
            name: String::new(),
            qtype: "A".to_owned(),
            rcode: rcode.to_owned(),
            answers,
            truncated: false,
            latency_ns: 0,
        };
        self.tell(POD, 0, dns(port).reversed(), seen);
    }

    fn suffering(&self) -> Vec<(Key, Cost)> {
        suffering(&self.table, self.now_ns, SLOW)
    }
}

fn tcp(from: &str, to: &str) -> Flow {
    Flow::new(TCP, from.parse().unwrap(), to.parse().unwrap())
}

fn dns(port: u16) -> Flow {
    Flow::new(
        UDP,
        format!("10.0.0.1:{port}").parse().unwrap(),
        "10.0.0.53:53".parse().unwrap(),
    )
}

#[test]
fn connections_that_are_made_are_counted_and_nobody_suffers() {
    let mut watch = Watch::begin();
    for _ in 0..100 {
        watch.made("10.0.0.2:80");
        watch.wait(10);
    }
    assert_eq!(watch.suffering(), []);
    let made: u32 = watch.table.conversations.values().map(|own| own.made).sum();
    assert_eq!((made, watch.table.connect_ns.len()), (100, 100));
}

#[test]
fn whoever_gets_no_port_has_failed_before_any_packet_left() {
    let mut watch = Watch::begin();
    for _ in 0..2 {
        let (sk, flow) = watch.connect("10.0.0.2:80");
        watch.state(sk, Flow { sport: 0, ..flow }, TcpState::SynSent, TcpState::Close);
    }
    let suffering = watch.suffering();
    assert_eq!(suffering[0].1.failed, 2);
    let conversation = &watch.table.conversations[&suffering[0].0];
    assert!(conversation.connections.values().all(|one| one.errno == Some(99)));
}

#[test]
fn a_client_that_is_reset_as_soon_as_it_is_connected_has_failed() {
    let mut watch = Watch::begin();
    watch.reset_in_vain("10.0.0.2:80", 1, false);
    assert_eq!(watch.suffering()[0].1.failed, 1);
}

#[test]
fn a_reset_of_an_idle_connection_or_of_one_that_the_client_had_closed_costs_nobody_anything() {
    let mut watch = Watch::begin();
    watch.reset_in_vain("10.0.0.2:80", 60_000, false);
    watch.reset_in_vain("10.0.0.2:81", 1, true);
    let failed: u32 = watch.suffering().iter().map(|(_, cost)| cost.failed).sum();
    assert_eq!(failed, 0);
}

#[test]
fn the_end_of_an_older_connection_is_not_taken_for_that_of_a_newer_one() {
    let mut watch = Watch::begin();
    let older = tcp("10.0.0.1:39999", "10.0.0.2:80");
    let lost = Seen::Drop {
        reason: "NETFILTER_DROP".to_owned(),
        location: None,
        state: TcpState::Unknown,
    };
    watch.connect("10.0.0.2:80");
    // Its first packet was sent again, and lost once more elsewhere; then it is given up.
    watch.wait(50).tell(0, 0, older, lost);
    watch.state(77, older, TcpState::SynSent, TcpState::Close);
    watch.wait(1_000);
    assert_eq!(watch.suffering()[0].1.failed, 1);
}

#[test]
fn refused_connections_are_failures_of_the_client() {
    let mut watch = Watch::begin();
    watch.made("10.0.0.2:80");
    for _ in 0..3 {
        watch.refused("10.0.0.2:81");
    }
    let suffering = watch.suffering();
    assert_eq!(suffering.len(), 1);
    let (key, cost) = suffering[0];
    assert_eq!((key.role, key.port, cost.failed), (TargetRole::Client, 81, 3));
}

#[test]
fn a_connection_that_waits_for_its_answer_is_given_a_second() {
    let mut watch = Watch::begin();
    watch.connect("10.0.0.2:80");
    watch.wait(500);
    assert_eq!(watch.suffering(), []);
    watch.wait(500);
    assert_eq!(watch.suffering()[0].1.failed, 1);
}

#[test]
fn a_client_that_gives_up_at_once_has_not_failed() {
    let mut watch = Watch::begin();
    let (sk, flow) = watch.connect("10.0.0.2:80");
    watch.wait(200).state(sk, flow, TcpState::SynSent, TcpState::Close);
    watch.wait(5_000);
    assert_eq!(watch.suffering(), []);
}

#[test]
fn a_refusal_over_the_family_that_nobody_listens_on_is_nothing_where_the_other_one_works() {
    let mut watch = Watch::begin();
    watch.refused("[fd00::2]:80");
    assert_eq!(watch.suffering().len(), 1);
    watch.made("10.0.0.2:80");
    assert_eq!(watch.suffering(), []);
}

#[test]
fn a_reset_that_is_told_before_the_connection_began_is_of_that_connection() {
    let mut watch = Watch::begin();
    watch.made("10.0.0.2:80");
    watch.sockets += 1;
    let sk = watch.sockets;
    let flow = tcp(&watch.own("[fd00::2]:80"), "[fd00::2]:80");
    let state = TcpState::SynSent;
    watch.tell(POD, sk, flow.reversed(), Seen::ResetReceived { state });
    watch.now_ns -= 200_000;
    let portless = Flow { sport: 0, ..flow };
    watch.state(sk, portless, TcpState::Close, TcpState::SynSent);
    watch.now_ns += 300_000;
    watch.state(sk, flow, TcpState::SynSent, TcpState::Close);
    watch.wait(2_000);
    assert_eq!(watch.suffering(), [], "it was served over the other family");
    let tried: Vec<u32> = watch.table.conversations.values().map(|own| own.tried).collect();
    let kept = watch.table.conversations.values().map(|own| own.connections.len());
    assert_eq!((tried, kept.collect::<Vec<_>>()), (vec![1, 1], vec![1, 1]));
}

#[test]
fn a_port_that_a_client_uses_again_is_of_the_connection_that_has_it_now() {
    let mut watch = Watch::begin();
    watch.made("10.0.0.2:80");
    let flow = tcp(&watch.own("[fd00::2]:80"), "[fd00::2]:80");
    for sk in [77, 78] {
        let portless = Flow { sport: 0, ..flow };
        watch.state(sk, portless, TcpState::Close, TcpState::SynSent);
        let state = TcpState::SynSent;
        watch.wait(1);
        watch.tell(POD, sk, flow.reversed(), Seen::ResetReceived { state });
        watch.state(sk, flow, TcpState::SynSent, TcpState::Close);
        watch.wait(1_000);
    }
    watch.wait(2_000);
    let of_six: Vec<bool> = watch
        .table
        .conversations
        .iter()
        .filter(|(key, _)| key.server.is_ipv6())
        .flat_map(|(_, own)| own.connections.values().map(ObservedConnection::refused))
        .collect();
    assert_eq!(of_six, [true, true]);
    // Only what was met since then is told of the last one.
    let mut keys = watch.table.conversations.keys();
    let key = *keys.find(|key| key.server.is_ipv6()).unwrap();
    let seen = Evidence {
        events: watch.events.clone(),
        netns: vec![NetnsEvidence {
            id: POD,
            ..NetnsEvidence::default()
        }],
        ..Evidence::default()
    };
    let path = PathOf {
        key,
        ends: Ends::default(),
        inventory: Known::default(),
        since_ns: Some(0),
    };
    let asked = question(&seen, &watch.table, &path, watch.now_ns);
    let resets = asked
        .events
        .iter()
        .filter(|event| matches!(event.seen, Seen::ResetReceived { .. }));
    assert_eq!((asked.attempts.len(), resets.count()), (1, 1));
}

#[test]
fn data_that_comes_when_the_client_has_closed_is_no_reset_by_its_server() {
    let mut watch = Watch::begin();
    let (sk, flow) = watch.connect("10.0.0.2:80");
    // That it was made was not told, or was told before its beginning.
    watch.wait(2_000).closes(sk, flow, TcpState::FinWait1);
    let state = TcpState::FinWait2;
    watch
        .wait(1)
        .tell(POD, sk, flow.reversed(), Seen::ResetReceived { state });
    watch.state(sk, flow, state, TcpState::Close);
    assert_eq!(watch.suffering(), []);
    let made: Vec<u32> = watch.table.conversations.values().map(|own| own.made).collect();
    assert_eq!(made, [1]);
}

#[test]
fn a_reset_that_a_client_is_told_of_after_it_has_said_all_is_one() {
    for told_first in [true, false] {
        let mut watch = Watch::begin();
        let (sk, flow) = watch.made("10.0.0.2:80");
        watch
            .wait(10)
            .state(sk, flow, TcpState::Established, TcpState::FinWait1);
        let error = Seen::SocketError {
            errno: 104,
            soft: false,
        };
        let state = TcpState::FinWait2;
        let reset = Seen::ResetReceived { state };
        let (first, second) = if told_first { (error, reset) } else { (reset, error) };
        watch.wait(1).tell(POD, sk, flow.reversed(), first);
        watch.tell(POD, sk, flow.reversed(), second);
        let connections = watch
            .table
            .conversations
            .values()
            .flat_map(|own| own.connections.values());
        assert_eq!(connections.filter(|own| own.reset.is_some()).count(), 1);
    }
}

#[test]
fn a_name_is_not_said_to_be_missing_where_later_queries_may_not_have_been_told() {
    for (lost, suffer) in [(0, 1), (3, 0)] {
        let mut watch = Watch::begin();
        watch.asks(5_000, 1, "www.example.com.shop.svc.cluster.local", "A");
        watch.wait(1).answered(5_000, 1, "NXDOMAIN", 0);
        watch.wait(3_000);
        let lost = Lost {
            probe: "dns".to_owned(),
            ring_full: lost,
            ..Lost::default()
        };
        let seen = Evidence {
            nodes: vec![NodeEvidence {
                lost: vec![lost],
                ..NodeEvidence::default()
            }],
            window: Window {
                start_ns: 1,
                end_ns: watch.now_ns,
            },
            ..Evidence::default()
        };
        watch.table.end(&[], &seen);
        assert_eq!(watch.suffering().len(), suffer);
    }
}

#[test]
fn what_one_pod_waits_for_is_not_reckoned_by_the_clock_of_anothers_node() {
    let mut watch = Watch::begin();
    let pod = |netns, address: &str| Endpoint {
        netns: Some(netns),
        addresses: vec![address.parse().unwrap()],
        ..Endpoint::default()
    };
    watch.table = ConversationTable::of(&[pod(POD, "10.0.0.1"), pod(PEER, "10.0.1.1")], |_| Vec::new());
    watch.asks(5_000, 1, "db.example.com", "A");
    let (sk, flow) = watch.connect("10.0.0.2:80");
    // The clock of the other one's node is ten seconds ahead.
    let ahead = 10_000;
    watch.wait(ahead);
    let other = Flow::new(UDP, "10.0.1.1:6000".parse().unwrap(), "10.0.0.53:53".parse().unwrap());
    let query = Seen::DnsQuery {
        id: 2,
        name: "cache.example.com".to_owned(),
        qtype: "A".to_owned(),
    };
    watch.tell(PEER, 0, other, query);
    watch.table.look_until(1, watch.now_ns);
    watch.now_ns -= ahead * MS;
    watch.wait(3);
    watch.table.look_until(0, watch.now_ns);
    assert_eq!(suffering(&watch.table, watch.now_ns + ahead * MS, SLOW), []);
    watch.answered(5_000, 1, "NOERROR", 1);
    watch.state(sk, flow, TcpState::SynSent, TcpState::Established);
    watch.wait(1_000).asks(5_001, 3, "db.example.com", "A");
    let lookups = watch.table.conversations.values().flat_map(|own| &own.lookups);
    assert_eq!(lookups.map(ObservedLookup::found).collect::<Vec<_>>(), [true]);
}

#[test]
fn whoever_scans_ports_suffers_from_nothing() {
    let mut watch = Watch::begin();
    for port in [21, 22, 23, 25] {
        for _ in 0..2 {
            watch.syn_dropped(
                &format!("203.0.113.9:{}", 50_000 + port),
                &format!("10.0.0.1:{port}"),
                "NO_SOCKET",
            );
        }
    }
    assert_eq!(watch.suffering(), []);
}

#[test]
fn a_client_that_is_refused_again_and_again_suffers_unless_the_program_comes_up() {
    let mut watch = Watch::begin();
    for port in 50_000..50_003 {
        watch.syn_dropped(&format!("10.0.0.9:{port}"), "10.0.0.1:8080", "NO_SOCKET");
        watch.wait(100);
    }
    let suffering = watch.suffering();
    assert_eq!(suffering.len(), 1, "{suffering:?}");
    assert_eq!((suffering[0].0.role, suffering[0].1.failed), (TargetRole::Server, 3));
    watch.accepted("10.0.0.9:50010", "10.0.0.1:8080");
    assert_eq!(watch.suffering(), []);
}

#[test]
fn segments_that_arrive_after_a_connection_are_nobodys_loss() {
    let mut watch = Watch::begin();
    let (sk, flow) = watch.made("10.0.0.2:80");
    watch.state(sk, flow, TcpState::LastAck, TcpState::Close);
    for reason in ["NO_SOCKET", "NETFILTER_DROP"] {
        for _ in 0..20 {
            let location = Some("nf_hook_slow".to_owned());
            let seen = Seen::Drop {
                reason: reason.to_owned(),
                location,
                state: TcpState::Unknown,
            };
            watch.tell(POD, 0, flow.reversed(), seen);
        }
    }
    assert_eq!(watch.suffering(), []);
}

#[test]
fn a_segment_that_is_sent_again_in_vain_has_failed_and_a_few_are_normal() {
    let resent = |times: usize| {
        let mut watch = Watch::begin();
        let (sk, flow) = watch.made("10.0.0.2:80");
        for _ in 0..times {
            let state = TcpState::Established;
            watch
                .wait(300)
                .tell(POD, sk, flow, Seen::Retransmit { state, errno: 0 });
        }
        watch.suffering()
    };
    assert_eq!(resent(2), []);
    assert_eq!(resent(3)[0].1.failed, 1);
}

#[test]
fn a_search_list_that_finds_the_name_at_last_is_one_lookup_that_went_well() {
    let mut watch = Watch::begin();
    for (id, name) in [
        (1, "db.example.com.shop.svc.cluster.local"),
        (2, "db.example.com.cluster.local"),
    ] {
        watch.asks(5_000, id, name, "A");
        watch.wait(2).answered(5_000, id, "NXDOMAIN", 0);
    }
    watch.asks(5_000, 3, "db.example.com", "A");
    watch.wait(2).answered(5_000, 3, "NOERROR", 1);
    watch.wait(3_000);
    watch.table.close(watch.now_ns);
    assert_eq!(watch.suffering(), []);
    let conversation = watch.table.conversations.values().next().unwrap();
    assert_eq!((conversation.tried, conversation.made), (1, 1));
}

#[test]
fn a_question_without_an_answer_is_a_lookup_that_failed() {
    let mut watch = Watch::begin();
    for port in 5_000..5_003 {
        watch.asks(port, 7, "db.shop.svc.cluster.local", "A");
        watch.asks(port, 8, "db.shop.svc.cluster.local", "AAAA");
        watch.wait(100);
    }
    watch.wait(3_000);
    watch.table.close(watch.now_ns);
    let (key, cost) = watch.suffering()[0];
    assert_eq!((key.port, cost.failed, cost.lost), (53, 3, 6));
}

/// Lookups that failed of one whose answer was lost at once, as another probe tells so long after or before that.
fn failed_where_the_loss_is_told(after_ms: Option<u64>) -> Option<u32> {
    let mut watch = Watch::begin();
    let query = Flow::new(UDP, "10.0.0.9:5000".parse().unwrap(), "10.0.0.1:53".parse().unwrap());
    let (name, qtype) = ("db.".to_owned(), "A".to_owned());
    let (rcode, answers) = ("NOERROR".to_owned(), 1);
    let asks = Seen::DnsQuery {
        id: 7,
        name: name.clone(),
        qtype: qtype.clone(),
    };
    let answer = Seen::DnsAnswer {
        id: 7,
        name,
        qtype,
        rcode,
        answers,
        truncated: false,
        latency_ns: 0,
    };
    let lost = Seen::Drop {
        reason: "NETFILTER_DROP".to_owned(),
        location: None,
        state: TcpState::Unknown,
    };
    let packet = |watch: &Watch, after_ns, seen| Event {
        at_ns: watch.now_ns + after_ns,
        skb: 7,
        ..watch.event(0, 0, query.reversed(), seen)
    };
    let dropped = packet(&watch, 900_000, lost);
    let answered = packet(&watch, 800_000, answer);
    if after_ms.is_none() {
        watch.take(dropped.clone());
    }
    watch.tell(POD, 0, query, asks);
    watch.take(Event { netns: POD, ..answered });
    if let Some(after_ms) = after_ms {
        // Meanwhile others ask.
        watch.wait(after_ms).asks(40_000, 9, "cache.", "A");
        watch.answered(40_000, 9, "NOERROR", 1);
        watch.take(dropped);
    }
    watch.wait(6_000);
    watch.table.close(watch.now_ns);
    watch.suffering().first().map(|(_, cost)| cost.failed)
}

#[test]
fn an_answer_whose_loss_is_told_before_or_some_time_after_it_is_did_not_get_through() {
    for after_ms in [None, Some(10), Some(300)] {
        assert_eq!(failed_where_the_loss_is_told(after_ms), Some(1), "{after_ms:?}");
    }
}

#[test]
fn a_busy_pod_does_not_fill_the_memory() {
    let mut watch = Watch::begin();
    for _ in 0..5_000 {
        let (sk, flow) = watch.made("10.0.0.2:80");
        watch.state(sk, flow, TcpState::LastAck, TcpState::Close);
    }
    let conversation = watch.table.conversations.values().next().unwrap();
    assert_eq!((conversation.tried, conversation.made), (5_000, 5_000));
    assert!(conversation.connections.len() <= 256);
}

#[test]
fn a_question_has_the_connections_of_one_conversation_and_the_places_on_its_way() {
    let mut watch = Watch::begin();
    watch.refused("10.0.0.2:81");
    watch.refused("10.0.0.3:81");
    let (key, _) = watch.suffering()[0];
    let netns = |id| NetnsEvidence {
        id,
        ..NetnsEvidence::default()
    };
    let seen = Evidence {
        events: watch.events.clone(),
        netns: vec![netns(POD), netns(PEER), netns(999)],
        ..Evidence::default()
    };
    let end = |address: &str, netns| Endpoint {
        addresses: vec![address.parse().unwrap()],
        netns: Some(netns),
        ..Endpoint::default()
    };
    let path = PathOf {
        key,
        ends: Ends {
            client: end("10.0.0.1", POD),
            server: end("10.0.0.2", PEER),
        },
        inventory: Known::default(),
        since_ns: None,
    };
    let asked = question(&seen, &watch.table, &path, watch.now_ns);
    let to: IpAddr = key.server;
    assert_eq!(asked.attempts.len(), 1);
    assert_eq!(asked.attempts[0].flow.dst(), to);
    assert!(
        asked.events.iter().all(|event| event.flow.dst() == to),
        "{:?}",
        asked.events
    );
    assert_eq!(
        asked.netns.iter().map(|netns| netns.id).collect::<Vec<_>>(),
        [POD, PEER]
    );
}

#[test]
fn a_packet_that_has_the_address_of_an_earlier_one_stays_with_its_own_conversation() {
    let mut watch = Watch::begin();
    watch.accepted("10.0.0.8:50000", "10.0.0.1:80");
    watch.accepted("10.0.0.9:50001", "10.0.0.1:80");
    let to_first = tcp("10.0.0.8:50000", "10.0.0.1:80").reversed();
    let to_second = tcp("10.0.0.9:50001", "10.0.0.1:80").reversed();
    let reset = Seen::ResetReceived {
        state: TcpState::Established,
    };
    watch.tell(POD, 1, to_first.reversed(), reset);
    let key = *watch
        .table
        .conversations
        .keys()
        .find(|key| key.client == to_first.dst())
        .unwrap();
    let hop = Seen::Hop {
        hook: Hook::Transmit,
        learned: false,
    };
    let drop = Seen::Drop {
        reason: "NO_SOCKET".to_owned(),
        location: None,
        state: TcpState::Unknown,
    };
    let met = |flow, seen, at_ns| Event {
        at_ns,
        flow,
        skb: 7,
        attempt: Some(1),
        seen,
        ..watch.events[0].clone()
    };
    let seen = Evidence {
        events: vec![
            met(to_first.reversed(), hop.clone(), watch.now_ns - 1_000_000),
            met(to_first, hop, watch.now_ns),
            met(to_second, drop, watch.now_ns + 1_000),
        ],
        netns: vec![NetnsEvidence {
            id: POD,
            ..NetnsEvidence::default()
        }],
        ..Evidence::default()
    };
    let path = PathOf {
        key,
        ends: Ends::default(),
        inventory: Known::default(),
        since_ns: Some(0),
    };
    let asked = question(&seen, &watch.table, &path, watch.now_ns);
    let flows: Vec<Flow> = asked.events.iter().map(|event| event.flow).collect();
    assert_eq!(flows, [to_first.reversed(), to_first]);
}

#[test]
fn two_packets_that_are_dropped_one_after_the_other_are_two_though_they_have_one_address() {
    let mut watch = Watch::begin();
    let of = ["10.0.0.8:50000", "10.0.0.8:50001"].map(|from| tcp(from, "10.0.0.1:80").reversed());
    for answer in of {
        watch.drops_answer(answer);
    }
    // The first one is told by a second program, too.
    let twice = Event {
        at_ns: watch.now_ns + 1_000,
        ..watch.events[1].clone()
    };
    watch.events.push(twice);
    watch.wait(2_000);
    let (key, _) = watch.suffering()[0];
    let seen = Evidence {
        events: watch.events.clone(),
        netns: vec![NetnsEvidence {
            id: POD,
            ..NetnsEvidence::default()
        }],
        ..Evidence::default()
    };
    let path = PathOf {
        key,
        ends: Ends::default(),
        inventory: Known::default(),
        since_ns: Some(0),
    };
    let asked = question(&seen, &watch.table, &path, watch.now_ns);
    let flows: Vec<Flow> = asked.events.iter().map(|event| event.flow).collect();
    assert_eq!(flows, of);
}

#[test]
fn a_packet_that_has_the_address_of_an_earlier_one_stays_with_its_own_connection() {
    let mut watch = Watch::begin();
    let [refused, other] = ["10.0.0.8:50000", "10.0.0.8:50001"].map(|from| tcp(from, "10.0.0.1:80"));
    watch.syn_dropped("10.0.0.8:50000", "10.0.0.1:80", "NO_SOCKET");
    watch.syn_dropped("10.0.0.8:50009", "10.0.0.1:80", "NO_SOCKET");
    let hook = Hook::Transmit;
    let met = |flow: Flow, seq, tcp_flags, at_ns| Event {
        at_ns,
        flow,
        skb: 7,
        attempt: Some(1),
        packet: Some(Packet {
            seq,
            tcp_flags,
            ..Packet::default()
        }),
        seen: Seen::Hop { hook, learned: false },
        ..watch.events[0].clone()
    };
    let now_ns = watch.now_ns;
    let seen = Evidence {
        events: vec![
            met(refused, 1_000, 2, now_ns),
            met(refused.reversed(), 0, 20, now_ns + 1_000),
            met(other.reversed(), 9_000, 16, now_ns + 2_000),
        ],
        netns: vec![NetnsEvidence {
            id: POD,
            ..NetnsEvidence::default()
        }],
        ..Evidence::default()
    };
    let path = PathOf {
        key: watch.suffering()[0].0,
        ends: Ends::default(),
        inventory: Known::default(),
        since_ns: Some(0),
    };
    let asked = question(&seen, &watch.table, &path, now_ns);
    let flows: Vec<Flow> = asked.events.iter().map(|event| event.flow).collect();
    assert_eq!(flows, [refused, refused.reversed()]);
}
