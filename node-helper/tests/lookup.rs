//! DNS lookups against servers of the test, in a namespace of its own where 127.0.0.N:53 is free.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod talk;

use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::{RData, Record, RecordType, rdata};
use model::attempt::{Attempt, DnsExchange, DnsLookup, Outcome, Sending};
use model::facts::{HostsEntry, HostsFile, ResolvConf};
use nix::sched::{CloneFlags, unshare};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;
use std::time::Duration;
use talk::RunningHelper;

/// What a server says to a query: a message for now or for later, or nothing.
type Serve = fn(&Message) -> Vec<(Duration, Message)>;

/// Enters a new namespace with this thread, serves there, and looks a name up from it.
///
/// The namespace has no name: it is gone with the thread and the helper.
fn look_up(name: &str, resolv: ResolvConf, servers: &'static [(u8, Serve)], timeout_ms: u64) -> Vec<Attempt> {
    let (name, types) = (name.to_owned(), vec!["A".to_owned(), "AAAA".to_owned()]);
    inside(servers, move |helper, netns| {
        let send = Sending::Dns { name, resolv, types };
        helper.plan(1, vec![talk::spec(1, netns, timeout_ms, send)]);
        let mut met = helper.go(1, 1);
        // Answers that are still to come are told by the same attempt, said again.
        while met
            .last()
            .is_some_and(|attempt| lookup(attempt).queries.iter().any(is_open))
            && let Some(model::protocol::Reply::Attempt(again)) = helper.hear_within(Duration::from_secs(3))
        {
            met.push(again);
        }
        met
    })
}

fn inside<T: Send + 'static>(
    servers: &'static [(u8, Serve)],
    body: impl FnOnce(&mut RunningHelper, u32) -> T + Send + 'static,
) -> T {
    let thread = std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        assert!(
            Command::new("ip")
                .args(["link", "set", "lo", "up"])
                .status()
                .unwrap()
                .success()
        );
        for (last, serve) in servers {
            let address = (Ipv4Addr::new(127, 0, 0, *last), 53);
            let (udp, tcp) = (UdpSocket::bind(address).unwrap(), TcpListener::bind(address).unwrap());
            std::thread::spawn(move || serve_udp(&udp, *serve));
            std::thread::spawn(move || serve_tcp(&tcp, *serve));
        }
        // The thread's, not the process's: the helper finds the namespace through it.
        let netns = talk::inode("/proc/thread-self/ns/net");
        let mut keeper = Command::new("sleep").arg("60").spawn().unwrap();
        let result = body(&mut RunningHelper::greeted(), netns);
        keeper.kill().unwrap();
        keeper.wait().unwrap();
        result
    });
    thread.join().unwrap()
}

fn serve_udp(socket: &UdpSocket, serve: Serve) {
    let mut buffer = [0; 4096];
    while let Ok((bytes, from)) = socket.recv_from(&mut buffer) {
        for (delay, answer) in serve(&Message::from_vec(&buffer[..bytes]).unwrap()) {
            let socket = socket.try_clone().unwrap();
            std::thread::spawn(move || {
                std::thread::sleep(delay);
                let _ = socket.send_to(&answer.to_vec().unwrap(), from);
            });
        }
    }
}

fn serve_tcp(listener: &TcpListener, serve: Serve) {
    for mut stream in listener.incoming().flatten() {
        let mut length = [0; 2];
        while stream.read_exact(&mut length).is_ok() {
            let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut query).unwrap();
            for (_, mut answer) in serve(&Message::from_vec(&query).unwrap()) {
                answer.metadata.truncation = false;
                let bytes = answer.to_vec().unwrap();
                stream.write_all(&(bytes.len() as u16).to_be_bytes()).unwrap();
                stream.write_all(&bytes).unwrap();
            }
        }
    }
}

fn reply(query: &Message, rcode: ResponseCode) -> Message {
    let mut message = query.clone();
    message.metadata.message_type = MessageType::Response;
    message.metadata.response_code = rcode;
    message
}

/// `name.example` has the address 192.0.2.7, `cut.example` too but the answer is truncated; nothing else exists.
fn zone(query: &Message) -> Vec<(Duration, Message)> {
    vec![(Duration::ZERO, authority(query))]
}

