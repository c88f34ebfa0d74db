//! Each probe against real packets, in namespaces of its own. Needs root.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bed;

use bed::NetnsBed;
use model::attempt::WatchedFlow;
use model::event::{Event, Seen, TcpState};
use model::flow::{Flow, TCP, UDP};
use model::protocol::Filter;
use model::word::Hook;
use node_helper::capture::armed::{Armed, CaptureSummary, arm};
use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// How long something may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

/// Arms, acts, waits until all of `expected` were seen, and stops.
fn watch(
    probes: &[&str],
    filter: &Filter,
    act: impl FnOnce(&Armed),
    expected: &[&dyn Fn(&Event) -> bool],
) -> (Vec<Event>, CaptureSummary) {
    let (sender, events) = mpsc::channel();
    let names: Vec<String> = probes.iter().map(|name| (*name).to_owned()).collect();
    let armed = arm(&names, filter, Box::new(move |event| drop(sender.send(event)))).unwrap();
    for status in armed.probes() {
        assert_eq!(status.unsupported, None);
    }
    act(&armed);
    let end = Instant::now() + PATIENCE;
    let mut seen: Vec<Event> = Vec::new();
    while !expected.iter().all(|is| seen.iter().any(is)) {
        match events.recv_timeout(end.saturating_duration_since(Instant::now())) {
            Ok(event) => seen.push(event),
            Err(mpsc::RecvTimeoutError::Timeout | mpsc::RecvTimeoutError::Disconnected) => {
                panic!("not all was seen: {seen:#?}")
            }
        }
    }
    let summary = armed.stop();
    seen.extend(events.try_iter());
    (seen, summary)
}

fn to(address: &str) -> SocketAddr {
    address.parse().unwrap()
}

#[test]
fn a_drop_tells_reason_function_and_place() {
    let lab = NetnsBed::new(&["a"], &[]);
    let dropped = |event: &Event| {
        matches!(&event.seen, Seen::Drop { reason, location, .. }
            if reason == "NO_SOCKET" && location.as_deref() == Some("__udp4_lib_rcv"))
    };
    let (events, _) = watch(
        &["drop"],
        &lab.filter(),
        |_| {
            lab.inside("a", || {
                UdpSocket::bind("127.0.0.1:0")
                    .unwrap()
                    .send_to(b"x", to("127.0.0.1:9"))
                    .unwrap();
            });
        },
        &[&dropped],
    );
    let event = events.iter().find(|event| dropped(event)).unwrap();
    assert_eq!(event.netns, lab.namespace("a").inode);
    assert_eq!(event.interface.as_deref(), Some("lo"));
    assert_eq!(event.flow.dport, 9);
    assert_eq!(event.packet.unwrap().len, 29);
}

#[test]
fn a_refused_connection_shows_the_reset_sent_and_received() {
    let lab = NetnsBed::routed();
    let (a, c) = (lab.namespace("a").inode, lab.namespace("c").inode);
    watch(
        &["tcpreset"],
        &lab.filter(),
        |_| {
            let refused = lab.inside("a", || TcpStream::connect(to("10.77.2.2:81")));
            assert_eq!(refused.unwrap_err().kind(), std::io::ErrorKind::ConnectionRefused);
        },
        &[
            &|event| {
                event.netns == c
                    && event.flow.sport == 81
                    && matches!(&event.seen, Seen::ResetSent { reason: Some(reason), active: false, .. } if reason == "NO_SOCKET")
            },
            &|event| {
                event.netns == a
                    && event.flow.sport == 81
                    && event.seen
                        == Seen::ResetReceived {
                            state: TcpState::SynSent,
                        }
            },
        ],
    );
}

