//! Windows: what was planned and armed under one id, from `Plan` and `Arm` over `Go` to `Stop`.

use super::input::Input;
use super::workers::Workers;
use super::writer::Writer;
use crate::capture::armed::{self, Armed};
use crate::kernel::histograms::HistogramMap;
use crate::readings::{self, Rounds};
use crate::system::clock;
use model::attempt::{AttemptSpec, WatchedFlow};
use model::missing::Missing;
use model::protocol::{Filter, ProbeStatus, Reply};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;

/// All windows of a session, by id.
pub struct Windows {
    writer: Arc<Writer>,
    tell: SyncSender<Input>,
    open: BTreeMap<u32, Window>,
    lost: u64,
}

#[derive(Default)]
struct Window {
    workers: Option<Workers>,
    armed: Option<Armed>,
    rounds: Option<Rounds>,
    /// When it was opened, `CLOCK_MONOTONIC` nanoseconds; events from before are not told. `u64::MAX` before `Go`.
    since_ns: Arc<AtomicU64>,
    /// Events told.
    told: Arc<AtomicU64>,
}

impl Windows {
    /// No windows yet.
    pub fn new(writer: Arc<Writer>, tell: SyncSender<Input>) -> Self {
        Self {
            writer,
            tell,
            open: BTreeMap::new(),
            lost: 0,
        }
    }

    /// Events lost in the windows that are closed.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Reserves what these attempts need; a window that is already armed watches them too.
    pub fn plan(&mut self, id: u32, attempts: &[AttemptSpec]) {
        let (workers, flows, missing) = Workers::plan(id, attempts, &self.writer, &self.tell);
        let window = self.window(id);
        window.workers = Some(workers);
        for flow in &flows {
            self.watch(id, flow);
        }
        self.writer.say(&Reply::Planned { id, flows, missing });
    }

    /// Attaches probes. What was planned under this id is watched in any case.
    pub fn arm(&mut self, id: u32, names: &[String], mut filter: Filter) {
        let writer = Arc::clone(&self.writer);
        let window = self.window(id);
        if let Some(workers) = &window.workers {
            for flow in workers.flows() {
                if !filter.flows.contains(flow) {
                    filter.flows.push(flow.clone());
                }
            }
        }
        // Detached before the next are attached: two sets of one probe would say everything twice.
        window.armed = None;
        window.rounds = None;
        let (reading, traced): (Vec<String>, Vec<String>) =
            names.iter().cloned().partition(|name| readings::find(name).is_some());
        let mut probes = Vec::new();
        let mut histograms = Vec::new();
        if !traced.is_empty() || reading.is_empty() {
            match window.trace(&traced, &filter, &writer) {
                Ok(counted) => histograms = counted,
                Err(error) => probes.extend(unarmed(&traced, &error)),
            }
            probes.extend(window.armed.iter().flat_map(|armed| armed.probes().iter().cloned()));
        }
        if !reading.is_empty() || !histograms.is_empty() {
            let out = Arc::clone(&writer);
            let say = Box::new(move |reply: &Reply| out.stream(reply));
            match Rounds::arm(id, &reading, histograms, &filter, say) {
                Ok(rounds) => {
                    probes.extend(rounds.probes().iter().cloned());
                    window.rounds = Some(rounds);
                }
                Err(error) => probes.extend(unarmed(&reading, &error)),
            }
        }
        writer.say(&Reply::Armed { id, probes });
    }

    /// Opens the window: events are told and attempts start.
    pub fn go(&mut self, id: u32) {
        let at_ns = clock::monotonic_ns();
        match self.open.get_mut(&id) {
            Some(window) => {
                window.since_ns.store(at_ns, Ordering::Relaxed);
                self.writer.say(&Reply::Going { id, at_ns });
                if let Some(rounds) = &window.rounds {
                    rounds.go();
                }
                if let Some(workers) = &mut window.workers {
                    workers.go(at_ns);
                }
            }
            None => self.writer.say_failed("go", not_there(id)),
        }
    }

