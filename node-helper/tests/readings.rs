//! Numbers over time, read from namespaces in which something is made to happen: each right to the last one. Needs root.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
#![expect(clippy::disallowed_methods, reason = "tests make files and cgroups of their own")]

mod bed;

use bed::NetnsBed;
use bed::inhabitant::{Inhabitant, TestGroup};
use model::protocol::{Filter, Reply};
use model::series::{Sample, Series, SeriesKind};
use node_helper::readings::{READINGS, Rounds};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What probes told of one window.
struct Told {
    series: BTreeMap<u32, Series>,
    first: BTreeMap<(u32, u32), u64>,
    last: BTreeMap<(u32, u32), u64>,
    gone: Vec<(u32, u32)>,
}

/// Reads by these probes, does something, reads again.
fn around(filter: &Filter, probes: &[&str], f: impl FnOnce()) -> Told {
    let (tell, told) = channel();
    let names: Vec<String> = probes.iter().map(|probe| (*probe).to_owned()).collect();
    let rounds = Rounds::arm(
        1,
        &names,
        Vec::new(),
        filter,
        Box::new(move |reply| drop(tell.send(reply.clone()))),
    )
    .unwrap();
    for status in rounds.probes() {
        assert_eq!(status.unsupported, None, "{}", status.name);
    }
    rounds.go();
    let mut all = until_round(&told, 1);
    f();
    rounds.stop();
    all.extend(told.try_iter());
    told_of(all)
}

/// What is told up to the end of that round.
fn until_round(told: &Receiver<Reply>, number: u64) -> Vec<Reply> {
    let mut all = Vec::new();
    loop {
        let reply = told.recv_timeout(Duration::from_secs(10)).unwrap();
        let is_end = matches!(&reply, Reply::Round(round) if round.number >= number);
        all.push(reply);
        if is_end {
            return all;
        }
    }
}

fn told_of(all: Vec<Reply>) -> Told {
    let mut told = Told {
        series: BTreeMap::new(),
        first: BTreeMap::new(),
        last: BTreeMap::new(),
        gone: Vec::new(),
    };
    let mut rounds = 0;
    for reply in all {
        match reply {
            Reply::Describe(series) => drop(told.series.insert(series.id, series)),
            Reply::Series(Sample {
                netns, values, gone, ..
            }) => {
                for (id, value) in values {
                    if rounds == 0 {
                        told.first.insert((netns, id), value);
                    }
                    told.last.insert((netns, id), value);
                }
                for id in gone {
                    told.last.remove(&(netns, id));
                    told.gone.push((netns, id));
                }
            }
            Reply::Round(_) => rounds += 1,
            other => panic!("{other:?}"),
        }
    }
    told
}

impl Told {
    /// By how much numbers of that name grew, together, where their labels hold this value.
    fn growth(&self, netns: u32, name: &str, label: &str) -> u64 {
        let of = self.ids(name, label);
        of.map(|id| {
            let value = |all: &BTreeMap<(u32, u32), u64>| all.get(&(netns, id)).copied().unwrap_or_default();
            value(&self.last) - value(&self.first)
        })
        .sum()
    }

    fn now(&self, netns: u32, name: &str, label: &str) -> u64 {
        let of = self.ids(name, label);
        of.filter_map(|id| self.last.get(&(netns, id))).sum()
    }

    fn ids<'a>(&'a self, name: &'a str, label: &'a str) -> impl Iterator<Item = u32> + 'a {
        let is = move |series: &&Series| {
            series.name == name && (label.is_empty() || series.labels.values().any(|value| value == label))
        };
        self.series.values().filter(is).map(|series| series.id)
    }
}

fn refused(count: usize) {
    for _ in 0..count {
        let closed = SocketAddr::from(([127, 0, 0, 1], 9));
        TcpStream::connect_timeout(&closed, Duration::from_secs(2)).unwrap_err();
    }
}

