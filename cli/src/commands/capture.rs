//! `capture`: events of the kernel as they come, filtered in the kernel, with exact totals at the end.

use super::Run;
use super::place::{Where, block_on};
use crate::ends::Ends;
use crate::exit::{Exit, Usage};
use crate::kubernetes::connect::Cluster;
use crate::kubernetes::scope::{NODES_MAX, Wish};
use crate::look::Look;
use crate::program::Context;
use crate::render::{self, EventFormat, Known, Stream, Summary, is_broken_pipe, note};
use crate::session::{Ended, STEP, Session};
use crate::site::Site;
use crate::target::{self, Grammar, Place};
use crate::{names, window};
use anyhow::{Result, anyhow};
use clap::Args;
use model::attempt::WatchedFlow;
use model::endpoint::Endpoint;
use model::event::Event;
use model::flow::{self, Flow};
use model::inventory::{Inventory, Pod};
use model::owner::Owner;
use model::protocol::{Filter, Hello, Request};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Rings of several probes are read in turn: an event waits at most twice this long for an earlier one of another ring.
const ORDER_WITHIN: Duration = Duration::from_millis(40);
/// Of several nodes, for one that comes over another way through the network.
const ORDER_ACROSS_NODES: Duration = Duration::from_millis(250);

/// Left out unless asked for: one follows every packet of a flow, the other tells of every connection.
const ONLY_WHEN_ASKED: [&str; 2] = ["path", "tcpstate"];

/// Watch drops, resets and other events of the kernel as they happen
///
/// Without a target: those of the pods of the context's namespace, on the nodes where they run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Everything that goes wrong with the pods of namespace shop, until Ctrl-C
  kubectl skoop capture -n shop
  # Resets of all pods of a deployment, for half a minute
  kubectl skoop capture deploy/web --probe tcpreset --for 30s
  # All that one node sees
  kubectl skoop capture --node n1
  # Everything that goes wrong on this machine, until Ctrl-C
  sudo kubectl-skoop capture --local
  # Resets and drops of one namespace's traffic with port 5432, for half a minute
  sudo kubectl-skoop capture netns/a --port 5432 --probe tcpreset,drop --local --for 30s
  # One JSON object a line
  sudo kubectl-skoop capture --address 10.90.2.2 --local -o json | jq .seen")]
pub struct Capture {
    /// Only of these: pods, workloads, services, nodes, addresses; with --local netns/NAME, pid/N, container/ID or host
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
    /// Only of pods with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// On this node; may be repeated
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// On all nodes
    #[arg(long, conflicts_with = "node")]
    all_nodes: bool,
    /// On this many nodes at most
    #[arg(long, value_name = "N", default_value_t = NODES_MAX)]
    max_nodes: usize,
    /// Probes to use, by name (see `probes`) [default: all but path and tcpstate]
    #[arg(long = "probe", value_name = "LIST", value_delimiter = ',')]
    probes: Vec<String>,
    /// Only of this network namespace, by name or path
    #[arg(long, value_name = "NAME")]
    netns: Vec<String>,
    /// Only of this process and its namespace
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pid: Vec<u32>,
    /// Only with this address at either end
    #[arg(long, value_name = "ADDRESS")]
    address: Vec<String>,
    /// Only with this port at either end
    #[arg(long, value_name = "PORT")]
    port: Vec<String>,
    /// End after this long
    #[arg(long = "for", value_name = "TIME", value_parser = window::parse)]
    length: Option<Duration>,
    /// End after this many events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    max_events: Option<u64>,
    /// How to print events
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: EventFormat,
    #[command(flatten)]
    place: Where,
}

/// Without an end in sight, a cluster's helpers go after this: nobody watches for longer without looking away.
const OPEN_ENDED: Duration = Duration::from_hours(1);

/// The endpoint that is the machine itself.
const HOST: &str = "host";

