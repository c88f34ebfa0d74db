//! Looking at numbers for a bounded window: helpers read them, and each complete reading of all nodes is shown or kept.

use super::CommandContext;
use super::probe_costs::{ONLY_WHEN_ASKED, say_costs};
use super::scope_options::{OPEN_ENDED, ScopeOptions};
use super::scoped_look::{OpenLook, PlannedLook, check_whole};
use super::site_options::SiteOptions;
use crate::capture::filter::{CaptureFilter, ResolvedEndpoint};
use crate::capture::window::CaptureWindow;
use crate::conversation::numbers::Since;
use crate::conversation::session::Session;
use crate::conversation::state::ConversationState;
use crate::exit::{Exit, NotThere, WrongUsage};
use crate::names;
use crate::numbers::PlaceNames;
use crate::render;
use anyhow::Result;
use diagnoses::words;
use model::missing::Missing;
use model::predecessor;
use model::protocol::{Ask, Hello, Request};
use std::ops::ControlFlow;
use std::time::Duration;
use tokio::time::Instant;

/// What to look at, and for how long.
#[derive(Debug)]
pub struct NumbersLook<'a> {
    /// Whose numbers.
    pub scope: &'a ScopeOptions,
    /// Where to look.
    pub place: &'a SiteOptions,
    /// The probes; none for all that read and need not be asked for.
    pub probes: Vec<String>,
    /// Probes that are read as well, where `probes` names none.
    pub also: &'static [&'static str],
    /// Facts of these places that are read beside numbers.
    pub facts: &'static [&'static str],
    /// How long; until Ctrl-C where it has no end.
    pub length: Option<Duration>,
    /// The time between two readings; `None` to read once when the window opens and once when it closes.
    pub interval: Option<Duration>,
}

/// The settings that are compared.
pub const SETTINGS: &[&str] = &["links", "sysctls", "routes", "rules", "netfilter", "bpf"];

/// The shortest interval: more often, nobody could read what is shown.
const SHORTEST: Duration = Duration::from_millis(500);

/// Refuses to read so often that nothing could be seen.
pub fn check_interval(interval: Duration) -> Result<()> {
    if interval < SHORTEST {
        return Err(WrongUsage::error(
            "--interval is shorter than 500ms, in which little can be seen; make it longer",
        ));
    }
    Ok(())
}

/// The interval in milliseconds, as a filter has it.
pub fn interval_ms(interval: Duration) -> u32 {
    u32::try_from(interval.as_millis()).unwrap_or(u32::MAX)
}

/// What the user wants while a look goes on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Steering {
    /// The probes to read from now on.
    Probes(Vec<String>),
    /// What was read last, shown in another way.
    Shown,
    /// The end of the look.
    End,
}

impl NumbersLook<'_> {
    /// Looks. `each` is given every complete reading but the first, from which growth is reckoned; it may end the look.
    pub async fn run(
        &self,
        context: &CommandContext,
        each: impl FnMut(&ConversationState, &PlaceNames) -> Result<ControlFlow<()>>,
    ) -> Result<Exit> {
        self.steered(context, |_, _| None, each).await
    }

    /// Looks, and is steered: `steer` is asked again and again, with the helpers' probes and those that are read.
    pub async fn steered(
        &self,
        context: &CommandContext,
        mut steer: impl FnMut(&Hello, &[String]) -> Option<Steering>,
        mut each: impl FnMut(&ConversationState, &PlaceNames) -> Result<ControlFlow<()>>,
    ) -> Result<Exit> {
        let site = self.place.site(context).await?;
        let filter = CaptureFilter {
            interval_ms: self.interval.map_or(0, interval_ms),
            ..CaptureFilter::default()
        };
        let longest = self.length.unwrap_or(OPEN_ENDED);
        let Some(planned) = PlannedLook::of(&site, self.scope, self.place, filter, &[], longest).await? else {
            return Ok(Exit::Fine);
        };
        let greeted = planned.begin(context, &site).await?;
        let hello = greeted.hello.clone();
        let mut probes = self.probes_of(&hello);
        known_probes(&probes, &hello)?;
        say_costs(&hello, &probes);
        let OpenLook {
            mut session,
            recording,
            wanted,
            endpoints,
            mut window,
        } = greeted.open(context, &site, &probes).await?;
        let names = PlaceNames::of(wanted.inventory.as_ref()).only(wanted.pods());
        self.read_facts(&mut session, &endpoints).await?;
        let bound = self.length.map(|length| Instant::now() + length);
        let (mut shown, mut kept) = (1, 0);
        let mut outcome = Ok(ControlFlow::Continue(()));
        loop {
            let mut steering = None;
            session
                .until(bound, |state| {
                    let complete = rounds(state);
                    if complete > shown {
                        shown = complete;
                        if self.interval.is_some() {
                            outcome = each(state, &names);
                            // Events of the reading before last are of no further use.
                            state.let_go(kept);
                            kept = state.evidence.events.len();
                        }
                    }
                    steering = steer(&hello, &probes);
                    steering.is_some() || !matches!(outcome, Ok(ControlFlow::Continue(())))
                })
                .await;
            match steering {
                Some(Steering::Probes(next)) => {
                    let added: Vec<String> = next.iter().filter(|name| !probes.contains(name)).cloned().collect();
                    say_costs(&hello, &added);
                    window.close(&mut session).await;
                    session.state.forget_readings();
                    window = CaptureWindow::open(&mut session, &wanted, &endpoints, &next).await?;
                    (probes, shown, kept) = (next, 1, 0);
                }
                // Before the second reading there is nothing to show.
                Some(Steering::Shown) if shown > 1 => outcome = each(&session.state, &names),
                Some(Steering::Shown) => {}
                Some(Steering::End) | None => break,
            }
        }
        // What was dropped is told when the window closes.
        session.state.evidence.events = window.close(&mut session).await;
        if self.interval.is_none() && matches!(outcome, Ok(ControlFlow::Continue(()))) {
            outcome = each(&session.state, &names);
        }
        session.dismiss().await;
        match outcome {
            Err(error) if render::is_broken_pipe(&error) => Ok(Exit::Fine),
            Err(error) => Err(error),
            Ok(_) => {
                check_whole(&session.state, "what was read")?;
                Ok(recording.end(Exit::Fine))
            }
        }
    }

    /// The probes that were named; else all that read and need not be asked for, and those of `also`.
    fn probes_of(&self, hello: &Hello) -> Vec<String> {
        if !self.probes.is_empty() {
            return self.probes.clone();
        }
        let is_there = |name: &&str| hello.probes.iter().any(|probe| probe.name == *name);
        let also = self.also.iter().copied().filter(is_there);
        let all = default_probes(hello).into_iter().chain(also);
        all.map(str::to_owned).collect()
    }

    /// Reads facts of the places that are asked for.
    async fn read_facts(&self, session: &mut Session, endpoints: &[ResolvedEndpoint]) -> Result<()> {
        if self.facts.is_empty() {
            return Ok(());
        }
        let id = session.number();
        for index in 0..session.state.nodes.len() {
            let own = endpoints.iter().filter(|found| found.wanted && found.index == index);
            let ask = Ask {
                id,
                netns: own.filter_map(|found| found.endpoint.netns).collect(),
                facts: self.facts.iter().map(|fact| (*fact).to_owned()).collect(),
                ..Ask::default()
            };
            session.ask_at(index, Request::Read(ask));
        }
        let read = |state: &ConversationState| state.all(|node| node.read.contains(&id));
        session.need("reading settings", read).await
    }
}

