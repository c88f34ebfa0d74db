//! Every file that the helper opens, traced: below another root by `openat2` with `RESOLVE_IN_ROOT` alone. Needs root.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "this is not the helper")]
#![expect(unsafe_code, reason = "who is traced says so before it becomes the helper")]

use model::facts::Phase;
use model::protocol::{Ask, Line, Reply, Request, VERSION};
use nix::sched::{CloneFlags, unshare};
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::{Pid, chroot, gettid};
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, ChildStdout, Command, Stdio};
use std::sync::mpsc::channel;
use tempfile::TempDir;

/// A file that was opened: how, from where, and by what path.
#[derive(Debug)]
struct Opened {
    in_root: bool,
    from: PathBuf,
    path: PathBuf,
}

impl Opened {
    /// It lies below a root that is not the helper's, given how that looks to us.
    fn is_foreign(&self, root: &Path) -> bool {
        let whole = self.from.join(&self.path);
        let names: Vec<_> = whole
            .components()
            .map(|part| part.as_os_str().to_string_lossy().into_owned())
            .collect();
        let through = names
            .windows(4)
            .any(|names| names[0] == "proc" && names[1].parse::<u32>().is_ok() && names[2] == "root");
        through || self.from.starts_with(root) || whole.starts_with(root)
    }
}

/// What a system call that is about to be made opens.
fn opened(pid: Pid) -> Option<Opened> {
    let info = ptrace::syscall_info(pid).ok()?;
    if info.op != libc::PTRACE_SYSCALL_INFO_ENTRY {
        return None;
    }
    // SAFETY: an entry, as the kernel says.
    let entry = unsafe { info.u.entry };
    let memory = fs::File::open(format!("/proc/{pid}/mem")).ok()?;
    let text = |at: u64| {
        let mut bytes = [0; 512];
        let read = memory.read_at(&mut bytes, at).ok()?;
        let text = bytes[..read].split(|byte| *byte == 0).next()?;
        Some(PathBuf::from(String::from_utf8_lossy(text).into_owned()))
    };
    let [first, second, third, ..] = entry.args;
    let from = || match first as i32 {
        libc::AT_FDCWD => Some(PathBuf::from("/")),
        fd => fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok(),
    };
    match i64::try_from(entry.nr).ok()? {
        #[cfg(target_arch = "x86_64")]
        libc::SYS_open => Some(Opened {
            in_root: false,
            from: PathBuf::from("/"),
            path: text(first)?,
        }),
        libc::SYS_openat => Some(Opened {
            in_root: false,
            from: from()?,
            path: text(second)?,
        }),
        libc::SYS_openat2 => {
            // `resolve` is the third number of `struct open_how`.
            let mut resolve = [0; 8];
            memory.read_exact_at(&mut resolve, third + 16).ok()?;
            let in_root = u64::from_ne_bytes(resolve) & libc::RESOLVE_IN_ROOT != 0;
            Some(Opened {
                in_root,
                from: from()?,
                path: text(second)?,
            })
        }
        _ => None,
    }
}

/// Runs the helper under trace to its end, while `client` speaks with it; tells what was opened.
fn traced(client: impl FnOnce(ChildStdin, ChildStdout) + Send + 'static) -> Vec<Opened> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-helper"));
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    // SAFETY: one system call between fork and exec.
    unsafe { command.pre_exec(|| ptrace::traceme().map_err(Into::into)) };
    #[expect(clippy::zombie_processes, reason = "who traces it waits for it, below")]
    let mut helper = command.spawn().unwrap();
    let first = Pid::from_raw(helper.id() as i32);
    let (to, from) = (helper.stdin.take().unwrap(), helper.stdout.take().unwrap());
    waitpid(first, None).unwrap();
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACEFORK
        | Options::PTRACE_O_TRACEVFORK
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(first, options).unwrap();
    ptrace::syscall(first, None).unwrap();
    let client = std::thread::spawn(move || client(to, from));
    let mut all = Vec::new();
    loop {
        let status = waitpid(None, Some(WaitPidFlag::__WALL)).unwrap();
        let signal = match status {
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) if pid == first => break,
            WaitStatus::PtraceSyscall(pid) => {
                all.extend(opened(pid));
                None
            }
            // New ones stop once, before they begin.
            WaitStatus::Stopped(_, Signal::SIGSTOP | Signal::SIGTRAP) => None,
            WaitStatus::Stopped(_, signal) => Some(signal),
            _ => None,
        };
        if let Some(pid) = status.pid() {
            // It may have been killed meanwhile.
            let _ = ptrace::syscall(pid, signal);
        }
    }
    client.join().unwrap();
    all
}

#[test]
fn below_another_root_nothing_is_opened_but_in_that_root() {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    fs::write(root.path().join("etc/resolv.conf"), "nameserver 10.0.0.1\n").unwrap();
    let (tell, told) = channel();
    let (end, ended) = channel::<()>();
    let place = root.path().to_owned();
    std::thread::spawn(move || {
        unshare(CloneFlags::CLONE_FS).unwrap();
        chroot(&place).unwrap();
        tell.send(gettid().as_raw()).unwrap();
        let _ = ended.recv();
    });
    let container: i32 = told.recv().unwrap();
    let netns = fs::metadata("/proc/self/ns/net").unwrap().ino() as u32;
    let all = traced(move |mut to, from| {
        let requests = [
            Request::Hello { version: VERSION },
            Request::Resolve {
                endpoint: format!("pid/{container}"),
                from: None,
            },
            Request::Read(Ask {
                id: 1,
                phase: Some(Phase::Before),
                netns: vec![netns],
                pids: vec![std::process::id()],
                node: true,
                ..Ask::default()
            }),
        ];
        for (seq, say) in (1..).zip(requests) {
            writeln!(to, "{}", serde_json::to_string(&Line { seq, say, said: None }).unwrap()).unwrap();
        }
        // It is traced, and slow: the end is asked for when all is told.
        for line in BufReader::new(from).lines() {
            let line: Line<Reply> = serde_json::from_str(&line.unwrap()).unwrap();
            if matches!(line.say, Reply::Read { .. }) {
                let bye = Line {
                    seq: 4,
                    say: Request::Bye,
                    said: None,
                };
                writeln!(to, "{}", serde_json::to_string(&bye).unwrap()).unwrap();
            }
        }
    });
    drop(end);
    let foreign: Vec<&Opened> = all.iter().filter(|opened| opened.is_foreign(root.path())).collect();
    assert!(
        foreign
            .iter()
            .any(|opened| opened.in_root && opened.path == Path::new("/etc/resolv.conf")),
        "of {} files none was of the container",
        all.len()
    );
    let wrong: Vec<&&Opened> = foreign.iter().filter(|opened| !opened.in_root).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
