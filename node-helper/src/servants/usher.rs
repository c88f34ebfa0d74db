//! The usher: the process that enters network namespaces, as one leads others to a door. The session asks it for a socket or
//! for one of the kernel's tables that was opened in a namespace, or for a process that was started in one. It also does the three things about eBPF programs that take the same capability.
#![expect(unsafe_code, reason = "fork(2) and pidfd_open(2)")]

use crate::attempts::worker;
use crate::facts::{cilium_metrics, conntrack, reader};
use crate::identity::namespaces::NetworkNamespace;
use crate::processes::privileges::{JOINER, ProcessRole, READER, USHER};
use crate::processes::servant::{Errand, Leaves, Master, Servant, ServantAnswer, ServantRequest, only};
use crate::system::bpf;
use crate::system::door;
use anyhow::{Context as _, anyhow, bail};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sched::{CloneFlags, setns};
use nix::sys::prctl;
use nix::sys::signal::Signal;
use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket as new_socket};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{ForkResult, fork};
use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::sync::OnceLock;
use std::time::Duration;

// What is asked, in the first word; its argument is the second.
const SOCKET: u32 = 0;
const START: u32 = 1;
const NAME: u32 = 2;
const STATISTICS: u32 = 3;
const KILL: u32 = 4;
const METRICS: u32 = 5;
const FILE: u32 = 6;
const TRACKED: u32 = 7;

/// Each is a few system calls.
const WITHIN: Duration = Duration::from_secs(4);

/// A socket that can be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SocketKind {
    /// Routing netlink: interfaces, addresses, routes.
    Route = 0,
    /// Netlink about sockets.
    SockDiag = 1,
    /// Datagrams over IPv4.
    Udp4 = 2,
    /// Datagrams over IPv6.
    Udp6 = 3,
}

/// A file of the kernel's that tells of the namespace in which it was opened, however often it is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum KernelFile {
    /// Counters of IP, ICMP, TCP and UDP.
    Snmp,
    /// Linux's further counters.
    Netstat,
    /// Counters of IPv6.
    Snmp6,
    /// Sockets by protocol.
    Sockstat,
    /// The same over IPv6.
    Sockstat6,
    /// Each CPU's work on packets.
    SoftnetStat,
    /// What connection tracking did, by CPU.
    ConntrackStat,
    /// Connections tracked now.
    ConntrackCount,
    /// The most of them.
    ConntrackMax,
    /// Limits of TCP's memory.
    TcpMem,
    /// Limits of UDP's memory.
    UdpMem,
}

impl KernelFile {
    const ALL: [Self; 11] = [
        Self::Snmp,
        Self::Netstat,
        Self::Snmp6,
        Self::Sockstat,
        Self::Sockstat6,
        Self::SoftnetStat,
        Self::ConntrackStat,
        Self::ConntrackCount,
        Self::ConntrackMax,
        Self::TcpMem,
        Self::UdpMem,
    ];

    /// Where it is, for a thread that is in the namespace.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Snmp => "/proc/thread-self/net/snmp",
            Self::Netstat => "/proc/thread-self/net/netstat",
            Self::Snmp6 => "/proc/thread-self/net/snmp6",
            Self::Sockstat => "/proc/thread-self/net/sockstat",
            Self::Sockstat6 => "/proc/thread-self/net/sockstat6",
            Self::SoftnetStat => "/proc/thread-self/net/softnet_stat",
            Self::ConntrackStat => "/proc/thread-self/net/stat/nf_conntrack",
            Self::ConntrackCount => "/proc/sys/net/netfilter/nf_conntrack_count",
            Self::ConntrackMax => "/proc/sys/net/netfilter/nf_conntrack_max",
            Self::TcpMem => "/proc/sys/net/ipv4/tcp_mem",
            Self::UdpMem => "/proc/sys/net/ipv4/udp_mem",
        }
    }
}

/// What a started process does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChildTask {
    /// It reads facts.
    Read = 0,
    /// It makes attempts.
    Send = 1,
}

/// A process that was started. It is killed when this is dropped.
#[derive(Debug)]
pub struct StartedProcess {
    pidfd: OwnedFd,
}

/// The usher of this process, which is started when it is first asked for.
pub fn ours() -> anyhow::Result<&'static Servant> {
    static OURS: OnceLock<Result<Servant, String>> = OnceLock::new();
    OURS.get_or_init(|| Servant::start(&USHER, serve).map_err(|error| format!("{error:#}")))
        .as_ref()
        .map_err(|why| anyhow!("{why}"))
}

