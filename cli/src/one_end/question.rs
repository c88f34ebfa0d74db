//! What is asked about one end, and how long and closely it is looked at.

use model::evidence::{Intent, Limits};
use std::time::Duration;

/// What is asked about one end.
#[derive(Clone, Copy, Debug)]
pub struct OneEndQuestion {
    /// What kind of end it is.
    pub intent: Intent,
    /// Look this long.
    pub length: Duration,
    /// End when a fault was seen, and what follows from it.
    pub until_fault: bool,
    /// Events of conversations that are well are kept for so long.
    pub keep_last: Duration,
    /// Conversations that are followed to their other end, at most: those that suffer most.
    pub worst: usize,
    /// What counts as slow.
    pub limits: Limits,
}

impl OneEndQuestion {
    /// Above this a connection is slow, in nanoseconds.
    pub fn slow_ns(&self) -> u64 {
        self.limits.slow_ms * 1_000_000
    }
}
