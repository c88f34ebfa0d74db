//! `latency`: where does time pass on the way of a pod's data?

use super::measured_times::measured_times;
use super::numbers_look::NumbersLook;
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::render::{self, NumbersPageFormat, Repaint};
use anyhow::Result;
use clap::Args;
use std::ops::ControlFlow;
use std::time::Duration;

/// Show where time passes: in the program, its sockets, the kernel, the queues of devices, and disks
///
/// Times are measured in the kernel, of all traffic in the window, and shown as half of all, 99 of 100 and the slowest: each is at most an eighth too much. Nothing is sent and nothing is changed. It costs some time for each packet, as is said before it begins.
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
    output: NumbersPageFormat,
    #[command(flatten)]
    place: SiteOptions,
}

/// The probes that measure.
const PROBES: &[&str] = &["socketlatency", "kernellatency", "biolatency"];

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
            also: &[],
            facts: &[],
            length: Some(self.length),
            interval: None,
        };
        // Until something was measured: a dry run measures nothing, and is fine.
        let mut is_empty = false;
        let exit = look
            .run(context, |state, names| {
                let latency = measured_times(state, names);
                is_empty = latency.places.iter().all(|place| place.stages.is_empty());
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