/// The probes of a helper that read, but for those that have to be asked for.
pub fn default_probes(hello: &Hello) -> Vec<&str> {
    let reading = hello.probes.iter().filter(|probe| probe.reads);
    let names = reading.map(|probe| probe.name.as_str());
    names.filter(|name| !ONLY_WHEN_ASKED.contains(name)).collect()
}

/// Each of these probes is one there is.
pub fn known_probes(probes: &[String], hello: &Hello) -> Result<()> {
    let known = hello.probes.iter().map(|probe| probe.name.as_str());
    probes.iter().try_for_each(|name| known_probe(name, known.clone()))
}

/// This probe is one of those that there are.
pub fn known_probe<'a>(name: &str, known: impl Iterator<Item = &'a str> + Clone) -> Result<()> {
    if known.clone().any(|other| other == name) {
        return Ok(());
    }
    let hint = match predecessor::find(name) {
        Some(theirs) if !theirs.ours.is_empty() => format!(": here it is `{}`", theirs.ours.join("`, `")),
        Some(theirs) => format!(": {}", theirs.says),
        None => names::hint(name, known.clone()),
    };
    let all: Vec<&str> = known.collect();
    Err(NotThere::error(format!(
        "there is no probe `{name}`{hint} (probes: {})",
        all.join(", ")
    )))
}

/// Readings that are complete at every node that still speaks.
pub fn rounds(state: &ConversationState) -> u64 {
    let nodes = state.nodes.iter().enumerate().filter(|(_, node)| !node.over());
    let complete = nodes.map(|(at, _)| state.numbers.round(at).map_or(0, |round| round.number));
    complete.min().unwrap_or_default()
}

/// What could not be read of what was asked for, of the places of that time.
pub fn missing(state: &ConversationState, since: Since) -> Vec<Missing> {
    let of_places = state.numbers.places(since).flat_map(|(_, _, place)| &place.missing);
    let mut all: Vec<Missing> = state.gaps().chain(of_places).cloned().collect();
    all.dedup();
    if since == Since::Opening && state.numbers.forgotten > 0 {
        let what = format!("{} network namespaces that went meanwhile", state.numbers.forgotten);
        all.push(Missing::new(what, "there were more than are kept").remedy("name fewer targets"));
    }
    all
}

/// Nodes whose last reading began late, where there should be so much time between two; each with how late.
pub fn late(state: &ConversationState, interval: Duration) -> impl Iterator<Item = (&str, Duration)> {
    let late = state.numbers.late(interval);
    late.filter_map(move |(node, late)| Some((state.evidence.nodes.get(node)?.name.as_str(), late)))
}

/// What is missing where a reading began so late.
pub fn late_reading(node: &str, late: Duration) -> Missing {
    let what = format!("numbers of {node} at the interval that was asked for");
    let took = words::time(late.as_nanos() as u64);
    let why = format!("a reading began {took} late: the node is busy, or there is much to read");
    Missing::new(what, why).remedy("make --interval longer, or name fewer targets")
}

/// Now, as RFC 3339 has it.
pub fn now() -> String {
    humantime::format_rfc3339_millis(std::time::SystemTime::now()).to_string()
}
