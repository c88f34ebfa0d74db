//! The two pipes to a helper, wherever it is. What comes in is numbered, bounded and must end with `Done`; anything else is a cut stream.

use super::recording::Recorder;
use model::missing::Missing;
use model::protocol::{HEARTBEAT_MS, LINE_MAX_BYTES, Line, Reply, Request};
use serde::de::IgnoredAny;
use std::io::{BufRead, Read as _, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::mpsc;

/// Lines that may wait to be taken; more, and the helper's pipe fills and it counts what it loses.
pub const WAITING: usize = 2_048;
/// The client says something at least this often: a third of what the helper bears.
pub const ALIVE_EVERY: Duration = Duration::from_millis(model::protocol::SILENCE_MS / 3);
/// A helper that says nothing for this long is gone.
const SILENCE: Duration = Duration::from_millis(HEARTBEAT_MS * 2 + HEARTBEAT_MS / 2);
/// A helper that is there answers its first question within this time.
const HELLO: Duration = Duration::from_secs(10);
/// A helper that has said its last word gets this long to detach and go.
pub const GOING: Duration = Duration::from_secs(2);

/// What comes from a helper.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and nearly always the large one"
)]
pub enum Heard {
    /// It says.
    Said(Reply),
    /// What goes on there before it can say anything.
    Stage(String),
    /// It could not be started, the stream ended before its last line, or cannot be trusted any more.
    Cut(Missing),
}

/// A helper at work, or about to be.
pub struct Link {
    ask: Box<dyn Fn(Request) + Send>,
    from: mpsc::Receiver<Heard>,
    /// Ends the helper when it is dropped, after the pipe to it.
    _end: Box<dyn Send>,
    /// How long its first word and later its next one may take; `None` for one that has all been said.
    patience: Option<Patience>,
}

