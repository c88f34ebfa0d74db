//! The node's own tools: found, and run in the namespace the thread is in.

use crate::namespaces::processes;
use anyhow::{Context as _, anyhow, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, unshare};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

/// Where tools lie, in any root.
const FOLDERS: [&str; 6] = ["usr/sbin", "sbin", "usr/local/sbin", "usr/bin", "bin", "usr/local/bin"];
/// A tool that takes longer is given up.
const PATIENCE: Duration = Duration::from_secs(5);

/// A tool in a root.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Tool {
    /// The root it belongs to, where that is not ours.
    root: Option<PathBuf>,
    /// Its path in that root.
    path: PathBuf,
}

/// Finds tools, each once.
#[derive(Debug, Default)]
pub(in crate::facts) struct Tools {
    found: Mutex<BTreeMap<&'static str, Option<Tool>>>,
}

/// A tool at work.
pub(super) struct Running {
    name: &'static str,
    child: Child,
    deadline: Instant,
}

impl Tools {
    /// Starts a tool in this thread's namespace; `None` when it is nowhere on this machine.
    pub(super) fn start(&self, name: &'static str, arguments: &[&str]) -> Option<anyhow::Result<Running>> {
        let tool = self.find(name)?;
        Some(tool.start(arguments).map(|child| Running {
            name,
            child,
            deadline: Instant::now() + PATIENCE,
        }))
    }

    fn find(&self, name: &'static str) -> Option<Tool> {
        let Ok(mut found) = self.found.lock() else {
            return None;
        };
        found
            .entry(name)
            .or_insert_with(|| find_anywhere(Path::new("/"), &search_path(), name))
            .clone()
    }
}

/// The folders of our own PATH, relative to the root.
fn search_path() -> Vec<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let absolute = |folder: PathBuf| folder.strip_prefix("/").map(Path::to_path_buf).ok();
    std::env::split_paths(&path).filter_map(absolute).collect()
}

/// In our own root (PATH first), in the host's, else in that of any process: an agent that writes rules carries the tools for it.
fn find_anywhere(own: &Path, search_path: &[PathBuf], name: &str) -> Option<Tool> {
    if let Some(path) = find_in(own, search_path, name) {
        return Some(Tool { root: None, path });
    }
    let proc = own.join("proc");
    let mut seen = BTreeSet::new();
    processes(&proc)
        .into_iter()
        .map(|pid| proc.join(pid.to_string()))
        .filter(|process| fs::read_link(process.join("ns/mnt")).map_or(true, |mounts| seen.insert(mounts)))
        .find_map(|process| {
            let root = process.join("root");
            let path = find_in(&root, &[], name)?;
            Some(Tool { root: Some(root), path })
        })
}

fn find_in(root: &Path, first: &[PathBuf], name: &str) -> Option<PathBuf> {
    let found = |name: &str| {
        let usual = FOLDERS.iter().map(Path::new);
        let folders = first.iter().map(PathBuf::as_path).chain(usual);
        folders
            .map(|folder| folder.join(name))
            // Links may be absolute, which only the root itself can follow.
            .find(|path| fs::symlink_metadata(root.join(path)).is_ok_and(|found| !found.is_dir()))
    };
    // Where there is one backend only, its tools have no backend in their name, but what they lead to does.
    let plain = || {
        let path = found(&name.replace("-legacy", "").replace("-nft", "")).filter(|_| name.contains("tables-"))?;
        let leads_to = fs::read_link(root.join(&path)).ok()?;
        let leads_to = leads_to.to_str()?;
        let fits = if name.contains("-legacy") {
            leads_to.contains("legacy") || leads_to.ends_with("xtables-multi")
        } else {
            leads_to.contains("nft")
        };
        fits.then_some(path)
    };
    let path = found(name).or_else(plain)?;
    Some(Path::new("/").join(path))
}

