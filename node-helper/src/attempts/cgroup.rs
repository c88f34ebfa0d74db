//! Joins the cgroup of the source, so that what is bound to it (eBPF programs, classes of `net_cls`) applies to our packets.

use crate::system::door;
use model::missing::Missing;
use nix::sched::{CloneFlags, setns};
use std::path::{Path, PathBuf};

/// Version 1 controllers that decide about packets. The others only limit resources, of which we take no share.
const V1_CONTROLLERS: [&str; 2] = ["net_cls", "net_prio"];

/// A mounted hierarchy.
#[derive(Debug, PartialEq)]
struct Hierarchy {
    /// The controller; empty for version 2.
    controller: &'static str,
    /// Where it is mounted.
    at: PathBuf,
    /// Which part of it.
    root: PathBuf,
}

/// Enters the cgroup namespace of the host's first process. Paths are told relative to one's own, and only within it may
/// one move; threads and children that begin later are in it, too.
pub fn see_all() {
    if let Ok(namespace) = door::namespace("/proc/1/ns/cgroup") {
        let _ = setns(namespace, CloneFlags::CLONE_NEWCGROUP);
    }
}

/// Moves this process, which must have one thread, into the cgroups of another.
pub fn join(pid: u32) -> Result<(), Missing> {
    let missing = |why: String| {
        Missing::new(format!("the cgroup of process {pid} as a place to send from"), why)
            .remedy("policies bound to that cgroup did not apply to our packets; run the helper as root on the host")
    };
    let read =
        |path: String| door::text(&path, door::TABLE).map_err(|error| missing(format!("cannot read {path}: {error}")));
    let paths = read(format!("/proc/{pid}/cgroup"))?;
    // In a container only its own part is mounted, and that read-only; the host's mounts show all of it.
    let own = hierarchies(&read("/proc/self/mountinfo".into())?);
    let of_host = door::text("/proc/1/mountinfo", door::TABLE).map(|text| hierarchies(&text));
    let mounted = [("/", own), ("/proc/1/root", of_host.unwrap_or_default())];
    for controller in [""].into_iter().chain(V1_CONTROLLERS) {
        let Some(path) = path_in(&paths, controller) else {
            continue;
        };
        let mut known = mounted
            .iter()
            .flat_map(|(root, mounts)| mounts.iter().rev().map(move |mount| (*root, mount)))
            .filter(|(_, mount)| mount.controller == controller)
            .peekable();
        if known.peek().is_none() {
            continue;
        }
        let folder = known.find_map(|(root, mount)| folder(root, mount, path));
        let Some(folder) = folder else {
            return Err(missing(format!("{path} lies outside all that is mounted")));
        };
        let events = door::text(folder.join("cgroup.events"), door::FEW_LINES).unwrap_or_default();
        if events.lines().any(|line| line == "frozen 1") {
            return Err(missing(format!("{path} is frozen, and so would we be")));
        }
        door::write(folder.join("cgroup.procs"), "0")
            .map_err(|error| missing(format!("cannot move into {}: {error}", folder.display())))?;
    }
    Ok(())
}

/// The folder of a cgroup as seen through a mount; `None` where the mount does not show it.
fn folder(root: &str, mount: &Hierarchy, path: &str) -> Option<PathBuf> {
    let below = Path::new(path).strip_prefix(&mount.root).ok()?;
    let at = mount.at.strip_prefix("/").unwrap_or(&mount.at);
    Some(Path::new(root).join(at).join(below))
}

/// The path of a process in one hierarchy.
fn path_in<'a>(paths: &'a str, controller: &str) -> Option<&'a str> {
    paths.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':');
        let (number, controllers, path) = (parts.next()?, parts.next()?, parts.next()?);
        let is = if controller.is_empty() {
            number == "0" && controllers.is_empty()
        } else {
            controllers.split(',').any(|one| one == controller)
        };
        is.then_some(path)
    })
}

/// The mounts of the hierarchies that matter, from a `mountinfo` (`proc_pid_mountinfo(5)`): what is on top comes last.
fn hierarchies(mountinfo: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in mountinfo.lines() {
        let Some((mount, kind)) = line.split_once(" - ") else {
            continue;
        };
        let (mount, kind): (Vec<&str>, Vec<&str>) = (mount.split(' ').collect(), kind.split(' ').collect());
        let (Some(root), Some(at)) = (mount.get(3), mount.get(4)) else {
            continue;
        };
        let controller = match kind.first() {
            Some(&"cgroup2") => Some(""),
            Some(&"cgroup") => {
                let options: Vec<&str> = kind
                    .get(2)
                    .map(|options| options.split(',').collect())
                    .unwrap_or_default();
                V1_CONTROLLERS.into_iter().find(|one| options.contains(one))
            }
            _ => None,
        };
        if let Some(controller) = controller {
            found.push(Hierarchy {
                controller,
                at: at.into(),
                root: root.into(),
            });
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{Hierarchy, folder, hierarchies, path_in};
    use std::path::Path;

    #[test]
    fn hybrid_and_unified_mounts_are_found() {
        let hybrid = "\
            26 21 0:23 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755\n\
            27 26 0:24 / /sys/fs/cgroup/unified rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n\
            33 26 0:30 / /sys/fs/cgroup/net_cls,net_prio rw shared:10 - cgroup cgroup rw,net_cls,net_prio\n\
            34 26 0:31 / /sys/fs/cgroup/memory rw shared:11 - cgroup cgroup rw,memory\n";
        let hierarchy = |controller, at: &str| Hierarchy {
            controller,
            at: at.into(),
            root: "/".into(),
        };
        assert_eq!(
            hierarchies(hybrid),
            [
                hierarchy("", "/sys/fs/cgroup/unified"),
                hierarchy("net_cls", "/sys/fs/cgroup/net_cls,net_prio")
            ]
        );
        let twice = "1 0 0:38 /../.. /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n2 1 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        assert_eq!(hierarchies(twice).last(), Some(&hierarchy("", "/sys/fs/cgroup")));
        let unified = "29 22 0:26 / /sys/fs/cgroup rw shared:9 - cgroup2 cgroup2 rw\n";
        assert_eq!(hierarchies(unified), [hierarchy("", "/sys/fs/cgroup")]);
    }

    #[test]
    fn a_container_sees_only_its_own_part_and_the_host_all() {
        let mount = |root: &str| Hierarchy {
            controller: "",
            at: "/sys/fs/cgroup".into(),
            root: root.into(),
        };
        let path = "/kubepods/pod1/web";
        assert_eq!(folder("/", &mount("/kubepods/pod2/helper"), path), None);
        let of_host = folder("/proc/1/root", &mount("/"), path);
        assert_eq!(
            of_host.as_deref(),
            Some(Path::new("/proc/1/root/sys/fs/cgroup/kubepods/pod1/web"))
        );
    }

    #[test]
    fn each_hierarchy_has_its_own_path() {
        let paths = "4:memory:/a\n3:net_cls,net_prio:/b\n1:name=systemd:/c\n0::/d\n";
        assert_eq!(path_in(paths, ""), Some("/d"));
        assert_eq!(path_in(paths, "net_cls"), Some("/b"));
        assert_eq!(path_in("4:memory:/a\n", ""), None);
    }
}
