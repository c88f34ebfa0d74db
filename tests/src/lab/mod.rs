//! Namespaces in the shape of a topology, with their names prefixed by the run, always taken down again.
//!
//! A lab owns a directory below [`LABS`] and holds a lock in it, which the kernel drops with the process: a lab whose
//! lock is free belongs to nobody and is swept when the next one is built. In the directory are `bin` (the built-in
//! servers, for PATH), `names` (what [`crate::enter`] shows as `/run/netns`, so that steps may say `netns a`) and `log`.
use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::net::{IpAddr, UdpSocket};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use nix::fcntl::{Flock, FlockArg};
use nix::mount::{MntFlags, umount2};
use nix::sched::{CloneFlags, setns};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::builtin;
use crate::process::LOOK_EVERY;
use crate::topology::{LabNamespace, Topology};

mod commands;
pub mod ground;

/// Where labs keep their directories.
pub const LABS: &str = "/run/skoop-lab";
const NETNS: &str = "/run/netns";
const READY_WITHIN: Duration = Duration::from_secs(5);
/// A killed process is gone in no time, but for one that the kernel holds.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// Labs this process has standing, for those who must take them down in a hurry (a signal).
static STANDING: Mutex<Vec<String>> = Mutex::new(Vec::new());
static COUNT: AtomicU32 = AtomicU32::new(0);

/// A standing lab; dropping it takes it down.
#[derive(Debug)]
pub struct Lab {
    id: String,
    names: Vec<String>,
    kept: bool,
    _lock: Flock<File>,
}

impl Lab {
    /// Builds `topology` and waits until its addresses answer. Labs of dead runs are swept first.
    pub fn build(topology: &Topology) -> Result<Self> {
        ensure!(
            nix::unistd::geteuid().is_root(),
            "building a lab needs root (namespaces, veth): run it with sudo"
        );
        fs::create_dir_all(LABS).with_context(|| format!("creating {LABS}"))?;
        let id = format!("lab-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let lock = {
            let _whole = lock(&Path::new(LABS).join(".lock"), FlockArg::LockExclusive)?
                .ok_or_else(|| anyhow!("locking {LABS}"))?;
            sweep_locked();
            fs::create_dir_all(directory(&id)).with_context(|| format!("creating the lab {id}"))?;
            lock(&directory(&id).join("lock"), FlockArg::LockExclusiveNonblock)?
                .ok_or_else(|| anyhow!("the lab {id} is already there"))?
        };
        standing().push(id.clone());
        let names = topology
            .namespaces
            .iter()
            .map(|namespace| namespace.name.clone())
            .collect();
        let lab = Self {
            id,
            names,
            kept: false,
            _lock: lock,
        };
        lab.set_up(topology)
            .with_context(|| format!("building the topology {}", topology.name))?;
        Ok(lab)
    }

    /// The name `ip netns` knows a namespace of this lab by.
    pub fn netns(&self, name: &str) -> Result<String> {
        ensure!(
            self.names.iter().any(|known| known == name),
            "no namespace `{name}` in this lab (it has {})",
            self.names.join(", ")
        );
        Ok(self.real(name))
    }

    /// The names of this lab's namespaces, as scenario files say them.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The lab's own directory.
    pub fn directory(&self) -> PathBuf {
        directory(&self.id)
    }

    /// Gives the programs of a namespace this resolv.conf.
    pub fn resolv(&self, name: &str, text: &str) -> Result<()> {
        let directory = Path::new("/etc/netns").join(self.netns(name)?);
        fs::create_dir_all(&directory)
            .and_then(|()| fs::write(directory.join("resolv.conf"), format!("{}\n", text.trim_end())))
            .with_context(|| format!("writing {}/resolv.conf", directory.display()))
    }

    /// Runs `work` on a thread that has entered a namespace.
    pub fn inside<T: Send>(&self, name: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
        inside(&self.netns(name)?, work)
    }

    /// From now on the lab stands, with what is started in it, also when this process is gone. Says how to enter it and
    /// how to take it down.
    pub fn keep(&mut self) -> Result<String> {
        self.kept = true;
        File::create(self.directory().join("kept")).context("marking the lab as kept")?;
        standing().retain(|id| *id != self.id);
        let mut text = format!("{} stands; enter it with\n", self.id);
        for name in &self.names {
            let _ = writeln!(text, "  ip netns exec {} sh", self.real(name));
        }
        let _ = write!(
            text,
            "and take it down with\n  {} down {}",
            self.directory().join("bin/lab").display(),
            self.id
        );
        Ok(text)
    }

    /// Whether [`Lab::keep`] was called.
    pub fn kept(&self) -> bool {
        self.kept
    }

    fn real(&self, name: &str) -> String {
        format!("{}-{name}", self.id)
    }