impl Tool {
    fn start(&self, arguments: &[&str]) -> anyhow::Result<Child> {
        let mut command = Command::new(&self.path);
        command
            .args(arguments)
            .env_clear()
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .current_dir("/")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut spawn = || {
            command
                .spawn()
                .with_context(|| format!("cannot start {}", self.path.display()))
        };
        let Some(root) = &self.root else {
            return spawn();
        };
        // A thread of its own changes root, so that nothing else here does; what it starts stays there.
        thread::scope(|scope| {
            scope
                .spawn(|| {
                    unshare(CloneFlags::CLONE_FS).context("cannot give a thread its own root")?;
                    nix::unistd::chroot(root).with_context(|| format!("cannot enter {}", root.display()))?;
                    std::env::set_current_dir("/").context("cannot go to the root")?;
                    spawn()
                })
                .join()
                .map_err(|_| anyhow!("a thread ended in a panic while it started {}", self.path.display()))?
        })
    }
}

impl Running {
    /// What it printed, once it has ended well.
    pub(super) fn output(mut self) -> anyhow::Result<String> {
        let outcome = self.read();
        if outcome.is_err() {
            let _ = self.child.kill();
        }
        let status = self
            .child
            .wait()
            .with_context(|| format!("cannot wait for {}", self.name))?;
        let text = outcome?;
        if !status.success() {
            let mut complaint = String::new();
            if let Some(mut stderr) = self.child.stderr.take() {
                let _ = stderr.read_to_string(&mut complaint);
            }
            bail!("{} failed ({status}): {}", self.name, complaint.trim());
        }
        Ok(text)
    }

    fn read(&mut self) -> anyhow::Result<String> {
        let mut stdout = self.child.stdout.take().context("a tool was started without a pipe")?;
        let mut output = Vec::new();
        let mut piece = vec![0; 64 * 1024];
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
            let ready = poll(&mut [PollFd::new(stdout.as_fd(), PollFlags::POLLIN)], timeout)
                .with_context(|| format!("cannot wait for {}", self.name))?;
            if ready == 0 {
                bail!("{} did not end within {} s", self.name, PATIENCE.as_secs());
            }
            match stdout
                .read(&mut piece)
                .with_context(|| format!("cannot read from {}", self.name))?
            {
                0 => return Ok(String::from_utf8_lossy(&output).into_owned()),
                count => output.extend_from_slice(&piece[..count]),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Tool, find_anywhere, find_in};
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;

    #[test]
    fn a_tool_without_a_backend_in_its_name_is_known_by_what_it_leads_to() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("sbin")).unwrap();
        symlink("xtables-legacy-multi", root.path().join("sbin/iptables-save")).unwrap();
        let save = Some(PathBuf::from("/sbin/iptables-save"));
        assert_eq!(find_in(root.path(), &[], "iptables-legacy-save"), save);
        assert_eq!(find_in(root.path(), &[], "iptables-nft-save"), None);
        assert_eq!(find_in(root.path(), &[], "nft"), None);
    }

    #[test]
    fn a_tool_of_our_own_root_comes_first_then_that_of_a_process() {
        let root = tempfile::tempdir().unwrap();
        let agent = root.path().join("proc/77/root");
        fs::create_dir_all(agent.join("usr/sbin")).unwrap();
        fs::create_dir_all(root.path().join("proc/77/ns")).unwrap();
        symlink("mnt:[5]", root.path().join("proc/77/ns/mnt")).unwrap();
        symlink("/usr/sbin/xtables-nft-multi", agent.join("usr/sbin/iptables-nft-save")).unwrap();
        assert_eq!(
            find_anywhere(root.path(), &[], "iptables-nft-save"),
            Some(Tool {
                root: Some(agent),
                path: PathBuf::from("/usr/sbin/iptables-nft-save")
            })
        );
        fs::create_dir_all(root.path().join("sbin")).unwrap();
        fs::write(root.path().join("sbin/iptables-nft-save"), "").unwrap();
        assert_eq!(
            find_anywhere(root.path(), &[], "iptables-nft-save"),
            Some(Tool {
                root: None,
                path: PathBuf::from("/sbin/iptables-nft-save")
            })
        );
        assert_eq!(find_anywhere(root.path(), &[], "nft"), None);
    }
}