#[test]
fn each_namespace_counts_for_itself_however_often_it_is_read() {
    let bed = NetnsBed::new(&["a", "b"], &[]);
    let (a, b) = (bed.namespace("a").inode, bed.namespace("b").inode);
    let told = around(&bed.filter(), &["tcp", "tcpext"], || {
        bed.inside("a", || refused(12));
        bed.inside("b", || refused(3));
    });
    assert_eq!(told.growth(a, "Tcp.AttemptFails", ""), 12);
    assert_eq!(told.growth(b, "Tcp.AttemptFails", ""), 3);
    assert_eq!(
        (told.growth(a, "Tcp.ActiveOpens", ""), told.growth(a, "Tcp.OutRsts", "")),
        (12, 12)
    );
    let kind = |name: &str| told.ids(name, "").map(|id| told.series[&id].kind).next();
    assert_eq!(kind("Tcp.OutRsts"), Some(SeriesKind::Counter));
    assert_eq!(kind("Tcp.RtoMax"), Some(SeriesKind::Gauge));
}

#[test]
fn a_full_accept_queue_shows_its_listener_its_limit_and_what_did_not_fit() {
    let bed = NetnsBed::new(&["a"], &[]);
    let a = bed.namespace("a").inode;
    // Accepted by nobody: two fit a backlog of one.
    let script = "import socket,sys\n\
        s=socket.socket(); s.bind(('127.0.0.1',8080)); s.listen(1)\n\
        cs=[socket.socket() for _ in range(4)]\n\
        print('listens', flush=True); sys.stdin.readline()\n\
        for c in cs:\n  c.setblocking(False)\n  try: c.connect(('127.0.0.1',8080))\n  except BlockingIOError: pass\n\
        print('connected', flush=True); sys.stdin.readline()";
    let mut server = Inhabitant::start(&bed, "a", script);
    let told = around(&bed.filter(), &["tcpext", "tcpsummary", "fd"], || server.go_on());
    assert_eq!(told.now(a, "tcpsummary.waiting", "127.0.0.1:8080"), 2);
    assert_eq!(told.now(a, "tcpsummary.backlog", "127.0.0.1:8080"), 1);
    assert!(told.growth(a, "TcpExt.ListenOverflows", "") >= 1, "{:?}", told.series);
    assert_eq!(told.now(a, "tcpsummary.sockets", "LISTEN"), 1);
    // One listens, four connect; those in the queue have no descriptor yet.
    assert_eq!(told.now(a, "fd.sockets", ""), 5);
}

#[test]
fn what_no_program_reads_is_told_in_bytes_and_what_it_read_is_not() {
    let bed = NetnsBed::new(&["a"], &[]);
    let a = bed.namespace("a").inode;
    bed.inside("a", || {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut server, _) = listener.accept().unwrap();
        let told = around(&bed.filter(), &["tcpsummary"], || client.write_all(&[7; 3000]).unwrap());
        assert_eq!(told.now(a, "tcpsummary.unread", ""), 3000);
        assert_eq!(told.now(a, "tcpsummary.unacknowledged", ""), 0);
        let told = around(&bed.filter(), &["tcpsummary"], || {
            server.read_exact(&mut [0; 3000]).unwrap();
        });
        assert_eq!(told.now(a, "tcpsummary.unread", ""), 0);
        assert!(told.now(a, "tcpsummary.rtt_p50", "") > 0);
    });
}

#[test]
fn datagrams_that_find_no_room_and_those_nobody_waits_for_are_counted_apart() {
    const SENT: u64 = 200;
    let bed = NetnsBed::new(&["a"], &[]);
    let a = bed.namespace("a").inode;
    let told = around(&bed.filter(), &["udp"], || {
        bed.inside("a", || {
            let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
            nix::sys::socket::setsockopt(&receiver, nix::sys::socket::sockopt::RcvBuf, &4096).unwrap();
            let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
            for _ in 0..SENT {
                sender.send_to(&[7; 1000], receiver.local_addr().unwrap()).unwrap();
            }
            receiver.set_nonblocking(true).unwrap();
            let read = std::iter::repeat_with(|| receiver.recv(&mut [0; 2000]))
                .take_while(Result::is_ok)
                .count();
            assert!((read as u64) < SENT);
            // Its error comes back to the next call.
            let _ = sender.send_to(&[7], "127.0.0.1:9");
        });
    });
    let (full, delivered) = (
        told.growth(a, "Udp.RcvbufErrors", ""),
        told.growth(a, "Udp.InDatagrams", ""),
    );
    assert!(full > 0);
    assert_eq!(full + delivered, SENT, "each is one or the other");
    assert_eq!(told.growth(a, "Udp.NoPorts", ""), 1);
}