    fn set_up(&self, topology: &Topology) -> Result<()> {
        self.directories()?;
        let add: Vec<_> = self
            .names
            .iter()
            .map(|name| format!("netns add {}", self.real(name)))
            .collect();
        batch(&add)?;
        for namespace in &topology.namespaces {
            inside(&self.real(&namespace.name), || prepare(namespace))??;
        }
        for namespace in &topology.namespaces {
            let lines: Vec<_> = namespace.ip.iter().map(|line| self.with_real_names(line)).collect();
            inside(&self.real(&namespace.name), || shape(namespace, &lines))?
                .with_context(|| format!("setting up the namespace {}", namespace.name))?;
        }
        for namespace in &topology.namespaces {
            let there = topology.answers.iter().filter(|(from, _)| *from == namespace.name);
            let addresses: Vec<_> = there.map(|(_, address)| *address).collect();
            if !addresses.is_empty() {
                inside(&self.real(&namespace.name), || {
                    addresses.into_iter().try_for_each(answers)
                })?
                .with_context(|| format!("waiting for the lab to be ready, in {}", namespace.name))?;
            }
        }
        Ok(())
    }

    fn directories(&self) -> Result<()> {
        let here = self.directory();
        for name in ["bin", "names", "log", "outside"] {
            fs::create_dir_all(here.join(name))?;
        }
        let program = builtin::program()?;
        for name in builtin::names() {
            symlink(&program, here.join("bin").join(name))?;
        }
        for name in &self.names {
            let outside = here.join("outside").join(self.real(name));
            symlink(&outside, here.join("names").join(name))?;
            symlink(&outside, here.join("names").join(self.real(name)))?;
        }
        Ok(())
    }

    /// `netns NAME` at the end of a line of ours, as the kernel knows NAME.
    fn with_real_names(&self, line: &str) -> String {
        match line.split_once(" netns ") {
            Some((before, name)) => format!("{before} netns {}", self.real(name)),
            None => line.to_owned(),
        }
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if !self.kept {
            take_down(&self.id);
            standing().retain(|id| *id != self.id);
        }
    }
}

/// Takes down every lab this process has standing: for a signal, when nobody will return to drop them.
pub fn take_down_all() {
    for id in standing().drain(..) {
        take_down(&id);
    }
}

/// Takes down a lab by its id, as [`Lab::keep`] printed it.
pub fn down(id: &str) -> Result<()> {
    ensure!(
        directory(id).is_dir() && id.starts_with("lab-"),
        "no lab `{id}` below {LABS}"
    );
    take_down(id);
    Ok(())
}

/// Runs `work` on a thread that has entered the namespace `ip netns` knows by this name.
pub fn inside<T: Send>(netns: &str, work: impl FnOnce() -> T + Send) -> Result<T> {
    let path = Path::new(NETNS).join(netns);
    let file = File::open(&path).with_context(|| format!("opening {}", path.display()))?;
    thread::scope(|scope| {
        let entered = scope.spawn(|| -> Result<T> {
            setns(&file, CloneFlags::CLONE_NEWNET).with_context(|| format!("entering {}", path.display()))?;
            Ok(work())
        });
        entered
            .join()
            .map_err(|_| anyhow!("the thread inside {netns} panicked"))?
    })
}

/// Takes down the labs whose owner is gone. The caller holds the lock on [`LABS`].
fn sweep_locked() {
    let names = |directory: &str| -> Vec<String> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect()
    };
    // A namespace is created after its lab's directory, so that one without it is left over as well.
    let of_namespaces = names(NETNS)
        .into_iter()
        .filter_map(|name| Some(name.rsplit_once('-')?.0.to_owned()));
    let ids: BTreeSet<_> = names(LABS)
        .into_iter()
        .chain(of_namespaces)
        .filter(|id| id.starts_with("lab-"))
        .collect();
    for id in ids {
        let here = directory(&id);
        // Its owner may be taking it down at this moment: what is gone is fine.
        let abandoned = match File::open(here.join("lock")) {
            Ok(file) => Flock::lock(file, FlockArg::LockExclusiveNonblock).is_ok(),
            Err(_) => true,
        };
        if abandoned && !here.join("kept").exists() {
            take_down(&id);
        }
    }
}

/// Ends whatever runs in the namespaces of a lab and removes them, their resolv.conf and the lab's directory. What is
/// already gone is fine.
fn take_down(id: &str) {
    let prefix = format!("{id}-");
    let ours = |directory: &str| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with(&prefix))
            .map(|entry| entry.path())
            .collect()
    };
    let namespaces = ours(NETNS);
    let inodes: Vec<_> = namespaces
        .iter()
        .filter_map(|path| nix::sys::stat::stat(path).ok())
        .map(|stat| stat.st_ino)
        .collect();
    end(&inodes);
    for path in namespaces {
        let _ = umount2(&path, MntFlags::MNT_DETACH);
        let _ = fs::remove_file(path);
    }
    for path in ours("/etc/netns") {
        let _ = fs::remove_dir_all(path);
    }
    let _ = fs::remove_dir_all(directory(id));
}

