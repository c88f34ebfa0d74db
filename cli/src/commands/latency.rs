//! `latency`: where does time pass on the way of a pod's data?

use super::latency_between::LatencyBetween;
use super::measured_times::measured_times;
use super::numbers_look::NumbersLook;
use super::scope_options::ScopeOptions;
use super::sending_options::SendingOptions;
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::render::{self, NumbersFormat, Repaint};
use anyhow::Result;
use clap::Args;
use std::ops::ControlFlow;
use std::time::Duration;

/// Show where time passes: in connecting, in the program, its sockets, the kernel, the queues of devices, and disks
///
/// Times are measured in the kernel, of all traffic in the window, and shown as p50, p99 and maximum, at most 12.5 % too high. With a second end, only what goes on between the two is measured, and the stages of both ends are shown where a helper can look at them. Nothing is sent, unless --send, --http or --bytes says what, and nothing is changed. It costs some time for each packet, as is said before it begins.
#[derive(Debug, Args)]
#[command(
    name = "latency",
    mut_arg("targets", |argument| argument.help("Whose time: a pod, workload, service or node; with --local netns/NAME, pid/N, container/ID or host. A second one is the other end, such as db:5432, as in diagnose")),
    after_help = "Examples:
  # Does the program of a pod read in time? For 10 s
  kubectl skoop latency web-7c9
  # It is slow between web-7c9 and db: at which end, in which stage, or in connecting?
  kubectl skoop latency web-7c9 db:5432
  # All that goes on between two pods, on any port
  kubectl skoop latency web-7c9 --peer cart-66b
  # Without traffic of their own: three requests a second
  kubectl skoop latency web-7c9 svc/api:80 --http /healthz
  # All pods of a deployment, for a minute, as JSON
  kubectl skoop latency deploy/web --for 1m -o json
  # A network namespace of this machine
  sudo kubectl-skoop latency netns/a --local"
)]
pub struct LatencyCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// The other end, on any port, whichever of the two connects
    #[arg(long, value_name = "TARGET")]
    peer: Option<String>,
    #[command(flatten)]
    sending: SendingOptions,
    /// Measure for this time, such as 5s or 1m
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse, default_value = "10s")]
    length: Duration,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: NumbersFormat,
    #[command(flatten)]
    place: SiteOptions,
}

/// The probes whose times can be limited to what goes on between two ends.
const OF_CONVERSATIONS: [&str; 2] = ["socketlatency", "kernellatency"];
/// The probes that measure a place as a whole only.
const OF_PLACES: [&str; 1] = ["biolatency"];

impl CliCommand for LatencyCommand {
    const NAME: &'static str = "latency";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        let wrong = |says: &str| Err(WrongUsage::error(says));
        match (self.scope.targets.as_slice(), &self.peer) {
            ([], _) => wrong("nothing is named to measure; name a pod or node/NAME, with --local netns/NAME or host"),
            ([one], Some(other)) | ([one, other], None) => block_on(self.show_between(one, other, context)),
            ([_], None) if self.sending.names_content() => {
                wrong("--send, --http and --bytes send to the other end, and none is named; write latency A B:PORT")
            }
            ([_], None) => block_on(self.show(context)),
            ([_, other, ..], Some(peer)) => Err(WrongUsage::error(format!(
                "`{other}` names the other end, and so does --peer {peer}; leave one of them out"
            ))),
            (_, None) => wrong(
                "one or two ends can be measured; for several pods name a workload (deploy/NAME) or a service, or begin it several times",
            ),
        }
    }
}

impl LatencyCommand {
    async fn show_between(&self, one: &str, other: &str, context: &CommandContext) -> Result<Exit> {
        if let Some(option) = self.scope.beside_targets() {
            return Err(WrongUsage::error(format!(
                "{option} names more than the two ends `{one}` and `{other}`; leave it out"
            )));
        }
        let between = LatencyBetween {
            one,
            other,
            any_port: self.peer.is_some(),
            sending: &self.sending,
            length: self.length,
            place: &self.place,
            probes: &OF_CONVERSATIONS.map(str::to_owned),
        };
        let Some((latency, exit)) = Box::pin(between.measure(context)).await? else {
            return Ok(Exit::Fine);
        };
        render::latency(&latency, self.output, context.colour, Repaint::Below)?;
        Ok(exit)
    }

    async fn show(&self, context: &CommandContext) -> Result<Exit> {
        let look = NumbersLook {
            scope: &self.scope,
            place: &self.place,
            probes: OF_CONVERSATIONS
                .iter()
                .chain(&OF_PLACES)
                .map(|probe| (*probe).to_owned())
                .collect(),
            also: &[],
            facts: &[],
            length: Some(self.length),
            interval: None,
        };
        // Set by what was measured. A dry run measures nothing, and is fine.
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
