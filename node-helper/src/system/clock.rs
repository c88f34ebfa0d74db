//! The kernel's clocks, in nanoseconds.

use nix::time::{ClockId, clock_gettime};

/// `CLOCK_MONOTONIC`: stands still while the machine sleeps, and is what events are stamped with.
pub fn monotonic_ns() -> u64 {
    read(ClockId::CLOCK_MONOTONIC)
}

/// `CLOCK_BOOTTIME`: goes on while the machine sleeps.
pub fn boottime_ns() -> u64 {
    read(ClockId::CLOCK_BOOTTIME)
}

/// `CLOCK_REALTIME`: since 1970, as this machine believes.
pub fn wall_ns() -> u64 {
    read(ClockId::CLOCK_REALTIME)
}

/// Time on a CPU that this thread has used.
pub fn own_cpu_ns() -> u64 {
    read(ClockId::CLOCK_THREAD_CPUTIME_ID)
}

/// These clocks exist on every Linux; 0 would only be seen where a sandbox refuses `clock_gettime(2)`.
fn read(clock: ClockId) -> u64 {
    clock_gettime(clock).map_or(0, |time| {
        (time.tv_sec() as u64)
            .saturating_mul(1_000_000_000)
            .saturating_add(time.tv_nsec() as u64)
    })
}