    /// Closes the window and says what it came to.
    pub fn stop(&mut self, id: u32) {
        match self.open.remove(&id) {
            Some(window) => self.close(id, window),
            None => self.writer.say_failed("stop", not_there(id)),
        }
    }

    /// Closes all that are open, in order.
    pub fn stop_all(&mut self) {
        while let Some((id, window)) = self.open.pop_first() {
            if window.since_ns.load(Ordering::Relaxed) != u64::MAX {
                self.close(id, window);
            }
        }
    }

    /// Detaches and cancels without a word: nobody is there to read it.
    pub fn abandon(&mut self) {
        self.open.clear();
    }

    /// Follows one more tuple, wherever the probes of this id, or of any window, are armed.
    pub fn watch(&mut self, id: u32, flow: &WatchedFlow) {
        let own = self.open.get(&id).and_then(|window| window.armed.as_ref());
        let armed = own.or_else(|| self.open.values().find_map(|window| window.armed.as_ref()));
        let watched = armed.map_or(Ok(()), |armed| armed.watch(flow));
        if let Err(error) = watched {
            let missing = Missing::new(format!("the path of {}", flow.flow), format!("{error:#}"));
            self.writer.say_failed("watch", missing);
        }
        if let Some(workers) = self.open.get_mut(&id).and_then(|window| window.workers.as_mut()) {
            workers.watched(flow);
        }
    }

    fn window(&mut self, id: u32) -> &mut Window {
        self.open.entry(id).or_insert_with(|| Window {
            since_ns: Arc::new(AtomicU64::new(u64::MAX)),
            ..Window::default()
        })
    }

    fn close(&mut self, id: u32, window: Window) {
        let Window {
            workers,
            armed,
            rounds,
            since_ns: _,
            told,
        } = window;
        if let Some(rounds) = rounds {
            rounds.stop();
        }
        let mut workers = workers;
        if let Some(workers) = &mut workers {
            workers.stop();
        }
        let summary = armed.map(Armed::stop).unwrap_or_default();
        // Their sockets are closed when nobody watches any more: some closes send packets.
        drop(workers);
        self.lost += summary
            .lost
            .iter()
            .map(|lost| lost.ring_full + lost.over_budget)
            .sum::<u64>();
        self.writer.say(&Reply::Stopped {
            id,
            at_ns: clock::monotonic_ns(),
            events: told.load(Ordering::Relaxed),
            lost: summary.lost,
            totals: summary.totals,
            bpf: summary.bpf,
        });
        if let Some(why) = summary.not_detached {
            let what = format!("whether the probes of window {id} ran to its end and are detached");
            self.writer.say_failed("detach", Missing::new(what, why));
        }
    }
}

impl Window {
    /// Attaches probes; tells what those that measure times count.
    fn trace(&mut self, names: &[String], filter: &Filter, writer: &Arc<Writer>) -> anyhow::Result<Vec<HistogramMap>> {
        let (out, since, told) = (Arc::clone(writer), Arc::clone(&self.since_ns), Arc::clone(&self.told));
        let sink = Box::new(move |event: model::event::Event| {
            if event.at_ns >= since.load(Ordering::Relaxed) {
                told.fetch_add(1, Ordering::Relaxed);
                out.stream(&Reply::Event(event));
            }
        });
        let armed = armed::arm(names, filter, sink)?;
        let histograms = armed.histograms()?;
        self.armed = Some(armed);
        Ok(histograms)
    }
}

/// None of these probes could be armed, for one and the same reason.
fn unarmed(names: &[String], error: &anyhow::Error) -> Vec<ProbeStatus> {
    let why = format!("{error:#}");
    let unarmed = |name: &String| ProbeStatus {
        name: name.clone(),
        unsupported: Some(Missing::new(format!("probe {name}"), why.clone())),
        ..ProbeStatus::default()
    };
    names.iter().map(unarmed).collect()
}

fn not_there(id: u32) -> Missing {
    Missing::new(format!("window {id}"), "nothing was planned or armed under this id")
}
