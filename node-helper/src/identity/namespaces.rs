//! The network namespaces of this machine: what they are called, the files that lead into them, who lives in them.

use crate::system::door;
use crate::system::netlink::{Netlink, NetlinkAnswer, at, attribute, attributes};
use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Where `ip netns` and container runtimes bind named namespaces.
const NAMED: &str = "run/netns";
/// Where docker does, which `ip netns` does not look into.
const DOCKERS: &str = "run/docker/netns";

/// A network namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkNamespace {
    /// Inode in nsfs, which identifies it on this machine for as long as it lives.
    pub inode: u32,
    /// Its name for people: `host`, `netns/NAME` (of `ip netns`), `netns/PATH`, or `pid/N (NAME)` after its oldest process. No
    /// process can choose one that means something else.
    pub name: String,
    /// The file that leads into it.
    pub path: PathBuf,
    /// Processes that live in it, oldest first.
    pub pids: Vec<u32>,
}

/// All network namespaces that something names or lives in.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Namespaces {
    by_inode: BTreeMap<u32, NetworkNamespace>,
    names: BTreeMap<String, u32>,
}

impl NetworkNamespace {
    /// Opens it, if it still is the one that was found under its path.
    pub fn open(&self) -> anyhow::Result<File> {
        let path = self.path.display();
        let file = door::namespace(&self.path)
            .with_context(|| format!("cannot open network namespace {} ({path}); is it gone?", self.name))?;
        let inode = file.metadata().with_context(|| format!("cannot look at {path}"))?.ino();
        if inode != u64::from(self.inode) {
            bail!(
                "{path} is no longer network namespace {} (inode {inode}, not {}); ask again",
                self.name,
                self.inode
            );
        }
        Ok(file)
    }
}

impl Namespaces {
    /// Looks for them now.
    pub fn scan() -> Self {
        Self::scan_root(Path::new("/"))
    }

    fn scan_root(root: &Path) -> Self {
        let mut found = Self::default();
        let proc = root.join("proc");
        for pid in processes(&proc) {
            let path = proc.join(pid.to_string()).join("ns/net");
            let Some(inode) = inode(&path) else { continue };
            let namespace = found.by_inode.entry(inode).or_insert_with(|| NetworkNamespace {
                inode,
                path,
                ..NetworkNamespace::default()
            });
            namespace.pids.push(pid);
        }
        // Names as another mount namespace sees them (a helper in a container) come after our own.
        for base in [root.to_path_buf(), proc.join("1/root")] {
            for folder in [NAMED, DOCKERS] {
                found.add_named(&base, folder);
            }
        }
        let host = inode(&proc.join("1/ns/net")).or_else(|| inode(&proc.join("self/ns/net")));
        for namespace in found.by_inode.values_mut() {
            if Some(namespace.inode) == host {
                "host".clone_into(&mut namespace.name);
            } else if namespace.name.is_empty()
                && let Some(oldest) = namespace.pids.first()
            {
                namespace.name = of_process(&proc, *oldest);
            }
        }
        if let Some(host) = host {
            found.names.entry("host".to_owned()).or_insert(host);
        }
        found
    }

    fn add_named(&mut self, base: &Path, folder: &str) {
        let within = base.join(folder);
        let Ok(names) = door::names(&within) else { return };
        let mut paths: Vec<PathBuf> = names.into_iter().map(|name| within.join(name)).collect();
        paths.sort();
        for path in paths {
            let (Some(inode), Some(name)) = (bound_inode(&path), path.file_name().and_then(|name| name.to_str()))
            else {
                continue;
            };
            let namespace = self.by_inode.entry(inode).or_insert_with(|| NetworkNamespace {
                inode,
                ..NetworkNamespace::default()
            });
            if namespace.name.is_empty() {
                namespace.name = match folder {
                    NAMED => format!("netns/{name}"),
                    folder => format!("netns//{folder}/{name}"),
                };
                namespace.path.clone_from(&path);
            }
            self.names.entry(name.to_owned()).or_insert(inode);
        }
    }

    /// The one of a name: `netns/NAME`, `NAME`, or `host`.
    pub fn by_name(&self, name: &str) -> Option<&NetworkNamespace> {
        let name = name.strip_prefix("netns/").unwrap_or(name);
        self.by_inode(*self.names.get(name)?)
    }

    /// The one of an inode.
    pub fn by_inode(&self, inode: u32) -> Option<&NetworkNamespace> {
        self.by_inode.get(&inode)
    }

    /// The one a process lives in.
    pub fn of_pid(&self, pid: u32) -> Option<&NetworkNamespace> {
        self.by_inode(inode(Path::new(&format!("/proc/{pid}/ns/net")))?)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = &NetworkNamespace> {
        self.by_inode.values()
    }

    /// All their names (`ip netns`), in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.names.keys().map(String::as_str)
    }