fn authority(query: &Message) -> Message {
    let asked = &query.queries[0];
    let name = asked.name.to_ascii();
    if name != "web.example." && name != "cut.example." {
        return reply(query, ResponseCode::NXDomain);
    }
    let mut message = reply(query, ResponseCode::NoError);
    message.metadata.truncation = name == "cut.example.";
    if asked.query_type == RecordType::A {
        let data = RData::A(rdata::A(Ipv4Addr::new(192, 0, 2, 7)));
        message.add_answer(Record::from_rdata(asked.name.clone(), 60, data));
    }
    message
}

fn slow(query: &Message) -> Vec<(Duration, Message)> {
    vec![(Duration::from_millis(1_700), authority(query))]
}

fn silent(_: &Message) -> Vec<(Duration, Message)> {
    Vec::new()
}

fn broken(query: &Message) -> Vec<(Duration, Message)> {
    vec![(Duration::ZERO, reply(query, ResponseCode::ServFail))]
}

fn resolv(servers: &[u8], search: &[&str]) -> ResolvConf {
    ResolvConf {
        nameservers: servers
            .iter()
            .map(|last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, *last)))
            .collect(),
        search: search.iter().map(ToString::to_string).collect(),
        ndots: 5,
        timeout_s: 1,
        attempts: 2,
        ..ResolvConf::default()
    }
}

fn lookup(attempt: &Attempt) -> &DnsLookup {
    attempt.dns.as_ref().unwrap()
}

fn told(queries: &[DnsExchange]) -> Vec<(&str, &str, Option<&str>)> {
    queries
        .iter()
        .map(|query| (query.name.as_str(), query.qtype.as_str(), query.rcode.as_deref()))
        .collect()
}

fn is_open(query: &DnsExchange) -> bool {
    query.rcode.is_none() && query.errno.is_none()
}

fn during(outcome: &Outcome) -> (&str, &str) {
    match outcome {
        Outcome::Error { during, errno } => (during, &errno.name),
        other => panic!("{other:?} is no error"),
    }
}

