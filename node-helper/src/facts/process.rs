//! A process at one end: what it does, how full its descriptor table is, and whether its CPU is throttled.

use crate::identity::cgroups::HostMounts;
use crate::identity::{cgroups, owner};
use crate::system::door;
use anyhow::Context as _;
use model::facts::{ProcessFacts, Throttling};
use model::missing::{Known, Missing};
use procfs::process::{LimitValue, MountInfos, Process};
use procfs::{ProcessCGroup, ProcessCGroups};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Reads the facts of one process; `None` when it is gone.
pub fn read(pid: u32, netns: u32) -> Option<ProcessFacts> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    let stat = process.stat().ok()?;
    Some(ProcessFacts {
        pid,
        // The client knows its name.
        node: String::new(),
        netns,
        name: stat.comm,
        state: stat.state.to_string(),
        wchan: process.wchan().ok().filter(|wchan| !matches!(wchan.as_str(), "" | "0")),
        fds: known("open files", pid, count_files(Path::new(&format!("/proc/{pid}/fd")))),
        fd_limit: file_limit(&process),
        throttling: known("CPU throttling", pid, throttling(&process)),
        owner: owner::of_pid(pid),
    })
}

/// Open files of a process.
pub(crate) struct OpenFiles {
    pub(crate) pid: u32,
    pub(crate) name: String,
    pub(crate) open: u64,
    pub(crate) limit: u64,
}

/// How many files a process has open, and may have; `None` when it is gone.
pub(crate) fn files(pid: u32) -> Option<OpenFiles> {
    let process = Process::new(i32::try_from(pid).ok()?).ok()?;
    Some(OpenFiles {
        pid,
        name: process.stat().ok()?.comm,
        open: count_files(Path::new(&format!("/proc/{pid}/fd"))).ok()?,
        limit: file_limit(&process),
    })
}

/// How long a process ran on a CPU, with its threads that have ended; `None` when it is gone.
pub(crate) fn ran_us(pid: u32) -> Option<u64> {
    let stat = Process::new(i32::try_from(pid).ok()?).ok()?.stat().ok()?;
    Some((stat.utime + stat.stime) * 1_000_000 / procfs::ticks_per_second().max(1))
}

/// How long the threads of a process were ready to run and had no CPU (`/proc/PID/task/TID/schedstat`, second number), of those
/// that live.
pub(crate) fn waited_us(pid: u32) -> u64 {
    let threads = door::entries(format!("/proc/{pid}/task")).unwrap_or_default();
    let waited = threads.iter().filter_map(|thread| {
        let text = door::text(thread.path().join("schedstat"), door::FEW_LINES).ok()?;
        text.split_whitespace().nth(1)?.parse::<u64>().ok()
    });
    waited.sum::<u64>() / 1_000
}

/// The cgroup of a process in each hierarchy; that of a pod where it lives in one.
pub(super) struct OwnGroup {
    mounts: Arc<HostMounts>,
    groups: ProcessCGroups,
}

impl OwnGroup {
    pub(super) fn of(process: &Process) -> anyhow::Result<Self> {
        let mounts = cgroups::recent_mounts().context("cannot read our own mounts")?;
        let groups = process.cgroups().context("cannot read its cgroups")?;
        Ok(Self { mounts, groups })
    }

    /// A file of it, in the hierarchy of that controller; of none, in that of version 2. Who lives in a hierarchy's root has no
    /// cgroup there: what stands in the root is of the whole node.
    pub(super) fn text(&self, controller: &str, file: &str) -> Option<String> {
        let folder = self.folder(controller, |_| true)?;
        door::text(folder.join(file), door::FEW_LINES).ok()
    }

    /// The id of a pod's or container's cgroup in the hierarchy of that controller: its inode.
    pub(super) fn contained_id(&self, controller: &str) -> Option<u64> {
        let is_contained = |own: &Path| owner::is_contained(&owner::of_path(&own.to_string_lossy()));
        let folder = self.folder(controller, is_contained)?;
        Some(door::metadata(folder).ok()?.ino())
    }

    /// Where it lies in the hierarchy of that controller, if it is no root and `counts`.
    fn folder(&self, controller: &str, counts: impl Fn(&Path) -> bool) -> Option<PathBuf> {
        let (root, mounts) = &*self.mounts;
        let place = cgroup_of(mounts, &self.groups, controller)?.below(root);
        let own = cgroups::of_owner(&place.path);
        let is_root = own.as_os_str().is_empty();
        (!is_root && counts(&own)).then(|| place.mount.join(own))
    }
}