    /// Which namespaces the given ids stand for, in the namespace that `route` was opened in. An id stands for a
    /// namespace only as seen from another one (`IFLA_LINK_NETNSID`); one without name and process cannot be found.
    pub fn of_ids(&self, route: &mut Netlink, wanted: &[i32]) -> BTreeMap<i32, u32> {
        let mut found = BTreeMap::new();
        for namespace in self.all() {
            if wanted.iter().all(|id| found.contains_key(id)) {
                break;
            }
            let Ok(file) = door::namespace(&namespace.path) else {
                continue;
            };
            if let Some(id) = id_of(route, &file)
                && wanted.contains(&id)
            {
                found.insert(id, namespace.inode);
            }
        }
        found
    }
}

// Attributes of RTM_GETNSID (linux/net_namespace.h).
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;
/// `struct rtgenmsg`, padded.
const RTGENMSG_BYTES: usize = 4;

fn id_of(route: &mut Netlink, namespace: &File) -> Option<i32> {
    let mut request = vec![0; RTGENMSG_BYTES];
    attribute(&mut request, NETNSA_FD, &namespace.as_raw_fd().to_ne_bytes());
    let Ok(NetlinkAnswer::Messages(messages)) = route.ask(libc::RTM_GETNSID, &request) else {
        return None;
    };
    messages
        .iter()
        .flat_map(|(_, body)| attributes(body.get(RTGENMSG_BYTES..).unwrap_or_default()))
        .find_map(|(kind, value)| (kind == NETNSA_NSID).then(|| at(value, 0).map(i32::from_ne_bytes))?)
        .filter(|id| *id >= 0)
}

/// The inode of the network namespace this process lives in; 0 when that cannot be read.
pub fn own() -> u32 {
    inode(Path::new("/proc/self/ns/net")).unwrap_or_default()
}

/// Whether this process and the kernel number processes alike: not in a node that is a container itself.
pub fn sees_all_pids() -> bool {
    /// Inode of the initial PID namespace (`PROC_PID_INIT_INO` of `linux/proc_ns.h`).
    const INITIAL: u64 = 0xEFFF_FFFC;
    door::metadata("/proc/self/ns/pid").is_ok_and(|metadata| metadata.ino() == INITIAL)
}

/// What a namespace or an end without a name of its own is called, after a process: `pid/7 (nginx)`.
pub fn of_process(proc: &Path, pid: u32) -> String {
    match door::text(proc.join(format!("{pid}/comm")), door::FEW_LINES) {
        Ok(comm) => format!("pid/{pid} ({})", comm.trim()),
        Err(_) => format!("pid/{pid}"),
    }
}

/// Process ids in a proc file system, in order.
pub fn processes(proc: &Path) -> Vec<u32> {
    let mut pids: Vec<u32> = door::names(proc)
        .unwrap_or_default()
        .iter()
        .filter_map(|name| name.to_str()?.parse().ok())
        .collect();
    pids.sort_unstable();
    pids
}

/// The inode a link like `net:[4026531833]` names. Reading the link is cheaper than opening what it leads to.
fn inode(link: &Path) -> Option<u32> {
    let target = door::link(link).ok()?;
    target.to_str()?.strip_prefix("net:[")?.strip_suffix(']')?.parse().ok()
}

/// The inode of a namespace that is bound to a file; `None` for a file nothing is bound to.
fn bound_inode(path: &Path) -> Option<u32> {
    u32::try_from(door::bound_namespace(path).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::{Namespaces, processes};
    use std::fs;
    use std::os::unix::fs::symlink;

    #[test]
    fn processes_are_grouped_by_the_namespace_they_live_in_and_choose_no_name_of_one() {
        let root = tempfile::tempdir().unwrap();
        for (pid, inode, comm) in [
            (1, 100, "init"),
            (30, 200, "web"),
            (4, 100, "sshd"),
            (31, 200, "log"),
            (40, 300, "host"),
            (41, 400, "netns/other"),
        ] {
            let folder = root.path().join(format!("proc/{pid}"));
            fs::create_dir_all(folder.join("ns")).unwrap();
            symlink(format!("net:[{inode}]"), folder.join("ns/net")).unwrap();
            fs::write(folder.join("comm"), format!("{comm}\n")).unwrap();
        }
        let found = Namespaces::scan_root(root.path());
        let seen: Vec<_> = found
            .all()
            .map(|ns| (ns.inode, ns.name.as_str(), ns.pids.as_slice()))
            .collect();
        assert_eq!(
            seen,
            [
                (100, "host", [1, 4].as_slice()),
                (200, "pid/30 (web)", [30, 31].as_slice()),
                (300, "pid/40 (host)", [40].as_slice()),
                (400, "pid/41 (netns/other)", [41].as_slice()),
            ]
        );
        assert_eq!(found.by_name("host").map(|ns| ns.inode), Some(100));
        assert_eq!(found.by_name("web"), None, "a process name is no name of a namespace");
    }

    #[test]
    fn only_numbers_are_processes() {
        let proc = tempfile::tempdir().unwrap();
        for name in ["12", "3", "self", "net"] {
            fs::create_dir(proc.path().join(name)).unwrap();
        }
        assert_eq!(processes(proc.path()), [3, 12]);
    }
}
