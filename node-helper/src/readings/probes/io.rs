//! `io`: what a place reads from and writes to block devices, and how long it waited for them.

use crate::facts::block_io;
use crate::readings::ReadingProbe;

/// See [`crate::readings::READINGS`].
pub const IO: ReadingProbe = ReadingProbe {
    name: "io",
    about: "block devices: bytes and requests by device, and time stalled, by the cgroup of a pod",
    cost: "some 40 us a namespace and round",
    sources: &[
        "io.stat",
        "io.pressure",
        "blkio.throttle.io_service_bytes",
        "/proc/PID/io",
    ],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        for (pod, pids) in place.groups() {
            let Some(first) = pids.first() else { continue };
            let io = block_io::of_group(*first)?;
            // A kernel may count for cgroups of version 1 only where a limit is set; for processes it always does.
            if io.devices.is_empty() {
                let of = pod.with(&[("device", "all")]);
                let (mut read, mut written) = (0, 0);
                for pid in &pids {
                    let bytes = block_io::of_process(*pid);
                    read += bytes.0;
                    written += bytes.1;
                }
                sink.set("io.read_bytes", &of, read);
                sink.set("io.written_bytes", &of, written);
            }
            for device in &io.devices {
                let of = pod.with(&[("device", device.name.as_str())]);
                sink.set("io.read_bytes", &of, device.read_bytes);
                sink.set("io.written_bytes", &of, device.written_bytes);
                sink.set("io.reads", &of, device.reads);
                sink.set("io.writes", &of, device.writes);
            }
            sink.set("io.stalled", &pod.with(&[]), io.stalled_us);
        }
        Ok(())
    },
};