/// What a cgroup had of CPUs.
pub(crate) struct GroupCpu {
    /// Absent where no limit can be: in the root of a hierarchy of version 1.
    pub(crate) throttling: Option<Throttling>,
    pub(crate) used_us: u64,
    pub(crate) stalled_us: u64,
}

/// The CPU numbers of the cgroup of this process; those of its pod where it lives in one.
pub(crate) fn cpu_of_group(pid: u32) -> anyhow::Result<GroupCpu> {
    let process = Process::new(i32::try_from(pid)?).context("the process is gone")?;
    let group = OwnGroup::of(&process)?;
    let (root, mounts) = &*group.mounts;
    let throttling = throttling_of(root, mounts, &group.groups).ok();
    let text = |controller: &str, file: &str| group.text(controller, file);
    let used = || {
        text("cpuacct", "cpuacct.usage")?
            .trim()
            .parse::<u64>()
            .ok()
            .map(|ns| ns / 1_000)
    };
    let unified = || {
        let stat = text("cpu", "cpu.stat")?;
        let line = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
        line.trim().parse().ok()
    };
    Ok(GroupCpu {
        throttling,
        used_us: used().or_else(unified).unwrap_or_default(),
        stalled_us: text("", "cpu.pressure").as_deref().map_or(0, cgroups::stalled_us),
    })
}

fn file_limit(process: &Process) -> u64 {
    match process.limits().map(|limits| limits.max_open_files.soft_limit) {
        Ok(LimitValue::Value(most)) => most,
        Ok(LimitValue::Unlimited) => u64::MAX,
        Err(_) => 0,
    }
}

fn known<T>(what: &str, pid: u32, outcome: anyhow::Result<T>) -> Known<T> {
    outcome
        .map_err(|error| Missing::new(format!("{what} of process {pid}"), format!("{error:#}")))
        .into()
}

/// Since 6.2 the folder's size is the number of open files; before, they are counted (as procfs does, but for `.` and
/// `..`, which it counts too).
fn count_files(folder: &Path) -> anyhow::Result<u64> {
    let cannot = || format!("cannot read {}", folder.display());
    let size = door::metadata(folder).with_context(cannot)?.size();
    if size > 0 {
        return Ok(size);
    }
    Ok(door::entries(folder).with_context(cannot)?.len() as u64)
}

/// Throttling of the process's cgroup, or of that above it which was throttled most: a pod's limit stands above its
/// containers'.
fn throttling(process: &Process) -> anyhow::Result<Throttling> {
    let (root, mounts) = cgroups::mounts().context("cannot read our own mounts")?;
    let cgroups = process.cgroups().context("cannot read its cgroups")?;
    throttling_of(root, &mounts, &cgroups)
}

fn throttling_of(root: &Path, mounts: &MountInfos, cgroups: &ProcessCGroups) -> anyhow::Result<Throttling> {
    let place = cpu_cgroup(mounts, cgroups).context("no cgroup hierarchy with a CPU controller is mounted")?;
    throttling_at(&place.below(root))
}

/// A cgroup: where its hierarchy is mounted, and its path below.
pub(super) struct Place {
    pub(super) mount: PathBuf,
    pub(super) path: PathBuf,
}

impl Place {
    /// The cgroup, with its mount as it is seen below this root.
    pub(super) fn below(self, root: &Path) -> Self {
        Self {
            mount: cgroups::below(root, &self.mount),
            path: self.path,
        }
    }
}

/// The CPU controller is in a hierarchy of its own (v1), else in the unified one (v2).
fn cpu_cgroup(mounts: &MountInfos, cgroups: &ProcessCGroups) -> Option<Place> {
    cgroup_of(mounts, cgroups, "cpu")
}

/// A controller is in a hierarchy of its own (v1), else in the unified one (v2); what belongs to no controller is in that one.
pub(super) fn cgroup_of(mounts: &MountInfos, cgroups: &ProcessCGroups, controller: &str) -> Option<Place> {
    let has_it = |cgroup: &&ProcessCGroup| cgroup.controllers.iter().any(|own| own == controller);
    let v1 = || {
        let own = cgroups.0.iter().find(has_it)?;
        let mount = cgroups::whole(mounts, |mount| {
            mount.fs_type == "cgroup" && mount.super_options.contains_key(controller)
        })?;
        Some((own, mount))
    };
    let v2 = || {
        let own = cgroups.0.iter().find(|cgroup| cgroup.controllers.is_empty())?;
        let mount = cgroups::whole(mounts, |mount| mount.fs_type == "cgroup2")?;
        Some((own, mount))
    };
    let (own, mount) = v1().or_else(v2)?;
    Some(Place {
        mount: mount.mount_point.clone(),
        path: PathBuf::from(own.pathname.trim_start_matches('/')),
    })
}

