//! `fd`: open file descriptors of the processes of a place against their limits, sockets apart.

use crate::facts::{process, sockets};
use crate::readings::ReadingProbe;
use crate::system::door;

/// Processes told one by one, at most: those nearest to their limits.
const PROCESSES_MAX: usize = 16;

/// See [`crate::readings::READINGS`].
pub const FD: ReadingProbe = ReadingProbe {
    name: "fd",
    about: "open file descriptors by process, beside their limit, and how many of them are sockets",
    cost: "some 15 us a process and round; counting sockets 1 us a descriptor",
    sources: &["/proc/PID/fd", "/proc/PID/limits"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        let mut all: Vec<_> = place.pids().iter().filter_map(|pid| process::files(*pid)).collect();
        // The fullest first: compared as shares without dividing.
        all.sort_by_key(|files| std::cmp::Reverse(u128::from(files.open) * 1_000_000 / u128::from(files.limit.max(1))));
        for files in all.into_iter().take(PROCESSES_MAX) {
            let process = format!("{} {}", files.pid, files.name);
            let of = [("process", process.as_str())];
            sink.set("fd.open", &of, files.open);
            sink.set("fd.limit", &of, files.limit);
            sink.set(
                "fd.sockets",
                &of,
                sockets::held_among(files.pid, door::ENTRIES_MAX).len() as u64,
            );
        }
        Ok(())
    },
};
