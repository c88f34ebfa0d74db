//! What our own programs cost the kernel, by its statistics (`BPF_ENABLE_STATS`).
//!
//! The statistics read the clock twice a run, which costs more than most of our programs do (64 ns on 6.18). So they are on
//! for as long as programs run seldom, and for slices of the time when they run often: the slices are so short that the
//! clock takes a few thousandths of one CPU, and what was measured in one stands for the time up to the next.

use crate::servants::usher;
use crate::system::bpf;
use model::protocol::BpfCost;
use std::os::fd::{AsFd as _, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the statistics are on at least.
const SLICE: Duration = Duration::from_millis(10);
/// The longest time between two slices.
const REST: Duration = Duration::from_millis(500);
/// Runs a second that are all measured; of more, this many on the average.
const MEASURED_PER_SECOND: u64 = 50_000;

/// Measures until it is stopped.
#[derive(Debug)]
pub struct Meter {
    thread: Option<JoinHandle<Option<BpfCost>>>,
    ending: Arc<AtomicBool>,
}

impl Meter {
    /// Starts it, for these programs.
    pub fn start(programs: Vec<OwnedFd>) -> std::io::Result<Self> {
        let ending = Arc::new(AtomicBool::new(false));
        let end = Arc::clone(&ending);
        let thread = std::thread::Builder::new()
            .name("meter".to_owned())
            .spawn(move || measure(&programs, &end))?;
        Ok(Self {
            thread: Some(thread),
            ending,
        })
    }

    /// What it came to; none where the kernel keeps no statistics.
    pub fn stop(mut self) -> Option<BpfCost> {
        self.end()
    }

    fn end(&mut self) -> Option<BpfCost> {
        self.ending.store(true, Ordering::Release);
        let thread = self.thread.take()?;
        thread.thread().unpark();
        thread.join().ok().flatten()
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.end();
    }
}

fn measure(programs: &[OwnedFd], ending: &AtomicBool) -> Option<BpfCost> {
    let mut cost = BpfCost::default();
    let mut before = so_far(programs);
    loop {
        let on = Instant::now();
        let statistics = usher::statistics().ok()?;
        // A slice goes on while programs run seldom.
        let (after, rest) = loop {
            wait(SLICE, ending);
            let after = so_far(programs);
            let rest = rest(after.0 - before.0, on.elapsed());
            if !rest.is_zero() || ending.load(Ordering::Acquire) {
                break (after, rest);
            }
        };
        drop(statistics);
        let measured = on.elapsed();
        wait(rest, ending);
        let slice = Slice {
            runs: after.0 - before.0,
            ns: after.1 - before.1,
            measured,
            stands_for: on.elapsed(),
        };
        slice.add_to(&mut cost);
        if ending.load(Ordering::Acquire) {
            return Some(cost);
        }
        before = so_far(programs);
    }
}

/// Runs and nanoseconds of all of them.
fn so_far(programs: &[OwnedFd]) -> (u64, u64) {
    programs
        .iter()
        .filter_map(|program| bpf::program_cost(program.as_fd()).ok())
        .fold((0, 0), |sum, (runs, ns, _)| (sum.0 + runs, sum.1 + ns))
}

fn wait(time: Duration, ending: &AtomicBool) {
    let until = Instant::now() + time;
    while !ending.load(Ordering::Acquire) {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return;
        }
        std::thread::park_timeout(left);
    }
}

/// How long the statistics stay off after a slice with so many runs.
fn rest(runs: u64, slice: Duration) -> Duration {
    let worth = Duration::from_nanos(runs.saturating_mul(1_000_000_000) / MEASURED_PER_SECOND);
    worth.saturating_sub(slice).min(REST)
}

/// What was measured in a slice, and the time for which it stands.
struct Slice {
    runs: u64,
    ns: u64,
    measured: Duration,
    stands_for: Duration,
}

impl Slice {
    fn add_to(&self, cost: &mut BpfCost) {
        let (measured, whole) = (nanoseconds(self.measured), nanoseconds(self.stands_for));
        let scaled = |number: u64| {
            let scaled = u128::from(number) * u128::from(whole) / u128::from(measured.max(1));
            u64::try_from(scaled).unwrap_or(u64::MAX)
        };
        cost.runs += scaled(self.runs);
        cost.ns += scaled(self.ns);
        cost.measured_ns += measured;
        cost.armed_ns += whole;
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::{REST, SLICE, Slice, rest};
    use model::protocol::BpfCost;
    use std::time::Duration;

    #[test]
    fn programs_that_run_seldom_are_measured_all_the_time() {
        assert_eq!(rest(0, SLICE), Duration::ZERO);
        assert_eq!(rest(500, SLICE), Duration::ZERO);
    }

    #[test]
    fn the_more_often_programs_run_the_longer_the_clock_rests() {
        assert_eq!(rest(1000, SLICE), Duration::from_millis(10));
        assert_eq!(rest(10_000, SLICE), Duration::from_millis(190));
        assert_eq!(rest(u64::MAX, SLICE), REST);
    }

    #[test]
    fn a_slice_stands_for_the_time_up_to_the_next() {
        let mut cost = BpfCost::default();
        let slice = Slice {
            runs: 1000,
            ns: 80_000,
            measured: Duration::from_millis(10),
            stands_for: Duration::from_millis(200),
        };
        slice.add_to(&mut cost);
        let whole = Slice {
            runs: 3,
            ns: 900,
            measured: Duration::from_millis(50),
            stands_for: Duration::from_millis(50),
        };
        whole.add_to(&mut cost);
        assert_eq!((cost.runs, cost.ns), (20_003, 1_600_900));
        assert_eq!((cost.measured_ns, cost.armed_ns), (60_000_000, 250_000_000));
    }
}
