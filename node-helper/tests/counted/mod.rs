//! What a probe that measures times has counted, beside what the test knows of each wait.
#![allow(dead_code, reason = "each test file uses what it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crate::bed::NetnsBed;
use model::event::Event;
use model::histogram::{Measure, bounds};
use model::protocol::{Filter, Lost};
use nix::sys::time::TimeSpec;
use nix::time::{ClockId, ClockNanosleepFlags, clock_gettime, clock_nanosleep};
use node_helper::capture::armed::{Armed, arm};
use node_helper::kernel::histograms::{HistogramMap, TimesKey};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

/// What the kernel needs beside the wait: between our clock's readings and its own.
pub const SLACK_NS: u64 = 60_000;

/// What is counted while this is there.
pub struct Counted {
    armed: Armed,
    map: HistogramMap,
    told: Receiver<Event>,
}

/// Lets this probe count what it lets through.
pub fn count(probe: &str, filter: &Filter) -> Counted {
    let (tell, told) = channel();
    let tell = Box::new(move |event| {
        let _ = tell.send(event);
    });
    let armed = arm(&[probe.to_owned()], filter, tell).unwrap();
    for status in armed.probes() {
        assert_eq!(status.unsupported, None);
    }
    let map = armed.histograms().unwrap().pop().unwrap();
    Counted { armed, map, told }
}

impl Counted {
    /// The bounds of each value of a namespace, in order.
    pub fn of(&self, lab: &NetnsBed, name: &str, measure: Measure) -> Vec<(u64, u64)> {
        self.of_netns(lab.namespace(name).inode, measure)
    }

    /// The same of one that has no name; 0 for the node.
    pub fn of_netns(&self, netns: u32, measure: Measure) -> Vec<(u64, u64)> {
        let mut all = self.map.read().unwrap();
        let buckets = all.remove(&TimesKey { netns, measure, of: 0 }).unwrap_or_default();
        let each = buckets
            .into_iter()
            .map(|(bucket, count)| (bounds(usize::from(bucket)), count));
        each.flat_map(|(bounds, count)| std::iter::repeat_n(bounds, count as usize))
            .collect()
    }

    /// Ends it: what was told by itself, and what was lost.
    pub fn stop(self) -> (Vec<Event>, Vec<Lost>) {
        let lost = self.armed.stop().lost;
        (self.told.iter().collect(), lost)
    }
}

pub fn now_ns() -> u64 {
    let now = clock_gettime(ClockId::CLOCK_MONOTONIC).unwrap();
    now.tv_sec() as u64 * 1_000_000_000 + now.tv_nsec() as u64
}

/// Until that moment, and not until something is so.
pub fn until_ns(at: u64) {
    let at = TimeSpec::from_duration(Duration::from_nanos(at));
    while clock_nanosleep(ClockId::CLOCK_MONOTONIC, ClockNanosleepFlags::TIMER_ABSTIME, &at).is_err() {}
}

/// The least and the most that data can have waited: it came between the first two moments and was read between the others.
pub struct Waited {
    pub sent: (u64, u64),
    pub read: (u64, u64),
}

pub fn timed<T>(does: impl FnOnce() -> T) -> ((u64, u64), T) {
    let from = now_ns();
    let done = does();
    ((from, now_ns()), done)
}

/// As many values as waits, and each within what it can have been.
#[track_caller]
pub fn assert_waits(values: &[(u64, u64)], waits: &[Waited]) {
    let mut least: Vec<u64> = waits
        .iter()
        .map(|wait| wait.read.0.saturating_sub(wait.sent.1))
        .collect();
    let mut most: Vec<u64> = waits.iter().map(|wait| wait.read.1 - wait.sent.0).collect();
    least.sort_unstable();
    most.sort_unstable();
    assert_eq!(values.len(), waits.len(), "{values:?}, between {least:?} and {most:?}");
    for ((from, to), (least, most)) in values.iter().zip(least.iter().zip(&most)) {
        assert!(
            *to + SLACK_NS >= *least && *from <= *most + SLACK_NS,
            "{from}..{to} is not between {least} and {most}"
        );
    }
}
