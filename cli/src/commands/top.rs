//! `top`: who suffers here? A row for each pod, those that suffer most first.

use super::numbers_look::{NumbersLook, check_interval, late, late_reading, missing, now};
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, block_on};
use super::watch_orders::WatchOrders;
use super::{CliCommand, CommandContext};
use crate::conversation::numbers::Since;
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::inquiry::named_end::Grammar;
use crate::names;
use crate::numbers::parts::{PARTS, PartKind};
use crate::numbers::top::{TopCost, TopShape};
use crate::numbers::views::{VIEWS, View, columns_with, find};
use crate::numbers::{NumbersPlace, parts, top};
use crate::render::{self, NumbersFormat, Repaint, TopLook};
use crate::typed::TypedInput;
use anyhow::Result;
use clap::Args;
use clap::builder::PossibleValuesParser;
use model::protocol::{BpfCost, Hello};
use std::cell::RefCell;
use std::ops::ControlFlow;
use std::time::Duration;

/// See who suffers: a row for each pod, the worst first
///
/// Without a target, it shows the pods of the current namespace. With --local, it shows every network namespace of the machine. Counters are told by how much they grew in the window. Nothing is sent and nothing is changed.
///
/// With -w on a terminal, p switches probes, s sorts by the next column, and q ends. Elsewhere a line on standard input does it: +PROBE, -PROBE, s or q.
#[derive(Debug, Args)]
#[command(
    name = "top",
    after_help = "Examples:
  # Who suffers in namespace shop? Once, after 5 s
  kubectl skoop top -n shop
  # The pods of a deployment, their sockets by state, again every 2 s until Ctrl-C
  kubectl skoop top deploy/web --view sockets -w --interval 2s
  # With whom does a pod have trouble? A row for each peer of its sockets
  kubectl skoop top web-7c9 --by peer
  # Who holds the nodes' tables of tracked connections?
  kubectl skoop top --node n1 --view conntrack
  # All that lives on one node
  kubectl skoop top --node n1
  # Every network namespace of this machine
  sudo kubectl-skoop top --local
  # Read times in sockets, too, from the second line of a script on
  (sleep 10; echo +socketlatency; sleep 10; echo q) | kubectl skoop top -n shop -w
  # One JSON object an interval
  sudo kubectl-skoop top --local -w -o json | jq '.pods[0]'"
)]
pub struct TopCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Columns to show
    #[arg(long, value_name = "VIEW", default_value = VIEWS[0].name, value_parser = PossibleValuesParser::new(VIEWS.iter().map(|view| clap::builder::PossibleValue::new(view.name).help(view.about))))]
    view: String,
    /// One row per process or peer instead of per pod
    #[arg(long, value_name = "PART", conflicts_with = "view", value_parser = PossibleValuesParser::new(PARTS.iter().map(|kind| clap::builder::PossibleValue::new(kind.view.name).help(kind.view.about))))]
    by: Option<String>,
    /// Look for this time, such as 5s or 1m [default: 5s; with -w until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse)]
    length: Option<Duration>,
    /// Repeat until Ctrl-C
    #[arg(short, long)]
    watch: bool,
    /// With -w: the interval
    #[arg(long, value_name = "TIME", value_parser = durations::parse, default_value = "2s", requires = "watch")]
    interval: Duration,
    /// Show every row
    #[arg(long)]
    all: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: NumbersFormat,
    #[command(flatten)]
    place: SiteOptions,
}

/// A look that is not repeated takes so long.
const LENGTH: Duration = Duration::from_secs(5);

impl CliCommand for TopCommand {
    const NAME: &'static str = "top";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        check_interval(self.interval)?;
        if self.watch && self.output == NumbersFormat::Html {
            return Err(WrongUsage::error(
                "-o html prints one page, and -w one reading after the other; leave one of them out",
            ));
        }
        let view = find(&self.view).ok_or_else(|| {
            let hint = names::hint(&self.view, VIEWS.iter().map(|view| view.name));
            WrongUsage::error(format!("there is no view `{}`{hint}", self.view))
        })?;
        let kind = self.by.as_deref().and_then(parts::find);
        block_on(self.show(kind.map_or(view, |kind| &kind.view), kind, context))
    }
}

impl TopCommand {
    async fn show(
        &self,
        view: &'static View,
        kind: Option<&'static PartKind>,
        context: &CommandContext,
    ) -> Result<Exit> {
        let look = NumbersLook {
            scope: &self.scope,
            place: &self.place,
            probes: view.probes.iter().map(|probe| (*probe).to_owned()).collect(),
            also: &[],
            facts: &[],
            length: self.length.or((!self.watch).then_some(LENGTH)),
            interval: self.watch.then_some(self.interval),
        };
        let since = if self.watch { Since::Previous } else { Since::Opening };
        let input = self.watch.then(TypedInput::listen);
        let shown = RefCell::new((WatchOrders::default(), look.probes.clone()));
        let columns = |probes: &[String]| match kind {
            Some(kind) => kind.view.columns.iter().collect(),
            None => columns_with(view, probes),
        };
        let steer = |hello: &Hello, probes: &[String]| {
            let (orders, read) = &mut *shown.borrow_mut();
            probes.clone_into(read);
            while let Some(typed) = input.as_ref().and_then(TypedInput::next) {
                match orders.take(&typed, hello, probes, columns(probes).len()) {
                    Ok(Some(steering)) => return Some(steering),
                    Ok(None) => {}
                    Err(error) => render::note(&format!("{error:#}")),
                }
            }
            None
        };
        let by_key = input.as_ref().is_some_and(|input| input.by_key);
        look.steered(context, steer, |state, names| {
            let (orders, read) = &*shown.borrow();
            let shape = TopShape {
                view,
                columns: columns(read),
                sorted_by: orders.sorted_by,
            };
            let places = NumbersPlace::all(state, names, since);
            let mut missing = missing(state, since);
            let bpf: Option<BpfCost> = state.evidence.nodes.iter().map(|node| node.bpf).sum();
            let cost = TopCost {
                reading_cpu_us: state.numbers.cpu_us(),
                // It is told when a window closes: while one goes on, all that is known is of those before it.
                bpf: bpf.filter(|_| !self.watch),
            };
            if self.watch {
                let late = late(state, self.interval);
                missing.extend(late.map(|(node, late)| late_reading(node, late)));
            }
            let document = match kind {
                Some(kind) => top::of_parts(&shape, kind, &places, now(), cost, missing),
                None => top::document(&shape, &places, now(), cost, missing),
            };
            let hello = state.nodes.iter().find_map(|node| node.hello.as_ref());
            let look = TopLook {
                columns: shape.columns.iter().map(|shown| shown.column).collect(),
                sorted_by: shape.sorted_by,
                all: self.all,
                of_machine: self.place.grammar() == Grammar::Machine,
                keys: hello.filter(|_| by_key).map(|hello| orders.keys(hello, read)),
                repaint: if self.watch { Repaint::InPlace } else { Repaint::Below },
            };
            render::top(&document, &look, self.output, context.colour)?;
            Ok(ControlFlow::Continue(()))
        })
        .await
    }
}