#[test]
fn a_queueing_disciplines_drops_stand_by_the_interface_of_its_own_namespace() {
    const SENT: u64 = 100;
    let bed = NetnsBed::new(
        &["a", "c"],
        &[
            "a: ip link add outside type veth peer name eth0 netns @c",
            "a: ip addr add 10.77.1.1/24 dev outside",
            "a: ip link set outside up",
            "c: ip addr add 10.77.1.2/24 dev eth0",
            "c: ip link set eth0 up",
            "a: tc qdisc add dev outside root tbf rate 80kbit burst 2000 limit 4000",
        ],
    );
    let (a, c) = (bed.namespace("a").inode, bed.namespace("c").inode);
    let told = around(&bed.filter(), &["qdisc", "netdev"], || {
        bed.inside("a", || {
            let sender = UdpSocket::bind("10.77.1.1:0").unwrap();
            for _ in 0..SENT {
                // A full queue is no error of the sender's.
                let _ = sender.send_to(&[7; 900], "10.77.1.2:9");
            }
        });
    });
    let (dropped, passed) = (
        told.growth(a, "qdisc.drops", "outside"),
        told.growth(a, "qdisc.packets", "outside"),
    );
    let waiting = told.now(a, "qdisc.backlog_packets", "outside");
    assert!(dropped > 50, "{dropped} dropped, {passed} passed, {waiting} wait");
    assert!(told.growth(a, "qdisc.overlimits", "outside") > 0);
    assert_eq!(told.now(a, "qdisc.rate", "outside"), 80_000);
    assert_eq!(told.growth(c, "qdisc.drops", ""), 0);
    // What comes in there went out here, or was on its way while one was read after the other.
    let (came, left) = (
        told.growth(c, "netdev.rx_packets", "eth0"),
        told.growth(a, "netdev.tx_packets", "outside"),
    );
    assert!(
        came > 0 && came.abs_diff(left) <= waiting + 2,
        "{came} came, {left} left, {waiting} wait"
    );
    assert!(told.growth(c, "netdev.rx_bytes", "eth0") > 0);
    let kinds = told
        .ids("netdev.tx_packets", "outside")
        .map(|id| told.series[&id].labels["kind"].clone());
    assert_eq!(kinds.collect::<Vec<_>>(), ["veth"]);
}

#[test]
fn cpus_at_work_are_the_nodes_and_no_namespaces() {
    let bed = NetnsBed::new(&["a"], &[]);
    let a = bed.namespace("a").inode;
    let told = around(&bed.filter(), &["softnet", "tcp"], || bed.inside("a", || refused(20)));
    assert!(
        told.growth(0, "softnet.processed", "") >= 40,
        "each SYN and each RST passes a CPU"
    );
    assert_eq!(told.now(a, "softnet.processed", ""), 0);
    let cpus = told
        .ids("softnet.processed", "")
        .map(|id| told.series[&id].labels["cpu"].clone());
    assert!(cpus.count() >= 1);
}

#[test]
fn tracked_connections_are_counted_where_they_are_tracked() {
    let bed = NetnsBed::new(
        &["a", "b"],
        &["a: iptables -A OUTPUT -m conntrack --ctstate INVALID -j DROP"],
    );
    let (a, b) = (bed.namespace("a").inode, bed.namespace("b").inode);
    let told = around(&bed.filter(), &["conntrack"], || {
        for name in ["a", "b"] {
            bed.inside(name, || {
                for _ in 0..50 {
                    let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
                    let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
                    sender.send_to(&[7], receiver.local_addr().unwrap()).unwrap();
                }
            });
        }
    });
    assert_eq!(told.now(a, "conntrack.entries", ""), 50);
    assert_eq!(
        told.now(b, "conntrack.entries", ""),
        0,
        "nothing asks for tracking there"
    );
    assert!(told.now(a, "conntrack.limit", "") > 50);
}

