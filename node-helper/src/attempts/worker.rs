//! The process that sends for one source, from the source's network namespace: it moves into its cgroup, reserves ports, and
//! runs all attempts on one thread. It reads [`WorkerCommand`]s on stdin and says [`WorkerReport`] on stdout, one JSON object a line.

use super::dns::lookup::NameLookup;
use super::echo::Echo;
use super::task::{Course, Task, Wait};
use super::tcp::Tcp;
use super::udp::Udp;
use super::{WorkerCommand, WorkerOrder, WorkerReport, cgroup, kind};
use crate::identity::namespaces;
use crate::processes::privileges::SENDER;
use crate::processes::servant;
use crate::system::clock::monotonic_ns;
use anyhow::Context as _;
use model::attempt::{AttemptSpec, Sending, WatchedFlow};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::time::TimeSpec;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::fd::AsFd as _;
use std::time::Duration;

/// An attempt and when it starts, counted from the start of the window.
struct Scheduled {
    id: u32,
    start_ns: u64,
    started: bool,
    task: Box<dyn Task>,
}

/// Serves one session until its input ends.
pub fn serve() {
    if let Err(error) = work() {
        say(&WorkerReport::Failed {
            why: format!("{error:#}"),
        });
    }
}

fn work() -> anyhow::Result<()> {
    let mut input = Input::default();
    let Some(line) = input.first_line()? else { return Ok(()) };
    let order: WorkerOrder = serde_json::from_slice(&line).context("reading the order")?;
    let mut missing = Vec::new();
    if let Some(pid) = order.cgroup_of {
        missing.extend(cgroup::join(pid).err());
    }
    let netns = namespaces::own();
    allow_many_sockets();
    // No file is opened from here on.
    SENDER.assume()?;

    let mut scheduled: Vec<Scheduled> = order.attempts.iter().map(schedule).collect();
    say(&WorkerReport::Planned {
        flows: flows(&scheduled, netns),
        missing,
    });
    run(&mut scheduled, &mut input, netns);
    Ok(())
}

/// Each attempt has its socket from the start. A limit of ours must not look like one of the source's.
fn allow_many_sockets() {
    if let Ok((_, hard)) = getrlimit(Resource::RLIMIT_NOFILE) {
        let _ = setrlimit(Resource::RLIMIT_NOFILE, hard, hard);
    }
}

/// Ports are reserved here.
fn schedule(spec: &AttemptSpec) -> Scheduled {
    let course = Course::new(spec.id, kind(&spec.send));
    let timeout_ns = nanoseconds(spec.timeout_ms);
    let task: Box<dyn Task> = match spec.send.clone() {
        Sending::Tcp {
            to,
            port,
            hold_ms,
            exchange,
        } => Box::new(Tcp::new(
            course,
            SocketAddr::new(to, port),
            hold_ms,
            exchange,
            timeout_ns,
        )),
        Sending::Udp { to, port, payload } => {
            Box::new(Udp::new(course, SocketAddr::new(to, port), payload, timeout_ns))
        }
        Sending::Echo {
            to,
            count,
            interval_ms,
            packet_bytes,
            dont_fragment,
        } => Box::new(Echo::new(
            course,
            to,
            count,
            nanoseconds(interval_ms),
            packet_bytes,
            dont_fragment,
            timeout_ns,
        )),
        Sending::Dns { name, resolv, types } => Box::new(NameLookup::new(course, name, &resolv, types, timeout_ns)),
        Sending::DnsQuery {
            server,
            port,
            name,
            qtype,
        } => Box::new(NameLookup::one_query(
            course,
            SocketAddr::new(server, port),
            name,
            qtype,
            timeout_ns,
        )),
    };
    Scheduled {
        id: spec.id,
        start_ns: nanoseconds(spec.start_ms),
        started: false,
        task,
    }
}

fn nanoseconds(milliseconds: u64) -> u64 {
    Duration::from_millis(milliseconds).as_nanos() as u64
}

fn flows(scheduled: &[Scheduled], netns: u32) -> Vec<WatchedFlow> {
    scheduled
        .iter()
        .flat_map(|scheduled| {
            scheduled.task.flows().into_iter().map(|flow| WatchedFlow {
                attempt: scheduled.id,
                netns,
                flow,
            })
        })
        .collect()
}

