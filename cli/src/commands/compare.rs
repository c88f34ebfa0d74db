//! `compare`: the sick one and a healthy one: what is different?

use super::numbers_look::{NumbersLook, missing, now};
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::conversation::numbers::Since;
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::numbers::NumbersPlace;
use crate::numbers::comparison::{self, Compared};
use crate::render::{self, NumbersPageFormat};
use anyhow::Result;
use clap::Args;
use model::views::{API_VERSION, Compare};
use std::ops::ControlFlow;
use std::time::Duration;

/// Compare two pods of the same kind, a sick one and a healthy one: what is different?
///
/// Settings (MTU, sysctls, queueing, kernels) and how numbers moved in the window. What must differ, such as addresses and the amount of traffic, is left out. Exit code 0: nothing is different, 1: something is.
#[derive(Debug, Args)]
#[command(
    name = "compare",
    after_help = "Examples:
  # Two pods of a deployment
  kubectl skoop compare web-7c9 web-5d2
  # Two network namespaces of this machine, for ten seconds
  sudo kubectl-skoop compare netns/a netns/b --local --for 10s"
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
    output: NumbersPageFormat,
    #[command(flatten)]
    place: SiteOptions,
}

/// What is read of both beside numbers.
const FACTS: &[&str] = &["links", "sysctls", "routes", "rules", "netfilter", "bpf"];

impl CliCommand for CompareCommand {
    const NAME: &'static str = "compare";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        if self.scope.targets.len() != 2 {
            return Err(WrongUsage::error(format!(
                "two are compared, and {} named; name a sick pod and a healthy one",
                match self.scope.targets.len() {
                    0 => "none is".to_owned(),
                    1 => "one is".to_owned(),
                    many => format!("{many} are"),
                }
            )));
        }
        block_on(self.show(context))
    }
}

impl CompareCommand {
    async fn show(&self, context: &CommandContext) -> Result<Exit> {
        let look = NumbersLook {
            scope: &self.scope,
            place: &self.place,
            probes: Vec::new(),
            facts: FACTS,
            length: Some(self.length),
            interval: None,
        };
        let mut differs = None;
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
                let side = |place| compared(state, place);
                let (differences, alike) = comparison::of(side(one), side(other));
                differs = Some(!differences.is_empty());
                let compare = Compare {
                    api_version: API_VERSION.to_owned(),
                    kind: "Compare".to_owned(),
                    at: now(),
                    seconds: one.seconds.max(other.seconds),
                    one: comparison::told(side(one)),
                    other: comparison::told(side(other)),
                    differences,
                    alike,
                    missing: missing(state),
                };
                render::comparison(&compare, self.output, self.all, context.colour)?;
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        Ok(match (exit, differs) {
            (Exit::Fine, Some(true)) => Exit::Fault,
            (Exit::Fine, None) => Exit::Inconclusive,
            (exit, _) => exit,
        })
    }
}

/// The places in the order in which they were named.
fn in_order_of<'a>(targets: &[String], mut places: Vec<NumbersPlace<'a>>) -> Vec<NumbersPlace<'a>> {
    let is_it = |target: &String, place: &NumbersPlace| {
        let last = |text: &str| text.rsplit('/').next().unwrap_or_default().to_owned();
        last(target) == last(&place.name)
    };
    places.sort_by_key(|place| targets.iter().position(|target| is_it(target, place)));
    places
}

fn compared<'a>(state: &'a crate::conversation::state::ConversationState, place: &'a NumbersPlace<'a>) -> Compared<'a> {
    let evidence = &state.evidence;
    Compared {
        place,
        facts: evidence.netns.iter().find(|netns| netns.id == place.netns),
        kernel: evidence.node(&place.node).map_or("", |node| node.kernel.as_str()),
    }
}
