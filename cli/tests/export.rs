//! Numbers given out while a window is open, with the real helper and real traffic.
//!
//! Needs root and a client that finds its helper: `SKOOP_BIN`, or a `node-helper` beside the one under test.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are a test's")]
#![cfg(target_os = "linux")]

mod skoop;

use skoop::{Run, run, with_helper};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A network namespace of its own with a device that swallows all; it goes with this.
struct Netns(String);

/// What one datagram is on that device: Ethernet, IPv4, UDP, and its text.
const FRAME: u64 = 14 + 20 + 8 + 10;

impl Netns {
    fn new(name: &str) -> Self {
        let netns = Self(format!("sk-export-{name}-{}", std::process::id()));
        ip(&["netns", "add", &netns.0]);
        // Without IPv6 nobody says anything by himself.
        netns.inside("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
        netns.inside("ip link add swallow type veth peer name other && ip link set other up");
        netns.inside("ip addr add 10.99.7.1/24 dev swallow && ip link set swallow up");
        netns.inside("ip neigh add 10.99.7.2 lladdr 02:00:00:00:00:07 dev swallow nud permanent");
        netns
    }

    fn inside(&self, script: &str) {
        ip(&["netns", "exec", &self.0, "bash", "-c", script]);
    }

    /// Sends so many datagrams of ten letters.
    fn send(&self, count: u32) {
        let send = format!("exec 3<>/dev/udp/10.99.7.2/9; for at in $(seq {count}); do printf 0123456789 >&3; done");
        self.inside(&send);
    }

    fn place(&self) -> String {
        format!("place=\"netns/{}\"", self.0)
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).status();
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).status().unwrap();
    assert!(done.success(), "ip {arguments:?}");
}

/// Waits for something that must come true soon.
#[track_caller]
fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The sample of that name whose labels have all of these.
fn value(text: &str, name: &str, labels: &[&str]) -> Option<u64> {
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label)));
    let line = lines.next()?;
    assert!(lines.next().is_none(), "{name} stands twice");
    line.rsplit(' ').next()?.parse().ok()
}

/// The counters of one namespace: datagrams, frames, bytes.
fn counters(text: &str, netns: &Netns) -> [Option<u64>; 3] {
    let place = netns.place();
    let on = [place.as_str(), "interface=\"swallow\""];
    [
        value(text, "skoop_udp_OutDatagrams_total", &on[..1]),
        value(text, "skoop_netdev_tx_packets_total", &on),
        value(text, "skoop_netdev_tx_bytes_total", &on),
    ]
}

fn all_of(datagrams: u64) -> [Option<u64>; 3] {
    [Some(datagrams), Some(datagrams), Some(datagrams * FRAME)]
}

fn ended(child: Child) -> Run {
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    run
}

fn begun(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_file_has_each_reading_whole_and_counters_as_the_kernel_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skoop.prom");
    let netns = Netns::new("file");
    netns.send(37);
    let ask = format!(
        "export netns/{} --local --probe udp,netdev --for 4s --interval 500ms --to openmetrics={}",
        netns.0,
        file.display()
    );
    let Some(command) = with_helper(&ask) else { return };
    let child = begun(command);
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let first = soon("the first reading", || read(&file));
    assert_eq!(counters(&first, &netns), all_of(37), "{first}");
    netns.send(20);
    soon("a later reading", || {
        read(&file).filter(|text| counters(text, &netns) == all_of(57))
    });
    ended(child);
    let last = read(&file).unwrap();
    assert_eq!(counters(&last, &netns), all_of(57), "{last}");
    assert!(last.ends_with("# EOF\n"));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_starts() {
    for (ask, says) in [
        ("--to prometeus=9464", "there is no sink `prometeus`"),
        ("--to openmetrics=/dev/null", "it is a link or no regular file"),
        ("--to openmetrics=/no/such/folder/file", "its folder is not there"),
        (
            "--to openmetrics=x --interval 100ms",
            "--interval is shorter than 500ms",
        ),
        ("", "--to"),
    ] {
        run(&format!("export --local --helper /bin/false {ask}")).refused(2, says);
    }
}
