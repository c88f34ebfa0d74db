//! The queue between a run and one sink: bounded, never waited for, and what did not fit is counted.

use super::exported_event::ExportedEvent;
use super::metric_set::MetricSet;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::Notify;

/// What a sink takes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SinkAppetite {
    /// Events that may wait.
    pub events: usize,
    /// Readings that may wait; of a sink that is about now the last one is enough.
    pub readings: usize,
    /// A reading that did not go out is outdated by the next, and not missed.
    pub only_latest: bool,
    /// What comes shortly after goes out together.
    pub linger: Duration,
}

/// Events that go out at once.
const BATCH: usize = 2_000;
/// Samples of all readings that wait; the last reading waits in any case.
const SAMPLES_MAX: usize = 1_000_000;

/// What came of all that a sink was given.
#[derive(Debug, Default)]
pub struct SinkCounts {
    /// Taken by the sink.
    pub written: AtomicU64,
    /// There was no room for it, or the sink did not take it in time.
    pub dropped: AtomicU64,
    /// Times it was tried in vain.
    pub failures: AtomicU64,
    /// What the sink holds now.
    in_flight: AtomicU64,
}

/// What waits for one sink.
#[derive(Debug)]
pub struct SinkQueue {
    /// The sink, as it is told of.
    pub name: String,
    /// What came of it.
    pub counts: SinkCounts,
    appetite: SinkAppetite,
    waiting: Mutex<Waiting>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    events: VecDeque<Arc<ExportedEvent>>,
    samples: usize,
    readings: VecDeque<Arc<MetricSet>>,
    closed: bool,
    ended: bool,
}

/// What is given to a sink at once.
#[derive(Clone, Debug, Default)]
pub struct SinkBatch {
    /// Events, the oldest first.
    pub events: Vec<Arc<ExportedEvent>>,
    /// Readings, the oldest first.
    pub readings: Vec<Arc<MetricSet>>,
}

impl SinkBatch {
    /// How much it is.
    pub fn len(&self) -> u64 {
        (self.events.len() + self.readings.len()) as u64
    }
}

