//! `capture`: events of the kernel as they come, filtered in the kernel, with exact totals at the end.

use super::Run;
use super::place::{Where, block_on};
use crate::exit::{Exit, Usage};
use crate::program::Context;
use crate::render::{EventFormat, Stream, Summary, is_broken_pipe, note};
use crate::session::{Ended, STEP, Session};
use crate::target::{self, Grammar, Place};
use crate::{names, window};
use anyhow::{Result, anyhow};
use clap::Args;
use model::attempt::WatchedFlow;
use model::endpoint::Endpoint;
use model::event::Event;
use model::flow::{self, Flow};
use model::missing::Known;
use model::protocol::{Filter, Hello, Request};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Rings of several probes are read in turn: an event waits at most twice this long for an earlier one of another ring.
const ORDER_WITHIN: Duration = Duration::from_millis(40);

/// Left out unless asked for: one follows every packet of a flow, the other tells of every connection.
const ONLY_WHEN_ASKED: [&str; 2] = ["path", "tcpstate"];

/// Watch drops, resets and other events of the kernel as they happen
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Everything that goes wrong on this machine, until Ctrl-C
  sudo kubectl-skoop capture --local
  # Resets and drops of one namespace's traffic with port 5432, for half a minute
  sudo kubectl-skoop capture netns/a --port 5432 --probe tcpreset,drop --local --for 30s
  # One JSON object a line
  sudo kubectl-skoop capture --address 10.90.2.2 --local -o json | jq .seen")]
pub struct Capture {
    /// Only of these: netns/NAME, pid/N, container/ID, host, an address, an address and port
    #[arg(value_name = "TARGET")]
    targets: Vec<String>,
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
#[derive(Debug, Default, PartialEq, Eq)]
struct Wanted {
    endpoints: Vec<String>,
    pids: Vec<u32>,
    addresses: Vec<IpAddr>,
    ports: Vec<u16>,
}

impl Run for Capture {
    const NAME: &'static str = "capture";

    fn run(self, context: &Context) -> Result<Exit> {
        let wanted = self.wanted()?;
        block_on(self.capture(&wanted, context))
    }
}

impl Capture {
    async fn capture(&self, wanted: &Wanted, context: &Context) -> Result<Exit> {
        let site = self.place.site(context).await?;
        let mut session = self
            .place
            .begin(context, &site, &site.nodes(), self.length.unwrap_or(OPEN_ENDED))?;
        // The host's name is known without being filtered for.
        for endpoint in wanted.endpoints.iter().map(String::as_str).chain([HOST]) {
            session.ask_all(&Request::Resolve {
                endpoint: endpoint.to_owned(),
            });
        }
        session.hello().await?;
        let hello = session.look.nodes.iter().find_map(|node| node.hello.clone());
        let hello = hello.unwrap_or_default();
        let probes = self.probes(&hello)?;
        self.place.check(context, &site, &session)?;
        let endpoints = resolved(&mut session, wanted).await?;
        let filter = filter(wanted, &endpoints, &probes)?;
        let id = session.number();
        session.ask_all(&Request::Arm {
            id,
            probes: probes.clone(),
            filter,
        });
        session.ask_all(&Request::Go { id });
        let armed = session
            .until(Some(Instant::now() + STEP), |look| {
                look.all(|node| node.going == Some(id))
            })
            .await;
        usable(&mut session, &probes, armed)?;
        let host = session.look.nodes.iter_mut().find_map(|node| node.resolved.pop_front());
        let host = host.and_then(|host| host.ok().cloned());
        let known: Vec<Endpoint> = endpoints.into_iter().chain(host).collect();
        let mut stream = Stream::new(self.output, context.colour, &known, &hello);
        let began = Instant::now();
        let (ended, broken) = self.print(&mut session, &mut stream).await?;
        session.ask_all(&Request::Stop { id });
        session.ask_all(&Request::Bye);
        let mut written = Ok(());
        let room = self.max_events;
        session
            .finish(|look| {
                // What was on its way when the window closed is shown, too, as far as it was asked for.
                for event in look.evidence.events.drain(..) {
                    if written.is_ok() && room.is_none_or(|max| stream.printed < max) {
                        written = stream.event(&event);
                    }
                }
                look.all(|node| node.stopped == Some(id))
            })
            .await;
        let took = began.elapsed();
        session.finish(|look| look.all(|node| node.done)).await;
        if broken {
            return Ok(Exit::Fine);
        }
        written?;
        let node = &session.look.evidence.nodes[0];
        let summary = Summary {
            totals: &node.totals,
            lost: &node.lost,
            printed: stream.printed,
            took,
            bpf_ns: node.bpf.map(|cost| cost.ns),
        };
        stream.summary(&summary)?;
        match &node.truncated {
            Some(missing) if ended == Ended::Cut => Err(anyhow!("the capture is not whole: {}", missing.why)),
            _ => Ok(Exit::Fine),
        }
    }

