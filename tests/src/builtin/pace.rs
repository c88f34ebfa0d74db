//! What the clients share: they begin things at a steady pace, each on a thread of its own, and count how many failed.
use std::collections::BTreeMap;
use std::fmt;
use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::arguments::Arguments;

/// The arguments it reads.
pub const KEYS: [&str; 2] = ["every", "count"];

/// How often something is begun, and how many times; 0: for ever.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    every: Duration,
    count: u64,
}

/// What came of all so far.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct PaceCount {
    /// How many were begun.
    pub tried: u64,
    /// Of those that failed, how many ended in each way.
    pub failed: BTreeMap<String, u64>,
}

impl Pace {
    /// Takes `every=MS` (100) and `count=N` (for ever).
    pub fn read(arguments: &mut Arguments) -> Result<Self> {
        Ok(Self {
            every: Duration::from_millis(arguments.value("every", 100)?),
            count: arguments.value("count", 0)?,
        })
    }

    /// Begins `one` again and again. Prints the tally whenever it changes, so that the last line is true whenever it is ended.
    pub fn keep(self, one: impl Fn() -> std::io::Result<()> + Clone + Send + 'static) -> Result<()> {
        self.keep_and_tell(one, |tally| {
            // Nobody may be reading any more.
            let _ = writeln!(std::io::stdout(), "{tally}");
        })
    }

    fn keep_and_tell(
        self,
        one: impl Fn() -> std::io::Result<()> + Clone + Send + 'static,
        tell: impl Fn(&PaceCount) + Clone + Send + 'static,
    ) -> Result<()> {
        let tally = Arc::new(Mutex::new(PaceCount::default()));
        let mut open = Vec::new();
        let mut due = Instant::now();
        for begun in 1.. {
            tally.lock().unwrap_or_else(PoisonError::into_inner).tried += 1;
            let (one, tell, tally) = (one.clone(), tell.clone(), Arc::clone(&tally));
            let begin = thread::Builder::new().stack_size(256 << 10).spawn(move || {
                let ended = one();
                let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
                tally.count(ended);
                tell(&tally);
            });
            open.push(begin.context("starting a thread")?);
            open.retain(|one| !one.is_finished());
            if begun == self.count {
                break;
            }
            // Whoever is late does not hurry afterwards.
            due = (due + self.every).max(Instant::now());
            thread::sleep(due.saturating_duration_since(Instant::now()));
        }
        for one in open {
            let _ = one.join();
        }
        Ok(())
    }
}

impl PaceCount {
    fn count(&mut self, ended: std::io::Result<()>) {
        if let Err(error) = ended {
            *self.failed.entry(error.to_string()).or_default() += 1;
        }
    }
}

impl fmt::Display for PaceCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let failed: u64 = self.failed.values().sum();
        write!(f, "{} tried, {failed} failed", self.tried)?;
        let ways: Vec<_> = self
            .failed
            .iter()
            .map(|(way, count)| format!("{count}: {way}"))
            .collect();
        match ways.as_slice() {
            [] => Ok(()),
            ways => write!(f, " ({})", ways.join("; ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_counted_by_how_they_ended() {
        let mut tally = PaceCount {
            tried: 3,
            ..PaceCount::default()
        };
        tally.count(Ok(()));
        assert_eq!(tally.to_string(), "3 tried, 0 failed");
        for _ in 0..2 {
            tally.count(Err(std::io::ErrorKind::TimedOut.into()));
        }
        assert_eq!(tally.to_string(), "3 tried, 2 failed (2: timed out)");
    }

    #[test]
    fn so_many_are_begun_as_were_asked_for() {
        let mut arguments = Arguments::read(&["every=0".to_owned(), "count=7".to_owned()], &KEYS);
        let pace = Pace::read(&mut arguments).unwrap();
        let told = Arc::new(Mutex::new(String::new()));
        let last = Arc::clone(&told);
        let refused = || Err(std::io::ErrorKind::ConnectionRefused.into());
        pace.keep_and_tell(refused, move |tally| *last.lock().unwrap() = tally.to_string())
            .unwrap();
        assert_eq!(*told.lock().unwrap(), "7 tried, 7 failed (7: connection refused)");
    }
}
