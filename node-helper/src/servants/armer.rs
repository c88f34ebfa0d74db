//! The armer: the process that loads and attaches programs (arms probes), and what the session asks of it. It is told which probes of the registry,
//! how many entries each list of the filter has, and how many events a second; all else it has from the helper's own image
//! and from the kernel. Maps and programs come back as descriptors: filling and reading them takes no capability.

use crate::kernel::btf::Layout;
use crate::kernel::filter;
use crate::kernel::load::{self, LoadPlan, Loaded, ProgramHook, SharedMaps};
use crate::kernel::probe::Probe;
use crate::probes::{self, PROBES};
use crate::processes::privileges::ARMER;
use crate::processes::servant::{Errand, Master, Servant, ServantAnswer, ServantRequest, TEXT_MAX};
use crate::system::bpf;
use anyhow::{Context as _, anyhow, bail};
use model::protocol::ProbeStatus;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

// What is asked, in the first word.
const TRY: u32 = 0;
const MAPS: u32 = 1;
const ATTACH: u32 = 2;
const DETACH: u32 = 3;

/// The first of it comes before the greeting, for which a client waits 10 s.
const TRYING: Errand = within("tell whether the kernel lets it make maps", 4);
const MAKING: Errand = within("make maps", 4);
/// All probes at once: some hundred milliseconds on an idle machine, and a client waits 20 s.
const ATTACHING: Errand = within("attach probes", 15);
/// A client waits 5 s for a window to close.
const DETACHING: Errand = within("detach probes", 4);

const fn within(what: &'static str, seconds: u64) -> Errand {
    Errand {
        what,
        within: Duration::from_secs(seconds),
    }
}

/// The most entries of a list of the filter.
const ENTRIES_MAX: u32 = 1 << 20;
/// The longest reason why a probe cannot run; the verifier's last words can be many.
const WHY_MAX: usize = TEXT_MAX / 2;

/// What an answer to `ATTACH` says of its probe; its descriptors are first those maps, then the programs, then those
/// that stand in for one, then those that tell nothing.
#[derive(Debug, Serialize, Deserialize)]
struct Attached {
    status: ProbeStatus,
    maps: Vec<String>,
    /// How many of the programs stand in for another.
    stand_ins: usize,
    /// How many of them tell nothing.
    silent: usize,
}

/// The armer of this process, which is started when it is first asked for.
pub fn ours() -> anyhow::Result<&'static Servant> {
    static OURS: OnceLock<Result<Servant, String>> = OnceLock::new();
    OURS.get_or_init(|| {
        // Read once, for both.
        let _ = probes::layout();
        Servant::start(&ARMER, serve).map_err(|error| format!("{error:#}"))
    })
    .as_ref()
    .map_err(|why| anyhow!("{why}"))
}

fn request(what: u32, number: u32, rest: &[u32]) -> ServantRequest {
    let mut request = ServantRequest::default();
    for (to, from) in request.iter_mut().zip([what, number].iter().chain(rest)) {
        *to = *from;
    }
    request
}

/// Why the kernel refuses us, if it does.
pub fn refused() -> Option<String> {
    let tried = ours().and_then(|armer| armer.ask(TRYING, request(TRY, 0, &[]), &[]));
    tried.err().map(|error| format!("{error:#}"))
}

/// Maps of one arming, and what is attached to them. Dropping it detaches.
#[derive(Debug)]
pub struct ProbeSet {
    number: u32,
    /// The maps that all programs share: the filter's, and those of watched flows.
    pub shared: SharedMaps,
}

impl ProbeSet {
    /// Makes the maps, for lists of so many entries.
    pub fn new(entries: [u32; filter::LISTS]) -> anyhow::Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let made = ours()?.ask(MAKING, request(MAPS, number, &entries), &[])?;
        let names = filter::shapes(entries).map(|(name, _)| name.to_owned());
        let shared = names.into_iter().zip(made.fds.into_iter().map(Arc::new)).collect();
        Ok(Self { number, shared })
    }

    /// Attaches probes: in their order, what each can do, and what it was loaded with if it can run. They report so many events a second,
    /// and those that measure times what takes so many microseconds (0: nothing).
    pub fn attach(
        &self,
        probes: &[&'static Probe],
        per_second: u32,
        slow_us: u32,
    ) -> anyhow::Result<Vec<(ProbeStatus, Option<Loaded>)>> {
        let place = |probe: &Probe| PROBES.iter().position(|known| known.name == probe.name);
        let places: Vec<usize> = probes.iter().filter_map(|probe| place(probe)).collect();
        let bits = places.iter().fold(0, |bits, place| bits | 1 << place);
        let asked = request(ATTACH, self.number, &[bits, per_second, slow_us]);
        let answers = ours()?.ask_for(places.len(), ATTACHING, asked, &[])?;
        let mut by_place = BTreeMap::new();
        // The armer goes through the registry in its order.
        let in_order = (0..PROBES.len()).filter(|place| bits & 1 << place != 0);
        for (place, answer) in in_order.zip(answers) {
            by_place.insert(place, attached(answer?)?);
        }
        Ok(places.iter().filter_map(|place| by_place.remove(place)).collect())
    }

    /// Detaches all; what the maps hold can still be read.
    ///
    /// # Errors
    /// The armer hangs, and it is not known whether they still run; or it has ended, and nobody knows since when they do not.
    pub fn detach(&self) -> anyhow::Result<()> {
        ours()?.ask(DETACHING, request(DETACH, self.number, &[]), &[]).map(drop)
    }
}

