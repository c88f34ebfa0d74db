//! Which of our processes may do what, and why: the one table of it.
//!
//! The helper is several processes. What attaches probes and what enters namespaces needs the node's highest rights and
//! reads nothing that others wrote; what reads such bytes has none of these rights, and no way back to them:
//!
//! | process | reads | does |
//! |---|---|---|
//! | `session` | the client, events, `/proc`, files of other roots | answers the client |
//! | `armer` | requests of the session: numbers | loads and attaches eBPF programs |
//! | `usher` | requests of the session: numbers and descriptors | opens sockets and the kernel's tables and starts processes in other network namespaces, names eBPF programs, opens Cilium's counters for reading |
//! | `reader` | netlink, `/proc` of one namespace | reads that namespace's facts |
//! | `sender` | orders of the session, answers from the network | makes the attempts of one source |
//!
//! Armer and usher are forked before the session reads its first byte; readers and senders are forked by the usher, in
//! the namespace. Each then drops all capabilities but those of its role below (of all sets, the bounding set too where
//! it may), can gain none (`no_new_privs`), and makes only the system calls of its role. A test shows of each that it is
//! needed, and where it is gone.
//!
//! Whoever looks at other users' processes (`CAP_SYS_PTRACE`) could write into their memory, and root's files can be written
//! without any capability. So where that is possible (`CAP_SETUID`) such a process belongs to a user to whom nothing belongs: it
//! can read what root can, and write nothing. Senders stay root, because rules choose by user, too; they cannot open files.
//! What remains to whoever runs code of his own in a reader is to change the network's settings (`CAP_NET_ADMIN`).

use super::seccomp::{self, Call};
use anyhow::Context as _;
use caps::{CapSet, Capability, CapsHashSet};
use nix::errno::Errno;
use nix::sys::prctl;
use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
use std::ffi::CString;

/// A user and a group that own nothing: far from those that systems and pods give to people and programs.
const STRANGER: u32 = 2_147_480_000;

/// A capability, and what for.
#[derive(Clone, Copy, Debug)]
pub struct KeptCapability {
    /// The capability.
    pub capability: Capability,
    /// What could not be done without it.
    pub why: &'static str,
}

/// What one of our processes may do.
#[derive(Debug)]
pub struct ProcessRole {
    /// Its name, as in `/proc/PID/comm`.
    pub name: &'static str,
    /// Its capabilities.
    pub keeps: &'static [KeptCapability],
    /// It stays root.
    pub root: bool,
    /// Its system calls, besides those of the runtime.
    pub calls: &'static [&'static [Call]],
}

const fn keep(capability: Capability, why: &'static str) -> KeptCapability {
    KeptCapability { capability, why }
}

/// Speaks with the client, and looks at processes.
pub const SESSION: ProcessRole = ProcessRole {
    name: "node-helper",
    keeps: &[
        keep(
            Capability::CAP_SYS_PTRACE,
            "namespaces, roots and open files of other users' processes",
        ),
        keep(
            Capability::CAP_DAC_READ_SEARCH,
            "files below those roots, whoever owns them",
        ),
        keep(Capability::CAP_SYSLOG, "addresses of kernel functions (/proc/kallsyms)"),
    ],
    root: false,
    calls: &[
        seccomp::READ_FILES,
        seccomp::READ_FILES_OLD,
        seccomp::USE_SOCKETS,
        seccomp::READ_MAPS,
        seccomp::PROCESSES,
    ],
};

/// Holds probes.
pub const ARMER: ProcessRole = ProcessRole {
    name: "armer",
    keeps: &[
        keep(Capability::CAP_BPF, "make maps, load programs"),
        keep(Capability::CAP_PERFMON, "programs that trace, and read kernel memory"),
        keep(
            Capability::CAP_SYS_ADMIN,
            "kprobes where Debian and Ubuntu ask for it (`perf_event_paranoid` above 2); kernels before 6.10 need them",
        ),
    ],
    root: false,
    calls: &[seccomp::READ_FILES, seccomp::READ_FILES_OLD, seccomp::ARM],
};

/// Enters namespaces for others. Besides its own it keeps what it gives to the processes that it starts.
pub const USHER: ProcessRole = ProcessRole {
    name: "usher",
    keeps: &[
        keep(
            Capability::CAP_SYS_ADMIN,
            "enter network namespaces, open eBPF programs and maps by their ids, switch statistics on",
        ),
        keep(
            Capability::CAP_SETPCAP,
            "so that what it starts loses for good what it gives up",
        ),
        keep(Capability::CAP_SETUID, "so that readers are nobody"),
        keep(Capability::CAP_SETGID, "so that readers are nobody"),
        keep(Capability::CAP_NET_ADMIN, "for readers"),
        keep(Capability::CAP_NET_RAW, "for senders"),
        keep(Capability::CAP_SYS_PTRACE, "for both"),
        keep(Capability::CAP_DAC_READ_SEARCH, "for both"),
        keep(Capability::CAP_DAC_OVERRIDE, "for senders"),
    ],
    root: true,
    calls: &[
        seccomp::READ_FILES,
        seccomp::READ_FILES_OLD,
        seccomp::FILES,
        seccomp::USE_SOCKETS,
        seccomp::MAKE_SOCKETS,
        seccomp::OPEN_BY_ID,
        seccomp::ENTER,
        seccomp::PROCESSES,
        seccomp::CHANGE_ROLE,
    ],
};

