//! The two pipes to a helper, wherever it is. What comes in is bounded and must end with `Done`; anything else is a cut stream.

use super::line_weight::weight;
use super::reply_stream::ReplyStream;
use crate::recording::Recorder;
use model::missing::Missing;
use model::protocol::{HEARTBEAT_MS, LINE_MAX_BYTES, Line, Reply, Request};
use std::io::{BufRead, Read as _, Write};
use std::process::Child;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::task::Poll;
use std::thread;
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

/// Lines that may wait to be taken; more, and the helper's pipe fills and it counts what it loses.
pub const WAITING: usize = 2_048;
/// Memory that waiting lines may take, in KiB; a line that takes more waits until it is the only one.
const WAITING_KIB: u32 = 8 * 1024;
/// Bytes that the buffer keeps from one line to the next, at most.
const USUAL_BYTES: usize = 64 * 1024;
/// How long a thread waits before it looks again for room.
const PAUSE: Duration = Duration::from_millis(1);
/// The client sends something at least this often: a third of the silence after which the helper ends.
pub const ALIVE_EVERY: Duration = Duration::from_millis(model::protocol::SILENCE_MS / 3);
/// A helper that sends nothing for this long is gone.
const SILENCE: Duration = Duration::from_millis(HEARTBEAT_MS * 2 + HEARTBEAT_MS / 2);
/// A helper that is there answers its first question within this time.
const HELLO: Duration = Duration::from_secs(10);
/// A message of a helper beside its lines is taken in parts of this length.
pub const MESSAGE_MAX_BYTES: u64 = 4096;
/// A helper that has sent its last reply gets this long to detach and end.
pub const GOING: Duration = Duration::from_secs(2);

/// What comes from a helper.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "one at a time, and nearly always the large one"
)]
pub enum LinkEvent {
    /// A reply of it.
    Reply(Reply, QueueRoom),
    /// Requests reach it from now on, and it should answer.
    Reached,
    /// What goes on there before it can answer.
    Stage(String),
    /// The helper could not be started, its stream ended before its last line, or cannot be trusted any more.
    Cut(Missing),
}

/// What a reply takes while it waits to be taken.
#[derive(Debug, Default)]
pub struct QueueRoom {
    /// About how many bytes of memory.
    pub bytes: usize,
    _held: Option<OwnedSemaphorePermit>,
}

impl QueueRoom {
    fn held(bytes: usize, held: Option<OwnedSemaphorePermit>) -> Self {
        Self { bytes, _held: held }
    }
}

/// A helper at work, or about to be.
pub struct HelperLink {
    ask: Box<dyn Fn(Request) + Send>,
    from: mpsc::Receiver<LinkEvent>,
    /// Ends the helper when it is dropped, after the pipe to it.
    _end: Box<dyn Send>,
    /// How long its greeting and later its next reply may take; `None` for a recording.
    patience: Option<Patience>,
}

/// How long a reply is waited for. Before the greeting no other reply counts.
#[derive(Debug)]
struct Patience {
    within: Duration,
    since: Instant,
    greeted: bool,
}

impl Patience {
    fn receive(&mut self, received: &LinkEvent) {
        match received {
            LinkEvent::Reply(Reply::Hello(_), _) => self.greeted = true,
            LinkEvent::Reached => self.within = HELLO,
            LinkEvent::Reply(..) if !self.greeted => return,
            LinkEvent::Reply(..) | LinkEvent::Stage(_) | LinkEvent::Cut(_) => {}
        }
        self.since = Instant::now();
    }

    /// Why it is over, when it is.
    fn over(&self) -> Option<String> {
        let limit = if self.greeted { SILENCE } else { self.within };
        (self.since.elapsed() >= limit).then(|| {
            if self.greeted {
                format!(
                    "the helper said nothing for {} s, although it should every 5 s",
                    limit.as_secs_f32()
                )
            } else {
                format!("the helper did not say who it is within {} s", limit.as_secs())
            }
        })
    }
}

impl std::fmt::Debug for HelperLink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link")
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

impl HelperLink {
    /// Sends requests by `ask` and takes events from `from`. The greeting must come `within` that time; `end` is dropped with the link.
    pub fn new(
        ask: impl Fn(Request) + Send + 'static,
        from: mpsc::Receiver<LinkEvent>,
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
                greeted: false,
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
        let (sender, from) = mpsc::channel(WAITING);
        if let Some(input) = child.stdin.take() {
            thread::spawn(move || write_requests(input, &requests));
        }
        if let Some(output) = child.stdout.take() {
            let output = std::io::BufReader::with_capacity(1 << 16, output);
            thread::spawn(move || listen(output, recorder, &sender, last_words));
        }
        // A helper that is gone is noticed on the other pipe.
        let ask = move |request| {
            let _ = to.send(request);
        };
        Self::new(ask, from, Box::new(Reaper(child)), HELLO)
    }

