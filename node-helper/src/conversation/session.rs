//! The conversation with the client: requests in, numbered lines out, and every way in which it may end.
//!
//! It ends with `Bye`, with the end of stdin, after 15 s without a line from the client, at its own deadline, and on
//! SIGTERM or SIGINT. Whatever the helper attached dies with the process, so every end is also a clean-up.

use super::hello::hello;
use super::input::{self, Input};
use super::request_line::{Heard, parse};
use super::window::Windows;
use super::writer::Writer;
use crate::discovery::{resolve, survey};
use crate::processes::capabilities;
use crate::processes::privileges::SESSION;
use crate::servants::{armer, usher};
use anyhow::Context as _;
use model::missing::Missing;
use model::protocol::{Ask, Reply, Request, SILENCE_MS, VERSION};
use nix::sys::prctl;
use nix::sys::signal::{SigSet, Signal};
use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// Beyond its end a session may take this long to say its last lines.
const GRACE: Duration = Duration::from_secs(2);

/// Exit code when the helper could not do its work.
const COULD_NOT: u8 = 3;

/// Holds one session, heard on stdin and said to `out`, for at most `deadline`.
pub fn run(deadline: Duration, out: Box<dyn Write + Send>) -> ExitCode {
    let writer = Arc::new(Writer::new(out));
    match hold(&writer, deadline) {
        Ok(exit) => exit,
        Err(error) => {
            let why = the_rest(format!("{error:#}"));
            writer.last_words(|events| last(events, why.clone()));
            ExitCode::from(COULD_NOT)
        }
    }
}

fn hold(writer: &Arc<Writer>, deadline: Duration) -> anyhow::Result<ExitCode> {
    // All of this while the process has one thread and has read nothing.
    capabilities::given();
    crate::attempts::cgroup::see_all();
    // Kernels before 6.4 tell it by a file of /proc alone, which none of our processes may open later on.
    let _ = procfs::page_size();
    armer::ours()?;
    usher::ours()?;
    SESSION.assume()?;
    // Not before: a panic of another process is not the session's to tell.
    speak_of_panics(writer);
    // The client's death is also seen as the end of stdin; this covers a stdin that somebody else holds open. A change of
    // the user would undo it.
    prctl::set_pdeathsig(Signal::SIGTERM).context("asking for a signal when the client dies")?;
    let (tell, inbox) = input::channel();
    // Blocked before the first thread is made, so that all threads leave these signals to the one that waits.
    let signals = SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT]);
    signals.thread_block().context("blocking SIGTERM and SIGINT")?;
    let on_signal = tell.clone();
    spawn("signals", move || {
        if let Ok(signal) = signals.wait() {
            exit_within(GRACE);
            let _ = on_signal.send(Input::Signal(signal));
        }
    })?;
    let from_stdin = tell.clone();
    spawn("stdin", move || {
        input::read_lines(std::io::stdin().lock(), &from_stdin);
        exit_within(GRACE);
    })?;
    let alive = Arc::clone(writer);
    spawn("heartbeat", move || alive.keep_alive())?;
    exit_within(deadline + GRACE);

    let mut session = Session {
        windows: Windows::new(Arc::clone(writer), tell),
        writer: Arc::clone(writer),
        greeted: false,
        lines: 0,
        skipped: 0,
        reading: Vec::new(),
    };
    Ok(session.listen(&inbox, Instant::now() + deadline))
}

fn spawn(name: &str, body: impl FnOnce() + Send + 'static) -> anyhow::Result<JoinHandle<()>> {
    std::thread::Builder::new()
        .name(name.into())
        .spawn(body)
        .with_context(|| format!("starting the thread `{name}`"))
}

/// The helper's own timer: whatever else hangs, the process ends after this.
fn exit_within(grace: Duration) {
    let timer = spawn("deadline", move || {
        std::thread::sleep(grace);
        std::process::exit(COULD_NOT.into());
    });
    if timer.is_err() {
        std::process::exit(COULD_NOT.into());
    }
}