/// Reads the facts of one namespace.
pub const READER: ProcessRole = ProcessRole {
    name: "reader",
    keeps: &[
        keep(
            Capability::CAP_NET_ADMIN,
            "dumps of netfilter rules, conntrack and xfrm; which eBPF programs are attached",
        ),
        keep(Capability::CAP_SYS_PTRACE, "which process holds a socket"),
        keep(Capability::CAP_DAC_READ_SEARCH, "the same, of processes of any user"),
    ],
    root: false,
    calls: &[
        seccomp::READ_FILES,
        seccomp::READ_FILES_OLD,
        seccomp::USE_SOCKETS,
        seccomp::MAKE_SOCKETS,
        seccomp::QUERY_PROGRAMS,
    ],
};

/// Joins the source's cgroup, before it sends.
pub const JOINER: ProcessRole = ProcessRole {
    name: "sender",
    keeps: &[
        keep(Capability::CAP_NET_RAW, "echo requests"),
        keep(
            Capability::CAP_SYS_PTRACE,
            "cgroups as the host's first process sees them",
        ),
        keep(Capability::CAP_DAC_READ_SEARCH, "the way to them"),
        keep(Capability::CAP_DAC_OVERRIDE, "cgroups that belong to a user"),
        keep(
            Capability::CAP_SETPCAP,
            "to lose for good what it gives up once it has joined",
        ),
    ],
    root: true,
    calls: &[
        seccomp::READ_FILES,
        seccomp::READ_FILES_OLD,
        seccomp::FILES,
        seccomp::USE_SOCKETS,
        seccomp::MAKE_SOCKETS,
        seccomp::CHANGE_ROLE,
    ],
};

/// Sends.
pub const SENDER: ProcessRole = ProcessRole {
    name: "sender",
    keeps: &[keep(Capability::CAP_NET_RAW, "echo requests")],
    root: true,
    calls: &[seccomp::USE_SOCKETS, seccomp::MAKE_SOCKETS],
};

impl ProcessRole {
    /// Takes this role, for good. Call it while the process has one thread.
    pub fn assume(&self) -> anyhow::Result<()> {
        let cannot = || format!("cannot give up privileges for the role `{}`", self.name);
        let name = CString::new(self.name).with_context(cannot)?;
        prctl::set_name(&name).with_context(cannot)?;
        prctl::set_no_new_privs().with_context(cannot)?;
        let had = caps::read(None, CapSet::Permitted).with_context(cannot)?;
        let keeps: CapsHashSet = self.keeps.iter().map(|kept| kept.capability).collect();
        let keeps: CapsHashSet = keeps.intersection(&had).copied().collect();
        // Only who may set capabilities may lower what could ever be had again. Without that the filter keeps us from executing
        // what could have it.
        if had.contains(&Capability::CAP_SETPCAP) {
            for capability in caps::read(None, CapSet::Bounding).with_context(cannot)? {
                if !keeps.contains(&capability) {
                    caps::drop(None, CapSet::Bounding, capability).with_context(cannot)?;
                }
            }
        }
        if !self.root {
            become_stranger(&had).with_context(cannot)?;
        }
        caps::clear(None, CapSet::Ambient).with_context(cannot)?;
        caps::set(None, CapSet::Effective, &keeps).with_context(cannot)?;
        caps::clear(None, CapSet::Inheritable).with_context(cannot)?;
        caps::set(None, CapSet::Permitted, &keeps).with_context(cannot)?;
        if !had.is_empty() {
            // Whoever else runs as our user cannot look into us.
            prctl::set_dumpable(false).with_context(cannot)?;
        }
        seccomp::confine(self.calls).with_context(cannot)
    }
}

/// Becomes the user to whom nothing belongs, and keeps what it may.
fn become_stranger(had: &CapsHashSet) -> nix::Result<()> {
    prctl::set_keepcaps(true)?;
    if had.contains(&Capability::CAP_SETGID) {
        let group = Gid::from_raw(STRANGER);
        unless_unknown(setgroups(&[]))?;
        unless_unknown(setresgid(group, group, group))?;
    }
    if had.contains(&Capability::CAP_SETUID) {
        let user = Uid::from_raw(STRANGER);
        unless_unknown(setresuid(user, user, user))?;
    }
    Ok(())
}

/// A user namespace may know no such user, and allow no change of groups; there root is nobody outside of it either.
fn unless_unknown(outcome: nix::Result<()>) -> nix::Result<()> {
    match outcome {
        Err(Errno::EINVAL | Errno::EPERM) => Ok(()),
        other => other,
    }
}