impl Drop for ProbeSet {
    fn drop(&mut self) {
        // Whoever wants to know has asked before.
        let _ = self.detach();
    }
}

fn attached(answer: ServantAnswer) -> anyhow::Result<(ProbeStatus, Option<Loaded>)> {
    let Attached {
        status,
        maps,
        stand_ins,
        silent,
    } = serde_json::from_slice(&answer.text).context("cannot read what the process `armer` answered")?;
    if status.unsupported.is_some() {
        return Ok((status, None));
    }
    let mut fds = answer.fds.into_iter();
    let maps: SharedMaps = maps.into_iter().zip(fds.by_ref().map(Arc::new)).collect();
    let mut programs: Vec<OwnedFd> = fds.collect();
    let silent = programs.split_off(programs.len().saturating_sub(silent));
    let stand_ins = programs.split_off(programs.len().saturating_sub(stand_ins));
    let loaded = Loaded {
        maps,
        programs,
        stand_ins,
        silent,
        ..Loaded::default()
    };
    Ok((status, Some(loaded)))
}

/// What is held for one [`ProbeSet`].
#[derive(Default)]
struct Held {
    settings: Vec<(&'static str, u32)>,
    shared: SharedMaps,
    loaded: Vec<Loaded>,
}

fn serve(master: &Master) {
    let mut sets: BTreeMap<u32, Held> = BTreeMap::new();
    while let Some((request, _)) = master.next() {
        let [what, number, rest @ ..] = request;
        match what {
            TRY => master.answer(smallest_map()),
            MAPS => {
                let made = maps(rest).and_then(|held| {
                    let fds = filter::shapes(rest)
                        .iter()
                        .map(|(name, _)| copy(&held.shared, name))
                        .collect::<anyhow::Result<_>>()?;
                    sets.insert(number, held);
                    Ok(ServantAnswer {
                        fds,
                        ..ServantAnswer::default()
                    })
                });
                master.answer(made);
            }
            ATTACH => {
                let [bits, per_second, slow_us, ..] = rest;
                if let Some(held) = sets.get_mut(&number) {
                    held.settings.push(("slow_us", slow_us));
                }
                attach_all(master, sets.get_mut(&number), bits, per_second);
            }
            DETACH => {
                sets.remove(&number);
                master.answer(Ok(ServantAnswer::default()));
            }
            _ => return,
        }
    }
}

fn smallest_map() -> anyhow::Result<ServantAnswer> {
    let shape = bpf::MapShape {
        kind: 2,
        key: 4,
        value: 4,
        entries: 1,
        flags: 0,
    };
    load::create("TRY", shape).map(|_| ServantAnswer::default())
}

fn maps(entries: [u32; filter::LISTS]) -> anyhow::Result<Held> {
    if entries.iter().any(|entries| *entries > ENTRIES_MAX) {
        bail!("a list of the filter has more than {ENTRIES_MAX} entries; ask for fewer");
    }
    let mut settings = filter::settings(entries).to_vec();
    settings.push(("stack", stack_bytes()));
    Ok(Held {
        settings,
        shared: filter::create(entries)?,
        loaded: Vec::new(),
    })
}

/// Bytes of a task's stack in the kernel: four pages, or one where pages are large (`THREAD_SIZE` of x86 and arm64).
fn stack_bytes() -> u32 {
    const LEAST: u32 = 16 * 1024;
    u32::try_from(procfs::page_size()).unwrap_or(LEAST).max(LEAST)
}

fn copy(maps: &SharedMaps, name: &str) -> anyhow::Result<OwnedFd> {
    let map = maps.get(name).with_context(|| format!("there is no map {name}"))?;
    map.try_clone().context("cannot copy a descriptor")
}

/// Attaches the probes of these bits, at once, and answers for each in the registry's order.
fn attach_all(master: &Master, held: Option<&mut Held>, bits: u32, per_second: u32) {
    let asked: Vec<&'static Probe> = (0..PROBES.len())
        .filter(|place| bits & 1 << place != 0)
        .filter_map(|place| PROBES.get(place).copied())
        .collect();
    let mut none = Held::default();
    let held = held.unwrap_or(&mut none);
    let layout = match probes::layout() {
        Ok(layout) => layout,
        Err(why) => {
            for _ in asked {
                master.answer(Err(anyhow!(why)));
            }
            return;
        }
    };
    let (shared, settings) = (&held.shared, &held.settings);
    let attempts = load::side_by_side(&asked, |probe| attach(probe, layout, shared, settings, per_second));
    for (probe, attempt) in asked.into_iter().zip(attempts) {
        let answer = attempt
            .map_err(|_| anyhow!("the thread that loads probe {} ended in a panic", probe.name))
            .and_then(|(status, loaded)| {
                let answer = answer(status, loaded.as_ref())?;
                held.loaded.extend(loaded);
                Ok(answer)
            });
        master.answer(answer);
    }
}

fn answer(mut status: ProbeStatus, loaded: Option<&Loaded>) -> anyhow::Result<ServantAnswer> {
    if let Some(missing) = &mut status.unsupported
        && missing.why.len() > WHY_MAX
    {
        let end = (0..=WHY_MAX).rev().find(|end| missing.why.is_char_boundary(*end));
        missing.why.truncate(end.unwrap_or_default());
    }
    let mut answer = ServantAnswer::default();
    let mut maps = Vec::new();
    if let Some(loaded) = loaded {
        for name in loaded.maps.keys().filter(|name| !load::is_constant(name)) {
            maps.push(name.clone());
            answer.fds.push(copy(&loaded.maps, name)?);
        }
        for program in loaded.all_programs() {
            answer
                .fds
                .push(program.try_clone().context("cannot copy a descriptor")?);
        }
    }
    let count = |of: fn(&Loaded) -> &Vec<OwnedFd>| loaded.map_or(0, |loaded| of(loaded).len());
    let stand_ins = count(|loaded| &loaded.stand_ins);
    let silent = count(|loaded| &loaded.silent);
    let attached = Attached {
        status,
        maps,
        stand_ins,
        silent,
    };
    answer.text = serde_json::to_vec(&attached).context("cannot write what a probe can do")?;
    Ok(answer)
}

/// Attaches one probe, or says why not.
fn attach(
    probe: &'static Probe,
    layout: &Layout,
    shared: &SharedMaps,
    settings: &[(&str, u32)],
    budget: u32,
) -> (ProbeStatus, Option<Loaded>) {
    let mut said = probe.status(layout);
    if said.unsupported.is_some() {
        return (said, None);
    }
    let stand_ins = probe.details.iter().flat_map(|detail| detail.stand_ins(layout));
    let places: Vec<&[ProgramHook]> = probe
        .places
        .iter()
        .copied()
        .chain(stand_ins.map(std::slice::from_ref))
        .collect();
    let plan = LoadPlan {
        elf: probe.elf,
        places: &places,
        ring_bytes: ring_bytes(probe, settings),
        budget,
        settings,
    };
    let loaded = load_best(&plan, layout, shared).or_else(|error| {
        if places.len() == probe.places.len() {
            return Err(error);
        }
        // A locked-down kernel refuses kprobes: then without them.
        said.lacks = probe.lacks(layout, |_| true);
        let places = probe.places;
        load_best(&LoadPlan { places, ..plan }, layout, shared)
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

/// Bytes of a probe's ring. One that measures times has events only where slow ones are asked for; there is no ring smaller than a page.
fn ring_bytes(probe: &Probe, settings: &[(&str, u32)]) -> u32 {
    const SLOW_ONES: u32 = 32 * 1024;
    let is_asked_for_slow_ones = settings.iter().any(|(name, value)| *name == "slow_us" && *value != 0);
    match probe.ring_bytes {
        0 if is_asked_for_slow_ones => SLOW_ONES,
        0 => u32::try_from(procfs::page_size()).unwrap_or(SLOW_ONES),
        bytes => bytes,
    }
}

/// Loads with plain reads of packets where the verifier allows them (since 6.17), else with checked ones.
fn load_best(plan: &LoadPlan<'_>, layout: &Layout, shared: &SharedMaps) -> anyhow::Result<Loaded> {
    let asks = load::globals(plan.elf)?
        .iter()
        .any(|global| global.name == "set__direct");
    if asks {
        let mut settings = plan.settings.to_vec();
        settings.push(("direct", 1));
        let plan = LoadPlan {
            settings: &settings,
            ..*plan
        };
        if let Ok(loaded) = load::load(&plan, layout, shared) {
            return Ok(loaded);
        }
    }
    load::load(plan, layout, shared)
}