#[test]
fn what_is_gone_is_told_once_and_has_no_numbers_any_more() {
    let commands = [
        "a: ip link add d0 type veth peer name d1",
        "a: ip link set d0 up",
        "a: ip link set d1 up",
    ];
    let bed = NetnsBed::new(&["a"], &commands);
    let a = bed.namespace("a").inode;
    bed.run("a", "ip addr add 10.77.3.1/24 dev d0");
    bed.inside("a", || {
        let sender = UdpSocket::bind("10.77.3.1:0").unwrap();
        // Nobody answers for that address, so what is sent is a request for it.
        let _ = sender.send_to(&[7], "10.77.3.2:9");
    });
    let told = around(&bed.filter(), &["netdev"], || bed.run("a", "ip link del d0"));
    let ids: Vec<u32> = told.ids("netdev.tx_packets", "d0").collect();
    assert_eq!(ids.len(), 1, "{:?}", told.series);
    assert!(told.gone.contains(&(a, ids[0])));
    assert_eq!(told.now(a, "netdev.tx_packets", "d0"), 0);
}

#[test]
fn a_cpu_limit_that_is_reached_is_told_as_periods_and_time() {
    const GROUP: &str = "/sys/fs/cgroup/cpu";
    if !std::path::Path::new(GROUP).is_dir() {
        eprintln!("skipped: this machine has no hierarchy of cgroups of its own for CPUs");
        return;
    }
    let bed = NetnsBed::new(&["a"], &[]);
    let a = bed.namespace("a").inode;
    let group = TestGroup::new(GROUP, &format!("readings-{}", std::process::id()));
    group.set("cpu.cfs_period_us", "20000");
    group.set("cpu.cfs_quota_us", "2000");
    let script = "import sys\nprint('ready', flush=True); sys.stdin.readline()\n\
        import time\nuntil=time.monotonic()+0.6\nwhile time.monotonic()<until: pass\n\
        print('done', flush=True); sys.stdin.readline()";
    let mut busy = Inhabitant::start(&bed, "a", script);
    group.set("cgroup.procs", &busy.pid(&bed, "a").to_string());
    let told = around(&bed.filter(), &["cpu"], || busy.go_on());
    let (periods, throttled) = (told.growth(a, "cpu.periods", ""), told.growth(a, "cpu.throttled", ""));
    assert!(
        throttled > 5 && throttled <= periods,
        "{throttled} of {periods}: {:?} {:?}",
        told.series,
        told.last
    );
    assert_eq!(told.now(a, "cpu.limit_percent", ""), 10);
    assert!(told.growth(a, "cpu.throttled_time", "") > 100_000, "microseconds");
}

#[test]
fn what_is_written_to_a_disk_is_told_in_bytes() {
    const WRITES: u64 = 50;
    let bed = NetnsBed::new(&["a", "b"], &[]);
    let (a, b) = (bed.namespace("a").inode, bed.namespace("b").inode);
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let script = format!(
        "import os,sys,mmap\n\
        f=os.open('{}', os.O_CREAT|os.O_WRONLY|os.O_DIRECT, 0o600)\n\
        m=mmap.mmap(-1,4096)\n\
        print('ready', flush=True); sys.stdin.readline()\n\
        for _ in range({WRITES}): os.write(f,m)\n\
        print('done', flush=True); sys.stdin.readline()",
        folder.path().join("file").display()
    );
    let mut writer = Inhabitant::start(&bed, "a", &script);
    let _idle = Inhabitant::start(
        &bed,
        "b",
        "import sys\nprint('ready', flush=True); sys.stdin.readline()",
    );
    let told = around(&bed.filter(), &["io"], || writer.go_on());
    // The file system may write about the file, too.
    let written = told.growth(a, "io.written_bytes", "");
    assert!((WRITES * 4096..WRITES * 4096 + 65_536).contains(&written), "{written}");
    assert_eq!(told.growth(b, "io.written_bytes", ""), 0);
}

