//! A command run to its end inside a bound, its output kept apart from what it says on stderr.
use std::io::{Read, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;

const LOOK_EVERY: Duration = Duration::from_millis(10);

/// How a command ended.
#[derive(Debug, Clone)]
pub struct CallEnd {
    /// Its exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its stdout.
    pub out: String,
    /// Its stderr, trimmed.
    pub err: String,
}

/// Runs a command with `input`; it and what it started are killed when it does not end within the bound.
pub fn call(command: &mut Command, input: &str, within: Duration) -> Result<CallEnd> {
    let name = command.get_program().to_string_lossy().into_owned();
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .with_context(|| format!("starting {name}"))?;
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let group = Pid::from_raw(child.id().cast_signed());
    thread::scope(|scope| {
        scope.spawn(move || stdin.map(|mut stdin| stdin.write_all(input.as_bytes())));
        let out = scope.spawn(move || all(stdout));
        let err = scope.spawn(move || all(stderr));
        let started = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().with_context(|| format!("waiting for {name}"))? {
                break Some(status);
            }
            if started.elapsed() > within {
                let _ = killpg(group, Signal::SIGKILL);
                let _ = child.wait();
                break None;
            }
            thread::sleep(LOOK_EVERY);
        };
        let text = |joined: thread::Result<String>| joined.unwrap_or_default();
        let (out, err) = (text(out.join()), text(err.join()));
        match status {
            Some(status) => Ok(CallEnd {
                code: status.code(),
                out,
                err: err.trim().to_owned(),
            }),
            None => bail!("{name} did not end within {within:?}: {}", err.trim()),
        }
    })
}

fn all(stream: Option<impl Read>) -> String {
    let mut bytes = Vec::new();
    if let Some(mut stream) = stream {
        let _ = stream.read_to_end(&mut bytes);
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

impl CallEnd {
    /// What it wrote, if it ended well.
    pub fn good(self, what: &str) -> Result<String> {
        match self.code {
            Some(0) => Ok(self.out),
            Some(code) => bail!("{what} failed (exit code {code}): {}{}", self.out.trim(), self.err),
            None => bail!("{what} was ended by a signal: {}", self.err),
        }
    }
}
