//! `capture`: events of the kernel as they come, filtered in the kernel, with exact totals at the end.

use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::capture::event_order::EventOrder;
use crate::capture::filter::CaptureFilter;
use crate::capture::window::CaptureWindow;
use crate::conversation::session::Session;
use crate::conversation::state::ConversationState;
use crate::exit::{Exit, NotThere, WrongUsage};
use crate::inquiry::durations;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::{self, Grammar, NamedPlace};
use crate::kubernetes::capture_scope::{NODES_MAX, ScopeRequest};
use crate::kubernetes::cluster::ClusterApi;
use crate::kubernetes::new_pods::NewPods;
use crate::names;
use crate::render::{self, CaptureTotals, EventFormat, EventPrinter, is_broken_pipe, note};
use crate::site::Site;
use anyhow::{Result, anyhow};
use clap::Args;
use diagnoses::kernel::drops::{Class, class_of};
use model::event::Event;
use model::inventory::Pod;
use model::missing::Missing;
use model::protocol::Hello;
use std::collections::BTreeSet;
use std::time::Duration;
use tokio::time::Instant;

/// Left out unless asked for: one follows every packet of a flow, the other reports every connection.
const ONLY_WHEN_ASKED: [&str; 3] = ["path", "tcpstate", "transmit"];

/// Watch drops, resets and other events of the kernel as they happen
///
/// Without a target, it watches the pods of the current namespace, on the nodes where they run. With --local, it watches the whole machine.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Everything that goes wrong with the pods of namespace shop, until Ctrl-C
  kubectl skoop capture -n shop
  # Who resets the connections of a deployment's pods? For half a minute
  kubectl skoop capture deploy/web --probe tcpreset --for 30s
  # Everything that goes wrong on one node
  kubectl skoop capture --node n1
  # Everything that goes wrong on this machine, until Ctrl-C
  sudo kubectl-skoop capture --local
  # Resets and drops on port 5432 in one network namespace, for half a minute
  sudo kubectl-skoop capture netns/a --port 5432 --probe tcpreset,drop --local --for 30s
  # One JSON object per line
  sudo kubectl-skoop capture --address 10.90.2.2 --local -o json | jq .seen")]
