//! The registry of probes, and the door to them: what each can do here, arm them, stop them.

use crate::btf::{self, Layout, Wanted};
use crate::cost::Meter;
use crate::filter::{self, Maps};
use crate::load::{self, Hook, Loaded, Plan};
use crate::pump::{Pump, Ring, Source};
use crate::symbols::Symbols;
use crate::sys::{self, Mapped};
use crate::totals;
use crate::words::{DROP_REASONS, RESET_REASONS, Words};
use anyhow::{Context, bail};
use aya::maps::{Map, MapData, RingBuf};
use model::attempt::WatchedFlow;
use model::event::Event;
use model::missing::Missing;
use model::protocol::{BpfCost, Filter, Lost, ProbeStatus, Total};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::OnceLock;
use strsim::levenshtein;

/// DNS over UDP.
pub mod dns;
/// Packets that the kernel frees as a loss.
pub mod drop;
/// ICMP errors sent, socket errors.
pub mod icmp;
/// Neighbours that do not answer.
pub mod neigh;
/// The hop trail.
pub mod path;
/// Resets sent and accepted.
pub mod tcpreset;
/// Segments sent again.
pub mod tcpretrans;
/// State changes of sockets.
pub mod tcpstate;
/// Datagrams refused by a full buffer.
pub mod udpbuf;

/// Every probe. Help, `skoop probes` and the tests derive from this list.
pub const PROBES: &[&Probe] = &[
    &drop::PROBE,
    &tcpreset::PROBE,
    &tcpretrans::PROBE,
    &tcpstate::PROBE,
    &icmp::PROBE,
    &neigh::PROBE,
    &udpbuf::PROBE,
    &dns::PROBE,
    &path::PROBE,
];

/// Single events a second and probe, where the client does not say.
pub const EVENTS_PER_SECOND: u32 = 2000;

/// What a probe is.
#[derive(Debug)]
pub struct Probe {
    /// Its name.
    pub name: &'static str,
    /// What it sees.
    pub about: &'static str,
    /// What it costs, in words.
    pub cost: &'static str,
    /// Its programs.
    pub elf: &'static [u8],
    /// For each thing to see, the ways to see it, best first.
    pub places: &'static [&'static [Hook]],
    /// What it can do without.
    pub details: &'static [Detail],
    /// Room for events that wait for the helper.
    pub ring_bytes: u32,
}

/// Something that not every kernel gives, and what is lacking without it.
#[derive(Debug)]
pub struct Detail {
    need: Need,
    lacks: &'static str,
    stand_ins: &'static [Hook],
}