#[test]
fn a_name_is_found_at_the_end_of_the_search_list() {
    let met = look_up("web", resolv(&[1], &["a.test", "example"]), &[(1, zone)], 5_000);
    assert_eq!(met[0].outcome, Outcome::Ok);
    let dns = lookup(&met[0]);
    assert_eq!(
        told(&dns.queries),
        [
            ("web.a.test", "A", Some("NXDOMAIN")),
            ("web.a.test", "AAAA", Some("NXDOMAIN")),
            ("web.example", "A", Some("NOERROR")),
            ("web.example", "AAAA", Some("NOERROR")),
        ]
    );
    assert_eq!(dns.found.as_deref(), Some("web.example"));
    assert_eq!(dns.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    assert!(
        dns.queries
            .iter()
            .all(|query| query.latency_ns.is_some() && query.late_ns.is_none())
    );
    assert_eq!(dns.queries[0].flow, met[0].flow);
    assert_eq!(dns.queries[0].flow.dport, 53);
}

#[test]
fn a_name_that_is_nowhere_says_what_was_tried() {
    let met = look_up("nope", resolv(&[1], &["example"]), &[(1, zone)], 5_000);
    assert_eq!(during(&met[0].outcome), ("lookup", "NXDOMAIN"));
    let names: Vec<&str> = lookup(&met[0])
        .queries
        .iter()
        .map(|query| query.name.as_str())
        .collect();
    assert_eq!(names, ["nope.example", "nope.example", "nope", "nope"]);
    assert_eq!(lookup(&met[0]).found, None);
}

#[test]
fn a_truncated_answer_is_fetched_over_tcp() {
    let met = look_up("cut.example.", resolv(&[1], &[]), &[(1, zone)], 5_000);
    assert_eq!(met[0].outcome, Outcome::Ok);
    let dns = lookup(&met[0]);
    // The answers of both types come in either order, and the first sends everything over to TCP.
    assert!(dns.used_tcp && dns.queries[..2].iter().any(|query| query.truncated));
    let tcp: Vec<&DnsExchange> = dns.queries.iter().filter(|query| query.flow.protocol == 6).collect();
    assert_eq!(tcp.len(), 2);
    assert!(
        tcp.iter()
            .all(|query| query.latency_ns.is_some() && query.flow.sport != 0)
    );
}

#[test]
fn an_answer_that_comes_late_is_told_as_late() {
    // Each answer takes 1.7 s, and the resolver waits 1 s: the first query's answer serves the second.
    let met = look_up("web.example.", resolv(&[1], &[]), &[(1, slow)], 5_000);
    let dns = lookup(&met[0]);
    assert_eq!(met[0].outcome, Outcome::Ok);
    assert!(met[0].took_ns > 1_650_000_000);
    assert_eq!(
        (dns.queries[0].latency_ns, dns.queries[0].late_ns.is_some()),
        (None, true)
    );
    // The second query's answer comes after the end, and the attempt is told again with it.
    let last = lookup(met.last().unwrap());
    assert!(met.len() > 1 && last.queries.iter().all(|query| query.rcode.is_some()));
}

#[test]
fn a_lookup_that_gave_up_still_sees_the_answer() {
    let once = ResolvConf {
        attempts: 1,
        ..resolv(&[1], &[])
    };
    let met = look_up("web.example.", once.clone(), &[(1, slow)], 5_000);
    let late = |attempt: &Attempt| {
        lookup(attempt)
            .queries
            .iter()
            .all(|query| query.late_ns > Some(1_650_000_000))
    };
    assert_eq!(met[0].outcome, Outcome::TimedOut { during: "read".into() });
    assert!(met[0].took_ns < 1_650_000_000, "as long as the resolver waited");
    assert!(late(&met[0]));

    // Out of time before the answers: they are told when they come.
    let met = look_up("web.example.", once, &[(1, slow)], 1_100);
    assert_eq!(met[0].outcome, Outcome::TimedOut { during: "read".into() });
    assert!(!late(&met[0]) && late(met.last().unwrap()));
}

#[test]
fn a_silent_server_is_followed_by_the_next() {
    let met = look_up("web.example.", resolv(&[2, 1], &[]), &[(1, zone), (2, silent)], 5_000);
    assert_eq!(met[0].outcome, Outcome::Ok);
    let servers: Vec<IpAddr> = lookup(&met[0]).queries.iter().map(|query| query.flow.dst()).collect();
    let server = |last| IpAddr::V4(Ipv4Addr::new(127, 0, 0, last));
    assert_eq!(servers, [server(2), server(2), server(1), server(1)]);
    assert!(met[0].took_ns > 1_000_000_000);
}

#[test]
fn a_broken_server_is_told_by_its_code() {
    let met = look_up("web.example.", resolv(&[1], &[]), &[(1, broken)], 5_000);
    assert_eq!(during(&met[0].outcome), ("lookup", "SERVFAIL"));
    assert_eq!(lookup(&met[0]).queries.len(), 4, "both types, both rounds");
}

#[test]
fn a_port_that_is_shut_is_told_at_once() {
    let met = look_up("web.example.", resolv(&[9], &[]), &[], 5_000);
    assert_eq!(during(&met[0].outcome), ("read", "ECONNREFUSED"));
    assert!(met[0].took_ns < 500_000_000);
    assert!(
        lookup(&met[0])
            .queries
            .iter()
            .any(|query| query.errno.as_ref().is_some_and(|errno| errno.name == "ECONNREFUSED"))
    );
    assert_eq!((met[0].icmp[0].kind, met[0].icmp[0].code), (3, 3));
}

#[test]
fn silence_everywhere_times_out() {
    let once = ResolvConf {
        attempts: 1,
        ..resolv(&[1], &["a.test"])
    };
    let met = look_up("web", once, &[(1, silent)], 1_500);
    assert_eq!(met[0].outcome, Outcome::TimedOut { during: "read".into() });
    assert!(met[0].took_ns >= 1_500_000_000);
}

#[test]
fn one_query_takes_any_answer() {
    let met = inside(&[(1, zone)], |helper, netns| {
        let query = |id, name: &str| {
            let send = Sending::DnsQuery {
                server: Ipv4Addr::LOCALHOST.into(),
                port: 53,
                name: name.into(),
                qtype: "A".into(),
            };
            talk::spec(id, netns, 2_000, send)
        };
        let planned = helper.plan(1, vec![query(1, "web.example"), query(2, "nope"), query(3, "a..b")]);
        let met = helper.go(1, 3);
        assert_eq!(planned[0].flow, met[0].flow);
        met
    });
    assert_eq!((&met[0].outcome, &met[1].outcome), (&Outcome::Ok, &Outcome::Ok));
    assert_eq!(lookup(&met[0]).found.as_deref(), Some("web.example"));
    assert_eq!(told(&lookup(&met[1]).queries), [("nope", "A", Some("NXDOMAIN"))]);
    assert!(matches!(met[2].outcome, Outcome::NotTried { .. }));
}

#[test]
fn an_address_needs_no_server() {
    let met = look_up("192.0.2.7", resolv(&[9], &[]), &[], 1_000);
    assert_eq!((&met[0].outcome, lookup(&met[0]).queries.len()), (&Outcome::Ok, 0));
}

/// A zone whose domain `wild.test` has each name at 192.0.2.66; `web.example` is there, too.
fn wildcard(query: &Message) -> Vec<(Duration, Message)> {
    let asked = &query.queries[0];
    if !asked.name.to_ascii().ends_with(".wild.test.") {
        return zone(query);
    }
    let mut message = reply(query, ResponseCode::NoError);
    if asked.query_type == RecordType::A {
        let data = RData::A(rdata::A(Ipv4Addr::new(192, 0, 2, 66)));
        message.add_answer(Record::from_rdata(asked.name.clone(), 60, data));
    }
    vec![(Duration::ZERO, message)]
}

#[test]
fn a_name_found_under_the_search_list_is_asked_for_as_it_is_beside_the_lookup() {
    let met = look_up("web.example", resolv(&[1], &["wild.test"]), &[(1, wildcard)], 5_000);
    assert_eq!(met[0].outcome, Outcome::Ok);
    let dns = lookup(&met[0]);
    assert_eq!(dns.found.as_deref(), Some("web.example.wild.test"));
    assert_eq!(dns.addresses, ["192.0.2.66".parse::<IpAddr>().unwrap()]);
    assert_eq!(dns.queries.len(), 2, "what is asked beside it is no part of it");
    let absolute = dns.absolute.as_ref().unwrap();
    assert_eq!(absolute.addresses, ["192.0.2.7".parse::<IpAddr>().unwrap()]);
    assert_eq!(
        told(&absolute.queries),
        [
            ("web.example", "A", Some("NOERROR")),
            ("web.example", "AAAA", Some("NOERROR")),
        ]
    );
    let met = look_up("web.nowhere", resolv(&[1], &["wild.test"]), &[(1, wildcard)], 5_000);
    assert_eq!(met[0].outcome, Outcome::Ok, "that it is nowhere else is no failure");
    assert!(lookup(&met[0]).absolute.as_ref().unwrap().addresses.is_empty());
}

#[test]
fn a_hosts_file_is_asked_in_its_turn() {
    let with_hosts = |before_dns: bool| ResolvConf {
        hosts: Some(HostsFile {
            path: "/etc/hosts".to_owned(),
            before_dns,
            entries: vec![
                HostsEntry {
                    address: "203.0.113.10".parse().unwrap(),
                    names: vec!["mail.partner.test".to_owned(), "Mail".to_owned()],
                },
                HostsEntry {
                    address: "203.0.113.11".parse().unwrap(),
                    names: vec!["web.example".to_owned()],
                },
            ],
        }),
        ..resolv(&[1], &["example"])
    };
    for (name, before_dns, address, queries) in [
        ("mail", true, "203.0.113.10", 0),
        ("mail.partner.test", false, "203.0.113.10", 4),
        ("web.example", true, "203.0.113.11", 0),
        ("web.example", false, "192.0.2.7", 4),
    ] {
        let met = look_up(name, with_hosts(before_dns), &[(1, zone)], 5_000);
        assert_eq!(met[0].outcome, Outcome::Ok, "{name}");
        let dns = lookup(&met[0]);
        assert_eq!(dns.addresses, [address.parse::<IpAddr>().unwrap()], "{name}");
        assert_eq!(dns.queries.len(), queries, "{name}, file first: {before_dns}");
        let from_file = !address.starts_with("192.");
        assert_eq!(dns.hosts_file.is_some(), from_file, "{name}");
    }
}
