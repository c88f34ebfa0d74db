//! Two network namespaces joined by a veth, for as long as the value lives.

use anyhow::{Context, Result, bail};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::net::Ipv4Addr;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

/// The sender's address.
pub const A: Ipv4Addr = Ipv4Addr::new(10, 99, 7, 1);
/// The receiver's address.
pub const B: Ipv4Addr = Ipv4Addr::new(10, 99, 7, 2);

/// A namespace of this bed.
#[derive(Clone)]
pub struct BedNetns {
    name: String,
    /// Inode, as events name it.
    pub id: u32,
}

/// Namespaces `a` and `b`; both are gone when this is dropped.
pub struct Bed {
    /// Where packets are sent from.
    pub a: BedNetns,
    /// Where they should arrive.
    pub b: BedNetns,
}

impl Bed {
    /// Builds it; the names carry this process's id.
    pub fn build() -> Result<Self> {
        let pid = std::process::id();
        let (a, b) = (format!("kernel-check-{pid}-a"), format!("kernel-check-{pid}-b"));
        // From here on a failure takes down what is there.
        let mut bed = Self {
            a: BedNetns { name: a, id: 0 },
            b: BedNetns { name: b, id: 0 },
        };
        for end in [&mut bed.a, &mut bed.b] {
            ip(&["netns", "add", &end.name])?;
            let path = end.path();
            end.id = std::fs::metadata(&path)
                .with_context(|| format!("cannot read {path}"))?
                .ino() as u32;
        }
        let (a, b) = (&bed.a.name, &bed.b.name);
        ip(&[
            "-n", a, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", b,
        ])?;
        for (name, address) in [(a, A), (b, B)] {
            ip(&["-n", name, "address", "add", &format!("{address}/24"), "dev", "eth0"])?;
            ip(&["-n", name, "link", "set", "lo", "up"])?;
            ip(&["-n", name, "link", "set", "eth0", "up"])?;
        }
        // A neighbour that is known from the start keeps ARP out of what is watched.
        bed.a.inside(|| {
            let socket = std::net::UdpSocket::bind((A, 0))?;
            socket.send_to(&[], (B, 9))?;
            Ok(())
        })?;
        Ok(bed)
    }
}

impl Drop for Bed {
    fn drop(&mut self) {
        for end in [&self.a, &self.b] {
            // One that was never made cannot be deleted, and that is well.
            let _ = ip(&["netns", "delete", &end.name]);
        }
    }
}

impl BedNetns {
    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs `act` inside, on a thread of its own.
    pub fn inside<T: Send>(&self, act: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            scope
                .spawn(|| {
                    let path = self.path();
                    let file = File::open(&path).with_context(|| format!("cannot open {path}"))?;
                    setns(file, CloneFlags::CLONE_NEWNET).with_context(|| format!("cannot enter {path}"))?;
                    act()
                })
                .join()
                .unwrap_or_else(|_| bail!("the thread inside {} panicked", self.name))
        })
    }

    /// A command inside, to be started.
    pub fn command(&self, command: &[&str]) -> Command {
        let mut inside = Command::new("ip");
        inside.args(["netns", "exec", &self.name]).args(command);
        inside
    }

    /// Runs a command inside.
    pub fn run(&self, command: &[&str]) -> Result<()> {
        ip(&[&["netns", "exec", &self.name], command].concat())
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let output = Command::new("ip").args(arguments).output().context("cannot start ip")?;
    if !output.status.success() {
        bail!(
            "ip {} failed: {}",
            arguments.join(" "),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}