#[derive(Debug)]
enum Need {
    Field(&'static str, &'static str),
    Arguments(&'static str, u32),
    Tracepoint(&'static str),
    NoTracepoint(&'static str),
}

impl Detail {
    /// A field of a structure.
    pub const fn field(of: &'static str, field: &'static str, lacks: &'static str) -> Self {
        Self {
            need: Need::Field(of, field),
            lacks,
            stand_ins: &[],
        }
    }

    /// A tracepoint with that many arguments.
    pub const fn argument(tracepoint: &'static str, arguments: u32, lacks: &'static str) -> Self {
        Self {
            need: Need::Arguments(tracepoint, arguments),
            lacks,
            stand_ins: &[],
        }
    }

    /// A tracepoint: a hook in its place says less.
    pub const fn tracepoint(name: &'static str, lacks: &'static str) -> Self {
        Self {
            need: Need::Tracepoint(name),
            lacks,
            stand_ins: &[],
        }
    }

    /// Something that only the function behind a tracepoint is told: lacking where the tracepoint is used.
    pub const fn behind(tracepoint: &'static str, lacks: &'static str) -> Self {
        Self {
            need: Need::NoTracepoint(tracepoint),
            lacks,
            stand_ins: &[],
        }
    }

    /// Further hooks, all of which together see what is lacking.
    #[must_use]
    pub const fn or_seen_at(mut self, stand_ins: &'static [Hook]) -> Self {
        self.stand_ins = stand_ins;
        self
    }

    /// The further hooks to use on this kernel: none where nothing is lacking, or where one of them is not there either.
    fn stand_ins(&self, layout: &Layout) -> &'static [Hook] {
        let all = self.stand_ins.iter().all(|hook| hook.absent(layout).is_none());
        if all && self.is_lacking(layout) {
            self.stand_ins
        } else {
            &[]
        }
    }

    fn is_lacking(&self, layout: &Layout) -> bool {
        match self.need {
            Need::Field(of, field) => !layout.fields.contains_key(&(of.to_owned(), field.to_owned())),
            Need::Arguments(tracepoint, arguments) => layout
                .tracepoints
                .get(tracepoint)
                .is_none_or(|found| found.arguments < arguments),
            Need::Tracepoint(name) => !layout.tracepoints.contains_key(name),
            Need::NoTracepoint(tracepoint) => layout.tracepoints.contains_key(tracepoint),
        }
    }
}

impl Probe {
    /// The hooks that this kernel has, or why one that is needed is not there.
    fn hooks(&self, layout: &Layout) -> Result<Vec<Hook>, String> {
        let fields = load::globals(self.elf).map_err(|error| format!("{error:#}"))?;
        for global in fields {
            if let Some((of, field)) = load::as_field(&global.name)
                && !layout.fields.contains_key(&(of.clone(), field.clone()))
                && !self.can_do_without(&of, &field)
            {
                return Err(format!("no {of}.{field} in this kernel"));
            }
        }
        self.places
            .iter()
            .map(|place| {
                let there = place.iter().find(|hook| hook.absent(layout).is_none());
                there.copied().ok_or_else(|| {
                    let reasons: Vec<String> = place.iter().filter_map(|hook| hook.absent(layout)).collect();
                    reasons.join("; ")
                })
            })
            .collect()
    }

    fn can_do_without(&self, of: &str, field: &str) -> bool {
        self.details
            .iter()
            .any(|detail| matches!(detail.need, Need::Field(known, name) if known == of && name == field))
    }

    fn status(&self, layout: &Layout) -> ProbeStatus {
        let mut status = ProbeStatus {
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            cost: self.cost.to_owned(),
            ..ProbeStatus::default()
        };
        match self.hooks(layout) {
            Ok(hooks) => {
                let stand_ins = self.details.iter().flat_map(|detail| detail.stand_ins(layout)).copied();
                status.hooks = hooks.into_iter().chain(stand_ins).map(Hook::label).collect();
                status.lacks = self.lacks(layout, |detail| detail.stand_ins(layout).is_empty());
            }
            Err(why) => status.unsupported = Some(self.missing(why)),
        }
        status
    }

    /// What is lacking on this kernel, of the details that count.
    fn lacks(&self, layout: &Layout, counts: impl Fn(&Detail) -> bool) -> Vec<String> {
        let lacking = self
            .details
            .iter()
            .filter(|detail| detail.is_lacking(layout) && counts(detail));
        lacking.map(|detail| detail.lacks.to_owned()).collect()
    }

    fn missing(&self, why: impl Into<String>) -> Missing {
        Missing::new(format!("probe {}", self.name), why)
    }
}

/// What this kernel has of what all probes want; read once.
fn layout() -> Result<&'static Layout, &'static str> {
    static LAYOUT: OnceLock<Result<Layout, String>> = OnceLock::new();
    LAYOUT
        .get_or_init(|| {
            wanted()
                .and_then(|wanted| btf::of_this_kernel(&wanted))
                .map_err(|error| format!("{error:#}"))
        })
        .as_ref()
        .map_err(String::as_str)
}

/// All that the probes' programs and hooks name.
fn wanted() -> anyhow::Result<Wanted> {
    let mut wanted = Wanted {
        enums: [DROP_REASONS.to_owned(), RESET_REASONS.to_owned()].into(),
        ..Wanted::default()
    };
    for probe in PROBES {
        for global in load::globals(probe.elf)? {
            wanted.fields.extend(load::as_field(&global.name));
            wanted
                .tracepoints
                .extend(load::as_arguments(&global.name).map(str::to_owned));
        }
        let stand_ins = probe.details.iter().flat_map(|detail| detail.stand_ins);
        for hook in probe.places.iter().copied().flatten().chain(stand_ins) {
            match hook {
                Hook::Raw { at, .. } | Hook::Typed { at, .. } => wanted.tracepoints.insert((*at).to_owned()),
                Hook::Function { at, .. } | Hook::Kprobe { at, .. } => wanted.functions.insert((*at).to_owned()),
            };
        }
    }
    Ok(wanted)
}

/// What every probe can do on this kernel. Attaches nothing.
pub fn statuses() -> Vec<ProbeStatus> {
    let refused = match layout() {
        Ok(_) => bpf_refused(),
        Err(why) => Some((*why).to_owned()),
    };
    PROBES
        .iter()
        .map(|probe| match (&refused, layout()) {
            (None, Ok(layout)) => probe.status(layout),
            (why, _) => {
                let mut status = probe.status(&Layout::default());
                let why = why.clone().unwrap_or_default();
                status.unsupported = Some(
                    probe
                        .missing(why)
                        .remedy("run as root on a kernel with BTF; `skoop doctor` says what lacks"),
                );
                status
            }
        })
        .collect()
}

/// Why the kernel refuses us, if it does: the smallest map is tried.
fn bpf_refused() -> Option<String> {
    let smallest = sys::Shape {
        kind: 2,
        key: 4,
        value: 4,
        entries: 1,
        flags: 0,
    };
    load::create("TRY", smallest).err().map(|error| format!("{error:#}"))
}

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
        let probe = find(name)?;
        if !asked.iter().any(|other| other.name == probe.name) {
            asked.push(probe);
        }
    }
    let layout = layout().map_err(|why| anyhow::anyhow!(why))?;
    let maps = Maps::new(filter, asked.iter().any(|probe| probe.name == path::PROBE.name))?;
    let settings = filter::settings(filter);