/// How long is waited for a word.
#[derive(Debug)]
struct Patience {
    within: Duration,
    since: Instant,
    spoke: bool,
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl Link {
    /// Speaks by `ask` and hears from `from`. The first word must come `within` that time; `end` is dropped with the link.
    pub fn new(
        ask: impl Fn(Request) + Send + 'static,
        from: mpsc::Receiver<Heard>,
        end: Box<dyn Send>,
        within: Duration,
    ) -> Self {
        Self {
            ask: Box::new(ask),
            from,
            _end: end,
            patience: Some(Patience {
                within,
                since: Instant::now(),
                spoke: false,
            }),
        }
    }

    /// Speaks with a child process by its standard input and output. `last_words` waits for what it wrote to stderr.
    pub fn to_child(
        mut child: Child,
        last_words: impl FnOnce() -> String + Send + 'static,
        recorder: Option<Recorder>,
    ) -> Self {
        let (to, requests) = channel();
        let (tell, from) = mpsc::channel(WAITING);
        if let Some(input) = child.stdin.take() {
            thread::spawn(move || write_requests(input, &requests));
        }
        if let Some(output) = child.stdout.take() {
            let output = std::io::BufReader::with_capacity(1 << 16, output);
            thread::spawn(move || listen(output, recorder, &tell, last_words));
        }
        // A helper that is gone is noticed on the other pipe.
        let ask = move |request| {
            let _ = to.send(request);
        };
        Self::new(ask, from, Box::new(Reaper(child)), HELLO)
    }

    /// Replays lines; what is asked is not heard.
    pub fn to_recording(lines: impl BufRead + Send + 'static) -> Self {
        let (tell, from) = mpsc::channel(WAITING);
        thread::spawn(move || listen(lines, None, &tell, String::new));
        Self {
            patience: None,
            ..Self::new(|_| {}, from, Box::new(()), HELLO)
        }
    }

    /// Asks.
    pub fn ask(&self, request: Request) {
        (self.ask)(request);
    }

    /// The next word, or why there will be none.
    pub fn poll_next(&mut self, task: &mut std::task::Context<'_>) -> Poll<Heard> {
        let cut = |why: &str| Heard::Cut(Missing::new("the rest of what the helper saw", why));
        match self.from.poll_recv(task) {
            Poll::Ready(Some(heard)) => {
                if let Some(patience) = &mut self.patience {
                    patience.since = Instant::now();
                    patience.spoke |= matches!(heard, Heard::Said(_));
                }
                Poll::Ready(heard)
            }
            Poll::Ready(None) if self.patience.is_none() => Poll::Ready(cut("the recording ended")),
            Poll::Ready(None) => Poll::Ready(cut("the helper's stream ended")),
            Poll::Pending => {
                let Some(patience) = &self.patience else {
                    return Poll::Pending;
                };
                let limit = if patience.spoke { SILENCE } else { patience.within };
                if patience.since.elapsed() < limit {
                    return Poll::Pending;
                }
                Poll::Ready(cut(&if patience.spoke {
                    format!(
                        "the helper said nothing for {} s, although it should every 5 s",
                        limit.as_secs_f32()
                    )
                } else {
                    format!("the helper did not answer within {} s", limit.as_secs())
                }))
            }
        }
    }
}

/// Nothing stays: the helper ends when its input closes, and is killed when it does not.
struct Reaper(Child);

impl Drop for Reaper {
    fn drop(&mut self) {
        let pause = Duration::from_millis(2);
        for _ in 0..GOING.as_millis() / pause.as_millis() {
            if !matches!(self.0.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(pause);
        }
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A request as it goes over the wire, with the end of its line.
pub fn request_line(seq: u64, say: Request) -> Option<Vec<u8>> {
    let mut line = serde_json::to_vec(&Line { seq, say }).ok()?;
    line.push(b'\n');
    Some(line)
}

fn write_requests(mut input: impl Write, requests: &Receiver<Request>) {
    let mut seq = 0;
    loop {
        let say = match requests.recv_timeout(ALIVE_EVERY) {
            Ok(request) => request,
            Err(RecvTimeoutError::Timeout) => Request::Alive,
            Err(RecvTimeoutError::Disconnected) => return,
        };
        seq += 1;
        let Some(line) = request_line(seq, say) else {
            return;
        };
        if input.write_all(&line).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}

fn listen(
    mut lines: impl BufRead,
    recorder: Option<Recorder>,
    tell: &mpsc::Sender<Heard>,
    last_words: impl FnOnce() -> String,
) {
    let mut ear = Ear::of(recorder);
    let mut line = Vec::new();
    let why = loop {
        line.clear();
        // The limit is read anew for each line; one byte more shows that it was passed.
        match lines
            .by_ref()
            .take(LINE_MAX_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)
        {
            Ok(0) if ear.is_done() => return,
            Ok(0) => {
                let words = last_words();
                break ended(&words);
            }
            Err(error) => break format!("reading from the helper failed: {error}"),
            Ok(_) => {}
        }
        match ear.hear(&line) {
            Ok(Some(reply)) => {
                if tell.blocking_send(Heard::Said(reply)).is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(why) => break why,
        }
    };
    let _ = tell.blocking_send(ear.cut(why));
}

/// Hears a helper's lines and has them kept, where the run is recorded.
pub struct Ear {
    lines: Lines,
    recorder: Option<Recorder>,
}

impl Ear {
    /// Nothing heard yet.
    pub fn of(recorder: Option<Recorder>) -> Self {
        Self {
            lines: Lines::default(),
            recorder,
        }
    }

    /// The last line came.
    pub fn is_done(&self) -> bool {
        self.lines.done
    }

    /// As [`Lines::line`].
    pub fn hear(&mut self, line: &[u8]) -> Result<Option<Reply>, String> {
        if let Some(recorder) = &self.recorder {
            recorder.keep(line);
        }
        let reply = self.lines.line(line)?;
        // The client may be gone as soon as it has heard the last line.
        if let Some(recorder) = self.recorder.as_ref().filter(|_| self.lines.done) {
            recorder.flush();
        }
        Ok(reply)
    }

    /// No more will be heard, for this reason.
    pub fn cut(self, why: String) -> Heard {
        // What was recorded is on the disk before anybody is told.
        drop(self.recorder);
        Heard::Cut(
            Missing::new("the rest of what the helper saw", why)
                .remedy("run it again; with -v the helper's own messages are shown"),
        )
    }
}

/// Why nothing more comes of a helper that is no more, by what it wrote beside its lines.
pub fn ended(words: &str) -> String {
    if words.is_empty() {
        "the helper ended without its last line".to_owned()
    } else {
        format!("the helper ended without its last line and said: {words}")
    }
}

/// A helper's stream, line by line: what must hold from one to the next.
#[derive(Debug, Default)]
pub struct Lines {
    last: u64,
    /// Its last line came.
    pub done: bool,
}

impl Lines {
    /// The reply of a line; `None` for a word this version does not know, and an error when the stream cannot be trusted.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, String> {
        if line.len() > LINE_MAX_BYTES {
            return Err(format!(
                "line {} of the helper is longer than {LINE_MAX_BYTES} bytes",
                self.last + 1
            ));
        }
        if !line.ends_with(b"\n") {
            return Err(format!(
                "the helper's stream was cut in the middle of line {}",
                self.last + 1
            ));
        }
        let (seq, say) = match serde_json::from_slice::<Line<Reply>>(line) {
            Ok(Line { seq, say }) => (seq, Some(say)),
            Err(error) => match serde_json::from_slice::<Line<IgnoredAny>>(line) {
                Ok(Line { seq, .. }) => (seq, None),
                Err(_) => {
                    return Err(format!(
                        "line {} of the helper is not of the protocol: {error}",
                        self.last + 1
                    ));
                }
            },
        };
        if seq != self.last + 1 {
            return Err(format!(
                "line {seq} of the helper follows line {}: lines were lost",
                self.last
            ));
        }
        self.last = seq;
        self.done |= matches!(say, Some(Reply::Done { .. }));
        Ok(say)
    }
}

#[cfg(test)]
mod tests {
    use super::{HELLO, Heard, Lines, Link, SILENCE, listen};
    use model::protocol::Reply;
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;
    use tokio::sync::mpsc;

    fn heard(text: &str) -> Vec<Heard> {
        let (tell, mut from) = mpsc::channel(16);
        listen(text.as_bytes(), None, &tell, || "out of memory".to_owned());
        drop(tell);
        std::iter::from_fn(|| from.blocking_recv()).collect()
    }

    fn cut(text: &str) -> String {
        match heard(text).pop() {
            Some(Heard::Cut(missing)) => missing.why,
            other => panic!("{other:?} is no cut"),
        }
    }

    #[test]
    fn a_stream_ends_with_its_last_line() {
        let whole = "{\"seq\":1,\"say\":\"alive\"}\n{\"seq\":2,\"say\":{\"done\":{\"events\":0,\"lost\":0,\"exit\":0,\"skipped\":0}}}\n";
        assert!(matches!(
            heard(whole)[..],
            [Heard::Said(Reply::Alive), Heard::Said(Reply::Done { .. })]
        ));
    }

    #[test]
    fn a_helper_that_died_is_a_cut_with_its_last_words() {
        assert!(cut("{\"seq\":1,\"say\":\"alive\"}\n").contains("out of memory"));
    }

    #[test]
    fn lost_lines_half_lines_and_noise_are_cuts() {
        assert!(cut("{\"seq\":1,\"say\":\"alive\"}\n{\"seq\":3,\"say\":\"alive\"}\n").contains("line 3"));
        assert!(cut("{\"seq\":1,\"say\":\"ali").contains("middle of line 1"));
        assert!(cut("Segmentation fault\n").contains("not of the protocol"));
    }

    /// A link whose helper has been silent for so long, and what comes of it next.
    fn after(silence: Duration, spoke: bool) -> Poll<Heard> {
        let (_tell, from) = mpsc::channel(1);
        let mut link = Link::new(|_| {}, from, Box::new(()), HELLO);
        let patience = link.patience.as_mut().unwrap();
        patience.since -= silence;
        patience.spoke = spoke;
        link.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_helper_that_stalls_is_noticed_after_two_heartbeats_and_not_before() {
        assert!(after(SILENCE / 2, true).is_pending());
        let Poll::Ready(Heard::Cut(missing)) = after(SILENCE, true) else {
            panic!("a stall went unnoticed")
        };
        assert!(missing.why.contains("said nothing for"), "{}", missing.why);
        assert!(after(HELLO / 2, false).is_pending());
        let Poll::Ready(Heard::Cut(missing)) = after(HELLO, false) else {
            panic!("a helper that never spoke went unnoticed")
        };
        assert!(missing.why.contains("did not answer within"), "{}", missing.why);
    }

    #[test]
    fn a_word_of_a_later_version_is_skipped() {
        let mut stream = Lines::default();
        assert_eq!(stream.line(b"{\"seq\":1,\"say\":{\"weather\":\"fine\"}}\n"), Ok(None));
        assert_eq!(stream.line(b"{\"seq\":2,\"say\":\"alive\"}\n"), Ok(Some(Reply::Alive)));
    }
}