/// What to let through, before names became inodes.
#[derive(Debug, Default)]
struct Wanted {
    /// Of each node, by the helper's words.
    endpoints: BTreeMap<String, Vec<String>>,
    pids: Vec<u32>,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
    /// What the cluster's API says of the nodes.
    inventory: Option<Inventory>,
}

impl Wanted {
    /// The names that events are told with.
    fn known(&self, session: &Session, endpoints: &[(String, Endpoint)]) -> Known {
        let several = session.look.evidence.nodes.len() > 1;
        let mut known = Known::default();
        if several {
            known.nodes = session
                .look
                .evidence
                .nodes
                .iter()
                .map(|node| node.name.clone())
                .collect();
        }
        if let Some(inventory) = &self.inventory {
            for service in &inventory.services {
                known
                    .addresses
                    .extend(service.cluster_ips.iter().map(|ip| (*ip, service.full_name())));
            }
            for pod in inventory
                .pods
                .iter()
                .filter(|pod| !pod.host_network && pod.phase == "Running")
            {
                known
                    .addresses
                    .extend(pod.addresses.iter().map(|ip| (*ip, pod.full_name())));
            }
            for node in &inventory.nodes {
                known
                    .addresses
                    .extend(node.addresses.iter().map(|ip| (*ip, node.name.clone())));
            }
            known.pods = inventory
                .pods
                .iter()
                .map(|pod| (pod.uid.clone(), pod.full_name()))
                .collect();
        }
        for (node, end) in endpoints {
            let name = match &end.owner {
                Owner::Pod { uid, .. } => known.pods.get(uid).unwrap_or(&end.name).clone(),
                _ => end.name.clone(),
            };
            let node = if several { node.clone() } else { String::new() };
            for address in &end.addresses {
                known.addresses.entry(*address).or_insert_with(|| name.clone());
            }
            if let Some(netns) = end.netns {
                known.netns.insert((node, netns), name);
            }
        }
        known
    }
}

impl Run for Capture {
    const NAME: &'static str = "capture";

    fn run(self, context: &Context) -> Result<Exit> {
        block_on(self.capture(context))
    }
}

