//! The registry of probes, and the door to them: what each can do here, arm them, stop them.

use model::attempt::WatchedFlow;
use model::event::Event;
use model::protocol::{BpfCost, Filter, Lost, ProbeStatus, Total};

/// What was seen between [`arm`] and [`Armed::stop`].
#[derive(Debug, Default)]
pub struct Summary {
    /// Events given to the sink.
    pub events: u64,
    /// Events lost, by probe.
    pub lost: Vec<Lost>,
    /// Exact totals.
    pub totals: Vec<Total>,
    /// What our programs cost, where the kernel told.
    pub bpf: Option<BpfCost>,
}

/// Probes that are attached. Dropping it detaches them.
#[derive(Debug)]
pub struct Armed {
    statuses: Vec<ProbeStatus>,
}

/// What every probe can do on this kernel. Attaches nothing.
pub fn statuses() -> Vec<ProbeStatus> {
    Vec::new()
}

/// Attaches `probes` with `filter`. Events go to `sink`, which is called from the pump's thread.
pub fn arm(probes: &[String], _filter: &Filter, _sink: Box<dyn FnMut(Event) + Send>) -> anyhow::Result<Armed> {
    anyhow::ensure!(probes.is_empty(), "there is no probe `{}`", probes.join("`, `"));
    Ok(Armed { statuses: Vec::new() })
}

impl Armed {
    /// Each probe asked for: its hooks in use, or why it cannot run.
    pub fn probes(&self) -> &[ProbeStatus] {
        &self.statuses
    }

    /// Follows one more flow.
    pub fn watch(&self, _flow: &WatchedFlow) -> anyhow::Result<()> {
        Ok(())
    }

    /// Drains what the kernel still holds, detaches, and sums up.
    pub fn stop(self) -> Summary {
        Summary::default()
    }
}
