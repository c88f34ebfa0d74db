//! Totals that are called exact are: under floods that interrupt each other, what was counted and what was told as missed
//! make up what the sender and the kernel's own counters saw. Needs root.
#![allow(clippy::disallowed_methods, reason = "this is not the helper")]
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod bed;

use bed::NetnsBed;
use model::protocol::{Filter, Total};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use node_helper::capture::armed::arm;
use std::io::ErrorKind;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Datagrams of the far side.
const DATAGRAMS: u64 = 200_000;
/// Ports where nobody listens.
const PORTS: [u16; 3] = [9, 10, 11];

/// `NoPorts` of `Udp:` in `/proc/net/snmp`: datagrams for which there was no socket.
fn no_ports(lab: &NetnsBed, name: &str) -> u64 {
    lab.inside(name, || {
        // The thread's own namespace; `/proc/net` is the process's.
        let text = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
        let mut udp = text.lines().filter_map(|line| line.strip_prefix("Udp: "));
        let (names, values) = (udp.next().unwrap(), udp.next().unwrap());
        let mut both = names.split(' ').zip(values.split(' '));
        both.find(|(name, _)| *name == "NoPorts").unwrap().1.parse().unwrap()
    })
}

/// Sends to three ports in turn, so that no total is met in one long run; tells how many the firewall dropped.
fn flood(address: &str, datagrams: u64) -> u64 {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    let mut dropped = 0;
    for sent in 0..datagrams {
        let result = socket.send_to(b"x", (address, PORTS[sent as usize % PORTS.len()]));
        // That of a full queue is no failure of ours.
        dropped += u64::from(result.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied));
    }
    dropped
}

/// Waits until what b sent has arrived in a: what is sent last comes last.
fn arrived(lab: &NetnsBed) {
    let last = lab.inside("a", || UdpSocket::bind("10.78.0.1:99").unwrap());
    last.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    lab.inside("b", || {
        pin(1);
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        let end = Instant::now() + Duration::from_secs(20);
        loop {
            // It may find a full queue.
            socket.send_to(b"x", "10.78.0.1:99").unwrap();
            if last.recv(&mut [0; 8]).is_ok() {
                return;
            }
            assert!(Instant::now() < end, "nothing arrives");
        }
    });
}

/// The processor that sends is also the one to which receive packet steering hands what comes from the other side: it is
/// interrupted for those wherever it is, in our program too.
#[test]
fn floods_that_interrupt_each_other_are_counted_to_the_last_packet() {
    let lab = NetnsBed::new(
        &["a", "b"],
        &[
            "a: ip link add eth0 type veth peer name eth0 netns @b",
            "a: ip addr add 10.78.0.1/24 dev eth0",
            "b: ip addr add 10.78.0.2/24 dev eth0",
            "a: ip link set eth0 up",
            "b: ip link set eth0 up",
            // An ICMP error for each would send packets that nobody counts.
            "a: sysctl -qw net.ipv4.icmp_ratelimit=1000000 net.ipv4.icmp_msgs_per_sec=1",
            "a: nft add table ip t",
            "a: nft add chain ip t out { type filter hook output priority 0 ; }",
            "a: nft add rule ip t out ip daddr 10.78.0.2 udp dport 9-11 drop",
        ],
    );
    lab.shell("a", "echo 1 > /sys/class/net/eth0/queues/rx-0/rps_cpus");
    let a = lab.namespace("a").inode;
    let filter = Filter {
        netns: vec![a],
        events_per_second: 1,
        ..Filter::default()
    };
    let before = no_ports(&lab, "a");
    let armed = arm(&["drop".to_owned()], &filter, Box::new(|_| {})).unwrap();
    let done = AtomicBool::new(false);
    let forbidden = std::thread::scope(|scope| {
        let out = scope.spawn(|| {
            lab.inside("a", || {
                pin(0);
                let mut dropped = 0;
                while !done.load(Ordering::Relaxed) {
                    dropped += flood("10.78.0.2", 1000);
                }
                dropped
            })
        });
        lab.inside("b", || {
            pin(1);
            flood("10.78.0.1", DATAGRAMS);
        });
        done.store(true, Ordering::Relaxed);
        let forbidden = out.join().unwrap();
        arrived(&lab);
        forbidden
    });
    let summary = armed.stop();
    let refused = no_ports(&lab, "a") - before;
    let counted = |reason: &str| -> u64 {
        let of_flood = |total: &&Total| {
            let port = total.labels.get("dport").and_then(|port| port.parse().ok());
            total.netns == a && total.what.contains(reason) && port.is_some_and(|port| PORTS.contains(&port))
        };
        summary.totals.iter().filter(of_flood).map(|total| total.count).sum()
    };
    assert_eq!(summary.lost.iter().map(|lost| lost.uncounted).sum::<u64>(), 0);
    let missed: u64 = summary.lost.iter().map(|lost| lost.missed).sum();
    let got = [counted("NETFILTER_DROP"), counted("NO_SOCKET")];
    let true_ones = [forbidden, refused];
    assert!(true_ones.iter().all(|drops| *drops > 10_000), "{true_ones:?}");
    assert_eq!(
        got[0], true_ones[0],
        "what a process is refused is counted where nothing interrupts it, too"
    );
    assert!(
        got[1] <= refused,
        "{got:?} of {true_ones:?} were counted: more than there were"
    );
    // At times the kernel calls no program at all for a batch that an interrupt brought, which no number of it tells: then it is
    // told at least that interrupts brought some.
    let short = refused - got[1];
    let nested: u64 = summary.lost.iter().map(|lost| lost.nested).sum();
    assert!(short <= missed || nested > 0, "{got:?} of {true_ones:?} pass for exact");
    let left_to_it = refused / 20;
    assert!(
        short <= missed + left_to_it,
        "{got:?} of {true_ones:?} were counted, and {missed} told as missed"
    );
    // Without the program that stands in it would be ten times as many.
    let few = true_ones.iter().sum::<u64>() / 2000;
    assert!(missed <= few, "{missed} of {true_ones:?} were missed");
}

/// Keeps this thread on a processor.
fn pin(processor: usize) {
    let mut set = CpuSet::new();
    set.set(processor).unwrap();
    sched_setaffinity(Pid::from_raw(0), &set).unwrap();
}
