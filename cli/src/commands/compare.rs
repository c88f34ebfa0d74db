//! `compare`: the sick one and a healthy one: what is different?

use super::numbers_look::{NumbersLook, SETTINGS, default_probes, missing, now};
use super::recorded_look::RecordedLook;
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::conversation::numbers::Since;
use crate::conversation::state::ConversationState;
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::numbers::comparison::{self, Compared};
use crate::numbers::{NumbersPlace, counterparts};
use crate::render::{self, NumbersFormat};
use anyhow::{Result, anyhow};
use clap::Args;
use diagnoses::words;
use model::missing::Missing;
use model::views::Compare;
use std::cmp::Reverse;
use std::ops::ControlFlow;
use std::path::Path;
use std::time::Duration;

/// Compare two pods of the same kind, a sick one and a healthy one: what is different? Or two recordings, before and after
///
/// Settings (MTU, sysctls, queueing, kernels) and how numbers moved in the window. What must differ, such as addresses and the amount of traffic, is left out. Exit code 0: nothing is different, 1: something is, 3: not all could be compared.
///
/// A target that is an existing file is a recording, made with --record. Two of them are compared place by place, and nothing is looked at. What only one has is listed, not compared.
#[derive(Debug, Args)]
#[command(
    name = "compare",
    after_help = "Examples:
  # Two pods of a deployment
  kubectl skoop compare web-7c9 web-5d2
  # Two network namespaces of this machine, for ten seconds
  sudo kubectl-skoop compare netns/a netns/b --local --for 10s
  # One pod, before and after
  kubectl skoop inspect web-7c9 --record before
  kubectl skoop inspect web-7c9 --record after
  kubectl skoop compare before after"
)]
pub struct CompareCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Look for this time, such as 5s or 1m
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse, default_value = "5s")]
    length: Duration,
    /// Show every difference
    #[arg(long)]
    all: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: NumbersFormat,
    #[command(flatten)]
    place: SiteOptions,
}

impl CliCommand for CompareCommand {
    const NAME: &'static str = "compare";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        let [one, other] = &self.scope.targets[..] else {
            return Err(WrongUsage::error(format!(
                "two are compared, and {} named; name a sick pod and a healthy one",
                match self.scope.targets.len() {
                    0 => "none is".to_owned(),
                    1 => "one is".to_owned(),
                    many => format!("{many} are"),
                }
            )));
        };
        match (Path::new(one).is_file(), Path::new(other).is_file()) {
            (true, true) => block_on(self.recorded(one, other, context)),
            (false, false) => block_on(self.show(context)),
            (is_first, _) => {
                let (file, name) = if is_first { (one, other) } else { (other, one) };
                Err(WrongUsage::error(format!(
                    "{file} is a file and {name} is none: a recording is compared with another one; make it with `inspect ... --record FILE`, or write pod/{file} where a pod of that name is meant"
                )))
            }
        }
    }
}

