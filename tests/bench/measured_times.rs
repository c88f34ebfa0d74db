//! What the probes that measure times cost the traffic they measure, and that of others.

use crate::figure::Figure;
use crate::kept::{Kept, kept, pairs};
use crate::peer;
use crate::traffic::Net;
use anyhow::{Context as _, Result, ensure};
use model::protocol::Filter;
use std::fs::File;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;

const ROUND_MS: u64 = 400;

/// The hooks of a probe, as bpftrace names them; each probe's file has the same.
const OF_SOCKETLATENCY: &str = "tracepoint:sock:sk_data_ready,tracepoint:tcp:tcp_rcv_space_adjust,tracepoint:sock:sock_recv_length,tracepoint:tcp:tcp_sendmsg_locked,tracepoint:sock:sock_send_length";
const OF_KERNELLATENCY: &str = "tracepoint:net:netif_receive_skb,tracepoint:tcp:tcp_probe,tracepoint:net:net_dev_queue,tracepoint:net:net_dev_start_xmit,tracepoint:irq:softirq_raise,tracepoint:irq:softirq_entry,tracepoint:skb:kfree_skb,tracepoint:sock:sk_data_ready";

/// All figures of such probes.
pub fn take() -> Result<Vec<Figure>> {
    let net = Net::pair()?;
    let own = Filter {
        netns: net.inodes()?,
        ..Filter::default()
    };
    let elsewhere = Net::alone()?;
    let others = Filter {
        netns: elsewhere.inodes()?,
        ..Filter::default()
    };
    let run = |kind: &'static str| {
        let net = &net;
        move || net.run(kind, "10.99.0.2", ROUND_MS)
    };
    let mut figures = Vec::new();
    for (kind, name) in [
        ("exchange", "requests and answers over a veth"),
        ("bulk", "TCP bulk over a veth"),
    ] {
        let kept = kept(&["socketlatency"], &own, run(kind))?;
        figures.push(figure(&format!("{name}, kept while socketlatency measures them"), kept).at_least(97.0));
        figures.extend(empty(OF_SOCKETLATENCY, name, run(kind))?);
    }
    let packets = "small UDP packets over a veth";
    let measured = kept(&["kernellatency"], &own, run("packets"))?;
    figures.push(figure(&format!("{packets}, kept while kernellatency measures them"), measured).at_least(90.0));
    let unmeasured = kept(&["kernellatency"], &others, run("packets"))?;
    figures.push(figure(
        &format!("{packets}, kept while kernellatency measures another pod's"),
        unmeasured,
    ));
    figures.extend(empty(OF_KERNELLATENCY, packets, run("packets"))?);
    let disk = LoopFile::new()?;
    let read = kept(&["biolatency"], &Filter::default(), || disk.reads())?;
    figures.push(
        figure(
            "random reads of 4 KiB from a loop device, kept while biolatency measures them",
            read,
        )
        .at_least(98.0),
    );
    Ok(figures)
}

fn figure(name: &str, kept: Kept) -> Figure {
    Figure::new(name, kept.armed, "%").beside("off against off", Some(kept.control))
}

/// What is left of it with programs on the same hooks that do nothing; none where bpftrace is not here.
fn empty(hooks: &str, name: &str, taken: impl Fn() -> Result<f64>) -> Result<Option<Figure>> {
    if !peer::present() {
        return Ok(None);
    }
    let kept = pairs(&taken, || {
        let running = peer::Running::start(&format!("{hooks} {{ $nothing = 1; }}"))?;
        let value = taken()?;
        drop(running);
        Ok(value)
    })?;
    Ok(Some(figure(
        &format!("{name}, kept with empty programs on the same hooks"),
        kept,
    )))
}

/// A file as a block device, past the page cache.
struct LoopFile {
    device: String,
    _folder: TempDir,
}

const FILE_BYTES: usize = 64 << 20;
const READ_BYTES: usize = 4096;

impl LoopFile {
    fn new() -> Result<Self> {
        let folder = tempfile::tempdir_in("/var/tmp")?;
        let path = folder.path().join("disk");
        let mut file = File::create(&path)?;
        file.write_all(&vec![7; FILE_BYTES])?;
        file.sync_all()?;
        let made = Command::new("losetup")
            .args(["--find", "--show", "--direct-io=on"])
            .arg(&path)
            .output()
            .context("run losetup")?;
        ensure!(
            made.status.success(),
            "losetup failed: {}",
            String::from_utf8_lossy(&made.stderr).trim()
        );
        Ok(Self {
            device: String::from_utf8_lossy(&made.stdout).trim().to_owned(),
            _folder: folder,
        })
    }

    /// Reads a second, one after the other, at places all over it.
    fn reads(&self) -> Result<f64> {
        let file = std::fs::OpenOptions::new()
            .read(true)
            .custom_flags(libc::O_DIRECT)
            .open(&self.device)
            .with_context(|| format!("open {}", self.device))?;
        // O_DIRECT wants memory at a multiple of the block size.
        let mut memory = vec![0; 2 * READ_BYTES];
        let offset = memory.as_ptr().align_offset(READ_BYTES);
        let block = &mut memory[offset..offset + READ_BYTES];
        let (start, time, mut count, mut place) = (Instant::now(), Duration::from_millis(ROUND_MS), 0_u32, 0);
        while start.elapsed() < time {
            // Numerical Recipes' constants: the same places in each round.
            place = (place * 1_664_525 + 1_013_904_223) % (FILE_BYTES / READ_BYTES);
            std::os::unix::fs::FileExt::read_exact_at(&file, block, (place * READ_BYTES) as u64)?;
            count += 1;
        }
        Ok(f64::from(count) / start.elapsed().as_secs_f64())
    }
}

impl Drop for LoopFile {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.device]).status();
    }
}