#[test]
fn an_unanswered_connect_is_sent_again_and_its_states_are_told() {
    let lab = NetnsBed::routed();
    // Nobody hears an address that does not exist.
    lab.run("a", "ip neigh add 10.77.1.99 lladdr 02:00:00:00:00:99 dev eth0");
    let started = |event: &Event| {
        matches!(
            event.seen,
            Seen::StateChange {
                old: TcpState::Close,
                new: TcpState::SynSent,
                ..
            }
        ) && event.pid != 0
    };
    let again = |event: &Event| {
        event.seen
            == Seen::Retransmit {
                state: TcpState::SynSent,
                errno: 0,
            }
    };
    watch(
        &["tcpretrans", "tcpstate"],
        &lab.filter(),
        |_| {
            let timed_out = lab.inside("a", || {
                TcpStream::connect_timeout(&to("10.77.1.99:80"), Duration::from_millis(1500))
            });
            assert!(timed_out.is_err());
        },
        &[&started, &again],
    );
}

#[test]
fn a_neighbour_that_does_not_answer_is_named_after_the_first_solicitation() {
    let lab = NetnsBed::routed();
    watch(
        &["neigh"],
        &lab.filter(),
        |_| {
            lab.inside("a", || {
                UdpSocket::bind("0.0.0.0:0")
                    .unwrap()
                    .send_to(b"x", to("10.77.1.77:9"))
                    .unwrap();
            });
        },
        &[&|event| {
            event.flow.dst() == Ipv4Addr::new(10, 77, 1, 77)
                && event.interface.as_deref() == Some("eth0")
                && matches!(event.seen, Seen::NeighbourFailed { state: 1, probes: 1 })
        }],
    );
}

#[test]
fn a_socket_learns_that_a_port_is_shut_and_who_said_so() {
    let lab = NetnsBed::routed();
    let (a, c) = (lab.namespace("a").inode, lab.namespace("c").inode);
    watch(
        &["icmp"],
        &lab.filter(),
        |_| {
            lab.inside("a", || {
                let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
                socket.connect("10.77.2.2:9").unwrap();
                socket.send(b"x").unwrap();
                // Waits for the error.
                socket.recv(&mut [0; 8]).unwrap_err();
            });
        },
        &[
            &|event| event.netns == c && matches!(event.seen, Seen::IcmpSent { kind: 3, code: 3, .. }),
            &|event| {
                event.netns == a
                    && matches!(
                        event.seen,
                        Seen::SocketError {
                            errno: 111,
                            soft: false
                        }
                    )
            },
        ],
    );
}

#[test]
fn a_query_without_an_answer_is_told_at_the_end() {
    let lab = NetnsBed::routed();
    let a = lab.namespace("a").inode;
    let query = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x03api\x07example\x00\x00\x1c\x00\x01";
    let (events, summary) = watch(
        &["dns"],
        &lab.filter(),
        |_| {
            lab.inside("a", || {
                UdpSocket::bind("0.0.0.0:0")
                    .unwrap()
                    .send_to(query, to("10.77.2.2:53"))
                    .unwrap();
            });
        },
        &[&|event| {
            event.netns == a
                && matches!(&event.seen, Seen::DnsQuery { id: 0x1234, name, qtype } if name == "api.example" && qtype == "AAAA")
        }],
    );
    assert!(
        events
            .iter()
            .any(|event| event.netns == a && matches!(event.seen, Seen::DnsUnanswered { id: 0x1234, .. })),
        "{events:#?}"
    );
    let total = summary.totals.iter().find(|total| total.what == "dns-query").unwrap();
    assert_eq!(
        (total.netns, total.count),
        (a, 1),
        "it is counted where it was sent, once"
    );
}