    /// Replays lines; requests go nowhere.
    pub fn to_recording(lines: impl BufRead + Send + 'static) -> Self {
        let (sender, from) = mpsc::channel(WAITING);
        thread::spawn(move || listen(lines, None, &sender, String::new));
        Self {
            patience: None,
            ..Self::new(|_| {}, from, Box::new(()), HELLO)
        }
    }

    /// Asks.
    pub fn ask(&self, request: Request) {
        (self.ask)(request);
    }

    /// The next event, or why there will be none.
    pub fn poll_next(&mut self, task: &mut std::task::Context<'_>) -> Poll<LinkEvent> {
        let cut = |why: &str| LinkEvent::Cut(Missing::new("the rest of what the helper saw", why));
        match self.from.poll_recv(task) {
            Poll::Ready(Some(received)) => {
                if let Some(patience) = &mut self.patience {
                    patience.receive(&received);
                    // Other replies without end are no greeting either.
                    if let Some(why) = patience.over() {
                        return Poll::Ready(cut(&why));
                    }
                }
                Poll::Ready(received)
            }
            Poll::Ready(None) if self.patience.is_none() => Poll::Ready(cut("the recording ended")),
            Poll::Ready(None) => Poll::Ready(cut("the helper's stream ended")),
            Poll::Pending => match self.patience.as_ref().and_then(Patience::over) {
                Some(why) => Poll::Ready(cut(&why)),
                None => Poll::Pending,
            },
        }
    }

    /// All of its replies were given before: it knows nothing of what is asked now.
    pub fn is_recorded(&self) -> bool {
        self.patience.is_none()
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
    let mut line = serde_json::to_vec(&Line { seq, say, said: None }).ok()?;
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
    sender: &mpsc::Sender<LinkEvent>,
    last_words: impl FnOnce() -> String,
) {
    let mut reader = ReplyReader::of(recorder);
    let mut line = Vec::new();
    let why = loop {
        line.clear();
        line.shrink_to(USUAL_BYTES);
        // The limit is read anew for each line; one byte more shows that it was passed.
        match lines
            .by_ref()
            .take(LINE_MAX_BYTES as u64 + 1)
            .read_until(b'\n', &mut line)
        {
            Ok(0) if reader.is_done() => return,
            Ok(0) => {
                let words = last_words();
                break ended(&words);
            }
            Err(error) => break format!("reading from the helper failed: {error}"),
            Ok(_) => {}
        }
        // There is room for the reply before it is parsed.
        let Some(room) = reader.room(&line, sender) else { return };
        match reader.receive(&line) {
            Ok(Some(reply)) => {
                if sender.blocking_send(LinkEvent::Reply(reply, room)).is_err() {
                    return;
                }
            }
            Ok(None) => {}
            Err(why) => break why,
        }
    };
    let _ = sender.blocking_send(reader.cut(why));
}

/// Hears a helper's lines and has them kept, where the run is recorded.
pub struct ReplyReader {
    lines: ReplyStream,
    recorder: Option<Recorder>,
    /// What may still wait, in KiB.
    free: Arc<Semaphore>,
}

impl ReplyReader {
    /// Nothing received yet.
    pub fn of(recorder: Option<Recorder>) -> Self {
        Self {
            lines: ReplyStream::default(),
            recorder,
            free: Arc::new(Semaphore::new(WAITING_KIB as usize)),
        }
    }

    /// The last line came.
    pub fn is_done(&self) -> bool {
        self.lines.done
    }

    /// As [`ReplyStream::line`].
    pub fn receive(&mut self, line: &[u8]) -> Result<Option<Reply>, String> {
        if let Some(recorder) = &self.recorder {
            recorder.keep(line);
        }
        let reply = self.lines.line(line)?;
        // The client may be gone as soon as it has received the last line.
        if let Some(recorder) = self.recorder.as_ref().filter(|_| self.lines.done) {
            recorder.flush();
        }
        Ok(reply)
    }

    /// Waits for room for the reply of this line; `None` when nobody takes anything any more.
    fn room(&self, line: &[u8], sender: &mpsc::Sender<LinkEvent>) -> Option<QueueRoom> {
        let (bytes, kib) = takes(line);
        loop {
            if let Ok(held) = Arc::clone(&self.free).try_acquire_many_owned(kib) {
                return Some(QueueRoom::held(bytes, Some(held)));
            }
            if sender.is_closed() {
                return None;
            }
            thread::sleep(PAUSE);
        }
    }

    /// Waits for room like `room`, in a task instead of a thread.
    pub async fn room_later(&self, line: &[u8]) -> QueueRoom {
        let (bytes, kib) = takes(line);
        QueueRoom::held(bytes, Arc::clone(&self.free).acquire_many_owned(kib).await.ok())
    }

