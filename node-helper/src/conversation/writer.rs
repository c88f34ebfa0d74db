//! The one writer of numbered lines, for all threads: answers leave at once, events within five milliseconds, and
//! when there is nothing to say for a while it says so.

use model::missing::Missing;
use model::protocol::{HEARTBEAT_MS, Line, Reply, Tally};
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How long an event may wait for others to share its write.
const GATHER: Duration = Duration::from_millis(5);

/// Twice as often as promised: a busy machine may be late.
const HEARTBEAT: Duration = Duration::from_millis(HEARTBEAT_MS / 2);

/// Numbers lines and writes them.
pub struct Writer {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    out: BufWriter<Box<dyn Write + Send>>,
    line: Vec<u8>,
    /// Lines by word, and all of them.
    tally: Tally,
    said: u64,
    unflushed: bool,
    /// `None` until the first line: before it there is no heartbeat either.
    last: Option<Instant>,
}

impl Writer {
    /// A writer on this stream, which nobody else may write to.
    pub fn new(out: Box<dyn Write + Send>) -> Self {
        Self {
            state: Mutex::new(State {
                out: BufWriter::with_capacity(64 * 1024, out),
                line: Vec::with_capacity(1024),
                tally: Tally::new(),
                said: 0,
                unflushed: false,
                last: None,
            }),
            changed: Condvar::new(),
        }
    }

    /// Says it at once.
    pub fn say(&self, reply: &Reply) {
        let mut state = self.lock();
        state.write(reply);
        state.flush();
        self.changed.notify_one();
    }

    /// Says that a request could not be carried out.
    pub fn say_failed(&self, request: &str, missing: Missing) {
        self.say(&Reply::Failed {
            request: request.into(),
            missing,
        });
    }

    /// Says it soon, together with others: for events, which come in crowds.
    pub fn stream(&self, reply: &Reply) {
        let mut state = self.lock();
        state.write(reply);
        if !state.unflushed {
            state.unflushed = true;
            self.changed.notify_one();
        }
    }

    /// Events said so far.
    pub fn events(&self) -> u64 {
        self.lock().events()
    }

    /// For a panicking thread, which may hold the lock itself: tries for a moment. `reply` is told how many events were said.
    pub fn last_words(&self, reply: impl Fn(u64) -> Reply) {
        let until = Instant::now() + Duration::from_millis(200);
        while Instant::now() < until {
            if let Ok(mut state) = self.state.try_lock() {
                let last = reply(state.events());
                state.write(&last);
                state.flush();
                return;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Flushes what was streamed and keeps the heartbeat, for ever: a thread of its own.
    pub fn keep_alive(&self) {
        let mut state = self.lock();
        loop {
            if state.unflushed {
                drop(state);
                std::thread::sleep(GATHER);
                state = self.lock();
                state.flush();
            }
            let idle = state.last.map_or(Duration::ZERO, |last| last.elapsed());
            if idle >= HEARTBEAT {
                state.write(&Reply::Alive);
                state.flush();
            } else if !state.unflushed {
                (state, _) = self
                    .changed
                    .wait_timeout(state, HEARTBEAT.saturating_sub(idle))
                    .unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn events(&self) -> u64 {
        self.tally.get("event").copied().unwrap_or_default()
    }

    fn write(&mut self, reply: &Reply) {
        self.line.clear();
        let line = Line {
            seq: self.said + 1,
            say: reply,
            said: reply.is_sum().then(|| self.tally.clone()),
        };
        let mut word = reply.word();
        if let Err(error) = serialize(&mut self.line, &line) {
            // A gap would cut the stream; a word in its place keeps it whole and says what is missing.
            let line = Line {
                seq: self.said + 1,
                say: Reply::Failed {
                    request: "say".into(),
                    missing: Missing::new("a reply", format!("it cannot be written as JSON: {error}")),
                },
                said: None,
            };
            word = line.say.word();
            if serialize(&mut self.line, &line).is_err() {
                return;
            }
        }
        self.said += 1;
        match self.tally.get_mut(word) {
            Some(count) => *count += 1,
            None => drop(self.tally.insert(word.to_owned(), 1)),
        }
        self.last = Some(Instant::now());
        if self.out.write_all(&self.line).is_err() {
            nobody_listens();
        }
    }

    fn flush(&mut self) {
        self.unflushed = false;
        if self.out.flush().is_err() {
            nobody_listens();
        }
    }
}

fn serialize<T: Serialize>(into: &mut Vec<u8>, line: &Line<T>) -> serde_json::Result<()> {
    into.clear();
    serde_json::to_writer(&mut *into, line)?;
    into.push(b'\n');
    Ok(())
}

/// The client is gone: the helper has no reason to be here, and the kernel detaches what a process held.
fn nobody_listens() -> ! {
    std::process::exit(3)
}

#[cfg(test)]
mod tests {
    use super::Writer;
    use model::protocol::{Line, Reply, Tally};
    use std::io::{PipeReader, Read, pipe};
    use std::sync::Arc;

    fn writer() -> (Arc<Writer>, PipeReader) {
        let (reader, out) = pipe().unwrap();
        (Arc::new(Writer::new(Box::new(out))), reader)
    }

    #[test]
    fn lines_are_numbered_without_a_gap_whoever_speaks() {
        let (writer, mut reader) = writer();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..100 {
                        writer.say(&Reply::Alive);
                    }
                });
            }
        });
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let numbers: Vec<u64> = text
            .lines()
            .map(|line| serde_json::from_str::<Line<Reply>>(line).unwrap().seq)
            .collect();
        assert_eq!(numbers, (1..=400).collect::<Vec<u64>>());
    }

    #[test]
    fn what_closes_something_tells_what_was_said_before_it() {
        let (writer, mut reader) = writer();
        writer.say(&Reply::Alive);
        writer.say(&Reply::Read { id: 1 });
        writer.say(&Reply::Read { id: 2 });
        drop(writer);
        let mut text = String::new();
        reader.read_to_string(&mut text).unwrap();
        let said: Vec<Option<Tally>> = text
            .lines()
            .map(|line| serde_json::from_str::<Line<Reply>>(line).unwrap().said)
            .collect();
        let tally =
            |words: &[(&str, u64)]| Some(words.iter().map(|(word, count)| ((*word).to_owned(), *count)).collect());
        assert_eq!(
            said,
            [None, tally(&[("alive", 1)]), tally(&[("alive", 1), ("read", 1)])]
        );
    }
}
