//! A client for tests: starts the built helper, speaks the protocol over its pipes, and kills it on the way out.

#![allow(clippy::disallowed_methods, reason = "this is not the helper")]
#![allow(dead_code, reason = "each test file uses its part")]

use model::attempt::{Attempt, AttemptSpec, Exchange, Sending, WatchedFlow};
use model::protocol::{Line, Reply, Request, VERSION};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::IpAddr;
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// Longer than anything here takes, on a busy machine too.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A helper and our end of the conversation.
pub struct RunningHelper {
    child: Child,
    to: Option<ChildStdin>,
    said: u64,
    lines: Receiver<String>,
    heard: u64,
}

impl RunningHelper {
    /// Starts it and says nothing.
    pub fn start() -> Self {
        Self::start_with(&mut Command::new(env!("CARGO_BIN_EXE_node-helper")))
    }

    /// Starts it by this command.
    pub fn start_with(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let to = child.stdin.take();
        let from = BufReader::new(child.stdout.take().unwrap());
        let (tell, lines) = channel();
        std::thread::spawn(move || {
            for line in from.lines() {
                let Ok(line) = line else { return };
                if tell.send(line).is_err() {
                    return;
                }
            }
        });
        Self {
            child,
            to,
            said: 0,
            lines,
            heard: 0,
        }
    }

    /// Starts it and exchanges greetings.
    pub fn greeted() -> Self {
        let mut helper = Self::start();
        helper.say(Request::Hello { version: VERSION });
        assert!(matches!(helper.hear(), Reply::Hello(_)));
        helper
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Says a request under its number.
    pub fn say(&mut self, say: Request) {
        self.said += 1;
        let line = serde_json::to_string(&Line {
            seq: self.said,
            say,
            said: None,
        })
        .unwrap();
        self.write(&line);
    }

    /// Says anything at all, which takes a number too.
    pub fn say_raw(&mut self, line: &str) {
        self.said += 1;
        self.write(line);
    }

    fn write(&mut self, line: &str) {
        writeln!(self.to.as_mut().unwrap(), "{line}").unwrap();
    }

    /// Closes its stdin.
    pub fn hang_up(&mut self) {
        self.to = None;
    }

    /// The next line but heartbeats, if one comes in time.
    pub fn hear_within(&mut self, patience: Duration) -> Option<Reply> {
        let until = Instant::now() + patience;
        loop {
            let line = self
                .lines
                .recv_timeout(until.saturating_duration_since(Instant::now()))
                .ok()?;
            let Line { seq, say, .. } = serde_json::from_str::<Line<Reply>>(&line).unwrap();
            self.heard += 1;
            assert_eq!(seq, self.heard, "lines are numbered without a gap");
            if say != Reply::Alive {
                return Some(say);
            }
        }
    }

    /// The next line but heartbeats.
    pub fn hear(&mut self) -> Reply {
        self.hear_within(PATIENCE).expect("the helper says something")
    }

    /// Whether a heartbeat comes in time.
    pub fn is_heard_alive_within(&mut self, patience: Duration) -> bool {
        let line = self.lines.recv_timeout(patience);
        self.heard += 1;
        line.is_ok_and(|line| line.contains("alive"))
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        self.end_within(PATIENCE).expect("the helper ends")
    }

    /// Waits for its end for so long.
    pub fn end_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let until = Instant::now() + patience;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().unwrap() {
                return Some(status);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Reserves ports for these attempts.
    pub fn plan(&mut self, id: u32, attempts: Vec<AttemptSpec>) -> Vec<WatchedFlow> {
        self.say(Request::Plan { id, attempts });
        match self.hear() {
            Reply::Planned { flows, missing, .. } => {
                assert_eq!(missing, []);
                flows
            }
            other => panic!("{other:?} is no plan"),
        }
    }

    /// Opens the window and waits for so many attempts.
    pub fn go(&mut self, id: u32, attempts: usize) -> Vec<Attempt> {
        self.say(Request::Go { id });
        assert!(matches!(self.hear(), Reply::Going { .. }));
        let mut met: Vec<Attempt> = (0..attempts).map(|_| self.attempt()).collect();
        met.sort_by_key(|attempt| attempt.id);
        met
    }

    /// The next attempt that is reported.
    pub fn attempt(&mut self) -> Attempt {
        match self.hear() {
            Reply::Attempt(attempt) => attempt,
            other => panic!("{other:?} is no attempt"),
        }
    }

    /// What one attempt from our own namespace meets.
    pub fn try_one(send: Sending) -> Attempt {
        Self::try_for(send, 2_000)
    }

    /// What it meets within so many milliseconds.
    pub fn try_for(send: Sending, timeout_ms: u64) -> Attempt {
        Self::try_from_netns(own_netns(), send, timeout_ms)
    }

    /// What it meets from this namespace.
    pub fn try_from_netns(netns: u32, send: Sending, timeout_ms: u64) -> Attempt {
        let mut helper = Self::greeted();
        helper.plan(1, vec![spec(1, netns, timeout_ms, send)]);
        helper.go(1, 1).remove(0)
    }
}

impl Drop for RunningHelper {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One thing to send, at once.
pub fn spec(id: u32, netns: u32, timeout_ms: u64, send: Sending) -> AttemptSpec {
    AttemptSpec {
        id,
        netns,
        pid: None,
        start_ms: 0,
        timeout_ms,
        send,
    }
}

/// A TCP attempt that is held for 100 ms.
pub fn tcp(to: IpAddr, port: u16, exchange: Exchange) -> Sending {
    Sending::Tcp {
        to,
        port,
        hold_ms: 100,
        exchange,
    }
}

/// The namespace the test runs in.
pub fn own_netns() -> u32 {
    inode("/proc/self/ns/net")
}

/// The inode of a namespace by its file.
pub fn inode(path: &str) -> u32 {
    File::open(path).unwrap().metadata().unwrap().ino() as u32
}

/// A network namespace of this test, taken down when dropped.
pub struct OwnNetns {
    /// Its name, that nobody else uses.
    pub name: String,
}

impl OwnNetns {
    /// Makes one, with loopback up.
    pub fn new(what: &str) -> Self {
        let namespace = Self {
            name: format!("attempt-{what}-{}", std::process::id()),
        };
        assert!(
            Command::new("ip")
                .args(["netns", "add", &namespace.name])
                .status()
                .unwrap()
                .success()
        );
        namespace.run("ip link set lo up");
        namespace
    }

    /// Its inode.
    pub fn inode(&self) -> u32 {
        inode(&format!("/run/netns/{}", self.name))
    }

    fn command(&self, script: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, "/bin/sh", "-c", script]);
        command
    }

    /// Runs a script in it, which must succeed.
    pub fn run(&self, script: &str) {
        assert!(self.command(script).status().unwrap().success(), "{script}");
    }

    /// A process in it that has said `ready`.
    pub fn spawn(&self, script: &str) -> TestProcess {
        let mut child = self.command(script).stdout(Stdio::piped()).spawn().unwrap();
        let mut ready = [0; 5];
        child.stdout.as_mut().unwrap().read_exact(&mut ready).unwrap();
        TestProcess(child)
    }
}

impl Drop for OwnNetns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// A process that ends with the test.
pub struct TestProcess(pub Child);

impl Drop for TestProcess {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
