//! `top`: who suffers here? A row for each pod, those that suffer most first.

use super::numbers_look::{NumbersLook, check_interval, missing, now};
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::conversation::numbers::Since;
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::names;
use crate::numbers::views::{VIEWS, View, find};
use crate::numbers::{NumbersPlace, top};
use crate::render::{self, NumbersPageFormat, Repaint};
use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use model::views::TopColumn;
use std::ops::ControlFlow;
use std::time::Duration;

/// See who suffers: a row for each pod, the worst first
///
/// Without a target, it shows the pods of the current namespace. With --local, it shows every network namespace of the machine. Counters are told by how much they grew in the window. Nothing is sent and nothing is changed.
#[derive(Debug, Args)]
#[command(
    name = "top",
    after_help = "Examples:
  # Who suffers in namespace shop? Once, after 5 s
  kubectl skoop top -n shop
  # The pods of a deployment, their sockets by state, again every 2 s until Ctrl-C
  kubectl skoop top deploy/web --view sockets -w --interval 2s
  # All that lives on one node
  kubectl skoop top --node n1
  # Every network namespace of this machine
  sudo kubectl-skoop top --local
  # One JSON object an interval
  sudo kubectl-skoop top --local -w -o json | jq '.pods[0]'"
)]
pub struct TopCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Which columns
    #[arg(long, value_name = "VIEW", default_value = VIEWS[0].name, value_parser = PossibleValuesParser::new(VIEWS.iter().map(|view| clap::builder::PossibleValue::new(view.name).help(view.about))))]
    view: String,
    /// Look for this time, such as 5s or 1m [default: 5s; with -w until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse)]
    length: Option<Duration>,
    /// Show it again and again
    #[arg(short, long)]
    watch: bool,
    /// With -w: how often
    #[arg(long, value_name = "TIME", value_parser = durations::parse, default_value = "2s", requires = "watch")]
    interval: Duration,
    /// Show every row
    #[arg(long)]
    all: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: NumbersPageFormat,
    #[command(flatten)]
    place: SiteOptions,
}

/// A look that is not repeated takes so long.
const LENGTH: Duration = Duration::from_secs(5);

impl CliCommand for TopCommand {
    const NAME: &'static str = "top";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        check_interval(self.interval)?;
        if self.watch && self.output == NumbersPageFormat::Html {
            return Err(WrongUsage::error(
                "-o html prints one page, and -w one reading after the other; leave one of them out",
            ));
        }
        let view = find(&self.view).ok_or_else(|| {
            let hint = names::hint(&self.view, VIEWS.iter().map(|view| view.name));
            WrongUsage::error(format!("there is no view `{}`{hint}", self.view))
        })?;
        block_on(self.show(view, context))
    }
}

impl TopCommand {
    async fn show(&self, view: &View, context: &CommandContext) -> Result<Exit> {
        let look = NumbersLook {
            scope: &self.scope,
            place: &self.place,
            probes: view.probes.iter().map(|probe| (*probe).to_owned()).collect(),
            facts: &[],
            length: self.length.or((!self.watch).then_some(LENGTH)),
            interval: self.watch.then_some(self.interval),
        };
        let since = if self.watch { Since::Previous } else { Since::Opening };
        let repaint = if self.watch { Repaint::InPlace } else { Repaint::Below };
        let columns: Vec<TopColumn> = view.columns.iter().map(|shown| shown.column).collect();
        look.run(context, |state, names| {
            let places = NumbersPlace::all(state, names, since);
            let document = top::document(view, &places, now(), state.numbers.cpu_us(), missing(state));
            render::top(&document, &columns, self.output, self.all, context.colour, repaint)?;
            Ok(ControlFlow::Continue(()))
        })
        .await
    }
}
