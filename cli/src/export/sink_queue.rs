//! The queue between a run and one sink: bounded, never waited for, and what did not fit is counted.

use super::metric_set::MetricSet;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Notify;

/// What a sink takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SinkAppetite {
    /// Readings that may wait; of a sink that is about now the last one is enough.
    pub readings: usize,
    /// A reading that did not go out is outdated by the next, and not missed.
    pub only_latest: bool,
}

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
    readings: VecDeque<Arc<MetricSet>>,
    closed: bool,
}

/// What is given to a sink at once.
#[derive(Clone, Debug, Default)]
pub struct SinkBatch {
    /// Readings, the oldest first.
    pub readings: Vec<Arc<MetricSet>>,
}

impl SinkBatch {
    /// How much it is.
    pub fn len(&self) -> u64 {
        self.readings.len() as u64
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

    /// One more reading.
    pub fn reading(&self, set: &Arc<MetricSet>) {
        if self.appetite.readings == 0 {
            return;
        }
        let mut waiting = self.waiting();
        waiting.readings.push_back(Arc::clone(set));
        while waiting.readings.len() > self.appetite.readings {
            waiting.readings.pop_front();
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

    /// What waits, as soon as something does; nothing when nothing more will come.
    pub async fn next(&self) -> Option<SinkBatch> {
        loop {
            {
                let mut waiting = self.waiting();
                let batch = SinkBatch {
                    readings: waiting.readings.drain(..).collect(),
                };
                self.counts.in_flight.store(batch.len(), Ordering::Relaxed);
                if batch.len() > 0 {
                    return Some(batch);
                }
                if waiting.closed {
                    return None;
                }
            }
            self.changed.notified().await;
        }
    }

    /// What still waits, or is on its way, is given up.
    pub fn give_up(&self) {
        let mut waiting = self.waiting();
        let left = waiting.readings.len();
        waiting.readings.clear();
        drop(waiting);
        let left = if self.appetite.only_latest { 0 } else { left as u64 };
        let left = left + self.counts.in_flight.swap(0, Ordering::Relaxed);
        self.counts.dropped.fetch_add(left, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::{SinkAppetite, SinkQueue};
    use crate::export::metric_set::MetricSet;
    use std::sync::Arc;
    use std::sync::atomic::Ordering;

    fn filled(only_latest: bool) -> Arc<SinkQueue> {
        let appetite = SinkAppetite {
            readings: if only_latest { 1 } else { 2 },
            only_latest,
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

    #[test]
    fn what_is_given_up_is_counted() {
        let queue = filled(false);
        queue.give_up();
        assert_eq!(queue.counts.dropped.load(Ordering::Relaxed), 5);
    }
}
