//! `lab in`: becomes a shell command inside a namespace, as `ip netns exec` would, and dies with its parent (unless the lab is kept).
//!
//! In a mount namespace of its own the command sees the namespace's `/sys` and resolv.conf, and in `/run/netns` the
//! lab's namespaces by their short names beside all real ones: `ip link set eth1 netns a` and `ip -n x route` work.
use std::fs::{self, File};
use std::os::fd::AsRawFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::signal::{SigSet, Signal};

/// Becomes the command; arguments are the lab's directory, the namespace's real name (`-` stays in
/// this one), whether it dies with its parent, and the command.
pub fn run(arguments: &[String]) -> Result<()> {
    let [directory, netns, end, command] = arguments else {
        bail!("usage: lab in DIRECTORY NETNS|- dies|stays COMMAND")
    };
    if end == "dies" {
        nix::sys::prctl::set_pdeathsig(Signal::SIGKILL).context("asking to die with the parent")?;
    }
    SigSet::all().thread_unblock().context("unblocking signals")?;
    if netns != "-" {
        enter(Path::new(directory), netns).with_context(|| format!("entering the namespace {netns}"))?;
    }
    Err(Command::new("/bin/sh").arg("-c").arg(command).exec()).context("starting /bin/sh")
}

fn enter(directory: &Path, netns: &str) -> Result<()> {
    let file = File::open(Path::new("/run/netns").join(netns)).context("opening it")?;
    setns(&file, CloneFlags::CLONE_NEWNET)?;
    unshare(CloneFlags::CLONE_NEWNS).context("making a mount namespace")?;
    let recursively = MsFlags::MS_REC;
    mount(
        None::<&str>,
        "/",
        None::<&str>,
        MsFlags::MS_SLAVE | recursively,
        None::<&str>,
    )
    .context("detaching mounts")?;
    // A fresh /sys shows this namespace's devices; what is mounted below the old one is carried over.
    let below: Vec<_> = ["/sys/fs/bpf", "/sys/fs/cgroup"]
        .into_iter()
        .filter_map(|path| Some((path, File::open(path).ok()?)))
        .collect();
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>).context("mounting /sys")?;
    for (path, old) in below {
        bind(
            Path::new(&format!("/proc/self/fd/{}", old.as_raw_fd())),
            Path::new(path),
        )?;
    }
    bind(Path::new("/run/netns"), &directory.join("outside"))?;
    bind(&directory.join("names"), Path::new("/run/netns"))?;
    let own = Path::new("/etc/netns").join(netns);
    for entry in fs::read_dir(own).into_iter().flatten().flatten() {
        bind(&entry.path(), &Path::new("/etc").join(entry.file_name()))?;
    }
    Ok(())
}

fn bind(from: &Path, onto: &Path) -> Result<()> {
    mount(
        Some(from),
        onto,
        None::<&str>,
        MsFlags::MS_BIND | MsFlags::MS_REC,
        None::<&str>,
    )
    .with_context(|| format!("binding {} onto {}", from.display(), onto.display()))
}
