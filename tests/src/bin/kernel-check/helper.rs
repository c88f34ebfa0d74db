//! The helper as a child process, spoken to line by line.

use anyhow::{Context, Result, bail};
use model::event::Event;
use model::protocol::{Filter, Hello, Line, Reply, Request, VERSION};
use model::series::Series;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// How long an answer may take; plain emulation is slow.
const PATIENCE: Duration = Duration::from_secs(30);

/// A running helper.
pub struct Helper {
    child: Child,
    stdin: Option<ChildStdin>,
    replies: Receiver<Reply>,
    seq: u64,
    id: u32,
    /// What it said first.
    pub hello: Hello,
}

impl Helper {
    /// Starts it and shakes hands.
    pub fn start(path: &str) -> Result<Self> {
        let mut child = Command::new(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {path}"))?;
        let stdin = child.stdin.take();
        let stdout = child.stdout.take().context("the helper has no stdout")?;
        let (sender, replies) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                // A line that is not understood is skipped, as the protocol says.
                let Ok(line) = serde_json::from_str::<Line<Reply>>(&line) else {
                    continue;
                };
                if sender.send(line.say).is_err() {
                    break;
                }
            }
        });
        let mut helper = Self {
            child,
            stdin,
            replies,
            seq: 0,
            id: 0,
            hello: Hello::default(),
        };
        helper.say(Request::Hello { version: VERSION })?;
        helper.hello = helper.wait("hello", |reply| match reply {
            Reply::Hello(hello) => Some(hello),
            _ => None,
        })?;
        Ok(helper)
    }

    fn say(&mut self, say: Request) -> Result<()> {
        self.seq += 1;
        let mut line = serde_json::to_string(&Line {
            seq: self.seq,
            say,
            said: None,
        })?;
        line.push('\n');
        let stdin = self.stdin.as_mut().context("the helper's input is closed")?;
        stdin.write_all(line.as_bytes()).context("cannot write to the helper")
    }

    /// Reads replies until `pick` takes one.
    fn wait<T>(&mut self, what: &str, mut pick: impl FnMut(Reply) -> Option<T>) -> Result<T> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self
                .replies
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(Reply::Failed { request, missing }) => bail!("{request}: {}: {}", missing.what, missing.why),
                Ok(reply) => {
                    if let Some(found) = pick(reply) {
                        return Ok(found);
                    }
                }
                Err(RecvTimeoutError::Timeout) => bail!("no {what} from the helper within {PATIENCE:?}"),
                Err(RecvTimeoutError::Disconnected) => bail!("the helper ended before {what}"),
            }
        }
    }

    /// Arms `probe`, opens the window, lets `act` happen, waits until `enough` is seen or `bound` has passed, closes
    /// the window: all events of it. That not enough was seen is for the caller to judge.
    pub fn watch(
        &mut self,
        probe: &str,
        filter: Filter,
        bound: Duration,
        act: impl FnOnce() -> Result<()>,
        enough: impl Fn(&[Event]) -> bool,
    ) -> Result<Vec<Event>> {
        let id = self.open(probe, filter)?;
        act()?;
        let mut events = Vec::new();
        let deadline = Instant::now() + bound;
        while !enough(&events) {
            match self
                .replies
                .recv_timeout(deadline.saturating_duration_since(Instant::now()))
            {
                Ok(Reply::Event(event)) => events.push(event),
                Ok(_) => {}
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => bail!("the helper ended in mid-window"),
            }
        }
        let rest = self.close(id)?;
        events.extend(rest.into_iter().filter_map(|reply| match reply {
            Reply::Event(event) => Some(event),
            _ => None,
        }));
        Ok(events)
    }

    /// Arms `probe`, reads its numbers, lets `act` happen, reads them again: by how much each grew.
    pub fn numbers(
        &mut self,
        probe: &str,
        filter: Filter,
        act: impl FnOnce() -> Result<()>,
    ) -> Result<Vec<(Series, u64)>> {
        let id = self.open(probe, filter)?;
        let mut series = Vec::new();
        let (mut before, mut after): (BTreeMap<u32, u64>, BTreeMap<u32, u64>) = Default::default();
        self.wait("a reading", |reply| match reply {
            Reply::Describe(described) => {
                series.push(described);
                None
            }
            Reply::Series(sample) => {
                before.extend(sample.values);
                None
            }
            Reply::Round(_) => Some(()),
            _ => None,
        })?;
        act()?;
        for reply in self.close(id)? {
            match reply {
                Reply::Describe(described) => series.push(described),
                Reply::Series(sample) => after.extend(sample.values),
                _ => {}
            }
        }
        let grown = series.into_iter().map(|series| {
            let then = before.get(&series.id).copied().unwrap_or_default();
            let now = after.get(&series.id).copied().unwrap_or(then);
            (series, now.saturating_sub(then))
        });
        Ok(grown.collect())
    }

    /// Opens a window with this probe; its number.
    fn open(&mut self, probe: &str, filter: Filter) -> Result<u32> {
        self.id += 1;
        let id = self.id;
        self.say(Request::Arm {
            id,
            probes: vec![probe.to_owned()],
            filter,
        })?;
        let armed = self.wait("armed", |reply| match reply {
            Reply::Armed { probes, .. } => Some(probes),
            _ => None,
        })?;
        if let Some(why) = armed.iter().find_map(|status| status.unsupported.as_ref()) {
            self.close(id)?;
            bail!("{probe}: {}", why.why);
        }
        self.say(Request::Go { id })?;
        self.wait("going", |reply| matches!(reply, Reply::Going { .. }).then_some(()))?;
        Ok(id)
    }

    /// Closes a window; what was said until then.
    fn close(&mut self, id: u32) -> Result<Vec<Reply>> {
        self.say(Request::Stop { id })?;
        let mut all = Vec::new();
        self.wait("stopped", |reply| match reply {
            Reply::Stopped { .. } => Some(()),
            other => {
                all.push(other);
                None
            }
        })?;
        Ok(all)
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        let _ = self.say(Request::Bye);
        // Its input closed, it ends; should it not, it is ended.
        self.stdin = None;
        let deadline = Instant::now() + Duration::from_secs(5);
        while Instant::now() < deadline {
            if matches!(
                self.replies.recv_timeout(Duration::from_millis(100)),
                Err(RecvTimeoutError::Disconnected)
            ) {
                break;
            }
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