impl Capture {
    async fn capture(&self, context: &Context) -> Result<Exit> {
        let fixed = self.fixed()?;
        let site = self.place.site(context).await?;
        let (wanted, ends) = match site.cluster_of() {
            Some(cluster) => self.on_cluster(cluster, fixed).await?,
            None => self.on_machine(&site, fixed)?,
        };
        let window = self.length.unwrap_or(OPEN_ENDED);
        if let Some(jobs) = self.place.dry_run(&site, &ends, window) {
            render::manifests(&jobs)?;
            return Ok(Exit::Fine);
        }
        let mut session = self.place.begin(context, &site, &ends, window)?;
        for index in 0..session.look.nodes.len() {
            let name = session.look.evidence.nodes[index].name.clone();
            let asked = wanted.endpoints.get(&name).into_iter().flatten().map(String::as_str);
            // The host's name is known without being filtered for.
            for endpoint in asked.chain([HOST]) {
                let endpoint = endpoint.to_owned();
                session.ask_at(index, Request::Resolve { endpoint });
            }
        }
        session.hello().await?;
        let hello = session.look.nodes.iter().find_map(|node| node.hello.clone());
        let hello = hello.unwrap_or_default();
        let probes = self.probes(&hello)?;
        super::place::check(context, &site, &session)?;
        let endpoints = resolved(&mut session, &wanted).await?;
        let id = session.number();
        for index in 0..session.look.nodes.len() {
            let name = &session.look.evidence.nodes[index].name;
            let own = endpoints.iter().filter(|found| found.wanted && found.index == index);
            let netns: Vec<u32> = own.filter_map(|found| found.endpoint.netns).collect();
            let asked_for = wanted.endpoints.get(name).is_some_and(|asked| !asked.is_empty());
            // Of a node where none of the pods asked for is left, nothing is wanted.
            if asked_for && netns.is_empty() {
                session.ask_at(index, Request::Bye);
                continue;
            }
            let filter = filter(&wanted, netns, &probes)?;
            let probes = probes.clone();
            session.ask_at(index, Request::Arm { id, probes, filter });
            session.ask_at(index, Request::Go { id });
        }
        let armed = session
            .until(Some(Instant::now() + STEP), |look| {
                look.all(|node| node.going == Some(id))
            })
            .await;
        usable(&mut session, &probes, armed)?;
        let named: Vec<(String, Endpoint)> = endpoints
            .into_iter()
            .map(|found| (session.look.evidence.nodes[found.index].name.clone(), found.endpoint))
            .collect();
        let known = wanted.known(&session, &named);
        let mut stream = Stream::new(self.output, context.colour, known, &hello);
        let began = Instant::now();
        let (ended, broken) = self.print(&mut session, &mut stream).await?;
        session.ask_all(&Request::Stop { id });
        session.ask_all(&Request::Bye);
        session.finish(|look| look.all(|node| node.stopped == Some(id))).await;
        // What was on its way when the window closed is shown, too, as far as it was asked for.
        session.look.order();
        let mut written = Ok(());
        for event in session.look.evidence.events.drain(..) {
            if written.is_ok() && self.max_events.is_none_or(|max| stream.printed < max) {
                written = stream.event(&event);
            }
        }
        let took = began.elapsed();
        session.finish(|look| look.all(|node| node.done)).await;
        if broken {
            return Ok(Exit::Fine);
        }
        written?;
        let nodes = &session.look.evidence.nodes;
        stream.summary(&Summary {
            nodes,
            printed: stream.printed,
            took,
        })?;
        let cut = nodes
            .iter()
            .find_map(|node| Some((&node.name, node.truncated.as_ref()?)));
        match cut {
            Some((node, missing)) if ended == Ended::Cut || nodes.len() > 1 => Err(anyhow!(
                "the capture is not whole: {node}: {}{}",
                missing.why,
                if missing.remedy.is_empty() {
                    String::new()
                } else {
                    format!("; {}", missing.remedy)
                }
            )),
            _ => Ok(Exit::Fine),
        }
    }

    /// What of a machine is wanted.
    fn on_machine(&self, site: &Site, mut wanted: Wanted) -> Result<(Wanted, Ends)> {
        let of_a_cluster = [
            (self.selector.is_some(), "--selector"),
            (!self.node.is_empty(), "--node"),
            (self.all_nodes, "--all-nodes"),
        ];
        if let Some((_, option)) = of_a_cluster.into_iter().find(|(given, _)| *given) {
            return Err(Usage::error(format!(
                "{option} is about a cluster, and this looks at one machine; leave it out, or leave --local out"
            )));
        }
        let ends = site.nodes();
        let all = self.endpoints(&mut wanted)?;
        wanted.endpoints = ends.nodes.iter().map(|node| (node.clone(), all.clone())).collect();
        Ok((wanted, ends))
    }

