//! Attempts over loopback and through a namespace of the test's own: what each kind meets, in the kernel's words.

#![allow(clippy::disallowed_methods, reason = "this is not the helper")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod talk;

use model::attempt::{Attempt, Exchange, Outcome, Sending};
use std::io::{Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use talk::{OwnNetns, RunningHelper, own_netns, spec, tcp};

const LO: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LO6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

fn error(attempt: &Attempt) -> (&str, &str) {
    match &attempt.outcome {
        Outcome::Error { during, errno } => (during, &errno.name),
        other => panic!("{other:?} is no error"),
    }
}

fn timed_out(during: &str) -> Outcome {
    Outcome::TimedOut { during: during.into() }
}

/// A port where nothing listens: it was ours a moment ago.
fn shut_port() -> u16 {
    TcpListener::bind((LO, 0)).unwrap().local_addr().unwrap().port()
}

/// Serves one connection after another with this.
fn serve(with: impl Fn(std::net::TcpStream) + Send + 'static) -> u16 {
    let listener = TcpListener::bind((LO, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            with(stream);
        }
    });
    port
}

#[test]
fn a_port_that_is_shut_refuses() {
    for to in [LO, LO6] {
        let met = RunningHelper::try_one(tcp(to, shut_port(), Exchange::None));
        assert_eq!(error(&met), ("connect", "ECONNREFUSED"));
        assert_eq!((met.kind.as_str(), met.connected_ns), ("tcp", None));
    }
}

