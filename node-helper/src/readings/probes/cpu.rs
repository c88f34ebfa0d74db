//! `cpu`: what the CPU limit and the other tasks of the node take from a place: throttled periods, pressure, waiting to run.

use crate::facts::process;
use crate::readings::ReadingProbe;

/// See [`crate::readings::READINGS`].
pub const CPU: ReadingProbe = ReadingProbe {
    name: "cpu",
    about: "time on a CPU, throttled by its limit, and waited for one, by the cgroup and threads of a pod",
    cost: "some 60 us a namespace and round, 5 us more a process",
    sources: &["cpu.stat", "cpu.pressure", "/proc/PID/schedstat"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        if place.is_host() {
            return Ok(());
        }
        let Some(first) = place.pids().first() else {
            return Ok(());
        };
        let cpu = process::cpu_of_group(*first)?;
        sink.set("cpu.used", &[], cpu.used_us);
        let throttling = cpu.throttling.unwrap_or_default();
        sink.set("cpu.periods", &[], throttling.periods);
        sink.set("cpu.throttled", &[], throttling.throttled);
        sink.set("cpu.throttled_time", &[], throttling.throttled_us);
        sink.set(
            "cpu.limit_percent",
            &[],
            throttling.quota_percent.unwrap_or_default().into(),
        );
        sink.set("cpu.stalled", &[], cpu.stalled_us);
        let waited: u64 = place.pids().iter().map(|pid| process::waited_us(*pid)).sum();
        sink.set("cpu.waited", &[], waited);
        Ok(())
    },
};
