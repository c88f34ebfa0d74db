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
        for (pod, pids) in place.groups() {
            let Some(first) = pids.first() else { continue };
            let cpu = process::cpu_of_group(*first)?;
            let throttling = cpu.throttling.unwrap_or_default();
            let waited: u64 = pids.iter().map(|pid| process::waited_us(*pid)).sum();
            for (name, value) in [
                ("cpu.used", cpu.used_us),
                ("cpu.periods", throttling.periods),
                ("cpu.throttled", throttling.throttled),
                ("cpu.throttled_time", throttling.throttled_us),
                ("cpu.limit_percent", throttling.quota_percent.unwrap_or_default().into()),
                ("cpu.stalled", cpu.stalled_us),
                ("cpu.waited", waited),
            ] {
                sink.set(name, &pod.with(&[]), value);
            }
        }
        Ok(())
    },
};