    /// Nothing more will be received, for this reason.
    pub fn cut(self, why: String) -> LinkEvent {
        // What was recorded is on the disk before anybody knows of the cut.
        drop(self.recorder);
        LinkEvent::Cut(
            Missing::new("the rest of what the helper saw", why)
                .remedy("run it again; with -v the helper's own messages are shown"),
        )
    }
}

/// About what a line's reply takes: in bytes, and in KiB of what may wait.
fn takes(line: &[u8]) -> (usize, u32) {
    let bytes = weight(line);
    let kib = u32::try_from(bytes.div_ceil(1024)).unwrap_or(WAITING_KIB);
    (bytes, kib.min(WAITING_KIB))
}

/// Why nothing more comes of a helper that is no more, by what it wrote beside its lines.
pub fn ended(words: &str) -> String {
    if words.is_empty() {
        "the helper ended without its last line".to_owned()
    } else {
        format!("the helper ended without its last line and said: {words}")
    }
}

#[cfg(test)]
mod tests {
    use super::{HELLO, HelperLink, LinkEvent, QueueRoom, SILENCE, listen};
    use model::protocol::{Hello, Reply};
    use std::task::{Context, Poll, Waker};
    use std::time::Duration;
    use tokio::sync::mpsc;

    fn received(text: &str) -> Vec<LinkEvent> {
        let (sender, mut from) = mpsc::channel(16);
        listen(text.as_bytes(), None, &sender, || "out of memory".to_owned());
        drop(sender);
        std::iter::from_fn(|| from.blocking_recv()).collect()
    }

    fn cut(text: &str) -> String {
        match received(text).pop() {
            Some(LinkEvent::Cut(missing)) => missing.why,
            other => panic!("{other:?} is no cut"),
        }
    }

    #[test]
    fn a_stream_ends_with_its_last_line() {
        let whole = "{\"seq\":1,\"say\":\"alive\"}\n{\"seq\":2,\"say\":{\"done\":{\"events\":0,\"lost\":0,\"exit\":0,\"skipped\":0}}}\n";
        assert!(matches!(
            received(whole)[..],
            [
                LinkEvent::Reply(Reply::Alive, _),
                LinkEvent::Reply(Reply::Done { .. }, _)
            ]
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
    fn after(silence: Duration, greeted: bool, says: Option<Reply>) -> Poll<LinkEvent> {
        let (sender, from) = mpsc::channel(1);
        let mut link = HelperLink::new(|_| {}, from, Box::new(()), HELLO);
        let patience = link.patience.as_mut().unwrap();
        patience.since -= silence;
        patience.greeted = greeted;
        if let Some(reply) = says {
            sender.try_send(LinkEvent::Reply(reply, QueueRoom::default())).unwrap();
        }
        link.poll_next(&mut Context::from_waker(Waker::noop()))
    }

    #[test]
    fn a_helper_that_stalls_is_noticed_after_two_heartbeats_and_not_before() {
        assert!(after(SILENCE / 2, true, None).is_pending());
        let Poll::Ready(LinkEvent::Cut(missing)) = after(SILENCE, true, None) else {
            panic!("a stall went unnoticed")
        };
        assert!(missing.why.contains("said nothing for"), "{}", missing.why);
        assert!(after(HELLO / 2, false, None).is_pending());
        let Poll::Ready(LinkEvent::Cut(missing)) = after(HELLO, false, None) else {
            panic!("a helper that never spoke went unnoticed")
        };
        assert!(missing.why.contains("did not say who it is within"), "{}", missing.why);
    }

    #[test]
    fn a_helper_that_only_says_that_it_lives_has_not_greeted() {
        let alive = || Some(Reply::Alive);
        assert!(matches!(
            after(HELLO / 2, false, alive()),
            Poll::Ready(LinkEvent::Reply(..))
        ));
        assert!(matches!(after(HELLO, false, alive()), Poll::Ready(LinkEvent::Cut(_))));
        assert!(matches!(
            after(SILENCE, true, alive()),
            Poll::Ready(LinkEvent::Reply(..))
        ));
        let hello = Some(Reply::Hello(Hello::default()));
        assert!(matches!(after(HELLO, false, hello), Poll::Ready(LinkEvent::Reply(..))));
    }

    #[test]
    fn what_waits_to_be_taken_is_bounded_in_bytes_too() {
        // Each would fill what may wait; the channel has places for both.
        let probes = vec!["{}"; 14_400].join(",");
        let armed = |seq| format!("{{\"seq\":{seq},\"say\":{{\"armed\":{{\"id\":1,\"probes\":[{probes}]}}}}}}\n");
        let text = armed(1) + &armed(2) + "noise";
        let (sender, mut from) = mpsc::channel(16);
        let listening = std::thread::spawn(move || listen(text.as_bytes(), None, &sender, String::new));
        let first = from.blocking_recv();
        assert!(matches!(first, Some(LinkEvent::Reply(..))));
        assert!(from.try_recv().is_err(), "the second waits for the first");
        drop(first);
        assert!(matches!(from.blocking_recv(), Some(LinkEvent::Reply(..))));
        assert!(matches!(from.blocking_recv(), Some(LinkEvent::Cut(_))));
        listening.join().unwrap();
    }
}
