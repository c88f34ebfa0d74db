//! The mounted hierarchies of cgroups, as the host's first process sees them, and cgroups of version 2 by their id.

use super::owner;
use crate::system::door;
use model::owner::Owner;
use procfs::process::{MountInfo, MountInfos, Process};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The host's mounts, and where its root is for us. A container sees its own part of the hierarchies; the host's first process sees
/// all of them.
pub fn mounts() -> procfs::ProcResult<(&'static Path, MountInfos)> {
    const FIRST: &str = "/proc/1/root";
    let of_first = || Process::new(1).and_then(|first| first.mountinfo());
    // The first process may let nobody look (a sandbox, a security module).
    match of_first() {
        Ok(mounts) if door::metadata(FIRST).is_ok() => Ok((Path::new(FIRST), mounts)),
        _ => Ok((Path::new("/"), Process::myself()?.mountinfo()?)),
    }
}

/// The host's mounts, and where its root is for us.
pub type HostMounts = (&'static Path, MountInfos);

/// The host's mounts like [`mounts`], but read again only when they are half a minute old: whoever reads many cgroups would read
/// nothing else.
pub fn recent_mounts() -> procfs::ProcResult<Arc<HostMounts>> {
    const RECENT: Duration = Duration::from_secs(30);
    static KNOWN: Mutex<Option<(Instant, Arc<HostMounts>)>> = Mutex::new(None);
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((read, mounts)) = &*known
        && read.elapsed() < RECENT
    {
        return Ok(Arc::clone(mounts));
    }
    let mounts = Arc::new(mounts()?);
    *known = Some((Instant::now(), Arc::clone(&mounts)));
    Ok(mounts)
}

/// The uppermost mount of such a hierarchy, and one of the whole of it where there is one.
pub fn whole(mounts: &MountInfos, is: impl Fn(&MountInfo) -> bool) -> Option<&MountInfo> {
    let such = || mounts.iter().filter(|mount| is(mount));
    such()
        .filter(|mount| mount.root == "/")
        .last()
        .or_else(|| such().last())
}

/// A path as seen from where that root is.
pub fn below(root: &Path, path: &Path) -> PathBuf {
    root.join(path.strip_prefix("/").unwrap_or(path))
}

/// The part of a cgroup's path that is a pod's or, outside Kubernetes, a container's own; all of it where it is neither's.
pub fn of_owner(path: &Path) -> PathBuf {
    let uppermost = |is: fn(&Owner) -> bool| {
        let above = path
            .ancestors()
            .filter(|part| is(&owner::of_path(&part.to_string_lossy())));
        above.last()
    };
    let pods = uppermost(|owner| matches!(owner, Owner::Pod { .. }));
    let containers = || uppermost(owner::is_contained);
    pods.or_else(containers).unwrap_or(path).to_path_buf()
}

/// Microseconds in which at least one task waited, of a pressure file (`some avg10=.. total=N`); 0 where the kernel keeps none.
pub fn stalled_us(pressure: &str) -> u64 {
    let some = pressure.lines().find_map(|line| line.strip_prefix("some "));
    let total = some.and_then(|line| line.rsplit_once("total="));
    total
        .and_then(|(_, total)| total.trim().parse().ok())
        .unwrap_or_default()
}

/// The pods' and containers' cgroups of version 2, by their ids (their inodes in cgroupfs).
pub fn contained() -> Vec<(u64, Owner)> {
    let mut found = Vec::new();
    if let Ok((root, mounts)) = mounts()
        && let Some(unified) = whole(&mounts, |mount| mount.fs_type == "cgroup2")
    {
        walk(&below(root, &unified.mount_point), "", &mut found);
    }
    found
}

fn walk(folder: &Path, path: &str, found: &mut Vec<(u64, Owner)>) {
    let Ok(entries) = door::entries(folder) else { return };
    for entry in entries {
        let Ok(kind) = entry.file_type() else { continue };
        if !kind.is_dir() {
            continue;
        }
        let path = format!("{path}/{}", entry.file_name().to_string_lossy());
        let owner = owner::of_path(&path);
        if owner::is_contained(&owner)
            && let Ok(metadata) = entry.metadata()
        {
            found.push((metadata.ino(), owner));
        }
        walk(&folder.join(entry.file_name()), &path, found);
    }
}

#[cfg(test)]
mod tests {
    use super::{of_owner, stalled_us, walk};
    use model::owner::Owner;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;
    use std::path::Path;

    #[test]
    fn a_pods_part_of_a_path_stands_above_its_containers() {
        let uid = "8d8a6a2e-1c2b-4c3d-9e4f-5a6b7c8d9e0f";
        let id = "0f3bd1c6a1f04f0d9a7e6b5c4d3e2f100f3bd1c6a1f04f0d9a7e6b5c4d3e2f10";
        let of = |path: &str| of_owner(Path::new(path)).display().to_string();
        assert_eq!(
            of(&format!("kubepods/burstable/pod{uid}/{id}")),
            format!("kubepods/burstable/pod{uid}")
        );
        assert_eq!(
            of(&format!("system.slice/docker-{id}.scope/init")),
            format!("system.slice/docker-{id}.scope")
        );
        assert_eq!(of("user.slice/x"), "user.slice/x");
    }

    #[test]
    fn pressure_is_the_time_in_which_anybody_waited() {
        let text =
            "some avg10=0.12 avg60=0.00 avg300=0.00 total=4711\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=12\n";
        assert_eq!((stalled_us(text), stalled_us("")), (4_711, 0));
    }

    #[test]
    fn a_cgroup_is_known_by_its_inode_and_belongs_to_the_pod_in_its_path() {
        let root = tempfile::tempdir().unwrap();
        let uid = "8d8a6a2e-1c2b-4c3d-9e4f-5a6b7c8d9e0f";
        let id = "0f3bd1c6a1f04f0d9a7e6b5c4d3e2f100f3bd1c6a1f04f0d9a7e6b5c4d3e2f10";
        let pod = root.path().join(format!("kubepods/burstable/pod{uid}"));
        let container = pod.join(id);
        fs::create_dir_all(&container).unwrap();
        fs::create_dir_all(root.path().join("system.slice/sshd.service")).unwrap();
        let inode = |path| fs::metadata(path).unwrap().ino();
        let mut found = Vec::new();
        walk(root.path(), "", &mut found);
        let of = |container: Option<&str>| Owner::Pod {
            uid: uid.into(),
            container: container.map(Into::into),
        };
        assert_eq!(
            found,
            [(inode(&pod), of(None)), (inode(&container), of(Some(id)))],
            "and what is nobody's is left out"
        );
    }
}
