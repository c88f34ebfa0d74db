//! How long data waits in sockets, against programs that read when the test says so. Needs root.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bed;
mod counted;
mod holder;

use bed::NetnsBed;
use counted::{Counted, SLACK_NS, Waited, assert_waits, now_ns, timed, until_ns};
use holder::Holder;
use model::event::Seen;
use model::histogram::Measure;
use model::protocol::Filter;
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::process::{Command, Stdio};

fn count(lab: &NetnsBed) -> Counted {
    counted::count("socketlatency", &lab.filter())
}

/// A client in `a`, and what it is connected to in `c`.
fn connected(lab: &NetnsBed) -> (TcpStream, TcpStream) {
    let listener = lab.inside("c", || TcpListener::bind("10.77.2.2:80")).unwrap();
    let client = lab.inside("a", || TcpStream::connect("10.77.2.2:80")).unwrap();
    client.set_nodelay(true).unwrap();
    let (server, _) = listener.accept().unwrap();
    (client, server)
}

const SERVER: &str = "10.77.2.2:53";

fn datagrams(lab: &NetnsBed) -> (UdpSocket, UdpSocket) {
    let server = lab.inside("c", || UdpSocket::bind(SERVER)).unwrap();
    let client = lab.inside("a", || UdpSocket::bind("10.77.1.2:0")).unwrap();
    (client, server)
}

const SLOW_NS: u64 = 200_000_000;

#[test]
fn a_program_that_reads_200_ms_late_is_measured_each_time_and_its_end_is_no_data() {
    let lab = NetnsBed::routed();
    // Open before the start, and with data that nobody has read.
    let (mut client, mut server) = connected(&lab);
    client.write_all(b"early").unwrap();
    let counted = count(&lab);
    let mut buffer = [0; 64];
    server.read_exact(&mut buffer[..5]).unwrap();
    let mut waits = Vec::new();
    for _ in 0..5 {
        let (sent, ()) = timed(|| client.write_all(b"ask").unwrap());
        // More comes meanwhile, and the program looks and takes nothing; what waits longest counts.
        until_ns(sent.1 + SLOW_NS / 2);
        client.write_all(b"more").unwrap();
        server.peek(&mut buffer).unwrap();
        until_ns(sent.1 + SLOW_NS);
        let (read, ()) = timed(|| server.read_exact(&mut buffer[..2]).unwrap());
        // The rest of the same data is no further wait.
        server.read_exact(&mut buffer[..5]).unwrap();
        waits.push(Waited { sent, read });
    }
    drop(client);
    assert_eq!(server.read(&mut buffer).unwrap(), 0);
    drop(server);
    assert_waits(&counted.of(&lab, "c", Measure::ReadTcp), &waits);
    assert_eq!(counted.of(&lab, "a", Measure::ReadTcp), []);
}

#[test]
fn a_program_that_waits_for_data_reads_it_at_once_however_long_the_connection_was_idle() {
    let lab = NetnsBed::routed();
    let (mut client, mut server) = connected(&lab);
    let counted = count(&lab);
    let mut buffer = [0; 64];
    server.set_nonblocking(true).unwrap();
    for _ in 0..10 {
        let nothing = server.read(&mut buffer).unwrap_err();
        assert_eq!(nothing.kind(), std::io::ErrorKind::WouldBlock);
    }
    server.set_nonblocking(false).unwrap();
    let (asked, answered) = std::thread::scope(|scope| {
        let server = scope.spawn(move || {
            let mut buffer = [0; 64];
            let mut reads = Vec::new();
            while let (read, length @ 1..) = timed(|| server.read(&mut buffer).unwrap()) {
                let (sent, ()) = timed(|| server.write_all(&buffer[..length]).unwrap());
                reads.push((read, sent));
            }
            reads
        });
        let mut there = Vec::new();
        for _ in 0..10 {
            // Idle: the server sits in its read.
            until_ns(now_ns() + SLOW_NS / 4);
            let (sent, ()) = timed(|| client.write_all(b"ask").unwrap());
            let (read, ()) = timed(|| client.read_exact(&mut buffer[..3]).unwrap());
            there.push((sent, read));
        }
        drop(client);
        (there, server.join().unwrap())
    });
    let pairs = || asked.iter().zip(&answered);
    let waited = |sent, read: (u64, u64)| Waited {
        sent,
        // It began to read long before.
        read: (0, read.1),
    };
    let asks: Vec<Waited> = pairs().map(|((sent, _), (read, _))| waited(*sent, *read)).collect();
    let answers: Vec<Waited> = pairs().map(|((_, read), (_, sent))| waited(*sent, *read)).collect();
    assert_waits(&counted.of(&lab, "c", Measure::ReadTcp), &asks);
    assert_waits(&counted.of(&lab, "a", Measure::ReadTcp), &answers);
}

