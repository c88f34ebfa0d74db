//! A process at one end: what it does, how full its descriptor table is, and whether its CPU is throttled.

use crate::owner;
use anyhow::Context as _;
use model::facts::{ProcessFacts, Throttling};
use model::missing::{Known, Missing};
use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Reads the facts of one process; `None` when it is gone.
pub(super) fn read(pid: u32, netns: u32) -> Option<ProcessFacts> {
    let folder = PathBuf::from(format!("/proc/{pid}"));
    let (name, state) = parse_stat(&fs::read_to_string(folder.join("stat")).ok()?)?;
    let cgroups = fs::read_to_string(folder.join("cgroup")).unwrap_or_default();
    let wchan = fs::read_to_string(folder.join("wchan")).unwrap_or_default();
    let limits = fs::read_to_string(folder.join("limits")).unwrap_or_default();
    Some(ProcessFacts {
        pid,
        netns,
        name,
        state,
        wchan: Some(wchan).filter(|wchan| !matches!(wchan.as_str(), "" | "0")),
        fds: known("open files", pid, count_files(&folder.join("fd"))),
        fd_limit: parse_fd_limit(&limits).unwrap_or_default(),
        throttling: known("CPU throttling", pid, throttling(&cgroups)),
        owner: owner::of_pid(pid),
    })
}

fn known<T>(what: &str, pid: u32, outcome: anyhow::Result<T>) -> Known<T> {
    outcome
        .map_err(|error| Missing::new(format!("{what} of process {pid}"), format!("{error:#}")))
        .into()
}

/// The name is in brackets and may hold brackets itself; the state follows the last one.
fn parse_stat(stat: &str) -> Option<(String, String)> {
    let (head, rest) = stat.rsplit_once(')')?;
    let (_, name) = head.split_once('(')?;
    Some((name.to_owned(), rest.split_whitespace().next()?.to_owned()))
}

/// Since 6.2 the folder's size is the number of open files; before, they are counted.
fn count_files(folder: &Path) -> anyhow::Result<u64> {
    let cannot = || format!("cannot read {}", folder.display());
    let size = fs::metadata(folder).with_context(cannot)?.size();
    if size > 0 {
        return Ok(size);
    }
    Ok(fs::read_dir(folder).with_context(cannot)?.count() as u64)
}

/// The soft limit; `unlimited` is told as the largest number.
fn parse_fd_limit(limits: &str) -> Option<u64> {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"))?;
    let soft = line.split_whitespace().next()?;
    Some(soft.parse().unwrap_or(u64::MAX))
}

/// Throttling of the process's cgroup, or of that above it which was throttled most: a pod's limit stands above its
/// containers'.
fn throttling(cgroups: &str) -> anyhow::Result<Throttling> {
    let mounts = fs::read_to_string("/proc/self/mountinfo").context("cannot read /proc/self/mountinfo")?;
    let place = cpu_cgroup(&mounts, cgroups).context("no cgroup hierarchy with a CPU controller is mounted")?;
    throttling_at(&place)
}

/// A cgroup: where its hierarchy is mounted, and its path below.
struct Place {
    mount: PathBuf,
    path: PathBuf,
}

/// The CPU controller is in a hierarchy of its own (v1), else in the unified one (v2).
fn cpu_cgroup(mounts: &str, cgroups: &str) -> Option<Place> {
    let of = |wanted: &dyn Fn(&str) -> bool| {
        cgroups.lines().find_map(|line| {
            let mut parts = line.splitn(3, ':');
            let (_, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
            wanted(controllers).then(|| PathBuf::from(path.trim_start_matches('/')))
        })
    };
    let mounted = |kind: &str, option: Option<&str>| {
        mounts.lines().find_map(|line| {
            let (before, after) = line.split_once(" - ")?;
            let mut after = after.split_whitespace();
            let (fs, _, options) = (after.next()?, after.next()?, after.next()?);
            let fits = fs == kind && option.is_none_or(|option| options.split(',').any(|other| other == option));
            fits.then(|| before.split_whitespace().nth(4).map(PathBuf::from))?
        })
    };
    let v1 = of(&|controllers| controllers.split(',').any(|controller| controller == "cpu"))
        .zip(mounted("cgroup", Some("cpu")));
    let v2 = || of(&str::is_empty).zip(mounted("cgroup2", None));
    v1.or_else(v2).map(|(path, mount)| Place { mount, path })
}

fn throttling_at(place: &Place) -> anyhow::Result<Throttling> {
    let mut most: Option<Throttling> = None;
    for path in place.path.ancestors() {
        let folder = place.mount.join(path);
        let Ok(stat) = fs::read_to_string(folder.join("cpu.stat")) else {
            continue;
        };
        let text = |file: &str| fs::read_to_string(folder.join(file)).unwrap_or_default();
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
    use super::{Place, cpu_cgroup, parse_fd_limit, parse_stat, quota_percent, throttling_at};
    use std::fs;
    use std::path::PathBuf;

    #[test]
    fn a_name_may_hold_brackets() {
        assert_eq!(
            parse_stat("7 (a) (b)) T 1 7"),
            Some(("a) (b)".to_owned(), "T".to_owned()))
        );
    }

    #[test]
    fn the_soft_limit_counts() {
        let limits = "Limit                     Soft Limit           Hard Limit           Units\n\
                      Max open files            1024                 524288               files\n";
        assert_eq!(parse_fd_limit(limits), Some(1024));
        assert_eq!(
            parse_fd_limit("Max open files   unlimited unlimited files"),
            Some(u64::MAX)
        );
    }

    #[test]
    fn the_cpu_controller_is_found_in_its_own_hierarchy_or_the_unified_one() {
        let v1 = "33 31 0:30 / /sys/fs/cgroup/cpuacct rw - cgroup cgroup rw,cpuacct\n\
                  32 31 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n\
                  41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let place = cpu_cgroup(v1, "2:cpuacct:/x\n1:cpu:/limited\n0::/\n").unwrap();
        assert_eq!(
            place.mount.join(place.path),
            PathBuf::from("/sys/fs/cgroup/cpu/limited")
        );
        let v2 = "30 24 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n";
        let place = cpu_cgroup(v2, "0::/kubepods/pod1/c\n").unwrap();
        assert_eq!(
            place.mount.join(place.path),
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
