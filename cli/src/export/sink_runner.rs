//! One sink at work: what waits goes out, what fails is tried again after longer and longer waits, and no other sink is told.

use super::sink_queue::{SinkBatch, SinkQueue};
use crate::render::note;
use std::future::Future;
use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::time::Instant;

/// The first wait, and the longest.
const FIRST: Duration = Duration::from_millis(200);
const LONGEST: Duration = Duration::from_secs(10);
/// Nothing is tried for longer.
const PATIENCE: Duration = Duration::from_mins(2);

/// Why something did not go out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryError {
    /// What failed, with what the reader can do.
    pub why: String,
    /// Whether it may go out later.
    pub again: bool,
    /// The sink wants to be asked no earlier.
    pub after: Option<Duration>,
    /// Who took it has gone, and nothing else is wrong.
    pub over: bool,
}

impl DeliveryError {
    /// An error that lasts, however often it is tried.
    pub fn lasting(why: impl Into<String>) -> Self {
        Self {
            why: why.into(),
            again: false,
            after: None,
            over: false,
        }
    }

    /// An error that may pass: it is tried again.
    pub fn passing(why: impl Into<String>) -> Self {
        Self {
            again: true,
            ..Self::lasting(why)
        }
    }

    /// Who took it has gone, and nothing else is wrong.
    pub fn over() -> Self {
        Self {
            over: true,
            ..Self::lasting("")
        }
    }
}

/// Where numbers or events go.
pub trait ExportSink: Send + 'static {
    /// Lets this go out; all of it, or an error. So much of it was refused for good.
    fn deliver(&mut self, batch: &SinkBatch) -> impl Future<Output = Result<u64, DeliveryError>> + Send;

    /// Nothing more will come.
    fn end(&mut self) -> impl Future<Output = Result<(), DeliveryError>> + Send {
        std::future::ready(Ok(()))
    }
}

/// Lets all go out that comes into a queue, until it is closed and empty.
pub async fn run(mut sink: impl ExportSink, queue: Arc<SinkQueue>) {
    let mut told = String::new();
    while let Some(batch) = queue.next().await {
        let began = Instant::now();
        let mut wait = FIRST;
        loop {
            let error = match sink.deliver(&batch).await {
                Ok(refused) => {
                    let written = batch.len().saturating_sub(refused);
                    queue.counts.written.fetch_add(written, Ordering::Relaxed);
                    queue.counts.dropped.fetch_add(refused, Ordering::Relaxed);
                    told.clear();
                    break;
                }
                Err(error) if error.over => {
                    queue.let_go();
                    queue.end();
                    return;
                }
                Err(error) => error,
            };
            queue.counts.failures.fetch_add(1, Ordering::Relaxed);
            // The same again and again is said once.
            if told != error.why {
                note(&format!("{}: {}", queue.name, error.why));
                told.clone_from(&error.why);
            }
            if !error.again || began.elapsed() > PATIENCE {
                queue.counts.dropped.fetch_add(batch.len(), Ordering::Relaxed);
                break;
            }
            tokio::time::sleep(error.after.unwrap_or_default().min(LONGEST).max(jittered(wait))).await;
            wait = (wait * 2).min(LONGEST);
        }
        queue.let_go();
    }
    if let Err(error) = sink.end().await {
        note(&format!("{}: {}", queue.name, error.why));
    }
}

/// Between half of it and all of it: sinks that failed together do not come back together.
fn jittered(wait: Duration) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1000;
    wait / 2 + wait / 2 * u32::try_from(random).unwrap_or_default() / 1000
}

#[cfg(test)]
mod tests {
    use super::{DeliveryError, ExportSink, FIRST, jittered, run};
    use crate::export::metric_set::MetricSet;
    use crate::export::sink_queue::{SinkAppetite, SinkBatch, SinkQueue};
    use std::future::Future;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    /// Fails as often as it says, in that way.
    struct Failing(usize, bool);

    impl ExportSink for Failing {
        fn deliver(&mut self, _: &SinkBatch) -> impl Future<Output = Result<u64, DeliveryError>> + Send {
            let fails = self.0 > 0;
            self.0 = self.0.saturating_sub(1);
            let error = DeliveryError {
                again: self.1,
                ..DeliveryError::lasting("no")
            };
            std::future::ready(if fails { Err(error) } else { Ok(0) })
        }
    }

    async fn outcome(sink: Failing) -> (u64, u64, u64) {
        let appetite = SinkAppetite {
            readings: 9,
            ..SinkAppetite::default()
        };
        let queue = SinkQueue::new("some".to_owned(), appetite);
        queue.reading(&Arc::new(MetricSet::default()));
        queue.close();
        run(sink, Arc::clone(&queue)).await;
        let count = |count: &std::sync::atomic::AtomicU64| count.load(Ordering::Relaxed);
        (
            count(&queue.counts.written),
            count(&queue.counts.dropped),
            count(&queue.counts.failures),
        )
    }

    #[tokio::test]
    async fn what_fails_is_tried_again_unless_that_is_in_vain() {
        assert_eq!(outcome(Failing(2, true)).await, (1, 0, 2));
        assert_eq!(outcome(Failing(2, false)).await, (0, 1, 1));
    }

    #[test]
    fn waits_differ() {
        let waits: std::collections::BTreeSet<_> = (0..64).map(|_| jittered(FIRST)).collect();
        assert!(waits.len() > 8);
        assert!(waits.iter().all(|wait| *wait >= FIRST / 2 && *wait <= FIRST));
    }
}