#[test]
fn what_came_out_of_order_is_not_ready_before_the_gap_is_filled() {
    // Seldom a read is timed as none (seen once in some eighty); never as one that waited for the gap.
    const TIMES: usize = 3;
    let timed = (0..TIMES)
        .map(|_| read_behind_a_gap())
        .find(|values| !values.is_empty());
    let timed = timed.expect("a read that is timed");
    assert!(matches!(timed[..], [(_, to)] if to < SLOW_NS / 2), "{timed:?}");
}

/// The times of one read, of two segments of which the first was lost and came again when both had been sent for long.
fn read_behind_a_gap() -> Vec<(u64, u64)> {
    let lab = NetnsBed::routed();
    let (mut client, mut server) = connected(&lab);
    let counted = count(&lab);
    let reader = std::thread::spawn(move || {
        let mut buffer = [0; 64];
        timed(|| server.read_exact(&mut buffer[..9]).unwrap()).0
    });
    lab.run("c", "nft add table ip t");
    lab.shell(
        "c",
        "nft 'add chain ip t in { type filter hook prerouting priority 0; }'",
    );
    // Whoever is three bytes long, with IP and TCP and its timestamps.
    lab.run("c", "nft add rule ip t in tcp dport 80 meta length 55 drop");
    client.write_all(b"one").unwrap();
    let ((_, behind), ()) = timed(|| client.write_all(b"longer").unwrap());
    until_ns(behind + SLOW_NS);
    lab.run("c", "nft delete table ip t");
    let read = reader.join().unwrap();
    assert!(read.1 - behind >= SLOW_NS, "nothing was lost");
    // All of it was ready when the first had come again, and not when the second had come.
    counted.of(&lab, "c", Measure::ReadTcp)
}

#[test]
fn datagrams_are_measured_from_the_first_that_waits_and_a_look_takes_none() {
    let lab = NetnsBed::routed();
    let (client, server) = datagrams(&lab);
    let counted = count(&lab);
    let mut buffer = [0; 64];
    let mut waits = Vec::new();
    for _ in 0..5 {
        let (sent, _) = timed(|| client.send_to(b"ask", SERVER).unwrap());
        client.send_to(b"", SERVER).unwrap();
        until_ns(sent.1 + SLOW_NS / 4);
        server.peek(&mut buffer).unwrap();
        let (read, length) = timed(|| server.recv(&mut buffer).unwrap());
        until_ns(sent.1 + SLOW_NS / 2);
        assert_eq!((length, server.recv(&mut buffer).unwrap()), (3, 0));
        waits.push(Waited { sent, read });
    }
    // An end with unread data leaves nothing to the sockets after it, one of which lies in its place in memory.
    client.send_to(b"never", SERVER).unwrap();
    drop(server);
    until_ns(now_ns() + SLOW_NS);
    let next: Vec<UdpSocket> = lab.inside("c", || {
        (0..64).map(|_| UdpSocket::bind("10.77.2.2:0").unwrap()).collect()
    });
    for socket in &next {
        let (sent, _) = timed(|| client.send_to(b"ask", socket.local_addr().unwrap()).unwrap());
        let (read, _) = timed(|| socket.recv(&mut buffer).unwrap());
        waits.push(Waited { sent, read });
    }
    assert_waits(&counted.of(&lab, "c", Measure::ReadUdp), &waits);
    assert_eq!(counted.of(&lab, "c", Measure::ReadTcp), []);
}

