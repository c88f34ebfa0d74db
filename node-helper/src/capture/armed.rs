//! Probes at work: attached with a filter, given one more flow, detached and summed up.

use super::cost::Meter;
use super::decode::KernelNames;
use super::pump::{Pump, Ring, Source};
use super::symbols::Symbols;
use super::totals::{self, LeftOut};
use crate::kernel::btf::Layout;
use crate::kernel::filter::{self, FilterMaps};
use crate::kernel::histograms::HistogramMap;
use crate::kernel::load::Loaded;
use crate::kernel::probe::Probe;
use crate::probes::{self, PROBES};
use crate::servants::armer::{self, ProbeSet};
use crate::system::mapped::Mapped;
use anyhow::Context;
use aya::maps::{Map, MapData, RingBuf};
use model::attempt::WatchedFlow;
use model::event::Event;
use model::protocol::{BpfCost, Filter, Lost, ProbeStatus, Total};
use std::os::fd::{AsFd, OwnedFd};

/// Single events a second and probe, where the client does not say.
pub const EVENTS_PER_SECOND: u32 = 2000;

/// What was seen between [`arm`] and [`Armed::stop`].
#[derive(Debug, Default)]
pub struct CaptureSummary {
    /// Events given to the sink.
    pub events: u64,
    /// Events lost, by probe.
    pub lost: Vec<Lost>,
    /// Exact totals.
    pub totals: Vec<Total>,
    /// What our programs cost, where the kernel told.
    pub bpf: Option<BpfCost>,
    /// Why it is not known that the probes ran to the end and are detached, where it is not.
    pub not_detached: Option<String>,
}

/// Probes that are attached. Dropping it detaches them.
#[derive(Debug)]
pub struct Armed {
    statuses: Vec<ProbeStatus>,
    // In the order in which they end: programs are detached before the pump drains the rings.
    set: ProbeSet,
    attached: Vec<(&'static Probe, Loaded)>,
    /// For each attached probe: what the kernel had left out when all were attached.
    left_out: Vec<LeftOut>,
    pump: Pump,
    maps: FilterMaps,
    names: KernelNames,
    meter: Meter,
}

/// What every probe that is attached can do on this kernel. Attaches nothing.
pub fn statuses() -> Vec<ProbeStatus> {
    let refused = match probes::layout() {
        Ok(_) => armer::refused(),
        Err(why) => Some((*why).to_owned()),
    };
    PROBES
        .iter()
        .map(|probe| match (&refused, probes::layout()) {
            (None, Ok(layout)) => probe.status(layout),
            (why, _) => {
                let mut status = probe.status(&Layout::default());
                let why = why.clone().unwrap_or_default();
                status.unsupported = Some(
                    probe
                        .missing(why)
                        .remedy("run as root on a kernel with BTF; `kubectl skoop doctor` says what is missing"),
                );
                status
            }
        })
        .collect()
}

/// Attaches `probes` with `filter`. Events go to `sink`, which is called from the pump's thread. A probe that this kernel
/// cannot carry is no error: its status says why.
pub fn arm(probes: &[String], filter: &Filter, sink: Box<dyn FnMut(Event) + Send>) -> anyhow::Result<Armed> {
    let mut asked: Vec<&'static Probe> = Vec::new();
    for name in probes {
        let probe = probes::find(name)?;
        if !asked.iter().any(|other| other.name == probe.name) {
            asked.push(probe);
        }
    }
    let layout = probes::layout().map_err(|why| anyhow::anyhow!(why))?;
    let set = ProbeSet::new(filter::entries(filter))?;
    let trailed = asked.iter().any(|probe| probe.name == probes::path::PROBE.name);
    let maps = FilterMaps::new(&set.shared, filter, trailed)?;

    let per_second = match filter.events_per_second {
        0 => EVENTS_PER_SECOND,
        asked => asked,
    };

    let attempts = set.attach(&asked, per_second, slow_us(filter))?;
    let mut statuses = Vec::new();
    let mut attached = Vec::new();
    for (probe, (said, loaded)) in asked.into_iter().zip(attempts) {
        attached.extend(loaded.map(|loaded| (probe, loaded)));
        statuses.push(said);
    }

    let sources = attached
        .iter()
        .filter(|(_, loaded)| loaded.maps.contains_key("EVENTS"))
        .map(|(probe, loaded)| source(probe, loaded))
        .collect::<anyhow::Result<Vec<_>>>()?;
    // Names of functions take some milliseconds to read and were not needed to attach.
    std::thread::Builder::new()
        .name("symbols".to_owned())
        .spawn(Symbols::of_this_kernel)
        .context("cannot start a thread")?;
    let pump = Pump::start(sources, KernelNames::new(layout), per_second, sink).context("cannot start a thread")?;
    let meter = Meter::start(programs(&attached)?).context("cannot start a thread")?;
    let left_out = attached.iter().map(|(_, loaded)| LeftOut::so_far(loaded)).collect();
    Ok(Armed {
        statuses,
        set,
        attached,
        left_out,
        pump,
        maps,
        names: KernelNames::new(layout),
        meter,
    })
}

/// From how many microseconds on a wait is slow; 0 where nobody asks.
fn slow_us(filter: &Filter) -> u32 {
    u32::try_from(filter.slow_ns.div_ceil(1_000)).unwrap_or(u32::MAX)
}

fn source(probe: &'static Probe, loaded: &Loaded) -> anyhow::Result<Source> {
    const PAGE: usize = 4096;
    let map = |name: &str| {
        let fd = loaded.maps.get(name);
        fd.with_context(|| format!("probe {} has no map {name}", probe.name))
    };
    let events = map("EVENTS")?.try_clone().context("cannot copy a descriptor")?;
    let ring = RingBuf::try_from(Map::from_map_data(MapData::from_fd(events)?)?)
        .with_context(|| format!("cannot map the ring of probe {}", probe.name))?;
    Ok(Source {
        probe: probe.name,
        ring: Ring(ring),
        budget: Mapped::shared(map("BUDGET")?.as_fd(), PAGE).context("cannot map a budget")?,
    })
}

impl Armed {
    /// Each probe asked for: its hooks in use, or why it cannot run.
    pub fn probes(&self) -> &[ProbeStatus] {
        &self.statuses
    }