/// A panic in any thread ends the session in words: half a helper would look like a quiet node.
fn speak_of_panics(writer: &Arc<Writer>) {
    let writer = Arc::clone(writer);
    std::panic::set_hook(Box::new(move |panic| {
        let thread = std::thread::current().name().unwrap_or("unnamed").to_owned();
        let why = the_rest(format!("the helper failed in its thread `{thread}`: {panic}"))
            .remedy("please report this line as a bug");
        writer.last_words(|events| last(events, why.clone()));
        std::process::exit(COULD_NOT.into());
    }));
}

/// What is missing when a session ends early.
fn the_rest(why: impl Into<String>) -> Missing {
    Missing::new("the rest of this session", why)
}

/// The last line of a helper that could not do its work.
fn last(events: u64, why: Missing) -> Reply {
    Reply::Done {
        events,
        lost: 0,
        exit: COULD_NOT,
        skipped: 0,
        why: Some(why),
    }
}

/// How a session ends.
enum End {
    /// The client said so.
    Asked,
    /// The client has closed its end, and nobody may be there to read this.
    HungUp,
    /// Nobody asked for it; this is why.
    Unasked(Missing),
}

struct Session {
    writer: Arc<Writer>,
    windows: Windows,
    greeted: bool,
    /// Lines of the client so far: each has the number of its place.
    lines: u64,
    /// Lines that were not understood.
    skipped: u64,
    reading: Vec<JoinHandle<()>>,
}

impl Session {
    fn listen(&mut self, inbox: &Receiver<Input>, deadline: Instant) -> ExitCode {
        let silence = Duration::from_millis(SILENCE_MS);
        let mut heard = Instant::now();
        let end = loop {
            let patience = (heard + silence)
                .min(deadline)
                .saturating_duration_since(Instant::now());
            let end = match inbox.recv_timeout(patience) {
                Ok(Input::Line(line)) => {
                    heard = Instant::now();
                    self.hear(&line)
                }
                Ok(Input::Watch { id, flow }) => {
                    self.windows.watch(id, &flow);
                    None
                }
                Ok(Input::TooLong) => Some(End::Unasked(the_rest(
                    "a line of the client is longer than both ends agreed on",
                ))),
                Ok(Input::End) => {
                    self.windows.abandon();
                    Some(End::HungUp)
                }
                Ok(Input::Signal(signal)) => Some(End::Unasked(
                    the_rest(format!("{signal} ended the helper"))
                        .remedy("run it again; where it is a pod, see whether it was evicted or its node drained"),
                )),
                Err(RecvTimeoutError::Timeout) if heard.elapsed() >= silence => Some(End::Unasked(the_rest(format!(
                    "the client was silent for {} s",
                    silence.as_secs()
                )))),
                Err(RecvTimeoutError::Timeout) if Instant::now() < deadline => None,
                Err(_) => Some(End::Unasked(
                    the_rest("the helper's own time is over").remedy("start it with a later --deadline"),
                )),
            };
            if let Some(end) = end {
                break end;
            }
        };
        self.end(end)
    }

    fn end(&mut self, end: End) -> ExitCode {
        // A client that stands still takes no last line, and its pipe is full.
        if matches!(end, End::Unasked(_)) {
            exit_within(GRACE);
        }
        self.windows.stop_all();
        for thread in self.reading.drain(..) {
            let _ = thread.join();
        }
        let (exit, why) = match end {
            End::Asked => (0, None),
            End::HungUp => (0, Some(the_rest("its input ended before it was told to go"))),
            End::Unasked(why) => (COULD_NOT, Some(why)),
        };
        // A helper that nobody spoke to stays silent: there may be nobody who understands it.
        if self.lines > 0 {
            self.writer.say(&Reply::Done {
                events: self.writer.events(),
                lost: self.windows.lost(),
                exit,
                skipped: self.skipped,
                why,
            });
        }
        ExitCode::from(exit)
    }