#[test]
fn a_write_takes_as_long_as_the_buffer_of_its_socket_is_full() {
    const MUCH: usize = 16 * 1024 * 1024;
    let lab = NetnsBed::routed();
    let (mut client, mut server) = connected(&lab);
    let counted = count(&lab);
    let mut waits = Vec::new();
    for _ in 0..5 {
        let ((from, to), ()) = timed(|| client.write_all(b"ask").unwrap());
        waits.push(Waited {
            sent: (from, to),
            read: (0, to),
        });
    }
    // More than fits: the write ends when the far end has read most of it.
    let (began, read) = std::thread::scope(|scope| {
        let much = vec![0; MUCH];
        let writer = scope.spawn(move || timed(|| client.write_all(&much).unwrap()).0);
        until_ns(now_ns() + SLOW_NS);
        let (read, ()) = timed(|| server.read_exact(&mut vec![0; MUCH + 15]).unwrap());
        let (began, ended) = writer.join().unwrap();
        assert!(began < read.0 && ended > read.0, "it fitted");
        ((began, began + SLACK_NS), (read.0, ended))
    });
    waits.push(Waited { sent: began, read });
    let values = counted.of(&lab, "a", Measure::WriteTcp);
    assert_waits(&values, &waits);
    assert_eq!(counted.of(&lab, "c", Measure::WriteTcp), []);
}

#[test]
fn several_readers_of_one_socket_count_each_wait_once() {
    const MESSAGES: usize = 200;
    let lab = NetnsBed::routed();
    let (client, server) = datagrams(&lab);
    let (mut stream, accepted) = connected(&lab);
    let counted = count(&lab);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            let (server, accepted) = (server.try_clone().unwrap(), accepted.try_clone().unwrap());
            scope.spawn(move || {
                let mut buffer = [0; 64];
                while let (length @ 1.., from) = server.recv_from(&mut buffer).unwrap() {
                    server.send_to(&buffer[..length], from).unwrap();
                }
            });
            scope.spawn(move || {
                let mut buffer = [0; 64];
                while let length @ 1.. = (&accepted).read(&mut buffer).unwrap() {
                    (&accepted).write_all(&buffer[..length]).unwrap();
                }
            });
        }
        let mut buffer = [0; 64];
        for _ in 0..MESSAGES {
            client.send_to(b"x", SERVER).unwrap();
            client.recv(&mut buffer).unwrap();
            stream.write_all(b"x").unwrap();
            stream.read_exact(&mut buffer[..1]).unwrap();
        }
        let (udp, tcp) = (
            counted.of(&lab, "c", Measure::ReadUdp),
            counted.of(&lab, "c", Measure::ReadTcp),
        );
        for _ in 0..3 {
            client.send_to(b"", SERVER).unwrap();
        }
        drop(stream);
        let (_, lost) = counted.stop();
        assert_eq!((udp.len(), tcp.len()), (MESSAGES, MESSAGES), "{lost:?}");
    });
}

#[test]
fn a_reader_that_is_stopped_is_a_slow_one_with_its_process_and_its_flow() {
    let lab = NetnsBed::routed();
    let (mut client, server) = connected(&lab);
    let filter = Filter {
        slow_ns: SLOW_NS / 2,
        ..lab.filter()
    };
    let counted = counted::count("socketlatency", &filter);
    let to = server.local_addr().unwrap();
    let mut reader = Command::new("cat")
        .stdin(OwnedFd::from(server))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = Pid::from_raw(reader.id() as i32);
    let mut read = reader.stdout.take().unwrap();
    let mut buffer = [0; 3];
    client.write_all(b"one").unwrap();
    read.read_exact(&mut buffer).unwrap();
    kill(pid, Signal::SIGSTOP).unwrap();
    waitpid(pid, Some(WaitPidFlag::WUNTRACED)).unwrap();
    let (sent, ()) = timed(|| client.write_all(b"two").unwrap());
    until_ns(sent.1 + SLOW_NS);
    kill(pid, Signal::SIGCONT).unwrap();
    let (done, ()) = timed(|| read.read_exact(&mut buffer).unwrap());
    // While the process lives its name is known.
    let event = counted.next_event();
    drop(client);
    reader.wait().unwrap();
    let (further, _) = counted.stop();
    assert_eq!(further, []);
    let Seen::Slow { took_ns, stages, .. } = &event.seen else {
        panic!("{event:?}")
    };
    assert!((SLOW_NS..=done.1 - sent.0).contains(took_ns), "{took_ns}");
    assert_eq!(
        (stages.len(), stages[0].stage.as_str(), stages[0].took_ns),
        (1, "socketlatency.read", *took_ns)
    );
    assert_eq!(
        (event.pid, event.process.as_deref()),
        (pid.as_raw() as u32, Some("cat"))
    );
    assert_eq!((event.flow.src(), event.flow.sport), (to.ip(), to.port()));
}

