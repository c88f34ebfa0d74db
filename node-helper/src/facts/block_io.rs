//! What a cgroup reads from and writes to block devices: `io.stat` (v2), or the throttling controller's sums (v1), which count all
//! requests, throttled or not.

use super::process::OwnGroup;
use crate::identity::cgroups;
use crate::system::block_device;
use anyhow::Context as _;
use procfs::process::Process;
use std::collections::BTreeMap;

/// What a cgroup read from and wrote to one block device.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct DeviceIo {
    pub(crate) name: String,
    pub(crate) read_bytes: u64,
    pub(crate) written_bytes: u64,
    pub(crate) reads: u64,
    pub(crate) writes: u64,
}

/// What a cgroup read from and wrote to all devices, and how long it stalled, in microseconds.
#[derive(Debug, Default)]
pub(crate) struct GroupIo {
    pub(crate) devices: Vec<DeviceIo>,
    pub(crate) stalled_us: u64,
}

/// The numbers of the cgroup of this process; those of its pod where it lives in one.
pub(crate) fn of_group(pid: u32) -> anyhow::Result<GroupIo> {
    let process = Process::new(i32::try_from(pid)?).context("the process is gone")?;
    let group = OwnGroup::of(&process)?;
    let text = |controller: &str, file: &str| group.text(controller, file);
    let mut devices = if let Some(stat) = text("io", "io.stat") {
        parse_unified(&stat)
    } else {
        // Who has no cgroup of its own has no numbers of its own.
        let bytes = text("blkio", "blkio.throttle.io_service_bytes_recursive").unwrap_or_default();
        let requests = text("blkio", "blkio.throttle.io_serviced_recursive").unwrap_or_default();
        parse_own(&bytes, &requests)
    };
    for device in &mut devices {
        device.name = block_device::name_of(&device.name);
    }
    Ok(GroupIo {
        devices,
        stalled_us: text("", "io.pressure").as_deref().map_or(0, cgroups::stalled_us),
    })
}

/// Bytes that a process read from and wrote to block devices (`/proc/PID/io`); none when it is gone.
pub(crate) fn of_process(pid: u32) -> (u64, u64) {
    let process = i32::try_from(pid).ok().and_then(|pid| Process::new(pid).ok());
    let io = process.and_then(|process| process.io().ok());
    io.map_or((0, 0), |io| (io.read_bytes, io.write_bytes))
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6`
fn parse_unified(stat: &str) -> Vec<DeviceIo> {
    let device = |line: &str| {
        let (numbers, rest) = line.split_once(' ')?;
        let of = |name: &str| {
            let field = rest
                .split_whitespace()
                .find_map(|field| field.strip_prefix(name)?.strip_prefix('='));
            field.and_then(|value| value.parse().ok()).unwrap_or_default()
        };
        Some(DeviceIo {
            name: numbers.to_owned(),
            read_bytes: of("rbytes"),
            written_bytes: of("wbytes"),
            reads: of("rios"),
            writes: of("wios"),
        })
    };
    stat.lines().filter_map(device).collect()
}

/// `8:0 Read 1`, `8:0 Write 2`, ..., `Total 3`
fn parse_own(bytes: &str, requests: &str) -> Vec<DeviceIo> {
    let mut devices: BTreeMap<String, DeviceIo> = BTreeMap::new();
    for (text, of_bytes) in [(bytes, true), (requests, false)] {
        for line in text.lines() {
            let words: Vec<&str> = line.split_whitespace().collect();
            let [numbers, what, value] = words[..] else { continue };
            let Ok(value) = value.parse() else { continue };
            let device = devices.entry(numbers.to_owned()).or_insert_with(|| DeviceIo {
                name: numbers.to_owned(),
                ..DeviceIo::default()
            });
            match (what, of_bytes) {
                ("Read", true) => device.read_bytes = value,
                ("Write", true) => device.written_bytes = value,
                ("Read", false) => device.reads = value,
                ("Write", false) => device.writes = value,
                _ => {}
            }
        }
    }
    devices.into_values().collect()
}

/// The id of the cgroup that is charged for what the pod or container of this process reads and writes; none of a process that lives
/// in neither: such a cgroup may be several namespaces'.
pub(crate) fn charged_group(pid: u32) -> Option<u64> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    OwnGroup::of(&process).ok()?.contained_id("blkio")
}

#[cfg(test)]
mod tests {
    use super::{DeviceIo, parse_own, parse_unified};

    #[test]
    fn both_versions_of_cgroups_tell_the_same() {
        let device = DeviceIo {
            name: "8:0".into(),
            read_bytes: 1,
            written_bytes: 2,
            reads: 3,
            writes: 4,
        };
        assert_eq!(
            parse_unified("8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6\n"),
            [DeviceIo {
                name: "8:0".into(),
                ..device
            }]
        );
        let own = parse_own(
            "8:0 Read 1\n8:0 Write 2\n8:0 Sync 9\nTotal 3\n",
            "8:0 Read 3\n8:0 Write 4\nTotal 7\n",
        );
        assert_eq!((own.len(), own[0].read_bytes, own[0].writes), (1, 1, 4));
    }
}