    /// What those of them that measure times have counted; it can be read while they run.
    pub fn histograms(&self) -> anyhow::Result<Vec<HistogramMap>> {
        let all = self.attached.iter();
        all.filter_map(|(probe, loaded)| HistogramMap::of(probe.name, loaded).transpose())
            .collect()
    }

    /// Follows one more flow.
    pub fn watch(&self, flow: &WatchedFlow) -> anyhow::Result<()> {
        self.maps.watch(flow)
    }

    /// Drains what the kernel still holds, detaches, and sums up.
    pub fn stop(self) -> CaptureSummary {
        let Self {
            statuses: _,
            set,
            attached,
            left_out,
            pump,
            maps: _,
            mut names,
            meter,
        } = self;
        let left_out: Vec<LeftOut> = attached
            .iter()
            .zip(left_out)
            .map(|((_, loaded), earlier)| LeftOut::so_far(loaded).since(earlier))
            .collect();
        let not_detached = set.detach().err().map(|error| format!("{error:#}"));
        let bpf = meter.stop();
        let mut summary = CaptureSummary {
            events: pump.stop(),
            bpf,
            not_detached,
            ..CaptureSummary::default()
        };
        for ((probe, loaded), left_out) in attached.iter().zip(left_out) {
            summary.totals.extend(totals::read(probe.name, loaded, &mut names));
            summary.lost.push(totals::lost(probe.name, loaded, left_out));
        }
        summary
    }
}

/// Descriptors of all programs, for the meter.
fn programs(attached: &[(&'static Probe, Loaded)]) -> anyhow::Result<Vec<OwnedFd>> {
    let programs = attached.iter().flat_map(|(_, loaded)| loaded.all_programs());
    programs
        .map(|program| program.try_clone().context("cannot copy a descriptor"))
        .collect()
}
