//! The session's side of the processes that send: starts one for each source, passes on what they say, and answers for
//! those that fail.

use super::input::Input;
use super::writer::Writer;
use crate::attempts::{WorkerCommand, WorkerOrder, WorkerReport, not_tried};
use crate::identity::namespaces::{Namespaces, NetworkNamespace};
use crate::servants::usher::{self, ChildTask, StartedProcess};
use anyhow::{Context as _, anyhow};
use model::attempt::{AttemptSpec, WatchedFlow};
use model::missing::Missing;
use model::protocol::Reply;
use nix::fcntl::OFlag;
use nix::unistd::pipe2;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Write as _};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// Reserving takes a millisecond; a worker that takes so long is stuck.
const PATIENCE: Duration = Duration::from_secs(3);

/// How long a stopped worker may take to report.
const STOP_PATIENCE: Duration = Duration::from_secs(1);

/// The processes of one plan.
pub struct Workers {
    running: Vec<Worker>,
    flows: Vec<WatchedFlow>,
    /// Attempts for which there is no process, and why; said at `Go`.
    hopeless: Vec<(AttemptSpec, String)>,
    writer: Arc<Writer>,
}

struct Worker {
    process: StartedProcess,
    orders: Option<File>,
    stopped: Receiver<()>,
    /// Attempts that have not been reported.
    open: Open,
}

type Open = Arc<Mutex<BTreeMap<u32, AttemptSpec>>>;

/// What a worker says first.
type Planned = (Vec<WatchedFlow>, Vec<Missing>);

/// Its first word, or why there will be none.
type First = Result<Planned, String>;

impl Workers {
    /// Starts a process for each source and lets it reserve its ports: the tuples that will be seen, and what cannot be
    /// as asked.
    pub fn plan(
        id: u32,
        attempts: &[AttemptSpec],
        writer: &Arc<Writer>,
        tell: &SyncSender<Input>,
    ) -> (Self, Vec<WatchedFlow>, Vec<Missing>) {
        let mut sources: BTreeMap<(u32, Option<u32>), Vec<AttemptSpec>> = BTreeMap::new();
        for attempt in attempts {
            sources
                .entry((attempt.netns, attempt.pid))
                .or_default()
                .push(attempt.clone());
        }
        let namespaces = Namespaces::scan();
        let mut plan = Self {
            running: Vec::new(),
            flows: Vec::new(),
            hopeless: Vec::new(),
            writer: Arc::clone(writer),
        };
        let mut missing = Vec::new();
        for ((netns, pid), attempts) in sources {
            let started = namespaces
                .by_inode(netns)
                .with_context(|| format!("there is no network namespace {netns}; is it gone?"))
                .and_then(|namespace| {
                    let report = Report {
                        plan: id,
                        writer: Arc::clone(writer),
                        tell: tell.clone(),
                    };
                    Worker::start(namespace, pid, &attempts, report)
                });
            match started {
                Ok((worker, (flows, lacks))) => {
                    plan.running.push(worker);
                    plan.flows.extend(flows);
                    missing.extend(lacks);
                }
                Err(error) => {
                    let why = format!("{error:#}");
                    missing.push(
                        Missing::new(
                            format!("{} attempts from network namespace {netns}", attempts.len()),
                            why.clone(),
                        )
                        .remedy("run the helper as root, or with CAP_SYS_ADMIN and CAP_NET_RAW"),
                    );
                    plan.hopeless
                        .extend(attempts.into_iter().map(|attempt| (attempt, why.clone())));
                }
            }
        }
        let flows = plan.flows.clone();
        (plan, flows, missing)
    }

    /// The tuples that will be seen.
    pub fn flows(&self) -> &[WatchedFlow] {
        &self.flows
    }

    /// The window is open since this moment of `CLOCK_MONOTONIC`.
    pub fn go(&mut self, at_ns: u64) {
        for worker in &mut self.running {
            worker.order(&WorkerCommand::Go { at_ns });
        }
        for (spec, why) in self.hopeless.drain(..) {
            self.writer.say(&Reply::Attempt(not_tried(&spec, why)));
        }
    }

    /// This tuple is watched now.
    pub fn watched(&mut self, flow: &WatchedFlow) {
        for worker in &mut self.running {
            worker.order(&WorkerCommand::Watched { flow: flow.flow });
        }
    }