fn run(scheduled: &mut [Scheduled], input: &mut Input, netns: u32) {
    let mut since_ns = None;
    let mut speak = |said: WorkerReport| match said {
        WorkerReport::Watch(flow) => say(&WorkerReport::Watch(WatchedFlow { netns, ..flow })),
        said => say(&said),
    };
    loop {
        let Some(commands) = input.commands() else { return };
        for command in commands {
            match command {
                WorkerCommand::Go { at_ns } => since_ns = Some(at_ns),
                WorkerCommand::Watched { flow } => {
                    for one in scheduled.iter_mut() {
                        one.task.watched(&flow);
                    }
                }
                WorkerCommand::Stop => {
                    for one in scheduled.iter_mut() {
                        one.task.cancel(monotonic_ns(), &mut speak);
                    }
                    say(&WorkerReport::Stopped);
                }
            }
        }
        if let Some(since_ns) = since_ns {
            for one in scheduled.iter_mut() {
                let now = monotonic_ns();
                if !one.started && now >= since_ns + one.start_ns {
                    one.started = true;
                    one.task.start(now, &mut speak);
                }
                if one.started {
                    one.task.advance(now, &mut speak);
                }
            }
        }
        wait(scheduled, since_ns);
    }
}

/// Until a socket, the session or a moment asks for us.
fn wait(scheduled: &[Scheduled], since_ns: Option<u64>) {
    let stdin = std::io::stdin();
    let mut polled = vec![PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
    let mut until_ns: Option<u64> = None;
    for one in scheduled {
        let Wait {
            sockets,
            until_ns: moment,
        } = if one.started {
            one.task.waits_for()
        } else {
            Wait::default()
        };
        let moment = if one.started {
            moment
        } else {
            since_ns.map(|since| since + one.start_ns)
        };
        polled.extend(sockets.into_iter().map(|(fd, flags)| PollFd::new(fd, flags)));
        until_ns = [until_ns, moment].into_iter().flatten().min();
    }
    let timeout = until_ns.map(|until| TimeSpec::from(Duration::from_nanos(until.saturating_sub(monotonic_ns()))));
    match ppoll(&mut polled, timeout, None) {
        Ok(_) | Err(Errno::EINTR) => {}
        // Out of memory or an impossible set: waiting a moment is all that can be done without it.
        Err(_) => std::thread::sleep(Duration::from_millis(1)),
    }
}

fn say(said: &WorkerReport) {
    let Ok(mut line) = serde_json::to_vec(said) else { return };
    line.push(b'\n');
    let mut out = std::io::stdout();
    if out.write_all(&line).and_then(|()| out.flush()).is_err() {
        // The session is gone, and with it the reason to be here.
        servant::leave();
    }
}

/// Lines of the session. Read only when they are there: one thread does everything.
#[derive(Default)]
struct Input {
    bytes: Vec<u8>,
}

impl Input {
    /// The order, which is waited for.
    fn first_line(&mut self) -> anyhow::Result<Option<Vec<u8>>> {
        loop {
            if let Some(line) = self.next_line() {
                return Ok(Some(line));
            }
            if !self.fill()? {
                return Ok(None);
            }
        }
    }

    /// Commands that have come; `None` when the session is over.
    fn commands(&mut self) -> Option<Vec<WorkerCommand>> {
        let stdin = std::io::stdin();
        let mut polled = [PollFd::new(stdin.as_fd(), PollFlags::POLLIN)];
        let ready = ppoll(&mut polled, Some(TimeSpec::from(Duration::ZERO)), None).is_ok_and(|ready| ready > 0);
        if ready && !matches!(self.fill(), Ok(true)) {
            return None;
        }
        let mut commands = Vec::new();
        while let Some(line) = self.next_line() {
            commands.push(serde_json::from_slice(&line).ok()?);
        }
        Some(commands)
    }

    fn fill(&mut self) -> std::io::Result<bool> {
        let mut buffer = [0; 16 * 1024];
        let stdin = std::io::stdin();
        // Past the buffer of `Stdin`, which poll(2) cannot see.
        let bytes = nix::unistd::read(stdin.as_fd(), &mut buffer)?;
        self.bytes.extend_from_slice(&buffer[..bytes]);
        Ok(bytes > 0)
    }

    fn next_line(&mut self) -> Option<Vec<u8>> {
        let end = self.bytes.iter().position(|byte| *byte == b'\n')?;
        let rest = self.bytes.split_off(end + 1);
        let mut line = std::mem::replace(&mut self.bytes, rest);
        line.pop();
        Some(line)
    }
}