fn ask(what: u32, argument: u32, fds: &[BorrowedFd<'_>]) -> anyhow::Result<ServantAnswer> {
    let errand = Errand {
        what: match what {
            SOCKET => "open a socket",
            START => "start a process",
            NAME => "name an eBPF program",
            METRICS => "open Cilium's counters",
            FILE => "open a file of the kernel's",
            TRACKED => "list tracked connections",
            STATISTICS => "switch on the statistics of eBPF programs",
            _ => "end a process",
        },
        within: WITHIN,
    };
    ours()?.ask(errand, [what, argument, 0, 0, 0, 0, 0, 0], fds)
}

fn only_one(answer: ServantAnswer) -> anyhow::Result<OwnedFd> {
    answer
        .fds
        .into_iter()
        .next()
        .context("a descriptor did not come through")
}

/// A socket of this namespace.
pub fn socket(ns: &NetworkNamespace, kind: SocketKind) -> anyhow::Result<OwnedFd> {
    let file = ns.open()?;
    let answer = ask(SOCKET, kind as u32, &[file.as_fd()]);
    only_one(answer.with_context(|| format!("cannot open a socket in network namespace {}", ns.name))?)
}

/// A file of the kernel's, of this namespace; `None` where this kernel has none.
pub fn file(ns: &NetworkNamespace, file: KernelFile) -> anyhow::Result<Option<File>> {
    let namespace = ns.open()?;
    let answer = ask(FILE, file as u32, &[namespace.as_fd()]);
    let answer = answer.with_context(|| format!("cannot open {} of {}", file.path(), ns.name))?;
    Ok(answer.fds.into_iter().next().map(File::from))
}

/// The tracked connections of this namespace, as an answer that waits to be heard: to ask for them takes rights that who hears
/// need not have.
pub fn tracked(ns: &NetworkNamespace) -> anyhow::Result<OwnedFd> {
    let namespace = ns.open()?;
    let answer = ask(TRACKED, 0, &[namespace.as_fd()]);
    only_one(answer.with_context(|| format!("cannot list the tracked connections of {}", ns.name))?)
}

/// Starts a process in this namespace, with these for its stdin and stdout.
pub fn start(
    ns: &NetworkNamespace,
    task: ChildTask,
    stdin: &OwnedFd,
    stdout: &OwnedFd,
) -> anyhow::Result<StartedProcess> {
    let file = ns.open()?;
    let answer = ask(START, task as u32, &[file.as_fd(), stdin.as_fd(), stdout.as_fd()]);
    let pidfd = only_one(answer.with_context(|| format!("cannot start a process in network namespace {}", ns.name))?)?;
    Ok(StartedProcess { pidfd })
}

/// The name of an eBPF program, by its id; empty for one without a name.
pub fn program_name(id: u32) -> anyhow::Result<String> {
    let answer = ask(NAME, id, &[])?;
    Ok(String::from_utf8_lossy(&answer.text).into_owned())
}

/// The map in which Cilium counts, if this program uses it; for reading alone.
pub fn cilium_metrics(program: u32) -> anyhow::Result<Option<OwnedFd>> {
    Ok(ask(METRICS, program, &[])?.fds.into_iter().next())
}

/// Makes the kernel measure the run time of eBPF programs, while the descriptor lives.
pub fn statistics() -> anyhow::Result<OwnedFd> {
    only_one(ask(STATISTICS, 0, &[])?)
}

impl StartedProcess {
    /// Whether it ends within this time.
    pub fn ends_within(&self, patience: Duration) -> bool {
        let timeout = PollTimeout::try_from(patience).unwrap_or(PollTimeout::MAX);
        let mut ends = [PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut ends, timeout), Ok(1..))
    }

    /// Ends it at once.
    pub fn kill(&self) {
        // What is root's only root may end, and that we may not be any more.
        if kill(&self.pidfd) == Err(Errno::EPERM) {
            let _ = ask(KILL, 0, &[self.pidfd.as_fd()]);
        }
    }
}

fn kill(pidfd: &OwnedFd) -> nix::Result<()> {
    // SAFETY: a signal without further information, to a process that cannot have become another's.
    let sent = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_raw_fd(),
            libc::SIGKILL,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    Errno::result(sent).map(drop)
}

impl Drop for StartedProcess {
    fn drop(&mut self) {
        self.kill();
    }
}

fn serve(master: &Master) {
    let Ok(home) = door::namespace("/proc/self/ns/net") else {
        return;
    };
    while let Some((request, fds)) = master.next() {
        // Those that were started and have ended.
        while waitpid(None, Some(WaitPidFlag::WNOHANG)).is_ok_and(|status| status != WaitStatus::StillAlive) {}
        master.answer(act(&home, request, &fds));
    }
}

