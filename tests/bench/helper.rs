//! The real helper as a child process, spoken to in its own protocol.

use anyhow::{Context as _, Result, bail};
use model::protocol::{BpfCost, Filter, Line, Lost, Reply, Request, Total, VERSION};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// A running helper. Dropping it closes its input, which ends it.
pub struct Helper {
    child: Child,
    input: Option<ChildStdin>,
    output: BufReader<ChildStdout>,
    seq: u64,
}

/// What a window brought.
pub struct Summary {
    /// Events said.
    pub events: u64,
    /// Events lost, by probe.
    pub lost: Vec<Lost>,
    /// Exact totals.
    pub totals: Vec<Total>,
    /// What the programs cost.
    pub bpf: BpfCost,
}

/// The probes a diagnosis of a TCP path arms.
pub const DIAGNOSIS: &[&str] = &[
    "drop",
    "tcpreset",
    "tcpretrans",
    "tcpstate",
    "icmp",
    "neigh",
    "dns",
    "path",
];

/// The static helper as it is shipped.
pub fn binary() -> Result<PathBuf> {
    let target = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../target"));
    let path = target.join(format!(
        "{}-unknown-linux-gnu/helper/node-helper",
        std::env::consts::ARCH
    ));
    if path.exists() {
        Ok(path)
    } else {
        bail!("no helper at `{}`; build it with `make build`", path.display())
    }
}

impl Helper {
    /// Starts the helper; it says nothing yet.
    pub fn start() -> Result<Self> {
        let mut child = Command::new(binary()?)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the helper")?;
        let input = child.stdin.take();
        let output = BufReader::new(child.stdout.take().context("the helper has no output")?);
        Ok(Self {
            child,
            input,
            output,
            seq: 0,
        })
    }

    /// Asks, without waiting for an answer.
    pub fn ask(&mut self, say: Request) -> Result<()> {
        self.seq += 1;
        let mut line = serde_json::to_vec(&Line {
            seq: self.seq,
            say,
            said: None,
        })?;
        line.push(b'\n');
        self.input
            .as_mut()
            .context("the helper's input is closed")?
            .write_all(&line)
            .context("ask the helper")
    }

    /// Reads until `wanted` finds its answer; counts the events that pass by.
    pub fn until<T>(&mut self, mut wanted: impl FnMut(Reply) -> Option<T>) -> Result<T> {
        let mut line = String::new();
        loop {
            line.clear();
            if self.output.read_line(&mut line).context("read from the helper")? == 0 {
                bail!("the helper ended early");
            }
            let reply: Line<Reply> = serde_json::from_str(&line).context("understand the helper")?;
            if let Reply::Failed { request, missing } = &reply.say {
                bail!("the helper could not `{request}`: {}", missing.why);
            }
            if let Some(found) = wanted(reply.say) {
                return Ok(found);
            }
        }
    }

    /// Greets and arms in one go; returns when all is attached.
    pub fn arm(&mut self, probes: &[&str], filter: Filter) -> Result<()> {
        if self.seq == 0 {
            self.ask(Request::Hello { version: VERSION })?;
        }
        self.ask(Request::Arm {
            id: 1,
            probes: probes.iter().map(ToString::to_string).collect(),
            filter,
        })?;
        let statuses = self.until(|reply| {
            if let Reply::Armed { probes, .. } = reply {
                Some(probes)
            } else {
                None
            }
        })?;
        if let Some(status) = statuses.iter().find(|status| status.unsupported.is_some()) {
            bail!(
                "probe `{}` cannot run here, so its cost cannot be taken: {:?}",
                status.name,
                status.unsupported
            );
        }
        Ok(())
    }

    /// Opens the window.
    pub fn go(&mut self) -> Result<()> {
        self.ask(Request::Go { id: 1 })?;
        self.until(|reply| matches!(reply, Reply::Going { .. }).then_some(()))
    }

    /// Closes the window.
    pub fn stop(&mut self) -> Result<Summary> {
        self.ask(Request::Stop { id: 1 })?;
        self.until(|reply| match reply {
            Reply::Stopped {
                events,
                lost,
                totals,
                bpf,
                ..
            } => Some(Summary {
                events,
                lost,
                totals,
                bpf: bpf.unwrap_or_default(),
            }),
            _ => None,
        })
    }

    /// A line of its `/proc/PID/status`, in kilobytes.
    pub fn memory_kb(&self, key: &str) -> Result<f64> {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).context("read the helper's status")?;
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix(':'))
            .context("find the helper's memory")?;
        Ok(line.trim().trim_end_matches(" kB").parse()?)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        self.input = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
