//! bpftrace, the peer: the same hooks, by the tool one would reach for instead.

use anyhow::{Context as _, Result};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The hooks that a diagnosis attaches, as bpftrace names them.
const HOOKS: &[&str] = &[
    "kfree_skb",
    "consume_skb",
    "tcp_send_reset",
    "tcp_receive_reset",
    "tcp_retransmit_skb",
    "tcp_retransmit_synack",
    "inet_sock_set_state",
    "icmp_send",
    "inet_sk_error_report",
    "neigh_timer_handler",
    "net_dev_queue",
    "net_dev_start_xmit",
    "netif_receive_skb",
    "skb_copy_datagram_iovec",
];

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
    let program = format!(
        "{} {{ @ = count(); }}",
        HOOKS
            .iter()
            .map(|hook| format!("rawtracepoint:{hook}"))
            .collect::<Vec<_>>()
            .join(",")
    );
    let start = Instant::now();
    // bpftrace starts the command when all is attached, and ends with it.
    let status = Command::new("bpftrace")
        .args(["-q", "-e", &program, "-c", "/bin/true"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .context("run bpftrace")?;
    anyhow::ensure!(status.success(), "bpftrace could not attach the same hooks");
    Ok(start.elapsed().as_secs_f64())
}

/// A bpftrace program that runs until dropped.
pub struct Running(Child);

impl Running {
    /// Starts it; returns when it is attached.
    pub fn start(program: &str) -> Result<Self> {
        let program =
            format!("{program} interval:ms:50 {{ if (@said == 0) {{ printf(\"attached\\n\"); @said = 1; }} }}");
        let mut child = Command::new("bpftrace")
            .args(["-q", "-e", &program])
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

    /// Cost of its programs so far in nanoseconds a run, as `bpftool` shows it while statistics are on.
    pub fn ns_a_run(&self) -> Result<f64> {
        let shown = Command::new("bpftool")
            .args(["prog", "show", "-j"])
            .output()
            .context("run bpftool")?;
        let programs: Vec<serde_json::Value> = serde_json::from_slice(&shown.stdout)?;
        let of_peer = programs.iter().filter(|program| {
            program["pids"]
                .as_array()
                .is_some_and(|pids| pids.iter().any(|pid| pid["pid"].as_u64() == Some(self.0.id().into())))
        });
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