#[test]
fn a_connect_takes_until_its_syn_is_answered_and_one_that_is_refused_is_told_apart() {
    let lab = NetnsBed::routed();
    let listener = lab.inside("c", || TcpListener::bind("10.77.2.2:80")).unwrap();
    let counted = count(&lab);
    let mut holder = Holder::new(&lab, "c", "INPUT -p tcp --syn");
    let mut waits = Vec::new();
    for _ in 0..3 {
        let (held, connect) = std::thread::scope(|scope| {
            let client = scope.spawn(|| timed(|| lab.inside("a", || TcpStream::connect("10.77.2.2:80").unwrap())).0);
            let held = holder.hold(0);
            (held, client.join().unwrap())
        });
        waits.push(Waited {
            sent: (connect.0, held.sent.1),
            read: (held.read.0, connect.1),
        });
    }
    holder.end();
    lab.inside("a", || TcpStream::connect("10.77.2.2:81")).unwrap_err();
    assert_waits(&counted.of(&lab, "a", Measure::Connect), &waits);
    assert_eq!(counted.of(&lab, "a", Measure::ConnectFailed).len(), 1);
    // The other end does not connect.
    assert_eq!(counted.of(&lab, "c", Measure::Connect), []);
    drop(listener);
}

#[test]
fn of_two_ends_only_what_goes_on_between_them_is_measured() {
    let lab = NetnsBed::routed();
    let filter = Filter {
        addresses: vec!["10.77.1.2".parse().unwrap()],
        peers: vec!["10.77.2.2".parse().unwrap()],
        ports: vec![80],
        ..lab.filter()
    };
    let counted = counted::count("socketlatency", &filter);
    let mut buffer = [0; 64];
    let mut waits = Vec::new();
    // The same server for the router, the same two ends on another port, and `a` with the router.
    let all = [
        ("a", "c", "10.77.2.2:80"),
        ("r", "c", "10.77.2.2:80"),
        ("a", "c", "10.77.2.2:81"),
        ("a", "r", "10.77.1.1:80"),
    ];
    for (at, (from, to, address)) in all.into_iter().enumerate() {
        let listener = lab.inside(to, || TcpListener::bind(address)).unwrap();
        let mut client = lab.inside(from, || TcpStream::connect(address)).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let (sent, ()) = timed(|| client.write_all(b"ask").unwrap());
        until_ns(sent.1 + SLOW_NS / 4);
        let (read, ()) = timed(|| server.read_exact(&mut buffer[..3]).unwrap());
        if at == 0 {
            waits.push(Waited { sent, read });
        }
    }
    assert_waits(&counted.of(&lab, "c", Measure::ReadTcp), &waits);
    assert_eq!(counted.of(&lab, "a", Measure::Connect).len(), 1);
    assert_eq!(counted.of(&lab, "a", Measure::WriteTcp).len(), 1);
    for (name, measure) in [
        ("r", Measure::ReadTcp),
        ("r", Measure::Connect),
        ("r", Measure::WriteTcp),
    ] {
        assert_eq!(counted.of(&lab, name, measure), [], "{name} {measure:?}");
    }
}