    let per_second = match filter.events_per_second {
        0 => EVENTS_PER_SECOND,
        asked => asked,
    };

    let attempts = std::thread::scope(|scope| {
        let loading: Vec<_> = asked
            .iter()
            .map(|probe| scope.spawn(|| attach(probe, layout, &maps, &settings, per_second)))
            .collect();
        loading
            .into_iter()
            .map(std::thread::ScopedJoinHandle::join)
            .collect::<Vec<_>>()
    });
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

fn find(name: &str) -> anyhow::Result<&'static Probe> {
    if let Some(probe) = PROBES.iter().find(|probe| probe.name == name) {
        return Ok(probe);
    }
    let nearest = PROBES.iter().min_by_key(|probe| levenshtein(probe.name, name));
    match nearest {
        Some(nearest) if levenshtein(nearest.name, name) <= 3 => {
            bail!("there is no probe `{name}`; did you mean `{}`?", nearest.name)
        }
        _ => {
            let names: Vec<&str> = PROBES.iter().map(|probe| probe.name).collect();
            bail!("there is no probe `{name}`; there are {}", names.join(", "))
        }
    }
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

#[cfg(test)]
mod tests {
    use super::{PROBES, find, layout};

    #[test]
    fn every_program_of_the_kernel_side_is_a_probe() {
        let probes: Vec<&str> = PROBES.iter().map(|probe| probe.name).collect();
        for (name, _) in crate::programs::ALL {
            assert!(probes.contains(name), "{name} is in no registry");
        }
        assert_eq!(probes.len(), crate::programs::ALL.len());
    }

    #[test]
    fn a_misspelt_probe_is_told_its_nearest() {
        let error = find("drops").unwrap_err().to_string();
        assert_eq!(error, "there is no probe `drops`; did you mean `drop`?");
        assert!(find("xyzzyxyzzy").unwrap_err().to_string().contains("there are drop"));
    }

    #[test]
    fn every_hook_names_a_program_of_its_elf() {
        for probe in PROBES {
            let object = aya_obj::Object::parse(probe.elf).unwrap();
            let stand_ins = probe.details.iter().flat_map(|detail| detail.stand_ins);
            for hook in probe.places.iter().copied().flatten().chain(stand_ins) {
                assert!(object.programs.contains_key(hook.program()), "{}: {hook:?}", probe.name);
            }
        }
    }

    #[test]
    fn this_kernel_has_what_the_probes_want() {
        let layout = layout().unwrap();
        for probe in PROBES {
            assert_eq!(probe.hooks(layout).err(), None, "{}", probe.name);
        }
    }
}
