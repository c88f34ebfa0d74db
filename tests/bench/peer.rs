//! bpftrace, the peer: the same hooks, by the tool one would reach for instead.

use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The hooks that a diagnosis attaches, as bpftrace names them.
const HOOKS: &[&str] = &[
    "tracepoint:skb:kfree_skb",
    "tracepoint:skb:consume_skb",
    "tracepoint:tcp:tcp_send_reset",
    "tracepoint:tcp:tcp_receive_reset",
    "tracepoint:tcp:tcp_retransmit_skb",
    "tracepoint:tcp:tcp_retransmit_synack",
    "tracepoint:sock:inet_sock_set_state",
    "tracepoint:icmp:icmp_send",
    "tracepoint:sock:inet_sk_error_report",
    "tracepoint:neigh:neigh_timer_handler",
    "tracepoint:net:net_dev_queue",
    "tracepoint:net:net_dev_start_xmit",
    "tracepoint:net:netif_receive_skb",
    "tracepoint:skb:skb_copy_datagram_iovec",
];

/// bpftrace with a program. It wants tracefs where it looks for it: in a mount namespace of its own that is made so, where the
/// machine has none there.
fn bpftrace(program: &str) -> Command {
    let mut command = Command::new("unshare");
    let script = "[ -d /sys/kernel/tracing/events ] || mount -t tracefs tracefs /sys/kernel/tracing || exit; \
                  exec bpftrace -q -e \"$@\"";
    command.args(["--mount", "/bin/sh", "-c", script, "sh", program]);
    command
}

/// bpftrace is here.
pub fn present() -> bool {
    Command::new("bpftrace")
        .arg("--version")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// From start to all hooks attached, and detached again at once, in seconds.
pub fn armed_s() -> Result<f64> {
    let program = format!("{} {{ @ = count(); }}", HOOKS.join(","));
    let start = Instant::now();
    // bpftrace starts the command when all is attached, and ends with it.
    let ended = bpftrace(&program)
        .args(["-c", "/bin/true"])
        .stdout(Stdio::null())
        .output()
        .context("run bpftrace")?;
    let took = start.elapsed();
    anyhow::ensure!(
        ended.status.success(),
        "bpftrace could not attach the same hooks: {}",
        String::from_utf8_lossy(&ended.stderr).trim()
    );
    Ok(took.as_secs_f64())
}

/// A bpftrace program that runs until dropped.
pub struct Running(Child);

impl Running {
    /// Starts it; returns when it is attached.
    pub fn start(program: &str) -> Result<Self> {
        let program =
            format!("{program} interval:ms:50 {{ if (@said == 0) {{ printf(\"attached\\n\"); @said = 1; }} }}");
        let mut child = bpftrace(&program)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("start bpftrace")?;
        let mut output = BufReader::new(child.stdout.take().context("bpftrace has no output")?);
        let mut line = String::new();
        while output.read_line(&mut line)? > 0 && !line.contains("attached") {
            line.clear();
        }
        // What it prints must be read, as by a terminal, or it would stop printing.
        std::thread::spawn(move || std::io::copy(&mut output, &mut std::io::sink()));
        Ok(Self(child))
    }

    /// Cost of the programs of a running bpftrace so far, in nanoseconds a run, as `bpftool` shows it while statistics are on.
    pub fn ns_a_run() -> Result<f64> {
        let shown = Command::new("bpftool")
            .args(["prog", "show", "-j"])
            .output()
            .context("run bpftool")?;
        let programs: Vec<serde_json::Value> = serde_json::from_slice(&shown.stdout)?;
        // Classic tracepoints are the peer's: ours are raw ones.
        let of_peer = programs.iter().filter(|program| program["type"] == "tracepoint");
        let (mut ns, mut runs) = (0.0, 0.0);
        for program in of_peer {
            ns += program["run_time_ns"].as_f64().unwrap_or_default();
            runs += program["run_cnt"].as_f64().unwrap_or_default();
        }
        anyhow::ensure!(runs > 0.0, "bpftool shows no runs of bpftrace's programs");
        Ok(ns / runs)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(pid) = i32::try_from(self.0.id()) {
            let _ = nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGINT);
        }
        let end = Instant::now() + Duration::from_secs(5);
        while Instant::now() < end {
            if matches!(self.0.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
