//! `capture`: events of the kernel as they come, filtered in the kernel, with exact totals at the end.

use super::capture_causes::{causes, onlooker};
use super::measured_times::measured_times;
use super::numbers_look::known_probe;
use super::probe_costs::{ONLY_WHEN_ASKED, say_costs};
use super::scope_options::{OPEN_ENDED, ScopeOptions};
use super::scoped_look::{OpenLook, PlannedLook, check_whole};
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::capture::event_order::EventOrder;
use crate::capture::filter::CaptureFilter;
use crate::conversation::session::Session;
use crate::conversation::state::ConversationState;
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::inquiry::named_end::{self, Grammar};
use crate::kubernetes::new_pods::NewPods;
use crate::numbers::PlaceNames;
use crate::one_end::Onlooker;
use crate::render::{CaptureTotals, EventFormat, EventPrinter, is_broken_pipe};
use anyhow::Result;
use clap::Args;
use diagnoses::kernel::drops::{Class, class_of};
use model::event::Event;
use model::numbers;
use model::protocol::Hello;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Watch drops, resets and other events of the kernel as they happen
///
/// Without a target, it watches the pods of the current namespace, on the nodes where they run. With --local, it watches the whole machine.
/// At its end it says which causes the events prove, and then the totals. It sends nothing.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Everything that goes wrong with the pods of namespace shop, until Ctrl-C
  kubectl skoop capture -n shop
  # Who resets the connections of a deployment's pods? For half a minute
  kubectl skoop capture deploy/web --probe tcpreset --for 30s
  # The same, and at the end the causes that were proven of what its pods met
  kubectl skoop capture deploy/web --for 30s
  # Everything that goes wrong on one node
  kubectl skoop capture --node n1
  # Everything that goes wrong on this machine, until Ctrl-C
  sudo kubectl-skoop capture --local
  # Resets and drops on port 5432 in one network namespace, for half a minute
  sudo kubectl-skoop capture netns/a --port 5432 --probe tcpreset,drop --local --for 30s
  # What waits 50 ms or longer in a pod's sockets, in the kernel or for a disk, one by one, and all of it as distributions at the end
  kubectl skoop capture web-7c9 --probe socketlatency,kernellatency,biolatency --slow 50ms --for 30s
  # One JSON object per line
  sudo kubectl-skoop capture --address 10.90.2.2 --local -o json | jq .seen")]
pub struct Capture {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Use only these probes, separated by commas (`probes` lists them) [default: all but path, tcpstate, transmit, socketlatency, kernellatency and biolatency]
    #[arg(long = "probe", value_name = "LIST", value_delimiter = ',')]
    probes: Vec<String>,
    /// With --local: watch only this network namespace, by name or path
    #[arg(long, value_name = "NAME")]
    netns: Vec<String>,
    /// With --local: watch only this process, in its network namespace
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Vec<u32>,
    /// Show only packets with this address at either end
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// Show only packets with this port at either end
    #[arg(long, value_name = "PORT")]
    port: Vec<String>,
    /// Show harmless drops too: late duplicates, data left in a closed socket
    #[arg(long)]
    all_drops: bool,
    /// Show each wait of at least this time, such as 50ms [probes: socketlatency, kernellatency and biolatency]
    #[arg(long, value_name = "TIME", value_parser = durations::wait)]
    slow: Option<Duration>,
    /// Stop after this time, such as 30s or 10m
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse)]
    length: Option<Duration>,
    /// Stop after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,
    /// How to print events
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: EventFormat,
    #[command(flatten)]
    place: SiteOptions,
}

impl CliCommand for Capture {
    const NAME: &'static str = "capture";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        block_on(self.capture(context))
    }
}