/// A connection from a to a service address that the router translates both ways.
#[test]
fn a_trail_leads_through_both_translations_and_back() {
    const PORT: u16 = 41_733;
    let lab = NetnsBed::routed();
    for rule in [
        "nft add table ip t",
        "nft add chain ip t pre { type nat hook prerouting priority -100 ; }",
        "nft add chain ip t post { type nat hook postrouting priority 100 ; }",
        "nft add rule ip t pre ip daddr 10.96.0.10 tcp dport 80 dnat to 10.77.2.2:8080",
        "nft add rule ip t post oifname rc masquerade random",
    ] {
        lab.run("r", rule);
    }
    let (a, r, c) = (
        lab.namespace("a").inode,
        lab.namespace("r").inode,
        lab.namespace("c").inode,
    );
    let listener = lab.inside("c", || TcpListener::bind("0.0.0.0:8080").unwrap());
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut question = [0; 4];
        stream.read_exact(&mut question).unwrap();
        stream.write_all(b"pong").unwrap();
    });
    let mut filter = lab.filter();
    filter.flows.push(WatchedFlow {
        attempt: 7,
        netns: a,
        flow: Flow::new(TCP, to(&format!("10.77.1.2:{PORT}")), to("10.96.0.10:80")),
    });
    let hop = |event: &Event, netns: u32, hook: Hook, forth: bool| {
        event.attempt == Some(7)
            && event.netns == netns
            && matches!(event.seen, Seen::Hop { hook: met, .. } if met == hook)
            && (event.flow.sport == 8080 || event.flow.sport == 80) != forth
    };
    let (events, summary) = watch(
        &["path"],
        &filter,
        |_| {
            lab.inside("a", || {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                socket.bind(&to(&format!("10.77.1.2:{PORT}")).into()).unwrap();
                socket.connect(&to("10.96.0.10:80").into()).unwrap();
                let mut stream = TcpStream::from(socket);
                stream.write_all(b"ping").unwrap();
                let mut answer = [0; 4];
                stream.read_exact(&mut answer).unwrap();
            });
        },
        &[
            &|event| hop(event, a, Hook::Queue, true),
            &|event| hop(event, r, Hook::Receive, true),
            &|event| hop(event, c, Hook::Receive, true),
            &|event| hop(event, c, Hook::Delivered, true) && event.pid == std::process::id(),
            &|event| hop(event, c, Hook::Queue, false),
            &|event| hop(event, a, Hook::Receive, false),
            &|event| hop(event, a, Hook::Delivered, false),
        ],
    );
    server.join().unwrap();
    let learned: Vec<&Event> = events
        .iter()
        .filter(|event| matches!(event.seen, Seen::Hop { learned: true, .. }))
        .collect();
    assert!(!learned.is_empty(), "the translation is learned where it is first seen");
    assert!(learned.iter().all(|event| event.netns == r), "{learned:#?}");
    let first = learned[0].flow;
    assert_eq!((first.dst(), first.dport), (Ipv4Addr::new(10, 77, 2, 2).into(), 8080));
    assert_ne!(first.sport, PORT, "the source port was translated too");
    assert_eq!(summary.lost.iter().map(|lost| lost.of_watched).sum::<u64>(), 0);
}

#[test]
fn a_packet_that_a_queue_holds_back_is_met_before_and_behind_it() {
    let lab = NetnsBed::routed();
    // The first datagram uses the burst up, and the second waits for more than a tenth of a second.
    lab.run("a", "tc qdisc add dev eth0 root tbf rate 80kbit burst 1600 limit 20000");
    let a = lab.namespace("a").inode;
    let (short, long) = ([1; 1200], [2; 1400]);
    let flow = Flow::new(UDP, to("10.77.1.2:41734"), to("10.77.2.2:9"));
    let mut filter = lab.filter();
    filter.flows.push(WatchedFlow {
        attempt: 7,
        netns: a,
        flow,
    });
    let second = |event: &Event, wanted: Hook| {
        let is_long = event.packet.is_some_and(|packet| packet.len == 1428);
        let met = matches!(event.seen, Seen::Hop { hook, .. } if hook == wanted);
        met && is_long && event.netns == a && event.flow == flow
    };
    let (events, _) = watch(
        &["path", "transmit"],
        &filter,
        |_| {
            lab.inside("a", || {
                let socket = UdpSocket::bind("10.77.1.2:41734").unwrap();
                socket.send_to(&short, to("10.77.2.2:9")).unwrap();
                socket.send_to(&long, to("10.77.2.2:9")).unwrap();
            });
        },
        &[&|event| second(event, Hook::Queue), &|event| {
            second(event, Hook::Transmit)
        }],
    );
    let at_ns = |hook: Hook| events.iter().find(|event| second(event, hook)).unwrap().at_ns;
    let waited = Duration::from_nanos(at_ns(Hook::Transmit) - at_ns(Hook::Queue));
    assert!(waited > Duration::from_millis(50), "{waited:?}");
}