impl SinkQueue {
    /// An empty one.
    pub fn new(name: String, appetite: SinkAppetite) -> Arc<Self> {
        Arc::new(Self {
            name,
            counts: SinkCounts::default(),
            appetite,
            waiting: Mutex::default(),
            changed: Notify::new(),
        })
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // Nothing is left half done under the lock.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more event; where there is no room it is counted and let go.
    pub fn event(&self, event: &Arc<ExportedEvent>) {
        if self.appetite.events == 0 {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.ended {
            return;
        }
        if waiting.events.len() >= self.appetite.events || waiting.closed {
            self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        waiting.events.push_back(Arc::clone(event));
        drop(waiting);
        self.changed.notify_one();
    }

    /// One more reading; where there is no room the oldest is counted and let go.
    pub fn reading(&self, set: &Arc<MetricSet>) {
        if self.appetite.readings == 0 {
            return;
        }
        let mut waiting = self.waiting();
        if waiting.ended {
            return;
        }
        waiting.samples += set.len();
        waiting.readings.push_back(Arc::clone(set));
        while waiting.readings.len() > self.appetite.readings
            || (waiting.readings.len() > 1 && waiting.samples > SAMPLES_MAX)
        {
            if let Some(oldest) = waiting.readings.pop_front() {
                waiting.samples -= oldest.len();
            }
            if !self.appetite.only_latest {
                self.counts.dropped.fetch_add(1, Ordering::Relaxed);
            }
        }
        drop(waiting);
        self.changed.notify_one();
    }

    /// Nothing more will come.
    pub fn close(&self) {
        self.waiting().closed = true;
        self.changed.notify_one();
    }

    /// The sink takes nothing any more.
    pub fn end(&self) {
        let mut waiting = self.waiting();
        (waiting.closed, waiting.ended) = (true, true);
        waiting.events.clear();
        waiting.readings.clear();
    }

    /// The sink takes nothing any more.
    pub fn is_over(&self) -> bool {
        self.waiting().ended
    }

    /// What waits, as soon as something does; nothing when nothing more will come.
    pub async fn next(&self) -> Option<SinkBatch> {
        let mut lingered = self.appetite.linger.is_zero();
        loop {
            {
                let mut waiting = self.waiting();
                let there = !waiting.events.is_empty() || !waiting.readings.is_empty();
                if there && (lingered || waiting.closed || waiting.events.len() >= BATCH) {
                    let count = waiting.events.len().min(BATCH);
                    let batch = SinkBatch {
                        events: waiting.events.drain(..count).collect(),
                        readings: waiting.readings.drain(..).collect(),
                    };
                    waiting.samples = 0;
                    self.counts.in_flight.store(batch.len(), Ordering::Relaxed);
                    return Some(batch);
                }
                if !there && waiting.closed {
                    return None;
                }
                lingered |= there;
            }
            if lingered && !self.appetite.linger.is_zero() {
                tokio::time::sleep(self.appetite.linger).await;
            } else {
                self.changed.notified().await;
            }
        }
    }

    /// The sink has let go of what it held.
    pub fn let_go(&self) {
        self.counts.in_flight.store(0, Ordering::Relaxed);
    }

    /// What still waits, or is on its way, is given up.
    pub fn give_up(&self) {
        let mut waiting = self.waiting();
        let readings = if self.appetite.only_latest {
            0
        } else {
            waiting.readings.len()
        };
        let left = (readings + waiting.events.len()) as u64;
        waiting.readings.clear();
        waiting.events.clear();
        drop(waiting);
        let left = left + self.counts.in_flight.swap(0, Ordering::Relaxed);
        self.counts.dropped.fetch_add(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{BATCH, SinkAppetite, SinkQueue};
    use crate::export::exported_event::tests::{RESET, event};
    use crate::export::metric_set::MetricSet;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;
    use std::time::Duration;

    fn filled(only_latest: bool) -> Arc<SinkQueue> {
        let appetite = SinkAppetite {
            readings: if only_latest { 1 } else { 2 },
            only_latest,
            ..SinkAppetite::default()
        };
        let queue = SinkQueue::new("some".to_owned(), appetite);
        for at in 0..5 {
            queue.reading(&Arc::new(MetricSet::with_room(at, 1)));
        }
        queue
    }

    #[tokio::test]
    async fn a_full_queue_lets_the_oldest_go_and_counts_it_unless_only_the_latest_matters() {
        for (only_latest, left, dropped) in [(false, vec![3, 4], 3), (true, vec![4], 0)] {
            let queue = filled(only_latest);
            queue.close();
            let batch = queue.next().await.unwrap();
            let at: Vec<u64> = batch.readings.iter().map(|set| set.at_ns).collect();
            assert_eq!(at, left);
            assert!(queue.next().await.is_none());
            assert_eq!(queue.counts.dropped.load(Ordering::Relaxed), dropped);
        }
    }

    #[tokio::test]
    async fn events_beyond_the_room_are_counted_and_go_out_in_batches() {
        let appetite = SinkAppetite {
            events: BATCH + 5,
            linger: Duration::from_millis(1),
            ..SinkAppetite::default()
        };
        let queue = SinkQueue::new("some".to_owned(), appetite);
        let event = Arc::new(event(RESET));
        (0..BATCH + 12).for_each(|_| queue.event(&event));
        assert_eq!(queue.counts.dropped.load(Ordering::Relaxed), 7);
        assert_eq!(queue.next().await.unwrap().events.len(), BATCH);
        assert_eq!(queue.next().await.unwrap().events.len(), 5);
        queue.close();
        assert!(queue.next().await.is_none());
    }

    #[test]
    fn what_is_given_up_is_counted() {
        let queue = filled(false);
        queue.give_up();
        assert_eq!(queue.counts.dropped.load(Ordering::Relaxed), 5);
    }
}
