//! `inspect`: everything of one pod's or node's network in numbers, as it grew.

use super::numbers_look::{NumbersLook, SETTINGS, missing, now};
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::conversation::numbers::Since;
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::numbers::{NumbersPlace, inspection};
use crate::render::{self, NumbersFormat, Repaint};
use anyhow::Result;
use clap::Args;
use model::views::{API_VERSION, Inspect};
use std::ops::ControlFlow;
use std::time::Duration;

/// Show all numbers of a pod's or a node's network, and what they mean
///
/// Each line says something: counters are shown if they grew in the window, levels if they are not zero; what hurts stands first. Beside each group stands the ordinary command that shows the same. With --record the settings of the place (MTU, sysctls, routes, rules) are kept, too, and `compare` compares two such files.
#[derive(Debug, Args)]
#[command(
    name = "inspect",
    after_help = "Examples:
  # One pod, for 5 s
  kubectl skoop inspect web-7c9
  # A node, with its CPUs' work on packets
  kubectl skoop inspect node/n1
  # A network namespace of this machine, for a minute, as JSON
  sudo kubectl-skoop inspect netns/a --local --for 1m -o json"
)]
pub struct InspectCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Look for this time, such as 5s or 1m
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse, default_value = "5s")]
    length: Duration,
    /// Read only these, separated by commas (`probes` lists them) [default: all that read, but process and peers]
    #[arg(long = "probe", value_name = "LIST", value_delimiter = ',')]
    probes: Vec<String>,
    /// Show counters that did not grow, too
    #[arg(long)]
    all: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: NumbersFormat,
    #[command(flatten)]
    place: SiteOptions,
}

impl CliCommand for InspectCommand {
    const NAME: &'static str = "inspect";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        if self.scope.targets.is_empty() {
            return Err(WrongUsage::error(
                "nothing is named to inspect; name a pod or node/NAME, with --local netns/NAME or host (`top` shows all of them)",
            ));
        }
        block_on(self.show(context))
    }
}

impl InspectCommand {
    async fn show(&self, context: &CommandContext) -> Result<Exit> {
        let look = NumbersLook {
            scope: &self.scope,
            place: &self.place,
            probes: self.probes.clone(),
            also: &["holders"],
            // They are not shown; `compare` takes them out of a recording.
            facts: if self.place.records() { SETTINGS } else { &[] },
            length: Some(self.length),
            interval: None,
        };
        look.run(context, |state, names| {
            let mut places = NumbersPlace::all(state, names, Since::Opening);
            // Nobody asked about a pod's node. Where the node's own namespace is shown, the node is shown beside it.
            let host_is_shown = places.iter().any(|place| place.is_node && place.netns != 0);
            places.retain(|place| place.netns != 0 || host_is_shown);
            let inspect = Inspect {
                api_version: API_VERSION.to_owned(),
                kind: "Inspect".to_owned(),
                at: now(),
                seconds: places.iter().map(|place| place.seconds).fold(0.0, f64::max),
                places: places.iter().map(|place| inspection::of(place, self.all)).collect(),
                missing: missing(state, Since::Opening),
            };
            render::inspection(&inspect, self.output, context.colour, Repaint::Below)?;
            Ok(ControlFlow::Continue(()))
        })
        .await
    }
}