/// What a firewall on the way drops is told of those who live in the namespaces asked for, and of nobody else.
#[test]
fn packets_of_residents_are_met_in_every_namespace() {
    let lab = NetnsBed::routed();
    for rule in [
        "nft add table ip t",
        "nft add chain ip t forward { type filter hook forward priority 0 ; }",
        "nft add rule ip t forward udp dport 9 drop",
    ] {
        lab.run("r", rule);
    }
    let filter = Filter {
        netns: vec![lab.namespace("a").inode],
        residents: vec!["10.77.1.2".parse().unwrap()],
        ..Filter::default()
    };
    let send = |name: &str, from: &str, dst: &str| {
        lab.inside(name, || {
            let socket = UdpSocket::bind(format!("{from}:0")).unwrap();
            socket.send_to(b"x", to(dst)).unwrap();
        });
    };
    let router = lab.namespace("r").inode;
    let dropped = |event: &Event| event.netns == router && matches!(event.seen, Seen::Drop { .. });
    let (events, _) = watch(
        &["drop"],
        &filter,
        |_| {
            send("c", "10.77.2.2", "10.77.2.1:9");
            send("a", "10.77.1.2", "10.77.2.2:9");
        },
        &[&dropped],
    );
    let flows: Vec<String> = events
        .iter()
        .map(|event| format!("{} {:?}", event.flow, event.seen))
        .collect();
    let asked_for = |event: &Event| event.netns == filter.netns[0] || event.flow.src() == filter.residents[0];
    assert!(events.iter().all(asked_for), "{flows:#?}");
}

/// Two labs on one machine have the same addresses; only one of them is watched.
#[test]
fn the_same_tuple_in_another_namespace_is_another_flow() {
    const PORT: u16 = 41_735;
    let (ours, other) = (NetnsBed::routed(), NetnsBed::routed());
    let a = ours.namespace("a").inode;
    let filter = Filter {
        netns: vec![1],
        flows: vec![WatchedFlow {
            attempt: 5,
            netns: a,
            flow: Flow::new(UDP, to(&format!("10.77.1.2:{PORT}")), to("10.77.2.2:9")),
        }],
        ..Filter::default()
    };
    let send = |lab: &NetnsBed| {
        lab.inside("a", || {
            let socket = UdpSocket::bind(format!("10.77.1.2:{PORT}")).unwrap();
            socket.send_to(b"x", to("10.77.2.2:9")).unwrap();
        });
    };
    let far = |lab: &NetnsBed| lab.namespace("c").inode;
    let (events, _) = watch(
        &["path", "drop"],
        &filter,
        |_| {
            send(&other);
            send(&ours);
        },
        &[&|event| event.attempt == Some(5) && event.netns == far(&ours) && matches!(event.seen, Seen::Drop { .. })],
    );
    let strangers: Vec<&Event> = events.iter().filter(|event| event.netns == far(&other)).collect();
    assert!(strangers.is_empty(), "{strangers:#?}");
}

