//! Probes at work: attached with a filter, given one more flow, detached and summed up.

use crate::btf::Layout;
use crate::cost::Meter;
use crate::filter::{self, Maps};
use crate::load::{self, Hook, Loaded, Plan};
use crate::probe::Probe;
use crate::probes;
use crate::pump::{Pump, Ring, Source};
use crate::symbols::Symbols;
use crate::sys::Mapped;
use crate::totals;
use crate::words::Words;
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
    // In the order in which they end: programs are detached before the pump drains the rings.
    attached: Vec<(&'static Probe, Loaded)>,
    pump: Pump,
    maps: Maps,
    words: Words,
    meter: Meter,
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
    let maps = Maps::new(filter, asked.iter().any(|probe| probe.name == probes::path::PROBE.name))?;
    let settings = filter::settings(filter);

    let per_second = match filter.events_per_second {
        0 => EVENTS_PER_SECOND,
        asked => asked,
    };

    let attempts = load::side_by_side(&asked, |probe| attach(probe, layout, &maps, &settings, per_second));
    let mut statuses = Vec::new();
    let mut attached = Vec::new();
    for (probe, attempt) in asked.into_iter().zip(attempts) {
        let (said, loaded) =
            attempt.map_err(|_| anyhow::anyhow!("the thread that loads probe {} ended in a panic", probe.name))?;
        attached.extend(loaded.map(|loaded| (probe, loaded)));
        statuses.push(said);
    }

    let sources = attached
        .iter()
        .map(|(probe, loaded)| source(probe, loaded))
        .collect::<anyhow::Result<Vec<_>>>()?;
    // Names of functions take some milliseconds to read and were not needed to attach.
    std::thread::Builder::new()
        .name("symbols".to_owned())
        .spawn(Symbols::of_this_kernel)
        .context("cannot start a thread")?;
    let pump = Pump::start(sources, Words::new(layout), per_second, sink).context("cannot start a thread")?;
    let meter = Meter::start(programs(&attached)?).context("cannot start a thread")?;
    Ok(Armed {
        statuses,
        attached,
        pump,
        maps,
        words: Words::new(layout),
        meter,
    })
}

/// Attaches one probe, or says why not.
fn attach(
    probe: &'static Probe,
    layout: &Layout,
    maps: &Maps,
    settings: &[(&str, u32)],
    budget: u32,
) -> (ProbeStatus, Option<Loaded>) {
    let mut said = probe.status(layout);
    if said.unsupported.is_some() {
        return (said, None);
    }
    let stand_ins = probe.details.iter().flat_map(|detail| detail.stand_ins(layout));
    let places: Vec<&[Hook]> = probe
        .places
        .iter()
        .copied()
        .chain(stand_ins.map(std::slice::from_ref))
        .collect();
    let plan = Plan {
        elf: probe.elf,
        places: &places,
        ring_bytes: probe.ring_bytes,
        budget,
        settings,
    };
    let loaded = load_best(&plan, layout, maps).or_else(|error| {
        if places.len() == probe.places.len() {
            return Err(error);
        }
        // A locked-down kernel refuses kprobes: then without them.
        said.lacks = probe.lacks(layout, |_| true);
        let places = probe.places;
        load_best(&Plan { places, ..plan }, layout, maps)
    });
    match loaded {
        Ok(loaded) => {
            said.hooks = loaded.hooks.iter().map(|hook| hook.label()).collect();
            (said, Some(loaded))
        }
        Err(error) => {
            said.unsupported = Some(probe.missing(format!("{error:#}")));
            (said, None)
        }
    }
}

/// Loads with plain reads of packets where the verifier allows them (since 6.17), else with checked ones.
fn load_best(plan: &Plan<'_>, layout: &Layout, maps: &Maps) -> anyhow::Result<Loaded> {
    let asks = load::globals(plan.elf)?
        .iter()
        .any(|global| global.name == "set__direct");
    if asks {
        let mut settings = plan.settings.to_vec();
        settings.push(("direct", 1));
        let plan = Plan {
            settings: &settings,
            ..*plan
        };
        if let Ok(loaded) = load::load(&plan, layout, &maps.shared) {
            return Ok(loaded);
        }
    }
    load::load(plan, layout, &maps.shared)
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

    /// Follows one more flow.
    pub fn watch(&self, flow: &WatchedFlow) -> anyhow::Result<()> {
        self.maps.watch(flow)
    }

    /// Drains what the kernel still holds, detaches, and sums up.
    pub fn stop(self) -> Summary {
        let Self {
            statuses: _,
            mut attached,
            pump,
            maps: _,
            mut words,
            meter,
        } = self;
        for (_, loaded) in &mut attached {
            loaded.links.clear();
        }
        let bpf = meter.stop();
        let mut summary = Summary {
            events: pump.stop(),
            bpf,
            ..Summary::default()
        };
        for (probe, loaded) in &attached {
            summary.totals.extend(totals::read(probe.name, loaded, &mut words));
            summary.lost.push(totals::lost(probe.name, loaded));
        }
        summary
    }
}

/// Descriptors of all programs, for the meter.
fn programs(attached: &[(&'static Probe, Loaded)]) -> anyhow::Result<Vec<OwnedFd>> {
    let programs = attached.iter().flat_map(|(_, loaded)| &loaded.programs);
    programs
        .map(|program| program.try_clone().context("cannot copy a descriptor"))
        .collect()
}
