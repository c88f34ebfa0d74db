//! Namespaces of their own for tests of the helper.
#![allow(dead_code, reason = "each test file uses what it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

pub mod inhabitant;
#[path = "../inside/mod.rs"]
mod inside;
pub mod loop_device;

use inside::within;
use model::protocol::Filter;
use node_helper::identity::namespaces::{Namespaces, NetworkNamespace};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Namespaces that go away with it.
pub struct NetnsBed {
    prefix: String,
    names: Vec<&'static str>,
}

impl NetnsBed {
    /// Namespaces with `lo` up, and commands, each in the namespace before the colon.
    pub fn new(names: &[&'static str], commands: &[&str]) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let lab = Self {
            prefix: format!("kp{}-{}-", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)),
            names: names.to_vec(),
        };
        for name in names {
            run(&format!("ip netns add {}{name}", lab.prefix));
            lab.run(name, "ip link set lo up");
        }
        for command in commands {
            let (name, command) = command.split_once(": ").unwrap();
            lab.run(name, &command.replace('@', &lab.prefix));
        }
        lab
    }

    /// `a` (10.77.1.2) and `c` (10.77.2.2), joined by the router `r`.
    pub fn routed() -> Self {
        Self::new(
            &["a", "r", "c"],
            &[
                "r: ip link add ra type veth peer name eth0 netns @a",
                "r: ip link add rc type veth peer name eth0 netns @c",
                "r: ip addr add 10.77.1.1/24 dev ra",
                "r: ip addr add 10.77.2.1/24 dev rc",
                "r: ip link set ra up",
                "r: ip link set rc up",
                "r: sysctl -qw net.ipv4.ip_forward=1",
                "a: ip addr add 10.77.1.2/24 dev eth0",
                "a: ip link set eth0 up",
                "a: ip route add default via 10.77.1.1",
                "c: ip addr add 10.77.2.2/24 dev eth0",
                "c: ip link set eth0 up",
                "c: ip route add default via 10.77.2.1",
            ],
        )
    }

    pub fn run(&self, name: &str, command: &str) {
        run(&format!("ip netns exec {}{name} {command}", self.prefix));
    }

    /// A line for the shell, with the namespace's own `/sys`.
    pub fn shell(&self, name: &str, line: &str) {
        let name = format!("{}{name}", self.prefix);
        let status = Command::new("ip")
            .args(["netns", "exec", &name, "sh", "-c", line])
            .status()
            .unwrap();
        assert!(status.success(), "{line}");
    }

    pub fn namespace(&self, name: &str) -> NetworkNamespace {
        let name = format!("netns/{}{name}", self.prefix);
        Namespaces::scan().by_name(&name).unwrap().clone()
    }

    pub fn inside<T: Send>(&self, name: &str, f: impl FnOnce() -> T + Send) -> T {
        within(&self.namespace(name), f)
    }

    pub fn filter(&self) -> Filter {
        Filter {
            netns: self.names.iter().map(|name| self.namespace(name).inode).collect(),
            ..Filter::default()
        }
    }
}

impl Drop for NetnsBed {
    fn drop(&mut self) {
        for name in &self.names {
            let _ = Command::new("ip")
                .args(["netns", "del", &format!("{}{name}", self.prefix)])
                .status();
        }
    }
}

fn run(command: &str) {
    let words: Vec<&str> = command.split_whitespace().collect();
    let output = Command::new(words[0]).args(&words[1..]).output().unwrap();
    assert!(
        output.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}
