//! `latency`: where does time pass on the way of a pod's data?

use super::numbers_look::{NumbersLook, missing, now};
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::conversation::numbers::Since;
use crate::conversation::state::ConversationState;
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::numbers::{NumbersPlace, latency};
use crate::render::{self, NumbersFormat, Repaint};
use anyhow::Result;
use clap::Args;
use model::missing::Missing;
use model::views::{API_VERSION, Latency};
use std::ops::ControlFlow;
use std::time::Duration;

/// Show where time passes: how long data waits in sockets until the program reads it, and how long disks take
///
/// Times are measured in the kernel, of all traffic in the window, and shown as half of all, 99 of 100 and the slowest: each is at most an eighth too much. Nothing is sent and nothing is changed.
#[derive(Debug, Args)]
#[command(
    name = "latency",
    after_help = "Examples:
  # Does the program of a pod read in time? For 10 s
  kubectl skoop latency web-7c9
  # All pods of a deployment, for a minute, as JSON
  kubectl skoop latency deploy/web --for 1m -o json
  # A network namespace of this machine
  sudo kubectl-skoop latency netns/a --local"
)]
pub struct LatencyCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Measure for this time, such as 5s or 1m
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse, default_value = "10s")]
    length: Duration,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: NumbersFormat,
    #[command(flatten)]
    place: SiteOptions,
}

/// The probes that measure.
const PROBES: &[&str] = &["socketlatency", "biolatency"];

impl CliCommand for LatencyCommand {
    const NAME: &'static str = "latency";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        if self.scope.targets.is_empty() {
            return Err(WrongUsage::error(
                "nothing is named to measure; name a pod or node/NAME, with --local netns/NAME or host",
            ));
        }
        block_on(self.show(context))
    }
}

impl LatencyCommand {
    async fn show(&self, context: &CommandContext) -> Result<Exit> {
        let look = NumbersLook {
            scope: &self.scope,
            place: &self.place,
            probes: PROBES.iter().map(|probe| (*probe).to_owned()).collect(),
            facts: &[],
            length: Some(self.length),
            interval: None,
        };
        // Until something was measured: a dry run measures nothing, and is fine.
        let mut is_empty = false;
        let exit = look
            .run(context, |state, names| {
                let places = NumbersPlace::all(state, names, Since::Opening);
                let latency = Latency {
                    api_version: API_VERSION.to_owned(),
                    kind: "Latency".to_owned(),
                    at: now(),
                    seconds: places.iter().map(|place| place.seconds).fold(0.0, f64::max),
                    places: places
                        .iter()
                        .map(latency::of)
                        // The node as a whole has no sockets, but what its kernel reads and writes for no pod.
                        .filter(|place| place.netns != 0 || !place.stages.is_empty())
                        .collect(),
                    missing: missing(state).into_iter().chain(lost(state)).collect(),
                };
                // What the kernel does for no pod is nobody's answer.
                let mut pods = latency.places.iter().filter(|place| place.netns != 0);
                is_empty = pods.all(|place| place.stages.is_empty());
                render::latency(&latency, self.output, context.colour, Repaint::Below)?;
                Ok(ControlFlow::Continue(()))
            })
            .await?;
        Ok(if is_empty && exit == Exit::Fine {
            Exit::Inconclusive
        } else {
            exit
        })
    }
}

/// What was not measured of what happened.
fn lost(state: &ConversationState) -> Vec<Missing> {
    let mut all = Vec::new();
    for node in &state.evidence.nodes {
        let ours = node.lost.iter().filter(|lost| PROBES.contains(&lost.probe.as_str()));
        for lost in ours {
            if lost.uncounted > 0 {
                let what = format!("{} times on {}", lost.uncounted, node.name);
                let why = if lost.probe == "biolatency" {
                    "more requests to disks were under way, or more devices in use, than there is room for"
                } else {
                    "more sockets had unread data, or more namespaces traffic, than there is room for"
                };
                all.push(Missing::new(what, why).remedy("name fewer targets"));
            }
            if lost.missed > 0 {
                let what = format!("up to {} times on {}", lost.missed, node.name);
                let why = "an interrupt came while the kernel ran our programs, and it left them out then";
                all.push(Missing::new(what, why));
            }
        }
    }
    all
}
