//! The two pipes to a helper. What comes in is numbered, bounded and must end with `Done`; anything else is a cut stream.

use super::recording::Recorder;
use model::missing::Missing;
use model::protocol::{HEARTBEAT_MS, LINE_MAX_BYTES, Line, Reply, Request};
use serde::de::IgnoredAny;
use std::io::{BufRead, Read as _, Write};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;
use tokio::sync::mpsc;

/// Lines that may wait to be taken; more, and the helper's pipe fills and it counts what it loses.
const WAITING: usize = 8_192;
/// The client says something at least this often: a third of what the helper bears.
const ALIVE_EVERY: Duration = Duration::from_millis(model::protocol::SILENCE_MS / 3);
/// A helper that says nothing for this long is gone.
const SILENCE: Duration = Duration::from_millis(HEARTBEAT_MS * 2 + HEARTBEAT_MS / 2);
/// A helper that has said its last word gets this long to detach and go.
const GOING: Duration = Duration::from_secs(2);

/// What comes from a helper.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and nearly always the large one"
)]
pub enum Heard {
    /// It says.
    Said(Reply),
    /// The stream ended before its last line, or cannot be trusted any more.
    Cut(Missing),
}

/// A helper at work.
#[derive(Debug)]
pub struct Link {
    to: Option<Sender<Request>>,
    from: mpsc::Receiver<Heard>,
    child: Option<Child>,
    stalls: bool,
}

impl Link {
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
        Self {
            to: Some(to),
            from,
            child: Some(child),
            stalls: true,
        }
    }

    /// Replays lines; what is asked is not heard.
    pub fn to_recording(lines: impl BufRead + Send + 'static) -> Self {
        let (tell, from) = mpsc::channel(WAITING);
        thread::spawn(move || listen(lines, None, &tell, String::new));
        Self {
            to: None,
            from,
            child: None,
            stalls: false,
        }
    }

    /// Asks. A helper that is gone is noticed on the other pipe.
    pub fn ask(&self, request: Request) {
        if let Some(to) = &self.to {
            let _ = to.send(request);
        }
    }

    /// The next word, or why there will be none.
    pub async fn next(&mut self) -> Heard {
        let cut = |why: &str| Heard::Cut(Missing::new("the rest of what the helper saw", why));
        if !self.stalls {
            return self.from.recv().await.unwrap_or_else(|| cut("the recording ended"));
        }
        match tokio::time::timeout(SILENCE, self.from.recv()).await {
            Ok(Some(heard)) => heard,
            Ok(None) => cut("the helper's stream ended"),
            Err(_) => cut(&format!(
                "the helper said nothing for {} s, although it should every 5 s",
                SILENCE.as_secs_f32()
            )),
        }
    }
}

impl Drop for Link {
    /// Nothing stays: the helper ends when its input closes, and is killed when it does not.
    fn drop(&mut self) {
        self.to = None;
        self.from.close();
        let Some(mut child) = self.child.take() else { return };
        let pause = Duration::from_millis(2);
        for _ in 0..GOING.as_millis() / pause.as_millis() {
            if !matches!(child.try_wait(), Ok(None)) {
                return;
            }
            thread::sleep(pause);
        }
        let _ = child.kill();
        let _ = child.wait();
    }
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
        let Ok(mut line) = serde_json::to_vec(&Line { seq, say }) else {
            return;
        };
        line.push(b'\n');
        if input.write_all(&line).and_then(|()| input.flush()).is_err() {
            return;
        }
    }
}

fn listen(
    mut lines: impl BufRead,
    mut recorder: Option<Recorder>,
    tell: &mpsc::Sender<Heard>,
    last_words: impl FnOnce() -> String,
) {
    let mut checks = Checks::default();
    let mut line = Vec::new();
    let why = loop {
        line.clear();
        // The limit is read anew for each line; one byte more shows that it was passed.
        match lines
            .by_ref()
            .take(LINE_MAX_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)
        {
            Ok(0) if checks.done => return,
            Ok(0) => {
                let words = last_words();
                break if words.is_empty() {
                    "the helper ended without its last line".to_owned()
                } else {
                    format!("the helper ended without its last line and said: {words}")
                };
            }
            Err(error) => break format!("reading from the helper failed: {error}"),
            Ok(_) => {}
        }
        if let Some(recorder) = &mut recorder {
            recorder.keep(&line);
        }
        match checks.line(&line) {
            Ok(Some(reply)) => {
                // The client may be gone as soon as it has heard the last line.
                if checks.done
                    && let Some(recorder) = &mut recorder
                {
                    recorder.flush();
                }
                if tell.blocking_send(Heard::Said(reply)).is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(why) => break why,
        }
    };
    drop(recorder);
    let _ = tell.blocking_send(Heard::Cut(
        Missing::new("the rest of what the helper saw", why)
            .remedy("run it again; with -v the helper's own messages are shown"),
    ));
}

/// What must hold from line to line.
#[derive(Debug, Default)]
struct Checks {
    last: u64,
    done: bool,
}

impl Checks {
    /// The reply of a line; `None` for a word this version does not know, and an error when the stream cannot be trusted.
    fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, String> {
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
    use super::{Checks, Heard, listen};
    use model::protocol::Reply;
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

    #[test]
    fn a_word_of_a_later_version_is_skipped() {
        let mut checks = Checks::default();
        assert_eq!(checks.line(b"{\"seq\":1,\"say\":{\"weather\":\"fine\"}}\n"), Ok(None));
        assert_eq!(checks.line(b"{\"seq\":2,\"say\":\"alive\"}\n"), Ok(Some(Reply::Alive)));
    }
}
