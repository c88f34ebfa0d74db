//! Which system calls each of our processes may make. All others are refused with `EPERM`, which our code reports as it
//! reports any refusal: a thing that could not be read, with this reason. Killing instead would make a gap without a reason of
//! what a libc newer than ours does harmlessly, and would keep nothing more from whoever runs code of his own in us.
//!
//! A process inherits the filter of the one that forks it, so the usher's allows all that its children need.

use anyhow::Context as _;
use libc::c_long;
use nix::errno::Errno;
use seccompiler::{
    BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter,
};
use std::collections::BTreeMap;

/// A system call, and on what terms.
#[derive(Clone, Copy, Debug)]
pub struct Call {
    number: c_long,
    terms: Terms,
}

#[derive(Clone, Copy, Debug)]
enum Terms {
    /// Whatever its arguments.
    Any,
    /// Where this argument is one of these.
    OneOf(u8, &'static [u64]),
    /// Where this argument has none of these bits.
    Without(u8, u64),
}

const fn any(number: c_long) -> Call {
    Call {
        number,
        terms: Terms::Any,
    }
}

const fn one_of(number: c_long, argument: u8, values: &'static [u64]) -> Call {
    Call {
        number,
        terms: Terms::OneOf(argument, values),
    }
}

const fn without(number: c_long, argument: u8, bits: u64) -> Call {
    Call {
        number,
        terms: Terms::Without(argument, bits),
    }
}

/// Makes a list of calls without terms.
macro_rules! calls {
    ($($name:ident)*) => { &[$(any(libc::$name)),*] };
}

/// Namespaces of one's own, in which one would be root.
const NEW_NAMESPACES: u64 = (libc::CLONE_NEWCGROUP
    | libc::CLONE_NEWIPC
    | libc::CLONE_NEWNET
    | libc::CLONE_NEWNS
    | libc::CLONE_NEWPID
    | libc::CLONE_NEWUSER
    | libc::CLONE_NEWUTS) as u64;
const CHANGES: u64 = (libc::O_ACCMODE | libc::O_CREAT | libc::O_TRUNC | libc::O_APPEND) as u64;

/// What libc, Rust's library and threads need.
pub const RUNTIME: &[Call] = calls![
    SYS_read SYS_write SYS_readv SYS_writev SYS_close SYS_close_range SYS_fstat SYS_newfstatat SYS_statx SYS_lseek
    SYS_mmap SYS_munmap SYS_mprotect SYS_mremap SYS_madvise SYS_brk
    SYS_rt_sigaction SYS_rt_sigprocmask SYS_rt_sigreturn SYS_rt_sigtimedwait SYS_sigaltstack SYS_restart_syscall
    SYS_futex SYS_set_robust_list SYS_get_robust_list SYS_rseq SYS_set_tid_address SYS_clone3 SYS_exit SYS_exit_group
    SYS_getpid SYS_getppid SYS_gettid SYS_tgkill SYS_getuid SYS_geteuid SYS_getgid SYS_getegid
    SYS_sched_yield SYS_sched_getaffinity SYS_nanosleep SYS_clock_nanosleep SYS_clock_gettime SYS_clock_getres
    SYS_gettimeofday SYS_getrandom SYS_uname SYS_sysinfo SYS_prctl SYS_prlimit64
    SYS_ppoll SYS_pselect6 SYS_eventfd2 SYS_fcntl SYS_dup SYS_dup3 SYS_pipe2 SYS_sendmsg SYS_recvmsg
];

#[cfg(target_arch = "x86_64")]
const OLD: &[Call] = calls![SYS_poll SYS_dup2 SYS_select SYS_time SYS_arch_prctl SYS_getrlimit SYS_setrlimit];
#[cfg(not(target_arch = "x86_64"))]
const OLD: &[Call] = &[];

/// Threads and processes, but no namespaces; what libc asks first is told not to exist, because its arguments cannot be seen.
const THREADS: &[Call] = &[without(libc::SYS_clone, 0, NEW_NAMESPACES)];

/// Files, for reading.
pub const READ_FILES: &[Call] = &[
    without(libc::SYS_openat, 2, CHANGES),
    any(libc::SYS_openat2),
    any(libc::SYS_readlinkat),
    any(libc::SYS_getdents64),
    any(libc::SYS_statfs),
    any(libc::SYS_fstatfs),
    any(libc::SYS_faccessat),
    any(libc::SYS_faccessat2),
    any(libc::SYS_getcwd),
    any(libc::SYS_pread64),
    any(libc::SYS_fadvise64),
];

#[cfg(target_arch = "x86_64")]
/// Older system calls for reading files, which only x86-64 has.
pub const READ_FILES_OLD: &[Call] = calls![SYS_readlink SYS_access SYS_stat SYS_lstat];
#[cfg(not(target_arch = "x86_64"))]
/// Older system calls for reading files, which only x86-64 has.
pub const READ_FILES_OLD: &[Call] = &[];

/// Files, for writing too.
pub const FILES: &[Call] = calls![SYS_openat];

/// Sockets that are there.
pub const USE_SOCKETS: &[Call] = calls![
    SYS_sendto SYS_recvfrom SYS_setsockopt SYS_getsockopt SYS_connect SYS_getsockname SYS_getpeername
];

/// Sockets to speak with the kernel and with the network, but none to speak with other programs of this machine.
pub const MAKE_SOCKETS: &[Call] = &[
    one_of(
        libc::SYS_socket,
        0,
        &[libc::AF_INET as u64, libc::AF_INET6 as u64, libc::AF_NETLINK as u64],
    ),
    any(libc::SYS_bind),
    any(libc::SYS_shutdown),
    one_of(libc::SYS_ioctl, 1, &[libc::FIONBIO]),
];

// Commands of bpf(2).
const MAP_CREATE: u64 = 0;
const MAP_LOOKUP: u64 = 1;
const MAP_UPDATE: u64 = 2;
const MAP_DELETE: u64 = 3;
const MAP_NEXT_KEY: u64 = 4;
const PROG_LOAD: u64 = 5;
const PROG_BY_ID: u64 = 13;
const MAP_BY_ID: u64 = 14;
const INFO: u64 = 15;
const PROG_QUERY: u64 = 16;
const RAW_TRACEPOINT_OPEN: u64 = 17;
const MAP_FREEZE: u64 = 22;
const ENABLE_STATS: u64 = 32;

/// Maps and programs that are there.
pub const READ_MAPS: &[Call] = &[one_of(
    libc::SYS_bpf,
    0,
    &[MAP_LOOKUP, MAP_UPDATE, MAP_DELETE, MAP_NEXT_KEY, INFO],
)];

/// What is attached where.
pub const QUERY_PROGRAMS: &[Call] = &[one_of(libc::SYS_bpf, 0, &[PROG_QUERY])];

/// Programs and their maps by their ids, and statistics of programs.
pub const OPEN_BY_ID: &[Call] = &[one_of(
    libc::SYS_bpf,
    0,
    &[PROG_QUERY, PROG_BY_ID, MAP_BY_ID, INFO, ENABLE_STATS],
)];

/// Loading and attaching.
pub const ARM: &[Call] = &[
    one_of(
        libc::SYS_bpf,
        0,
        &[MAP_CREATE, MAP_UPDATE, PROG_LOAD, INFO, RAW_TRACEPOINT_OPEN, MAP_FREEZE],
    ),
    any(libc::SYS_perf_event_open),
    // PERF_EVENT_IOC_ENABLE, PERF_EVENT_IOC_SET_BPF
    one_of(libc::SYS_ioctl, 1, &[0x2400, 0x4004_2408]),
];

/// Processes that were started.
pub const PROCESSES: &[Call] = calls![SYS_pidfd_send_signal];

/// Entering network namespaces, and starting processes there.
pub const ENTER: &[Call] = &[
    one_of(libc::SYS_setns, 1, &[libc::CLONE_NEWNET as u64]),
    any(libc::SYS_pidfd_open),
    any(libc::SYS_wait4),
];

/// A role of its own for who was forked or has done its first part.
pub const CHANGE_ROLE: &[Call] = calls![SYS_capget SYS_capset SYS_seccomp SYS_setresuid SYS_setresgid SYS_setgroups];

/// From now on this process, and what it forks, makes only these calls.
pub fn confine(allowed: &[&[Call]]) -> anyhow::Result<()> {
    // SAFETY: it only asks.
    #[expect(unsafe_code, reason = "no crate asks whether there is seccomp")]
    let mode = unsafe { libc::prctl(libc::PR_GET_SECCOMP) };
    if mode < 0 {
        // A kernel built without it.
        return Ok(());
    }
    let absent = BTreeMap::from([(libc::SYS_clone3, Vec::new())]);
    apply(absent, SeccompAction::Allow, SeccompAction::Errno(Errno::ENOSYS as u32))?;
    let mut rules: BTreeMap<c_long, Vec<SeccompRule>> = BTreeMap::new();
    let mut free: Vec<c_long> = Vec::new();
    for call in [RUNTIME, OLD, THREADS].iter().chain(allowed).copied().flatten() {
        let known = rules.entry(call.number).or_default();
        match call.terms {
            Terms::Any => free.push(call.number),
            Terms::OneOf(argument, values) => {
                for value in values {
                    known.push(rule(argument, SeccompCmpOp::Eq, *value)?);
                }
            }
            Terms::Without(argument, bits) => known.push(rule(argument, SeccompCmpOp::MaskedEq(bits), 0)?),
        }
    }
    // No rule at all stands for any arguments.
    for number in free {
        rules.insert(number, Vec::new());
    }
    apply(rules, SeccompAction::Errno(Errno::EPERM as u32), SeccompAction::Allow)
}

fn rule(argument: u8, is: SeccompCmpOp, value: u64) -> anyhow::Result<SeccompRule> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value)?;
    Ok(SeccompRule::new(vec![condition])?)
}

fn apply(rules: BTreeMap<c_long, Vec<SeccompRule>>, others: SeccompAction, these: SeccompAction) -> anyhow::Result<()> {
    let cannot = "cannot make a filter of system calls";
    let machine = std::env::consts::ARCH.try_into().context(cannot)?;
    let filter = SeccompFilter::new(rules, others, these, machine).context(cannot)?;
    let program: BpfProgram = filter.try_into().context(cannot)?;
    apply_filter(&program).context("cannot install a filter of system calls")
}