/// Ends what lives in these namespaces, and waits until it has: whoever comes next must not find it.
fn end(inodes: &[u64]) {
    let started = Instant::now();
    loop {
        let living = processes_in(inodes);
        if living.is_empty() || started.elapsed() > GONE_WITHIN {
            return;
        }
        for pid in living {
            let _ = kill(pid, Signal::SIGKILL);
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Processes whose network namespace is one of these inodes.
fn processes_in(inodes: &[u64]) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .filter(|pid: &i32| {
            nix::sys::stat::stat(format!("/proc/{pid}/ns/net").as_str()).is_ok_and(|stat| inodes.contains(&stat.st_ino))
        })
        .map(Pid::from_raw)
        .collect()
}

/// Sysctls that must be set before the first link is there: no duplicate address detection (it eats the first second of
/// IPv6), no reverse path filter, and forwarding on nodes.
fn prepare(namespace: &LabNamespace) -> Result<()> {
    let forward = u8::from(namespace.node);
    for (path, value) in [
        ("ipv6/conf/all/accept_dad", 0),
        ("ipv6/conf/default/accept_dad", 0),
        ("ipv4/conf/all/rp_filter", 0),
        ("ipv4/conf/default/rp_filter", 0),
        ("ipv4/ip_forward", forward),
        ("ipv6/conf/all/forwarding", forward),
    ] {
        sysctl(path, &value.to_string())?;
    }
    Ok(())
}

fn shape(namespace: &LabNamespace, lines: &[String]) -> Result<()> {
    batch(lines)?;
    for setting in &namespace.sysctl {
        let (path, value) = setting
            .split_once('=')
            .ok_or_else(|| anyhow!("`{setting}` is not path=value"))?;
        sysctl(path, value)?;
    }
    for command in &namespace.shell {
        let output = Command::new("/bin/sh")
            .args(["-c", command])
            .output()
            .context("starting /bin/sh")?;
        ensure!(
            output.status.success(),
            "`{command}` failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    Ok(())
}

fn sysctl(path: &str, value: &str) -> Result<()> {
    fs::write(Path::new("/proc/sys/net").join(path), value).with_context(|| format!("setting net/{path} to {value}"))
}

/// Feeds lines to `ip -batch` in the namespace of the calling thread.
fn batch(lines: &[String]) -> Result<()> {
    let mut ip = Command::new("ip")
        .args(["-batch", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting `ip` (install iproute2)")?;
    if let Some(mut stdin) = ip.stdin.take() {
        let _ = stdin.write_all(format!("{}\n", lines.join("\n")).as_bytes());
    }
    let output = ip.wait_with_output().context("waiting for `ip`")?;
    if output.status.success() {
        return Ok(());
    }
    let message = String::from_utf8_lossy(&output.stderr);
    let failed = message
        .rsplit_once("-:")
        .and_then(|(_, number)| number.trim().parse().ok());
    let line = failed.and_then(|number: usize| lines.get(number.checked_sub(1)?));
    bail!(
        "`ip {}` failed: {}",
        line.map_or("-batch", String::as_str),
        message.trim()
    );
}

/// Waits until an address answers: a datagram to a port where nobody listens comes back as a refusal, which proves both
/// directions without leaving a connection behind.
fn answers(address: &str) -> Result<()> {
    let address: IpAddr = address.parse().with_context(|| format!("parsing {address}"))?;
    let any = if address.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    let started = Instant::now();
    let mut last = None;
    while started.elapsed() < READY_WITHIN {
        let socket = UdpSocket::bind(any).context("opening a socket")?;
        socket.set_read_timeout(Some(Duration::from_millis(50)))?;
        let met = socket
            .connect((address, 9))
            .and_then(|()| socket.send(b"?"))
            .and_then(|_| socket.recv(&mut [0; 8]));
        match met {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => return Ok(()),
            Err(error) => last = Some(error),
            Ok(_) => {}
        }
    }
    bail!(
        "{address} does not answer ({})",
        last.map_or_else(|| "silence".to_owned(), |error| error.to_string())
    )
}

fn directory(id: &str) -> PathBuf {
    Path::new(LABS).join(id)
}

/// The lock on a file, or nothing when another process holds it.
fn lock(path: &Path, how: FlockArg) -> Result<Option<Flock<File>>> {
    let file = File::create(path).with_context(|| format!("creating {}", path.display()))?;
    match Flock::lock(file, how) {
        Ok(lock) => Ok(Some(lock)),
        Err((_, nix::errno::Errno::EWOULDBLOCK)) => Ok(None),
        Err((_, errno)) => Err(errno).with_context(|| format!("locking {}", path.display())),
    }
}

fn standing() -> std::sync::MutexGuard<'static, Vec<String>> {
    STANDING.lock().unwrap_or_else(PoisonError::into_inner)
}