fn act(home: &File, request: ServantRequest, fds: &[OwnedFd]) -> anyhow::Result<ServantAnswer> {
    let [what, argument, ..] = request;
    match (what, fds) {
        (SOCKET, [netns]) => {
            let socket = within(home, netns, || open_socket(argument))?;
            Ok(descriptor(socket))
        }
        (FILE, [netns]) => {
            let opened = within(home, netns, || open_file(argument))?;
            Ok(ServantAnswer {
                fds: opened.into_iter().collect(),
                ..ServantAnswer::default()
            })
        }
        (TRACKED, [netns]) => Ok(descriptor(within(home, netns, conntrack::ask_for_all)?)),
        (START, [netns, stdin, stdout]) => {
            let started = within(home, netns, || begin(argument, stdin, stdout))?;
            Ok(descriptor(started))
        }
        (NAME, []) => Ok(ServantAnswer {
            text: bpf::program_name(argument)?.into_bytes(),
            ..ServantAnswer::default()
        }),
        (METRICS, []) => Ok(ServantAnswer {
            fds: bpf::map_of_program(argument, cilium_metrics::is_it)?
                .into_iter()
                .collect(),
            ..ServantAnswer::default()
        }),
        (KILL, [pidfd]) => {
            kill(pidfd)?;
            Ok(ServantAnswer::default())
        }
        (STATISTICS, []) => Ok(descriptor(bpf::enable_stats()?)),
        _ => bail!("the process `usher` does not know request {what}"),
    }
}

fn descriptor(fd: OwnedFd) -> ServantAnswer {
    ServantAnswer {
        fds: vec![fd],
        ..ServantAnswer::default()
    }
}

/// Does it inside a namespace, and comes back.
fn within<T>(home: &File, netns: &OwnedFd, f: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let there = File::from(netns.try_clone()?)
        .metadata()
        .context("cannot look at a namespace")?;
    let here = home.metadata().context("cannot look at our own namespace")?;
    // One's own takes no permission, and there is much to be learned without any.
    if (there.dev(), there.ino()) == (here.dev(), here.ino()) {
        return f();
    }
    // The kernel refuses all that is no network namespace.
    setns(netns, CloneFlags::CLONE_NEWNET).context("cannot enter it; this needs CAP_SYS_ADMIN")?;
    let done = f();
    if setns(home, CloneFlags::CLONE_NEWNET).is_err() {
        // Nothing may be done in the wrong place.
        crate::processes::servant::leave();
    }
    done
}

fn open_file(number: u32) -> anyhow::Result<Option<OwnedFd>> {
    let file = KernelFile::ALL.iter().find(|file| **file as u32 == number);
    let file = file.with_context(|| format!("the process `usher` does not know the file {number}"))?;
    match door::file(file.path()) {
        Ok(file) => Ok(Some(file.into())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn open_socket(kind: u32) -> anyhow::Result<OwnedFd> {
    let (family, kind, protocol) = match kind {
        kind if kind == SocketKind::Route as u32 => {
            (AddressFamily::Netlink, SockType::Raw, Some(SockProtocol::NetlinkRoute))
        }
        kind if kind == SocketKind::SockDiag as u32 => (
            AddressFamily::Netlink,
            SockType::Raw,
            Some(SockProtocol::NetlinkSockDiag),
        ),
        kind if kind == SocketKind::Udp4 as u32 => (AddressFamily::Inet, SockType::Datagram, None),
        kind if kind == SocketKind::Udp6 as u32 => (AddressFamily::Inet6, SockType::Datagram, None),
        kind => bail!("the process `usher` does not know a socket of kind {kind}"),
    };
    Ok(new_socket(family, kind, SockFlag::SOCK_CLOEXEC, protocol)?)
}

/// Forks a process that stays here and reads and says nothing but by these two. Its pidfd.
fn begin(task: u32, stdin: &OwnedFd, stdout: &OwnedFd) -> anyhow::Result<OwnedFd> {
    let (role, go): (&ProcessRole, fn()) = match task {
        task if task == ChildTask::Read as u32 => (&READER, reader::serve),
        task if task == ChildTask::Send as u32 => (&JOINER, worker::serve),
        task => bail!("the process `usher` does not know the task {task}"),
    };
    // SAFETY: this process has one thread; the child leaves by `_exit`.
    match unsafe { fork() }.context("cannot fork")? {
        ForkResult::Parent { child } => {
            // SAFETY: plain numbers. Until it is waited for, the number is this child's.
            let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, child.as_raw(), 0) };
            let pidfd = Errno::result(pidfd).context("cannot hold on to a process")?;
            // SAFETY: the kernel just gave us this descriptor.
            Ok(unsafe { OwnedFd::from_raw_fd(pidfd as i32) })
        }
        ForkResult::Child => {
            let _leaves = Leaves;
            let ready = only(&[stdin.as_raw_fd(), stdout.as_raw_fd()], &[])
                .and_then(|_| role.assume())
                .and_then(|()| Ok(prctl::set_pdeathsig(Signal::SIGKILL)?));
            if ready.is_ok() {
                go();
            }
            crate::processes::servant::leave()
        }
    }
}