#[test]
fn the_planned_tuple_is_the_one_used() {
    let listener = TcpListener::bind((LO, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut helper = RunningHelper::greeted();
    let planned = helper.plan(7, vec![spec(3, own_netns(), 2_000, tcp(LO, port, Exchange::None))]);
    let met = helper.go(7, 1).remove(0);
    let (_, peer) = listener.accept().unwrap();
    assert_eq!(
        (planned.len(), planned[0].attempt, planned[0].netns),
        (1, 3, own_netns())
    );
    assert_eq!(planned[0].flow, met.flow);
    assert_eq!((met.flow.sport, met.flow.src()), (peer.port(), LO));
}

#[test]
fn a_connection_is_held_and_closed_with_fin() {
    let listener = TcpListener::bind((LO, 0)).unwrap();
    let met = RunningHelper::try_one(tcp(LO, listener.local_addr().unwrap().port(), Exchange::None));
    assert_eq!(met.outcome, Outcome::Ok);
    assert!(met.connected_ns > Some(100), "a handshake takes time on loopback too");
    assert!(met.took_ns >= 100_000_000 && !met.closed_by_peer);
    assert!(met.tcp.is_some_and(|tcp| tcp.snd_mss > 0));
    let (mut stream, _) = listener.accept().unwrap();
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0, "a FIN, not a reset");
}

#[test]
fn a_peer_that_speaks_or_closes_is_noticed() {
    let port = serve(|mut stream| stream.write_all(b"220 ready\r\n").unwrap());
    let met = RunningHelper::try_one(tcp(LO, port, Exchange::None));
    assert_eq!(
        (met.outcome, met.received_bytes, met.closed_by_peer),
        (Outcome::Ok, 11, true)
    );
    assert!(met.first_answer_ns.is_some());
}

#[test]
fn text_is_sent_and_its_answer_read() {
    let port = serve(|mut stream| {
        let mut text = [0; 5];
        stream.read_exact(&mut text).unwrap();
        stream.write_all(&text).unwrap();
        // Like an echo server, it does not close first.
        let _ = stream.read(&mut text);
    });
    let met = RunningHelper::try_one(tcp(LO, port, Exchange::Text(b"hello".to_vec())));
    assert_eq!((met.outcome, met.sent_bytes, met.received_bytes), (Outcome::Ok, 5, 5));
    assert_eq!(met.acknowledged_bytes, Some(5));
}

#[test]
fn http_is_read_to_the_end_of_its_answer() {
    let port = serve(|mut stream| {
        let mut request = vec![0; 4096];
        let bytes = stream.read(&mut request).unwrap();
        assert!(request[..bytes].starts_with(b"GET /x HTTP/1.1\r\nHost: web\r\n"));
        let body = vec![b'x'; 300_000];
        stream
            .write_all(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes())
            .unwrap();
        stream.write_all(&body).unwrap();
        let _ = stream.read(&mut request);
    });
    let met = RunningHelper::try_one(tcp(
        LO,
        port,
        Exchange::Http {
            path: "/x".into(),
            host: "web".into(),
        },
    ));
    assert_eq!(
        (met.outcome, met.http_status.as_deref()),
        (Outcome::Ok, Some("HTTP/1.1 200 OK"))
    );
    assert!(met.received_bytes > 300_000);
}

#[test]
fn bytes_are_sent_until_they_are_acknowledged() {
    let port = serve(|mut stream| {
        let _ = std::io::copy(&mut stream, &mut std::io::sink());
    });
    let met = RunningHelper::try_one(tcp(LO, port, Exchange::Bytes(3_000_000)));
    assert_eq!((met.outcome, met.sent_bytes), (Outcome::Ok, 3_000_000));
    assert_eq!(met.acknowledged_bytes, Some(3_000_000));
}

#[test]
fn a_reader_that_stalls_stops_the_sender() {
    let listener = TcpListener::bind((LO, 0)).unwrap();
    let met = RunningHelper::try_for(
        tcp(LO, listener.local_addr().unwrap().port(), Exchange::Bytes(50_000_000)),
        400,
    );
    assert_eq!(met.outcome, timed_out("send"));
    assert!(met.sent_bytes > 0 && met.acknowledged_bytes < Some(met.sent_bytes));
}

#[test]
fn a_server_that_never_answers_times_out_in_read() {
    let listener = TcpListener::bind((LO, 0)).unwrap();
    let met = RunningHelper::try_for(
        tcp(LO, listener.local_addr().unwrap().port(), Exchange::Text(b"x".to_vec())),
        300,
    );
    assert_eq!((met.outcome, met.acknowledged_bytes), (timed_out("read"), Some(1)));
}

#[test]
fn a_reset_is_told_as_one() {
    // Closed with data unread: the kernel sends RST.
    let port = serve(|stream| {
        stream.peek(&mut [0; 1]).unwrap();
    });
    let met = RunningHelper::try_one(tcp(LO, port, Exchange::Text(b"GET /".to_vec())));
    assert_eq!(error(&met), ("read", "ECONNRESET"));
    assert!(met.connected_ns.is_some());
}

#[test]
fn no_route_is_said_at_once() {
    let namespace = OwnNetns::new("noroute");
    let met = RunningHelper::try_from_netns(
        namespace.inode(),
        tcp("192.0.2.9".parse().unwrap(), 80, Exchange::None),
        2_000,
    );
    assert_eq!(error(&met), ("connect", "ENETUNREACH"));
}

#[test]
fn what_is_dropped_times_out_in_connect() {
    let namespace = OwnNetns::new("drop");
    namespace.run("ip link add quiet type veth peer name far && ip link set far up && ip link set quiet up && ip addr add 192.0.2.1/24 dev quiet");
    namespace.run("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev quiet");
    let met = RunningHelper::try_from_netns(
        namespace.inode(),
        tcp("192.0.2.9".parse().unwrap(), 80, Exchange::None),
        300,
    );
    assert_eq!(met.outcome, timed_out("connect"));
    assert_eq!(met.flow.src(), "192.0.2.1".parse::<IpAddr>().unwrap());
}

#[test]
fn with_no_port_left_the_kernel_says_so() {
    let namespace = OwnNetns::new("ports");
    namespace.run("echo '40000 40001' > /proc/sys/net/ipv4/ip_local_port_range");
    let mut helper = RunningHelper::greeted();
    let mut attempts: Vec<_> = (1..=3)
        .map(|id| spec(id, namespace.inode(), 500, tcp(LO, 80, Exchange::None)))
        .collect();
    attempts[2].start_ms = 50;
    let _server = namespace.spawn("exec python3 -c 'import socket,time
s=socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); s.bind((\"127.0.0.1\",80)); s.listen(); print(\"ready\", flush=True); time.sleep(60)'");
    helper.plan(1, attempts);
    let met = helper.go(1, 3);
    assert_eq!(error(&met[2]), ("connect", "EADDRNOTAVAIL"), "{met:?}");
}

#[test]
fn a_datagram_is_answered_refused_or_only_sent() {
    let server = UdpSocket::bind((LO, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    let send = |port| Sending::Udp {
        to: LO,
        port,
        payload: b"ping".to_vec(),
    };
    std::thread::spawn(move || {
        let mut buffer = [0; 16];
        let (bytes, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..bytes], from).unwrap();
        // Kept, but silent.
        let _ = server.recv_from(&mut buffer);
        let _ = server.recv_from(&mut buffer);
    });
    let met = RunningHelper::try_one(send(port));
    assert_eq!((met.outcome, met.sent_bytes, met.received_bytes), (Outcome::Ok, 4, 4));
    let met = RunningHelper::try_for(send(port), 200);
    assert_eq!((met.outcome, met.first_answer_ns), (Outcome::Ok, None));
    let met = RunningHelper::try_one(send(shut_port()));
    assert_eq!(error(&met), ("read", "ECONNREFUSED"));
    assert_eq!((met.icmp[0].kind, met.icmp[0].code, met.icmp[0].from), (3, 3, Some(LO)));
}

fn echo(to: IpAddr, count: u32, packet_bytes: Option<u32>) -> Sending {
    Sending::Echo {
        to,
        count,
        interval_ms: 5,
        packet_bytes,
        dont_fragment: packet_bytes.is_some(),
    }
}

#[test]
fn echoes_come_back_in_order() {
    for to in [LO, LO6] {
        let met = RunningHelper::try_one(echo(to, 20, None));
        let train = met.echo.unwrap();
        assert_eq!((met.outcome, met.kind.as_str()), (Outcome::Ok, "echo"));
        assert_eq!(train.order, (0..20).collect::<Vec<u16>>());
        assert!(train.rtt_ns.len() == 20);
        assert!(
            train.rtt_ns.iter().all(|rtt| rtt.is_some_and(|rtt| rtt > 100)),
            "{:?}",
            train.rtt_ns
        );
        assert_eq!(train.packet_bytes, if to.is_ipv4() { 84 } else { 104 });
    }
}

#[test]
fn full_size_is_the_mtu_of_the_route_and_too_big_is_said() {
    let namespace = OwnNetns::new("mtu");
    namespace
        .run("ip link add wide mtu 1400 type veth peer name far mtu 1400 && ip link set far up && ip link set wide up && ip addr add 192.0.2.1/24 dev wide");
    let met = RunningHelper::try_from_netns(namespace.inode(), echo("192.0.2.1".parse().unwrap(), 2, Some(0)), 500);
    assert_eq!(met.kind, "echo-full-size");
    assert_eq!(met.echo.unwrap().packet_bytes, 65_535, "to oneself the way is loopback");
    let far: IpAddr = "192.0.2.9".parse().unwrap();
    namespace.run("ip neigh add 192.0.2.9 lladdr 02:00:00:00:00:09 dev wide");
    let met = RunningHelper::try_from_netns(namespace.inode(), echo(far, 2, Some(0)), 300);
    assert_eq!((met.outcome, met.echo.unwrap().packet_bytes), (timed_out("read"), 1400));
    let met = RunningHelper::try_from_netns(namespace.inode(), echo(far, 2, Some(1401)), 300);
    assert_eq!(error(&met), ("send", "EMSGSIZE"));
    namespace.run("ip route add 192.0.2.9 dev wide mtu 1300");
    let met = RunningHelper::try_from_netns(namespace.inode(), echo(far, 2, Some(0)), 300);
    assert_eq!(
        (met.outcome, met.echo.unwrap().packet_bytes),
        (timed_out("read"), 1300),
        "a route may take less than its interface"
    );
}

#[test]
fn an_unreachable_host_is_told_by_icmp() {
    let namespace = OwnNetns::new("unreach");
    namespace.run("ip link set lo up && ip route add unreachable 192.0.2.0/24");
    let met = RunningHelper::try_from_netns(namespace.inode(), echo("192.0.2.9".parse().unwrap(), 2, None), 500);
    assert_eq!(error(&met), ("connect", "EHOSTUNREACH"));
}

#[test]
fn what_is_unfinished_when_the_window_closes_is_cancelled() {
    let listener = TcpListener::bind((LO, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    let mut helper = RunningHelper::greeted();
    let mut later = spec(2, own_netns(), 5_000, tcp(LO, port, Exchange::None));
    later.start_ms = 60_000;
    let silent = spec(1, own_netns(), 60_000, tcp(LO, port, Exchange::Text(b"x".to_vec())));
    helper.plan(1, vec![silent, later]);
    helper.go(1, 0);
    let (_stream, _) = listener.accept().unwrap();
    helper.say(model::protocol::Request::Stop { id: 1 });
    let mut cancelled = [helper.attempt(), helper.attempt()];
    cancelled.sort_by_key(|attempt| attempt.id);
    assert!(cancelled.iter().all(|attempt| attempt.outcome == Outcome::Cancelled));
    assert!(cancelled[0].connected_ns.is_some() && cancelled[1].connected_ns.is_none());
    assert!(matches!(helper.hear(), model::protocol::Reply::Stopped { id: 1, .. }));
}

#[test]
fn a_namespace_that_is_gone_is_said_at_plan_and_at_go() {
    let mut helper = RunningHelper::greeted();
    helper.say(model::protocol::Request::Plan {
        id: 1,
        attempts: vec![spec(4, 1, 100, tcp(LO, 80, Exchange::None))],
    });
    let model::protocol::Reply::Planned { flows, missing, .. } = helper.hear() else {
        panic!("no plan")
    };
    assert!(flows.is_empty() && missing.len() == 1);
    let met = helper.go(1, 1).remove(0);
    assert_eq!(met.id, 4);
    assert!(matches!(met.outcome, Outcome::NotTried { .. }));
}

#[test]
fn nothing_is_left_of_a_session_that_hangs_up() {
    let listener = TcpListener::bind((LO, 0)).unwrap();
    let mut helper = RunningHelper::greeted();
    let port = listener.local_addr().unwrap().port();
    helper.plan(
        1,
        vec![spec(
            1,
            own_netns(),
            60_000,
            tcp(LO, port, Exchange::Text(b"x".to_vec())),
        )],
    );
    helper.go(1, 0);
    let (mut stream, _) = listener.accept().unwrap();
    helper.hang_up();
    assert_eq!(helper.end().code(), Some(0));
    // The worker's socket is closed, so the worker is gone.
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert_eq!(rest, b"x");
}

#[test]
fn a_process_as_source_sends_from_its_namespace_and_cgroup() {
    let namespace = OwnNetns::new("pid");
    namespace.run("ip link set lo up");
    let source = namespace.spawn("echo ready; exec sleep 60");
    let mut helper = RunningHelper::greeted();
    let mut attempt = spec(1, namespace.inode(), 1_000, echo(LO, 2, None));
    attempt.pid = Some(source.0.id());
    let planned = helper.plan(1, vec![attempt]);
    assert_eq!(planned[0].netns, namespace.inode());
    assert_eq!(helper.go(1, 1)[0].outcome, Outcome::Ok);
}

#[test]
fn packets_leave_from_the_cgroup_of_their_source() {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let Some(mount) = mounts
        .lines()
        .filter_map(|line| line.split_once(" cgroup2 "))
        .find_map(|(before, _)| before.split(' ').nth(1))
    else {
        return;
    };
    let folder = Cgroup(format!("{mount}/attempt-{}", std::process::id()).into());
    std::fs::create_dir(&folder.0).unwrap();
    let namespace = OwnNetns::new("cgroup");
    let source = namespace.spawn("echo ready; exec sleep 60");
    std::fs::write(folder.0.join("cgroup.procs"), source.0.id().to_string()).unwrap();
    let mut helper = RunningHelper::greeted();
    let mut attempt = spec(1, namespace.inode(), 1_000, echo(LO, 1, None));
    attempt.pid = Some(source.0.id());
    helper.plan(1, vec![attempt]);
    let members = std::fs::read_to_string(folder.0.join("cgroup.procs")).unwrap();
    assert_eq!(
        members.lines().count(),
        2,
        "the source and the process that sends for it: {members}"
    );
}

/// A cgroup of this test; removed when it is empty, which takes the kernel a moment after its last process.
struct Cgroup(std::path::PathBuf);

impl Drop for Cgroup {
    fn drop(&mut self) {
        for _ in 0..1_000 {
            if std::fs::remove_dir(&self.0).is_ok() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
    }
}