impl CompareCommand {
    async fn show(&self, context: &CommandContext) -> Result<Exit> {
        let look = NumbersLook {
            scope: &self.scope,
            place: &self.place,
            probes: Vec::new(),
            also: &[],
            facts: SETTINGS,
            length: Some(self.length),
            interval: None,
        };
        let mut found = None;
        let exit = look
            .run(context, |state, names| {
                let places: Vec<NumbersPlace> = NumbersPlace::all(state, names, Since::Opening)
                    .into_iter()
                    .filter(|place| place.netns != 0)
                    .collect();
                let named = in_order_of(&self.scope.targets, places);
                let [one, other] = &named[..] else {
                    return Err(WrongUsage::error(format!(
                        "two are compared, and these are {}: name two pods that have networks of their own",
                        named.len()
                    )));
                };
                let side = |place| compared(state, place, None);
                let missing = missing(state, Since::Opening);
                let unread = missing.len();
                let compare = comparison::document(&side(one), &side(other), now(), missing);
                render::comparison(&compare, self.output, self.all, context.colour)?;
                let is_partial = compare.missing.len() > unread;
                found = (!is_partial || !compare.differences.is_empty()).then_some(!compare.differences.is_empty());
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        Ok(match (exit, found) {
            (Exit::Fine, Some(true)) => Exit::Fault,
            (Exit::Fine, None) => Exit::Inconclusive,
            (exit, _) => exit,
        })
    }

    /// Compares two recordings, place by place.
    async fn recorded(&self, one: &str, other: &str, context: &CommandContext) -> Result<Exit> {
        if self.place.given() {
            return Err(WrongUsage::error(
                "two recordings are compared, and nothing is looked at; leave out --local, --record and --replay",
            ));
        }
        let (old, new) = (RecordedLook::open(one).await?, RecordedLook::open(other).await?);
        let counterparts = counterparts::of(old.places(), new.places());
        let alone = [
            (&counterparts.only_first, &old, &new),
            (&counterparts.only_second, &new, &old),
        ];
        let alone: Vec<Missing> = alone
            .into_iter()
            .filter(|(names, ..)| !names.is_empty())
            .map(|(names, has, lacks)| {
                let why = format!("only in {}, which holds the run of `{}`", has.file, has.asked);
                Missing::new(format!("{} in {}", words::list(names), lacks.file), why)
            })
            .collect();
        if counterparts.pairs.is_empty() {
            let why: Vec<String> = alone
                .iter()
                .map(|missing| format!("{}: {}", missing.what, missing.why))
                .collect();
            return Err(anyhow!(
                "nothing is in both recordings ({}); record the same pod twice, with `inspect POD --record FILE`",
                if why.is_empty() {
                    "neither tells of a place".to_owned()
                } else {
                    why.join("; ")
                }
            ));
        }
        let mut documents: Vec<Compare> = counterparts
            .pairs
            .iter()
            .map(|(here, there)| {
                let (here, there) = (
                    compared(&old.state, here, Some(one)),
                    compared(&new.state, there, Some(other)),
                );
                comparison::document(&here, &there, now(), Vec::new())
            })
            .collect();
        let hurting = |compare: &Compare| compare.differences.iter().filter(|found| found.hurts).count();
        documents.sort_by_key(|compare| Reverse((hurting(compare), compare.differences.len())));
        let is_partial = !alone.is_empty() || documents.iter().any(|compare| !compare.missing.is_empty());
        let differs = documents.iter().any(|compare| !compare.differences.is_empty());
        let gaps = [&old, &new].into_iter().flat_map(RecordedLook::missing).chain(alone);
        self.print(documents, gaps.collect(), context)?;
        let is_whole = old.is_whole && new.is_whole && !is_partial;
        Ok(match (old.is_changed || new.is_changed, differs) {
            (false, true) => Exit::Fault,
            (false, false) if is_whole => Exit::Fine,
            (true, _) | (false, false) => Exit::Inconclusive,
        })
    }

    /// Prints comparisons of many places, the worst first; what is missing of all of them stands at the end.
    fn print(&self, mut documents: Vec<Compare>, missing: Vec<Missing>, context: &CommandContext) -> Result<()> {
        let all = self.all || self.output != NumbersFormat::Table;
        let left_out = documents.split_off(if all {
            documents.len()
        } else {
            documents.len().min(SHOWN)
        });
        if let Some(last) = documents.last_mut() {
            last.missing.extend(missing);
        }
        for compare in &documents {
            match render::comparison(compare, self.output, self.all, context.colour) {
                Err(error) if render::is_broken_pipe(&error) => return Ok(()),
                printed => printed?,
            }
        }
        if !left_out.is_empty() {
            let different = left_out
                .iter()
                .filter(|compare| !compare.differences.is_empty())
                .count();
            render::note(&format!(
                "{} more are in both recordings, of which {different} differ; --all shows them",
                left_out.len()
            ));
        }
        Ok(())
    }
}

/// Places of two recordings that are shown.
const SHOWN: usize = 8;

/// The places in the order in which they were named.
fn in_order_of<'a>(targets: &[String], mut places: Vec<NumbersPlace<'a>>) -> Vec<NumbersPlace<'a>> {
    let is_it = |target: &String, place: &NumbersPlace| {
        let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        last(target) == last(&place.name)
    };
    places.sort_by_key(|place| targets.iter().position(|target| is_it(target, place)));
    places
}

fn compared<'a>(state: &'a ConversationState, place: &'a NumbersPlace<'a>, recording: Option<&'a str>) -> Compared<'a> {
    let evidence = &state.evidence;
    let node = evidence.nodes.iter().position(|node| node.name == place.node);
    let hello = node.and_then(|at| state.nodes[at].hello.as_ref());
    Compared {
        place,
        facts: evidence.netns.iter().find(|netns| netns.id == place.netns),
        kernel: node.map_or("", |at| evidence.nodes[at].kernel.as_str()),
        readable: hello.map(default_probes).unwrap_or_default(),
        recording,
    }
}