    /// What of a cluster is wanted.
    async fn on_cluster(&self, cluster: &Cluster, mut wanted: Wanted) -> Result<(Wanted, Ends)> {
        if !self.netns.is_empty() || !self.pid.is_empty() {
            return Err(Usage::error(
                "--netns and --pid are of one machine, and this looks at a cluster; name pods, or look at this machine with --local",
            ));
        }
        let scope = cluster
            .scope(&Wish {
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
        let ends = Ends {
            nodes: scope.nodes.into_keys().collect(),
            inventory: model::missing::Known::Known(scope.inventory.clone()),
            ..Ends::default()
        };
        wanted.inventory = Some(scope.inventory);
        Ok((wanted, ends))
    }

    /// Prints until it has seen enough. Tells how it ended, and whether the reader has gone.
    async fn print(&self, session: &mut Session, stream: &mut Stream) -> Result<(Ended, bool)> {
        let bound = self.length.map(|length| Instant::now() + length);
        let most = self.max_events.unwrap_or(u64::MAX);
        let mut written = stream.head();
        let mut order = InOrder::default();
        let ended = session
            .until(bound, |look| {
                for event in order.ready(look) {
                    if written.is_ok() && stream.printed < most {
                        written = stream.event(&event);
                    }
                }
                if written.is_ok() {
                    written = stream.show();
                }
                written.is_err() || stream.printed >= most
            })
            .await;
        match written {
            Err(error) if is_broken_pipe(&error) => Ok((ended, true)),
            written => written.map(|()| (ended, false)),
        }
    }

    /// What needs no looking up.
    fn fixed(&self) -> Result<Wanted> {
        let mut wanted = Wanted {
            pids: self.pid.clone(),
            ..Wanted::default()
        };
        for address in &self.address {
            let parsed = address
                .parse()
                .map_err(|_| Usage::error(format!("`{address}` is no address; write it as 10.90.2.2 or fd90:2::2")))?;
            wanted.addresses.push(parsed);
        }
        for port in &self.port {
            wanted.ports.push(target::port_number(port)?);
        }
        if self.place.grammar() == Grammar::Machine {
            // What cannot be meant is told before anything is started.
            self.endpoints(&mut Wanted::default())?;
        }
        Ok(wanted)
    }

    /// The endpoints of a machine, by the helper's words.
    fn endpoints(&self, wanted: &mut Wanted) -> Result<Vec<String>> {
        let mut endpoints = Vec::new();
        for text in &self.targets {
            let target = Grammar::Machine.destination(text)?;
            match target.place {
                Place::Site(endpoint) => endpoints.push(endpoint),
                Place::Address(address) => wanted.addresses.push(address),
                Place::Name(name) => {
                    let message = format!(
                        "`{name}` cannot be filtered for: packets carry addresses; write netns/{name}, or its address"
                    );
                    return Err(Usage::error(message));
                }
                Place::Object(object) => {
                    return Err(Usage::error(format!(
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
                return Err(Usage::error(format!(
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

/// Lets events go in time order: those that were there already a while ago, since nothing earlier will come any more.
#[derive(Default)]
struct InOrder {
    looked: Option<Instant>,
    until_ns: u64,
}

impl InOrder {
    fn ready(&mut self, look: &mut Look) -> Vec<Event> {
        let within = if look.nodes.len() > 1 {
            ORDER_ACROSS_NODES
        } else {
            ORDER_WITHIN
        };
        if self.looked.is_some_and(|looked| looked.elapsed() < within) {
            return Vec::new();
        }
        look.order();
        let events = &mut look.evidence.events;
        let ready = events.partition_point(|event| event.at_ns <= self.until_ns);
        self.looked = Some(Instant::now());
        self.until_ns = events
            .last()
            .map_or(self.until_ns, |event| event.at_ns.max(self.until_ns));
        events.drain(..ready).collect()
    }
}

/// What a helper found.
struct Found {
    /// The node's place among those of the session.
    index: usize,
    /// It was asked for, not only to be named.
    wanted: bool,
    endpoint: Endpoint,
}

async fn resolved(session: &mut Session, wanted: &Wanted) -> Result<Vec<Found>> {
    let nodes = &session.look.evidence.nodes;
    let none = Vec::new();
    let of = |name: &String| wanted.endpoints.get(name).unwrap_or(&none).clone();
    // The one node of a machine gets its name from its helper.
    let alone = wanted.endpoints.values().next().cloned().unwrap_or_default();
    let asked: Vec<Vec<String>> = match nodes.len() {
        1 => vec![alone],
        _ => nodes.iter().map(|node| of(&node.name)).collect(),
    };
    session
        .need("finding what to filter for", |look| {
            let mut nodes = look.nodes.iter().zip(&asked);
            nodes.all(|(node, asked)| node.resolved.len() > asked.len() || node.over())
        })
        .await?;
    let mut found = Vec::new();
    for (index, asked) in asked.iter().enumerate() {
        let known: Vec<_> = session.look.nodes[index].resolved.drain(..).collect();
        let names = asked.iter().map(|name| (true, name.as_str())).chain([(false, HOST)]);
        for (known, (wanted_too, name)) in known.into_iter().zip(names) {
            match known {
                model::missing::Known::Known(endpoint) => found.push(Found {
                    index,
                    wanted: wanted_too,
                    endpoint,
                }),
                // A pod may have gone meanwhile.
                model::missing::Known::Missing(missing) if wanted.inventory.is_some() => {
                    note(&format!("left out: {name}: {}", missing.why));
                }
                model::missing::Known::Missing(_) if !wanted_too => {}
                model::missing::Known::Missing(missing) => return Err(crate::ends::not_found(name, &missing)),
            }
        }
    }
    Ok(found)
}

fn filter(wanted: &Wanted, netns: Vec<u32>, probes: &[String]) -> Result<Filter> {
    let mut filter = Filter {
        netns,
        pids: wanted.pids.clone(),
        addresses: wanted.addresses.clone(),
        ports: wanted.ports.clone(),
        ..Filter::default()
    };
    if probes.iter().any(|probe| probe == "path") {
        if filter.netns.is_empty() || (filter.addresses.is_empty() && filter.ports.is_empty()) {
            return Err(Usage::error(
                "probe path follows packets hop by hop and needs to know which: name the namespace they start in (--netns) and an address or port they go to",
            ));
        }
        filter.flows = flows(&filter);
    }
    Ok(filter)
}

/// Flows from these namespaces to these addresses and ports; what is not named stands for all.
fn flows(filter: &Filter) -> Vec<WatchedFlow> {
    let any: IpAddr = Ipv4Addr::UNSPECIFIED.into();
    let addresses = if filter.addresses.is_empty() {
        vec![any]
    } else {
        filter.addresses.clone()
    };
    let ports = if filter.ports.is_empty() {
        vec![0]
    } else {
        filter.ports.clone()
    };
    let mut flows = Vec::new();
    for &netns in &filter.netns {
        for &address in &addresses {
            for &port in &ports {
                for protocol in [flow::TCP, flow::UDP] {
                    let (from, to) = (SocketAddr::new(any, 0), SocketAddr::new(address, port));
                    flows.push(WatchedFlow {
                        attempt: 0,
                        netns,
                        flow: Flow::new(protocol, from, to),
                    });
                }
            }
        }
    }
    flows
}

/// At least one probe runs; those that do not are told.
fn usable(session: &mut Session, probes: &[String], armed: Ended) -> Result<()> {
    match armed {
        Ended::Met => {}
        Ended::Interrupted => return Err(anyhow!("arming the probes was ended by Ctrl-C")),
        Ended::Bound | Ended::Cut => {
            let why = session
                .look
                .why_cut()
                .map_or("it took too long", |missing| missing.why.as_str());
            return Err(anyhow!("arming the probes failed: {why}; run it again with -v"));
        }
    }
    let mut off: Vec<String> = session
        .look
        .evidence
        .nodes
        .iter()
        .flat_map(|node| &node.probes)
        .filter(|status| probes.contains(&status.name))
        .filter_map(|status| {
            let missing = status.unsupported.as_ref()?;
            let remedy = if missing.remedy.is_empty() {
                String::new()
            } else {
                format!("; {}", missing.remedy)
            };
            Some(format!("probe {} is off: {}{remedy}", status.name, missing.why))
        })
        .collect();
    off.sort();
    off.dedup();
    if off.len() >= probes.len() {
        return Err(anyhow!("no probe can run here: {}", off.join("; ")));
    }
    for line in &off {
        note(line);
    }
    Ok(())
}