impl Capture {
    async fn capture(&self, context: &CommandContext) -> Result<Exit> {
        let fixed = self.fixed()?;
        let site = self.place.site(context).await?;
        if site.cluster_of().is_some() && (!self.netns.is_empty() || !self.pid.is_empty()) {
            return Err(WrongUsage::error(
                "--netns and --pid are of one machine, and this looks at a cluster; name pods, or look at this machine with --local",
            ));
        }
        let further = self.further_endpoints()?;
        let longest = self.length.unwrap_or(OPEN_ENDED);
        let Some(planned) = PlannedLook::of(&site, &self.scope, &self.place, fixed, &further, longest).await? else {
            return Ok(Exit::Fine);
        };
        let greeted = planned.begin(context, &site).await?;
        let hello = greeted.hello.clone();
        let probes = self.probes(&hello)?;
        say_costs(&hello, &probes);
        let OpenLook {
            mut session,
            recording,
            wanted,
            endpoints,
            window,
        } = greeted.open(context, &site, &probes).await?;
        let measures = probes.iter().any(|name| numbers::measures_times(name));
        let place_names = PlaceNames::of(wanted.inventory.as_ref());
        let mut onlooker = onlooker(&mut session, &wanted, &endpoints, &probes).await;
        let names = wanted.names(&session, endpoints);
        let mut printer = EventPrinter::new(self.output, context.colour, names, &hello);
        let began = Instant::now();
        let new_pods = site.cluster_of().cloned().map(NewPods::of);
        let reader_has_gone = self.print(&mut session, &mut printer, &mut onlooker, new_pods).await?;
        // What was on its way when the window closed is shown, too, as far as it was asked for.
        let events = window.close(&mut session).await;
        let rest = self.print_rest(&mut printer, &events);
        let took = began.elapsed();
        let mut proven = None;
        if let Some(mut onlooker) = onlooker.filter(|_| !reader_has_gone) {
            for event in events {
                onlooker.take(event);
            }
            proven = Some(Box::pin(causes(onlooker, &mut session, &site, &recording)).await?);
        }
        session.dismiss().await;
        if !reader_has_gone {
            rest?;
            if measures {
                printer.times(&measured_times(&session.state, &place_names))?;
            }
            if let Some(proven) = &proven {
                printer.causes(proven, session.state.nodes.len() > 1)?;
            }
            summarize(&mut printer, &session.state, took, measures)?;
            check_whole(&session.state, "the capture")?;
        }
        Ok(recording.end(Exit::Fine))
    }

    /// Prints until it has seen enough. Tells whether the reader has gone.
    async fn print(
        &self,
        session: &mut Session,
        printer: &mut EventPrinter,
        onlooker: &mut Option<Onlooker>,
        mut new_pods: Option<NewPods>,
    ) -> Result<bool> {
        let bound = self.length.map(|length| Instant::now() + length);
        let most = self.max_events.unwrap_or(u64::MAX);
        let mut written = printer.head();
        let mut order = EventOrder::default();
        session
            .until(bound, |state| {
                for event in order.ready(state) {
                    if let Some(new_pods) = &mut new_pods
                        && printer.is_strangers(&event)
                    {
                        // Where there is one node, events do not name it.
                        let node = state.evidence.node(&event.node);
                        let node = node.or(state.evidence.nodes.first());
                        node.inspect(|node| new_pods.ask(&node.name));
                        printer.meet(&new_pods.arrived());
                    }
                    if written.is_ok() && printer.printed < most {
                        written = self.show(printer, &event);
                    }
                    if let Some(onlooker) = onlooker {
                        onlooker.take(event);
                    }
                }
                if written.is_ok() {
                    written = printer.show();
                }
                written.is_err() || printer.printed >= most
            })
            .await;
        match written {
            Err(error) if is_broken_pipe(&error) => Ok(true),
            written => written.map(|()| false),
        }
    }

    /// Prints what came at last, up to the number of events that was asked for.
    fn print_rest(&self, printer: &mut EventPrinter, events: &[Event]) -> Result<()> {
        for event in events {
            if self.max_events.is_none_or(|max| printer.printed < max) {
                self.show(printer, event)?;
            }
        }
        Ok(())
    }