    /// Lets what is unfinished be reported. Sockets stay until this is dropped.
    pub fn stop(&mut self) {
        for worker in &mut self.running {
            worker.order(&WorkerCommand::Stop);
        }
        let until = Instant::now() + STOP_PATIENCE;
        for worker in &mut self.running {
            let patience = until.saturating_duration_since(Instant::now());
            if worker.stopped.recv_timeout(patience).is_err() {
                worker.end();
                worker.give_up(
                    &self.writer,
                    "the process that made it did not answer when the window closed",
                );
            }
        }
    }
}

/// What a worker's words need to go on.
struct Report {
    plan: u32,
    writer: Arc<Writer>,
    tell: SyncSender<Input>,
}

impl Worker {
    fn start(
        namespace: &NetworkNamespace,
        cgroup_of: Option<u32>,
        attempts: &[AttemptSpec],
        report: Report,
    ) -> anyhow::Result<(Self, Planned)> {
        let order = WorkerOrder {
            cgroup_of,
            attempts: attempts.to_vec(),
        };
        let pipe = || pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe");
        let ((stdin, orders), (words, stdout)) = (pipe()?, pipe()?);
        let process = usher::start(namespace, ChildTask::Send, &stdin, &stdout)?;
        // Only it has these ends: where it ends, so do its words.
        drop((stdin, stdout));
        let open: Open = Arc::new(Mutex::new(
            attempts.iter().map(|spec| (spec.id, spec.clone())).collect(),
        ));
        let (told_planned, planned) = channel();
        let (told_stopped, stopped) = channel();
        let mut worker = Self {
            process,
            orders: Some(orders.into()),
            stopped,
            open: Arc::clone(&open),
        };
        thread::Builder::new()
            .name("attempts".into())
            .spawn(move || report.listen(words.into(), &open, &told_planned, &told_stopped))
            .context("cannot start a thread for a process to send from")?;
        worker.write(&order)?;
        match planned.recv_timeout(PATIENCE) {
            Ok(Ok(planned)) => Ok((worker, planned)),
            Ok(Err(why)) => Err(anyhow!(why)),
            Err(_) => Err(anyhow!(
                "the process to send from said nothing in {} s",
                PATIENCE.as_secs()
            )),
        }
    }

    fn order(&mut self, command: &WorkerCommand) {
        // A worker that is gone is noticed, and answered for, by the thread that listens to it.
        let _ = self.write(command);
    }

    fn write(&mut self, line: &impl serde::Serialize) -> anyhow::Result<()> {
        let mut bytes = serde_json::to_vec(line).context("cannot write an order as JSON")?;
        bytes.push(b'\n');
        let orders = self.orders.as_mut().context("the process to send from is gone")?;
        orders.write_all(&bytes).context("the process to send from is gone")
    }

    fn give_up(&self, writer: &Writer, why: &str) {
        answer_for(&self.open, writer, why);
    }

    fn end(&mut self) {
        self.orders = None;
        if !self.process.ends_within(Duration::from_millis(100)) {
            self.process.kill();
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.end();
    }
}

impl Report {
    fn listen(self, words: File, open: &Open, first: &Sender<First>, stopped: &Sender<()>) {
        let mut planned = false;
        for line in BufReader::new(words).split(b'\n') {
            let Ok(said) = line
                .map_err(anyhow::Error::from)
                .and_then(|line| Ok(serde_json::from_slice(&line)?))
            else {
                break;
            };
            match said {
                WorkerReport::Planned { flows, missing } => {
                    planned = first.send(Ok((flows, missing))).is_ok();
                }
                WorkerReport::Failed { why } => {
                    let _ = first.send(Err(why));
                }
                WorkerReport::Watch(flow) => {
                    let _ = self.tell.send(Input::Watch { id: self.plan, flow });
                }
                WorkerReport::Attempt(attempt) => {
                    lock(open).remove(&attempt.id);
                    self.writer.say(&Reply::Attempt(attempt));
                }
                WorkerReport::Stopped => {
                    let _ = stopped.send(());
                }
            }
        }
        if planned {
            answer_for(open, &self.writer, "the process that made it ended too early");
        } else {
            // For one that never planned its plan answers.
            let _ = first.send(Err("the process to send from ended before it reserved its ports".into()));
        }
    }
}

/// An attempt that nobody will report any more is reported here.
fn answer_for(open: &Open, writer: &Writer, why: &str) {
    for spec in std::mem::take(&mut *lock(open)).into_values() {
        writer.say(&Reply::Attempt(not_tried(&spec, why)));
    }
}

fn lock(open: &Open) -> std::sync::MutexGuard<'_, BTreeMap<u32, AttemptSpec>> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}