/// The drop has no hop of its own before it: translated in PREROUTING, dropped in FORWARD.
#[test]
fn a_drop_behind_a_translation_belongs_to_the_watched_flow() {
    const PORT: u16 = 41_734;
    let lab = NetnsBed::routed();
    for rule in [
        "nft add table ip t",
        "nft add chain ip t pre { type nat hook prerouting priority -100 ; }",
        "nft add chain ip t forward { type filter hook forward priority 0 ; }",
        "nft add rule ip t pre ip daddr 10.96.0.10 tcp dport 80 dnat to 10.77.2.2:8080",
        "nft add rule ip t forward tcp dport 8080 drop",
    ] {
        lab.run("r", rule);
    }
    let (a, r) = (lab.namespace("a").inode, lab.namespace("r").inode);
    // Another namespace alone passes the filter: what is watched passes for itself.
    let filter = Filter {
        netns: vec![1],
        flows: vec![WatchedFlow {
            attempt: 3,
            netns: a,
            flow: Flow::new(TCP, to(&format!("10.77.1.2:{PORT}")), to("10.96.0.10:80")),
        }],
        ..Filter::default()
    };
    watch(
        &["path", "drop"],
        &filter,
        |_| {
            lab.inside("a", || {
                let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
                socket.bind(&to(&format!("10.77.1.2:{PORT}")).into()).unwrap();
                let _ = socket.connect_timeout(&to("10.96.0.10:80").into(), Duration::from_millis(100));
            });
        },
        &[&|event| {
            event.attempt == Some(3)
                && event.netns == r
                && event.flow.dport == 8080
                && matches!(&event.seen, Seen::Drop { reason, .. } if reason == "NETFILTER_DROP")
        }],
    );
}

#[test]
fn totals_stay_exact_when_single_events_are_thinned() {
    const PACKETS: u64 = 500;
    let lab = NetnsBed::new(&["a"], &[]);
    let filter = Filter {
        events_per_second: 1,
        ..lab.filter()
    };
    let (events, summary) = watch(
        &["drop"],
        &filter,
        |_| {
            lab.inside("a", || {
                let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
                for _ in 0..PACKETS {
                    socket.send_to(b"x", to("127.0.0.1:9")).unwrap();
                }
            });
        },
        &[&|event| event.flow.dport == 9],
    );
    let to_nine: u64 = summary
        .totals
        .iter()
        .filter(|total| total.labels.get("dport").is_some_and(|port| port == "9"))
        .map(|total| total.count)
        .sum();
    assert_eq!(to_nine, PACKETS);
    let thinned: u64 = summary.lost.iter().map(|lost| lost.over_budget).sum();
    assert!(
        thinned > 0 && (events.len() as u64) < PACKETS,
        "{thinned} thinned, {} told",
        events.len()
    );
}

#[test]
fn what_finds_no_room_in_the_ring_is_counted() {
    const PACKETS: u64 = 10_000;
    let lab = NetnsBed::new(&["a"], &[]);
    let filter = Filter {
        events_per_second: 10_000_000,
        ..lab.filter()
    };
    // The sink stands still until all is sent.
    let (go, gate) = mpsc::channel::<()>();
    let mut told = 0u64;
    let (sender, counted) = mpsc::channel();
    let sink = move |_event| {
        if told == 0 {
            let _ = gate.recv();
        }
        told += 1;
        let _ = sender.send(told);
    };
    let armed = arm(&["drop".to_owned()], &filter, Box::new(sink)).unwrap();
    lab.inside("a", || {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..PACKETS {
            socket.send_to(b"x", to("127.0.0.1:9")).unwrap();
        }
    });
    go.send(()).unwrap();
    let summary = armed.stop();
    let told = counted.try_iter().last().unwrap();
    let full: u64 = summary.lost.iter().map(|lost| lost.ring_full).sum();
    assert!(full > 0, "{told} told");
    assert!(told + full >= PACKETS, "{told} told and {full} lost of {PACKETS}");
    let cost = summary.bpf.unwrap();
    assert!(cost.runs > 0 && cost.measured_ns <= cost.armed_ns, "{cost:?}");
}

#[test]
fn an_unknown_probe_is_an_error_that_names_the_nearest() {
    let error = arm(&["tcpresets".to_owned()], &Filter::default(), Box::new(|_| {})).unwrap_err();
    assert!(error.to_string().contains("did you mean `tcpreset`?"), "{error}");
}