    fn hear(&mut self, line: &[u8]) -> Option<End> {
        self.lines += 1;
        let (seq, request) = match parse(line) {
            Heard::Request { seq, request } => (seq, Ok(*request)),
            Heard::Malformed { seq, word, why } => (seq, Err((word, why))),
            Heard::NotUnderstood { seq } => {
                self.skipped += 1;
                return seq.and_then(|seq| self.out_of_step(seq));
            }
        };
        if let Some(end) = self.out_of_step(seq) {
            return Some(end);
        }
        match request {
            Ok(request) => self.answer(request),
            Err((word, why)) => {
                self.writer
                    .say_failed(&word, Missing::new(format!("the request `{word}`"), why));
                None
            }
        }
    }

    /// A gap or a step back: part of what the client said is lost.
    fn out_of_step(&self, seq: u64) -> Option<End> {
        (seq != self.lines).then(|| {
            End::Unasked(the_rest(format!(
                "line {} of the client carries number {seq}",
                self.lines
            )))
        })
    }

    fn answer(&mut self, request: Request) -> Option<End> {
        if let Request::Hello { version } = request {
            if version != VERSION {
                return Some(End::Unasked(
                    Missing::new(
                        "a common protocol",
                        format!("the client speaks version {version}, this helper speaks {VERSION}"),
                    )
                    .remedy("use the helper that was built with this client"),
                ));
            }
            self.greeted = true;
            self.writer.say(&Reply::Hello(hello()));
            return None;
        }
        if !self.greeted {
            return Some(End::Unasked(Missing::new(
                "a greeting",
                "the first line must be `hello` with the client's version",
            )));
        }
        match request {
            Request::Hello { .. } | Request::Alive => {}
            Request::Resolve { endpoint, from } => self
                .writer
                .say(&Reply::Resolved(resolve::resolve(&endpoint, from.as_deref()))),
            Request::Read(ask) => self.read(ask),
            Request::Plan { id, attempts } => self.windows.plan(id, &attempts),
            Request::Arm { id, probes, filter } => self.windows.arm(id, &probes, filter),
            Request::Go { id } => self.windows.go(id),
            Request::Watch { id, flows } => flows.iter().for_each(|flow| self.windows.watch(id, flow)),
            Request::Stop { id } => self.windows.stop(id),
            Request::Bye => return Some(End::Asked),
        }
        None
    }

    /// Reading takes tens of milliseconds: meanwhile probes can be armed.
    fn read(&mut self, ask: Ask) {
        self.reading.retain(|thread| !thread.is_finished());
        let writer = Arc::clone(&self.writer);
        let reader = spawn("read", move || {
            survey::read(&ask, &mut |reply| writer.say(&reply));
            writer.say(&Reply::Read { id: ask.id });
        });
        match reader {
            Ok(thread) => self.reading.push(thread),
            Err(error) => self
                .writer
                .say_failed("read", Missing::new("facts", format!("{error:#}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{COULD_NOT, spawn, speak_of_panics};
    use crate::conversation::writer::Writer;
    use std::process::Command;
    use std::sync::Arc;

    #[test]
    fn a_panic_is_told_and_ends_the_helper() {
        const IN_CHILD: &str = "SKOOP_TEST_PANIC";
        if std::env::var_os(IN_CHILD).is_some() {
            speak_of_panics(&Arc::new(Writer::new(Box::new(std::io::stdout()))));
            let _ = spawn("read", || panic!("on purpose")).unwrap().join();
            return;
        }
        let output = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "conversation::session::tests::a_panic_is_told_and_ends_the_helper",
                "--nocapture",
            ])
            .env(IN_CHILD, "1")
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout);
        assert_eq!(output.status.code(), Some(COULD_NOT.into()));
        assert!(
            said.contains(r#""done":{"#) && said.contains("thread `read`") && said.contains("on purpose"),
            "{said}"
        );
    }
}