#[test]
fn rounds_come_at_their_interval_and_say_what_they_cost() {
    let bed = NetnsBed::new(&["a"], &[]);
    let filter = Filter {
        interval_ms: 100,
        ..bed.filter()
    };
    let (tell, told) = channel();
    let names: Vec<String> = READINGS.iter().map(|probe| probe.name.to_owned()).collect();
    let rounds = Rounds::arm(
        3,
        &names,
        Vec::new(),
        &filter,
        Box::new(move |reply| drop(tell.send(reply.clone()))),
    )
    .unwrap();
    rounds.go();
    let began = Instant::now();
    let all = until_round(&told, 4);
    assert!(began.elapsed() >= Duration::from_millis(250), "three intervals");
    rounds.stop();
    let last = told.try_iter().filter_map(|reply| match reply {
        Reply::Round(round) => Some(round),
        _ => None,
    });
    let last = last.last().unwrap();
    assert!(last.number >= 5, "a last one when it is stopped");
    assert!(last.took_us > 0 && last.cpu_us > 0 && last.window == 3);
    // Between two readings of an idle namespace next to nothing is said.
    let samples: Vec<&Sample> = all
        .iter()
        .filter_map(|reply| match reply {
            Reply::Series(sample) if sample.netns != 0 => Some(sample),
            _ => None,
        })
        .collect();
    assert!(samples[0].whose.is_some() && samples[1].whose.is_none());
    assert!(
        samples[0].values.len() > 3 && samples[3].values.len() < 3,
        "{samples:?}"
    );
}

#[test]
fn who_holds_a_table_of_connections_is_told_with_the_number_and_where_they_lead() {
    let bed = NetnsBed::new(
        &["a"],
        &["a: iptables -A OUTPUT -m conntrack --ctstate INVALID -j DROP"],
    );
    let a = bed.namespace("a").inode;
    let open = |from: &str, to: &str, flows: u16| {
        for port in 20_000..20_000 + flows {
            let sender = UdpSocket::bind((from, port)).unwrap();
            sender.send_to(&[7], to).unwrap();
        }
    };
    let told = around(&bed.filter(), &["holders"], || {
        bed.inside("a", || {
            open("127.0.0.2", "127.0.0.9:53", 3_000);
            open("127.0.0.3", "127.0.0.9:80", 40);
            for host in 1..=20 {
                open("127.0.0.4", &format!("127.0.1.{host}:9"), 1);
            }
        });
    });
    let by_source = |source: &str| told.now(a, "holders.by_source", source);
    assert_eq!(
        (
            by_source("127.0.0.2"),
            by_source("127.0.0.3"),
            by_source("127.0.0.4"),
            by_source("others")
        ),
        (3_000, 40, 20, 0)
    );
    assert_eq!(told.now(a, "holders.by_destination", "53/udp"), 3_000);
    assert_eq!(told.now(a, "holders.by_pair", "80/udp"), 40);
    assert_eq!(
        told.now(a, "holders.by_pair", "127.0.0.4"),
        8,
        "those that are told of the twenty"
    );
    assert_eq!(told.now(a, "holders.by_pair", "others"), 12);
}

