//! A command of a scenario while it runs: its own process group, its output in a file, ended when dropped (unless its
//! lab is kept).
use std::fmt;
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

/// How often a condition is looked at that nothing tells of.
pub(crate) const LOOK_EVERY: Duration = Duration::from_millis(4);
static COUNT: AtomicU32 = AtomicU32::new(0);

/// What listens at this moment where a command is to run.
pub type Listeners = Box<dyn Fn() -> Result<Vec<String>>>;

/// A running command. Dropping it ends its whole process group.
pub struct LabProcess {
    child: Child,
    command: String,
    output: PathBuf,
    listeners: Option<Listeners>,
    before: Vec<String>,
    left: bool,
}

impl fmt::Debug for LabProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` ({})", self.command, self.child.id())
    }
}

impl LabProcess {
    /// The same process, which is left running when it is dropped, or not.
    #[must_use]
    pub fn left(mut self, left: bool) -> Self {
        self.left = left;
        self
    }

    /// Starts a program that is `command` to people, with its output in a file of its own in the directory `logs`.
    pub fn spawn(mut program: Command, command: &str, logs: &Path, listeners: Option<Listeners>) -> Result<Self> {
        let output = logs.join(COUNT.fetch_add(1, Ordering::Relaxed).to_string());
        let log = File::create(&output).with_context(|| format!("creating {}", output.display()))?;
        let before = listeners
            .as_ref()
            .map_or_else(|| Ok(Vec::new()), |listeners| listeners())?;
        let child = program
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
            listeners,
            before,
            left: false,
        })
    }

    /// What it has printed so far, on both streams.
    pub fn output(&self) -> String {
        fs::read(&self.output)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Its command, and the last line it has printed so far, if it has printed any.
    pub fn last_said(&self) -> Option<String> {
        let output = self.output();
        let line = output.lines().rev().find(|line| !line.trim().is_empty())?;
        Some(format!("`{}` said: {}", self.command.trim(), line.trim()))
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
            if let Some(listeners) = &self.listeners
                && listeners()?.iter().any(|socket| !self.before.contains(socket))
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

impl Drop for LabProcess {
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

/// Where the kernel lists sockets.
pub const SOCKET_TABLES: [&str; 4] = ["tcp", "tcp6", "udp", "udp6"];

/// What listens in the namespace of the calling thread.
pub fn listening() -> Vec<String> {
    let read = |table| fs::read_to_string(format!("/proc/thread-self/net/{table}")).unwrap_or_default();
    SOCKET_TABLES
        .iter()
        .flat_map(|table| listening_in(table, &read(table)))
        .collect()
}

/// Listening TCP and unconnected UDP sockets of a table below `/proc/net`, each as table and local address.
pub fn listening_in(table: &str, text: &str) -> Vec<String> {
    let state = if table.starts_with("tcp") { "0A" } else { "07" };
    let sockets = text.lines().filter_map(|line| {
        let mut words = line.split_whitespace().skip(1);
        let (local, _, found) = (words.next()?, words.next()?, words.next()?);
        (found == state).then(|| format!("{table} {local}"))
    });
    sockets.collect()
}