fn throttling_at(place: &Place) -> anyhow::Result<Throttling> {
    let mut most: Option<Throttling> = None;
    for path in place.path.ancestors() {
        let folder = place.mount.join(path);
        let Ok(stat) = door::text(folder.join("cpu.stat"), door::FEW_LINES) else {
            continue;
        };
        let text = |file: &str| door::text(folder.join(file), door::FEW_LINES).unwrap_or_default();
        let throttling = Throttling {
            quota_percent: quota_percent(&text("cpu.max"), &text("cpu.cfs_quota_us"), &text("cpu.cfs_period_us")),
            ..parse_cpu_stat(&stat)
        };
        let more = |most: Throttling| {
            (throttling.throttled, throttling.quota_percent.is_some()) > (most.throttled, most.quota_percent.is_some())
        };
        if most.is_none_or(more) {
            most = Some(throttling);
        }
    }
    most.with_context(|| format!("no cpu.stat in or above {}", place.mount.join(&place.path).display()))
}

fn parse_cpu_stat(stat: &str) -> Throttling {
    let mut throttling = Throttling::default();
    for (name, value) in stat.lines().filter_map(|line| line.split_once(' ')) {
        let value = value.trim().parse().unwrap_or_default();
        match name {
            "nr_periods" => throttling.periods = value,
            "nr_throttled" => throttling.throttled = value,
            "throttled_usec" => throttling.throttled_us = value,
            "throttled_time" => throttling.throttled_us = value / 1000,
            _ => {}
        }
    }
    throttling
}

/// v2 writes `QUOTA PERIOD` or `max PERIOD`; v1 two files, with -1 for no limit.
fn quota_percent(max: &str, quota: &str, period: &str) -> Option<u32> {
    let (quota, period) = max.split_once(' ').unwrap_or((quota, period));
    let (quota, period): (u64, u64) = (quota.trim().parse().ok()?, period.trim().parse().ok()?);
    u32::try_from((quota * 100).checked_div(period)?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Place, cpu_cgroup, quota_percent, throttling_at};
    use procfs::process::MountInfos;
    use procfs::{FromBufRead as _, ProcessCGroups};
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn the_cpu_controller_is_found_in_its_own_hierarchy_or_the_unified_one() {
        let place = |mounts: &str, cgroups: &str| {
            let mounts = MountInfos::from_buf_read(mounts.as_bytes()).unwrap();
            let cgroups = ProcessCGroups::from_buf_read(cgroups.as_bytes()).unwrap();
            let place = cpu_cgroup(&mounts, &cgroups).unwrap();
            place.mount.join(place.path)
        };
        let v1 = "33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n\
                  32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        assert_eq!(
            place(v1, "2:cpuacct:/x\n1:cpu:/limited\n0::/\n"),
            PathBuf::from("/sys/fs/cgroup/cpu/limited")
        );
        let v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        assert_eq!(
            place(v2, "0::/kubepods/pod1/c\n"),
            PathBuf::from("/sys/fs/cgroup/kubepods/pod1/c")
        );
    }

    #[test]
    fn the_limit_of_a_cgroup_above_counts_when_it_throttles() {
        let root = tempfile::tempdir().unwrap();
        let pod = root.path().join("pod/container");
        fs::create_dir_all(&pod).unwrap();
        fs::write(pod.join("cpu.stat"), "nr_periods 0\nnr_throttled 0\nthrottled_usec 0\n").unwrap();
        fs::write(pod.join("cpu.max"), "max 100000\n").unwrap();
        fs::write(
            root.path().join("pod/cpu.stat"),
            "nr_periods 11\nnr_throttled 8\nthrottled_usec 700\n",
        )
        .unwrap();
        fs::write(root.path().join("pod/cpu.max"), "3000 100000\n").unwrap();
        let throttling = throttling_at(&Place {
            mount: root.path().to_owned(),
            path: "pod/container".into(),
        })
        .unwrap();
        assert_eq!(
            (throttling.periods, throttling.throttled, throttling.throttled_us),
            (11, 8, 700)
        );
        assert_eq!(throttling.quota_percent, Some(3));
    }

    #[test]
    fn no_limit_is_none() {
        assert_eq!(quota_percent("", "-1\n", "100000\n"), None);
        assert_eq!(quota_percent("", "50000\n", "100000\n"), Some(50));
    }
}