pub struct Capture {
    /// Watch only these: pods, workloads, services, nodes, addresses. With --local: netns/NAME, pid/N, container/ID, host or addresses
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Watch only pods with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Watch this node; may be repeated
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Watch all nodes
    #[arg(long, conflicts_with = "node")]
    all_nodes: bool,
    /// Refuse to watch more nodes than this
    #[arg(long, value_name = "N", default_value_t = NODES_MAX)]
    max_nodes: usize,
    /// Use only these probes, separated by commas (`probes` lists them) [default: all but path, tcpstate and transmit]
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

/// Without an end in sight, a cluster's helpers go after this: nobody watches for longer without looking away.
const OPEN_ENDED: Duration = Duration::from_hours(1);

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
        let (wanted, ends) = match site.cluster_of() {
            Some(cluster) => self.on_cluster(cluster, fixed).await?,
            None => self.on_machine(&site, fixed)?,
        };
        let longest = self.length.unwrap_or(OPEN_ENDED);
        if let Some(jobs) = self.place.dry_run(&site, &ends, longest)? {
            render::manifests(&jobs)?;
            return Ok(Exit::Fine);
        }
        let (mut session, recording) = self.place.begin(context, &site, &ends, longest)?;
        wanted.ask(&mut session);
        session.hello().await?;
        let hello = session.state.nodes.iter().find_map(|node| node.hello.clone());
        let hello = hello.unwrap_or_default();
        let probes = self.probes(&hello)?;
        super::site_options::check(context, &site, &session)?;
        let endpoints = wanted.resolved(&mut session).await?;
        let window = CaptureWindow::open(&mut session, &wanted, &endpoints, &probes).await?;
        let names = wanted.names(&session, endpoints);
        let mut printer = EventPrinter::new(self.output, context.colour, names, &hello);
        let began = Instant::now();
        let new_pods = site.cluster_of().cloned().map(NewPods::of);
        let reader_has_gone = self.print(&mut session, &mut printer, new_pods).await?;
        // What was on its way when the window closed is shown, too, as far as it was asked for.
        let rest = self.print_rest(&mut printer, &window.close(&mut session).await);
        let took = began.elapsed();
        session.dismiss().await;
        if !reader_has_gone {
            rest?;
            summarize(&mut printer, &session.state, took)?;
            whole(&session.state)?;
        }
        Ok(recording.end(Exit::Fine))
    }

    /// What of a machine is wanted.
    fn on_machine(&self, site: &Site, mut wanted: CaptureFilter) -> Result<(CaptureFilter, KnownEnds)> {
        let of_a_cluster = [
            (self.selector.is_some(), "--selector"),
            (!self.node.is_empty(), "--node"),
            (self.all_nodes, "--all-nodes"),
        ];
        if let Some((_, option)) = of_a_cluster.into_iter().find(|(given, _)| *given) {
            return Err(WrongUsage::error(format!(
                "{option} is about a cluster, and this looks at one machine; leave it out, or leave --local out"
            )));
        }
        let ends = site.nodes();
        let all = self.endpoints(&mut wanted)?;
        wanted.endpoints = ends.nodes.iter().map(|node| (node.clone(), all.clone())).collect();
        Ok((wanted, ends))
    }

    /// What of a cluster is wanted.
    async fn on_cluster(&self, cluster: &ClusterApi, mut wanted: CaptureFilter) -> Result<(CaptureFilter, KnownEnds)> {
        if !self.netns.is_empty() || !self.pid.is_empty() {
            return Err(WrongUsage::error(
                "--netns and --pid are of one machine, and this looks at a cluster; name pods, or look at this machine with --local",
            ));
        }
        let scope = cluster
            .scope(&ScopeRequest {
                targets: self.targets.clone(),
                selector: self.selector.clone(),
                nodes: self.node.clone(),
                all_nodes: self.all_nodes,
                max_nodes: self.max_nodes,
            })
            .await?;
        let missing = scope.inventory.missing.iter();
        let unread = missing.map(|missing| format!("not known: {}: {}", missing.what, missing.why));
        for line in scope.notes.iter().cloned().chain(unread) {
            note(&line);
        }
        wanted.addresses.extend(&scope.addresses);
        wanted.ports.extend(&scope.ports);
        let uid = |pod: &Pod| format!("pod/{}", pod.uid);
        let nodes = scope.nodes.iter();
        wanted.endpoints = nodes
            .map(|(node, pods)| (node.clone(), pods.iter().map(uid).collect()))
            .collect();
        let ends = KnownEnds {
            nodes: scope.nodes.into_keys().collect(),
            inventory: model::missing::Known::Known(scope.inventory.clone()),
            ..KnownEnds::default()
        };
        wanted.inventory = Some(scope.inventory);
        Ok((wanted, ends))
    }

    /// Prints until it has seen enough. Tells whether the reader has gone.
    async fn print(
        &self,
        session: &mut Session,
        printer: &mut EventPrinter,
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
            self.endpoints(&mut CaptureFilter::default())?;
        }
        Ok(wanted)
    }

    /// The endpoints of a machine, as a helper is asked for them.
    fn endpoints(&self, wanted: &mut CaptureFilter) -> Result<Vec<String>> {
        let mut endpoints = Vec::new();
        for text in &self.targets {
            let target = Grammar::Machine.destination(text)?;
            match target.place {
                NamedPlace::Site(endpoint) => endpoints.push(endpoint),
                NamedPlace::Address(address) => wanted.addresses.push(address),
                NamedPlace::Name(name) => {
                    let message = format!(
                        "`{name}` cannot be filtered for: packets carry addresses; write netns/{name}, or its address"
                    );
                    return Err(WrongUsage::error(message));
                }
                NamedPlace::Object(object) => {
                    return Err(WrongUsage::error(format!(
                        "`{object}` is of a cluster; leave --local out to look there"
                    )));
                }
            }
            wanted.ports.extend(target.port);
        }
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
        let known = || hello.probes.iter().map(|probe| probe.name.as_str());
        if self.probes.is_empty() {
            let all = known().filter(|name| !ONLY_WHEN_ASKED.contains(name));
            return Ok(all.map(str::to_owned).collect());
        }
        for name in &self.probes {
            if !known().any(|other| other == name) {
                let all: Vec<&str> = known().collect();
                let hint = names::hint(name, known());
                return Err(NotThere::error(format!(
                    "there is no probe `{name}`{hint} (probes: {})",
                    all.join(", ")
                )));
            }
        }
        let mut probes = self.probes.clone();
        probes.sort();
        probes.dedup();
        Ok(probes)
    }
}

/// Prints what was seen in all.
fn summarize(printer: &mut EventPrinter, state: &ConversationState, took: Duration) -> Result<()> {
    let without_totals: Vec<&str> = state.without_totals().collect();
    let shown = state.evidence.nodes.iter().filter(|node| printer.has_shown(&node.name));
    let kernels: BTreeSet<&str> = shown.map(|node| node.boot_id.as_str()).collect();
    printer.summary(&CaptureTotals {
        nodes: &state.evidence.nodes,
        without_totals: &without_totals,
        printed: printer.printed,
        left_out: printer.left_out,
        took,
        several_clocks: kernels.len() > 1,
    })
}

/// An error where something of what was asked for was not seen.
fn whole(state: &ConversationState) -> Result<()> {
    let several = state.nodes.len() > 1;
    let gaps: Vec<String> = state.gaps().map(|missing| of_node(missing, several)).collect();
    match gaps.as_slice() {
        [] => Ok(()),
        gaps => Err(anyhow!("the capture is not whole: {}", gaps.join("; "))),
    }
}

/// What was not seen, where, and why.
fn of_node(missing: &Missing, several: bool) -> String {
    let node = missing.node.as_ref().filter(|_| several);
    let on = node.map_or_else(String::new, |node| format!(" on {node}"));
    format!("{}{on}: {}", missing.what, missing.reason())
}