    /// Prints until it has seen enough. Tells how it ended, and whether the reader has gone.
    async fn print(&self, session: &mut Session, stream: &mut Stream) -> Result<(Ended, bool)> {
        let bound = self.length.map(|length| Instant::now() + length);
        let most = self.max_events.unwrap_or(u64::MAX);
        let mut written = stream.head();
        let mut order = InOrder::default();
        let ended = session
            .until(bound, |look| {
                for event in order.ready(&mut look.evidence.events) {
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

    fn wanted(&self) -> Result<Wanted> {
        let mut wanted = Wanted::default();
        for text in &self.targets {
            let target = Grammar::Machine.destination(text)?;
            match target.place {
                Place::Site(endpoint) => wanted.endpoints.push(endpoint),
                Place::Address(address) => wanted.addresses.push(address),
                Place::Object(_) => {}
                Place::Name(name) => {
                    let message = format!(
                        "`{name}` cannot be filtered for: packets carry addresses; write netns/{name}, or its address"
                    );
                    return Err(Usage::error(message));
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
            wanted.endpoints.push(endpoint);
        }
        for pid in &self.pid {
            wanted.endpoints.push(format!("pid/{pid}"));
            wanted.pids.push(*pid);
        }
        for address in &self.address {
            let parsed = address
                .parse()
                .map_err(|_| Usage::error(format!("`{address}` is no address; write it as 10.90.2.2 or fd90:2::2")))?;
            wanted.addresses.push(parsed);
        }
        for port in &self.port {
            wanted.ports.push(target::port_number(port)?);
        }
        Ok(wanted)
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
    fn ready(&mut self, events: &mut Vec<Event>) -> Vec<Event> {
        if self.looked.is_some_and(|looked| looked.elapsed() < ORDER_WITHIN) {
            return Vec::new();
        }
        let ready = events.partition_point(|event| event.at_ns <= self.until_ns);
        self.looked = Some(Instant::now());
        self.until_ns = events
            .last()
            .map_or(self.until_ns, |event| event.at_ns.max(self.until_ns));
        events.drain(..ready).collect()
    }
}

async fn resolved(session: &mut Session, wanted: &Wanted) -> Result<Vec<Endpoint>> {
    let count = wanted.endpoints.len();
    session
        .need("finding what to filter for", |look| {
            look.all(|node| node.resolved.len() >= count)
        })
        .await?;
    let mut endpoints = Vec::new();
    let node = &mut session.look.nodes[0];
    for (known, asked) in node.resolved.drain(..count).zip(&wanted.endpoints) {
        match known {
            Known::Known(endpoint) => endpoints.push(endpoint),
            Known::Missing(missing) => return Err(crate::ends::not_found(asked, &missing)),
        }
    }
    Ok(endpoints)
}

fn filter(wanted: &Wanted, endpoints: &[Endpoint], probes: &[String]) -> Result<Filter> {
    let netns: Vec<u32> = endpoints.iter().filter_map(|endpoint| endpoint.netns).collect();
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
    let statuses = &session.look.evidence.nodes[0].probes;
    let off: Vec<String> = statuses
        .iter()
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
    if off.len() >= probes.len() {
        return Err(anyhow!("no probe can run here: {}", off.join("; ")));
    }
    for line in &off {
        note(line);
    }
    Ok(())
}
