//! A command of a scenario while it runs: its own process group, its output in a file, ended when dropped (unless its
//! lab is kept).
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

use crate::lab::{self, Lab};
use crate::skoop;

const LOOK_EVERY: Duration = Duration::from_millis(4);
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A running command. Dropping it ends its whole process group.
#[derive(Debug)]
pub struct Process {
    child: Child,
    command: String,
    output: PathBuf,
    netns: Option<String>,
    listening: Vec<String>,
    left: bool,
}

impl Process {
    /// Starts `/bin/sh -c command` in a namespace (none: this one) with the lab's built-in servers on PATH.
    pub fn start(lab: &Lab, netns: Option<&str>, command: &str, beside: &Path) -> Result<Self> {
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let output = lab.directory().join("log").join(number.to_string());
        let log = File::create(&output).with_context(|| format!("creating {}", output.display()))?;
        let bin = lab.directory().join("bin");
        let own = std::env::var("PATH").unwrap_or_default();
        let helper = skoop::helper_directory()
            .map(|directory| directory.display().to_string())
            .unwrap_or_default();
        let system = "/usr/local/sbin:/usr/sbin:/sbin";
        let path = format!("{}:{own}:{system}:{helper}:{}", bin.display(), beside.display());
        let listening = netns.map(listening).transpose()?.unwrap_or_default();
        let child = Command::new(bin.join("lab"))
            .args([
                Path::new("in"),
                &lab.directory(),
                Path::new(netns.unwrap_or("-")),
                Path::new(if lab.kept() { "stays" } else { "dies" }),
                Path::new(command),
            ])
            .env("PATH", path)
            .env("LAB", lab.directory())
            .current_dir(beside)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("starting `{command}`"))?;
        Ok(Self {
            child,
            command: command.to_owned(),
            output,
            netns: netns.map(str::to_owned),
            listening,
            left: lab.kept(),
        })
    }

    /// What it has printed so far, on both streams.
    pub fn output(&self) -> String {
        fs::read(&self.output)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Waits for a good end; what it left in the background goes on until this is dropped.
    pub fn finish(&mut self, within: Duration) -> Result<String> {
        let status = self.wait(within)?;
        let output = self.output();
        match status {
            None => bail!("`{}` did not end within {within:?}: {}", self.command, output.trim()),
            Some(status) if !status.success() => {
                bail!("`{}` failed ({status}): {}", self.command, output.trim())
            }
            Some(_) => Ok(output),
        }
    }

    /// Waits for its end; nothing when it still runs after `within`.
    pub fn wait(&mut self, within: Duration) -> Result<Option<ExitStatus>> {
        let started = Instant::now();
        loop {
            if let Some(status) = self
                .child
                .try_wait()
                .with_context(|| format!("waiting for `{}`", self.command))?
            {
                return Ok(Some(status));
            }
            if started.elapsed() > within {
                return Ok(None);
            }
            sleep(LOOK_EVERY);
        }
    }

    /// Waits until it prints `ready`, or a socket that was not there before listens in its namespace. A command that
    /// ends well has put itself into the background, and is ready.
    pub fn ready(&mut self, within: Duration) -> Result<()> {
        let started = Instant::now();
        while started.elapsed() < within {
            if self.output().lines().any(|line| line.trim() == "ready") {
                return Ok(());
            }
            if let Some(netns) = &self.netns
                && listening(netns)?.iter().any(|socket| !self.listening.contains(socket))
            {
                return Ok(());
            }
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("`{}` ended ({status}): {}", self.command, self.output().trim());
            }
            sleep(LOOK_EVERY);
        }
        bail!(
            "`{}` neither listens nor printed `ready` within {within:?}: {}",
            self.command,
            self.output().trim()
        )
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if self.left {
            return;
        }
        let group = Pid::from_raw(self.child.id().cast_signed());
        let _ = killpg(group, Signal::SIGCONT);
        let _ = killpg(group, Signal::SIGTERM);
        if !matches!(self.wait(Duration::from_millis(100)), Ok(Some(_))) {
            let _ = killpg(group, Signal::SIGKILL);
            let _ = self.child.wait();
        }
        let _ = killpg(group, Signal::SIGKILL);
    }
}

/// Listening TCP and unconnected UDP sockets of a namespace, each as table and local address.
fn listening(netns: &str) -> Result<Vec<String>> {
    lab::inside(netns, || {
        let mut sockets = Vec::new();
        for (table, state) in [("tcp", "0A"), ("tcp6", "0A"), ("udp", "07"), ("udp6", "07")] {
            let text = fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
            for line in text.lines().skip(1) {
                let mut words = line.split_whitespace().skip(1);
                if let (Some(local), Some(_), Some(found)) = (words.next(), words.next(), words.next())
                    && found == state
                {
                    sockets.push(format!("{table} {local}"));
                }
            }
        }
        sockets
    })
}