    /// Prints an event, unless it is a drop that happens wherever all is well.
    fn show(&self, printer: &mut EventPrinter, event: &Event) -> Result<()> {
        if !self.all_drops && class_of(event) == Some(Class::Benign) {
            printer.leave_out(event);
            return Ok(());
        }
        printer.event(event)
    }

    /// What needs no looking up.
    fn fixed(&self) -> Result<CaptureFilter> {
        let mut wanted = CaptureFilter {
            pids: self.pid.clone(),
            slow_ns: self.slow.map_or(0, |slow| slow.as_nanos() as u64),
            ..CaptureFilter::default()
        };
        for address in &self.address {
            let parsed = address.parse().map_err(|_| {
                WrongUsage::error(format!("`{address}` is no address; write it as 10.90.2.2 or fd90:2::2"))
            })?;
            wanted.addresses.push(parsed);
        }
        for port in &self.port {
            wanted.ports.push(named_end::port_number(port)?);
        }
        if self.place.grammar() == Grammar::Machine {
            // What cannot be meant is refused before anything is started.
            self.scope.machine_endpoints(&mut CaptureFilter::default())?;
            self.further_endpoints()?;
        }
        Ok(wanted)
    }

    /// What of a machine --netns and --pid name, as a helper is asked for it.
    fn further_endpoints(&self) -> Result<Vec<String>> {
        let mut endpoints = Vec::new();
        for name in &self.netns {
            let endpoint = if name.starts_with("netns/") {
                name.clone()
            } else {
                format!("netns/{name}")
            };
            Grammar::Machine.destination(&endpoint)?;
            endpoints.push(endpoint);
        }
        endpoints.extend(self.pid.iter().map(|pid| format!("pid/{pid}")));
        Ok(endpoints)
    }

    /// The probes asked for, each of them one there is.
    fn probes(&self, hello: &Hello) -> Result<Vec<String>> {
        let reporting = hello.probes.iter().filter(|probe| !probe.reads);
        let known = || reporting.clone().map(|probe| probe.name.as_str());
        if self.probes.is_empty() {
            let all = known().filter(|name| match self.slow {
                Some(_) => numbers::measures_times(name),
                None => !ONLY_WHEN_ASKED.contains(name),
            });
            return Ok(all.map(str::to_owned).collect());
        }
        if self.slow.is_some() && !self.probes.iter().any(|name| numbers::measures_times(name)) {
            let measuring: Vec<&str> = known().filter(|name| numbers::measures_times(name)).collect();
            return Err(WrongUsage::error(format!(
                "--slow is about times, which none of these probes measures; name one that does ({})",
                measuring.join(", ")
            )));
        }
        for name in &self.probes {
            if hello.probes.iter().any(|probe| probe.reads && probe.name == *name) {
                return Err(WrongUsage::error(format!(
                    "probe {name} reads numbers and reports no events; see them with `top` or `inspect --probe {name}`"
                )));
            }
            known_probe(name, known())?;
        }
        let mut probes = self.probes.clone();
        probes.sort();
        probes.dedup();
        Ok(probes)
    }
}

/// Prints what was seen in all.
fn summarize(
    printer: &mut EventPrinter,
    state: &ConversationState,
    took: Duration,
    measured_times: bool,
) -> Result<()> {
    let without_totals: Vec<&str> = state.without_totals().collect();
    let shown = state.evidence.nodes.iter().filter(|node| printer.has_shown(&node.name));
    let kernels: BTreeSet<&str> = shown.map(|node| node.boot_id.as_str()).collect();
    printer.summary(&CaptureTotals {
        nodes: &state.evidence.nodes,
        without_totals: &without_totals,
        printed: printer.printed,
        left_out: printer.left_out,
        took,
        measured_times,
        several_clocks: kernels.len() > 1,
    })
}