#[test]
fn each_process_is_told_with_what_its_own_sockets_hold() {
    let bed = NetnsBed::new(&["a"], &[]);
    let a = bed.namespace("a").inode;
    let reader = "import socket, sys\nserver = socket.create_server(('127.0.0.1', 7070))\n\
        print('ready', flush=True)\nconnection, _ = server.accept()\nprint('accepted', flush=True)\nsys.stdin.readline()";
    let writer = "import socket, sys\nconnection = socket.create_connection(('127.0.0.1', 7070))\n\
        connection.sendall(b'x' * 50000)\nprint('written', flush=True)\nsys.stdin.readline()";
    let mut slow = Inhabitant::start(&bed, "a", reader);
    let fast = Inhabitant::start(&bed, "a", writer);
    assert_eq!(slow.hear().trim(), "accepted");
    let told = around(&bed.filter(), &["process"], || {});
    let of = |inhabitant: &Inhabitant, number: &str| {
        let process = format!("{} python3", inhabitant.pid(&bed, "a"));
        told.now(a, &format!("process.{number}"), &process)
    };
    assert_eq!((of(&slow, "connections"), of(&slow, "unread")), (1, 50_000));
    assert_eq!((of(&fast, "connections"), of(&fast, "unread")), (1, 0));
    assert_eq!((of(&slow, "sockets"), of(&fast, "sockets")), (2, 1));
    assert!(of(&slow, "limit") >= of(&slow, "open") && of(&slow, "open") >= 5);
}

#[test]
fn a_peer_that_does_not_answer_is_told_apart_from_one_that_does_not_read() {
    let bed = NetnsBed::routed();
    bed.run("c", "iptables -A INPUT -p tcp --dport 81 -j DROP");
    let (a, c) = (bed.namespace("a").inode, bed.namespace("c").inode);
    let server = "import socket, sys\nserver = socket.create_server(('10.77.2.2', 80))\n\
        print('ready', flush=True)\nconnection, _ = server.accept()\nprint('accepted', flush=True)\nsys.stdin.readline()";
    let client = "import socket, sys\nconnection = socket.create_connection(('10.77.2.2', 80))\n\
        connection.sendall(b'x' * 10000)\nother = socket.socket()\nother.setblocking(False)\n\
        other.connect_ex(('10.77.2.2', 81))\nprint('ready', flush=True)\nsys.stdin.readline()";
    let mut server = Inhabitant::start(&bed, "c", server);
    let _client = Inhabitant::start(&bed, "a", client);
    assert_eq!(server.hear().trim(), "accepted");
    let told = around(&bed.filter(), &["peers"], || {});
    assert_eq!(told.now(a, "peers.opening", "81/tcp"), 1);
    assert_eq!(
        (
            told.now(a, "peers.connections", "80/tcp"),
            told.now(a, "peers.connections", "81/tcp")
        ),
        (1, 0)
    );
    assert_eq!(
        told.now(c, "peers.unread", "10.77.1.2"),
        10_000,
        "at the server, by its client"
    );
    assert!(told.now(a, "peers.rtt_p50", "80/tcp") > 0);
}

#[test]
fn a_pod_in_the_nodes_own_network_is_told_by_its_cgroup_and_its_sockets() {
    const GROUP: &str = "/sys/fs/cgroup/cpu";
    if !std::path::Path::new(GROUP).is_dir() {
        eprintln!("skipped: this machine has no hierarchy of cgroups of its own for CPUs");
        return;
    }
    let uid = format!("00000000-0000-4000-8000-{:012x}", std::process::id());
    let group = TestGroup::new(GROUP, &format!("pod{uid}"));
    group.set("cpu.cfs_period_us", "100000");
    group.set("cpu.cfs_quota_us", "50000");
    let script = "import socket\nserver = socket.create_server(('127.0.0.1', 0))\n\
        client = socket.create_connection(server.getsockname())\nclient.sendall(b'x' * 1000)\nprint('ready', flush=True)\ninput()";
    let mut child = std::process::Command::new("python3")
        .args(["-c", script])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut ready = [0; 6];
    child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
    group.set("cgroup.procs", &child.id().to_string());
    let host = node_helper::identity::namespaces::own();
    let filter = Filter {
        netns: vec![host],
        ..Filter::default()
    };
    let told = around(&filter, &["cpu", "tcpsummary"], || {});
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(told.now(host, "cpu.limit_percent", &uid), 50);
    // One that nobody accepted yet has no inode, and is nobody's: what it holds is the node's alone.
    assert_eq!(
        told.now(host, "tcpsummary.sockets", &uid),
        2,
        "a listener, and the client's end"
    );
    assert!(told.now(host, "tcpsummary.unread", "") >= 1_000);
}
