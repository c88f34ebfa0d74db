//! A network namespace of its own that something happens in, and what an export of it says.
#![allow(dead_code, reason = "each test file uses what it needs")]

#[path = "netns.rs"]
mod netns;

use super::skoop::{begun, soon, with_helper};
use netns::Netns;
use std::path::Path;
use std::process::Child;

/// A network namespace of its own with a device that swallows all.
pub struct Swallowing(pub Netns);

/// What one datagram is on that device: Ethernet, IPv4, UDP, and its text.
pub const FRAME: u64 = 14 + 20 + 8 + 10;

impl Swallowing {
    pub fn new(name: &str) -> Self {
        let netns = Netns::new(&format!("export-{name}"));
        // Without IPv6 nobody says anything by himself.
        netns.inside("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
        netns.inside("ip link add swallow type veth peer name other && ip link set other up");
        netns.inside("ip addr add 10.99.7.1/24 dev swallow && ip link set swallow up");
        netns.inside("ip neigh add 10.99.7.2 lladdr 02:00:00:00:00:07 dev swallow nud permanent");
        Self(netns)
    }

    fn inside(&self, script: &str) {
        self.0.inside(script);
    }

    /// Sends so many datagrams of ten letters.
    pub fn send(&self, count: u32) {
        self.send_to("10.99.7.2", count);
    }

    fn send_to(&self, address: &str, count: u32) {
        let send = format!("exec 3<>/dev/udp/{address}/9; for at in $(seq {count}); do printf 0123456789 >&3; done");
        self.inside(&send);
    }

    /// Connects so often to a port where nobody listens: each time a reset is sent, and received.
    pub fn be_refused(&self, count: u32) {
        let connect = format!("for at in $(seq {count}); do ! (exec 3<>/dev/tcp/127.0.0.1/4) 2>&-; done");
        self.inside(&format!("ip link set lo up && {connect}"));
    }

    /// Asks a server of its own so often for a name that is not there.
    pub fn look_up_in_vain(&self, count: u32) {
        self.inside(&format!("ip link set lo up && python3 -c '{LOOK_UP}' {count}"));
    }

    /// Sends so many datagrams that its own firewall drops.
    pub fn be_dropped(&self, count: u32) {
        self.inside("iptables -A OUTPUT -p udp --dport 4444 -j DROP");
        let send = "printf lost 2>&- >&3 || true";
        self.inside(&format!(
            "exec 3<>/dev/udp/10.99.7.2/4444; for at in $(seq {count}); do {send}; done"
        ));
    }

    /// Reads so often what came over TCP a moment before.
    pub fn read_late(&self, count: u32) {
        self.inside(&format!("ip link set lo up && python3 -c '{READ_LATE}' {count}"));
    }

    /// Sends so many datagrams in a circle: out by one end of the pair, in by the other, and on by the first.
    pub fn send_in_a_circle(&self, count: u32) {
        self.inside("sysctl -qw net.ipv4.ip_forward=1 net.ipv4.conf.all.rp_filter=0 net.ipv4.conf.other.rp_filter=0 net.ipv4.conf.other.accept_local=1");
        self.inside("ip neigh add 10.99.7.3 lladdr $(cat /sys/class/net/other/address) dev swallow nud permanent");
        self.send_to("10.99.7.3", count);
    }

    pub fn place(&self) -> String {
        format!("place=\"netns/{}\"", self.0.name)
    }
}

/// `shop.example` is asked for, and the answer is that there is no such name.
const LOOK_UP: &str = r#"
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind(("127.0.0.1", 53))
for at in range(int(sys.argv[1])):
    client = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    client.sendto(bytes([7, at, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0]) + b"\x04shop\x07example\0" + bytes([0, 1, 0, 1]), server.getsockname())
    query, asked = server.recvfrom(512)
    server.sendto(query[:2] + bytes([0x81, 0x83]) + query[4:], asked)
    client.recv(512)
"#;

/// A connection by which each message waits for its reader.
const READ_LATE: &str = r#"
import socket, sys, time
listener = socket.create_server(("127.0.0.1", 0))
client = socket.create_connection(listener.getsockname())
server, _ = listener.accept()
for at in range(int(sys.argv[1])):
    client.send(b"late")
    time.sleep(0.003 * at)
    server.recv(4)
"#;

/// Begins an export of one namespace by these probes, and waits until it reads it. Its last reading is in the folder.
pub fn reading(netns: &Swallowing, probes: &str, more: &str, folder: &Path) -> Option<Child> {
    begin_export(&format!("netns/{} --probe {probes} {more}", netns.0.name), folder)
}

/// Begins an export on this machine, and waits until it reads. Its last reading is in the folder.
pub fn begin_export(asked: &str, folder: &Path) -> Option<Child> {
    let ready = folder.join(READING);
    let ask = format!(
        "export --local {asked} --for 2m --interval 500ms --to openmetrics={}",
        ready.display()
    );
    let child = begun(with_helper(&ask)?);
    soon("the first reading", || ready.exists().then_some(()));
    Some(child)
}

/// The file of an export's last reading.
pub const READING: &str = "ready.prom";

/// The sample of that name whose labels have all of these.
pub fn value(text: &str, name: &str, labels: &[&str]) -> Option<u64> {
    let mut lines = text
        .lines()
        .filter(|line| line.starts_with(&format!("{name}{{")) && labels.iter().all(|label| line.contains(label)));
    let line = lines.next()?;
    assert!(lines.next().is_none(), "{name} stands twice");
    line.rsplit(' ').next()?.parse().ok()
}
