//! `map`: who talks to whom, how that is known, and where it is lost.

use super::numbers_look::{missing, now, rounds};
use super::scope_options::ScopeOptions;
use super::scoped_look::{OpenLook, PlannedLook};
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::capture::event_order::EventOrder;
use crate::capture::filter::CaptureFilter;
use crate::conversation::numbers::Since;
use crate::conversation::session::{STEP, Session};
use crate::evidence::path_facts;
use crate::exit::{Exit, WrongUsage};
use crate::inquiry::durations;
use crate::inquiry::named_end::Grammar;
use crate::numbers::{NumbersPlace, PlaceNames};
use crate::render::{self, MapFormat};
use crate::site::Site;
use crate::traffic_map::{self, MapEnds, TrafficFold, TrafficSeen};
use anyhow::Result;
use clap::Args;
use diagnoses::conversations::ConversationTable;
use model::endpoint::Endpoint;
use model::evidence::Evidence;
use model::inventory::Inventory;
use model::missing::Missing;
use model::report::API_VERSION;
use model::traffic_map::TrafficMap;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Show who talks to whom, how that is known, and where it is lost
///
/// Connections, lookups and sockets of the window, by workload, service, node or namespace, with what failed of them and what policies say. Nothing is sent and nothing is changed. For UDP it sees DNS lookups and connected sockets only.
#[derive(Debug, Args)]
#[command(
    name = "map",
    after_help = "Examples:
  # The pods of a namespace for half a minute
  kubectl skoop map -n shop --for 30s
  # As a picture for a ticket
  kubectl skoop map deploy/web -o mermaid
  # Also what policies permit and nobody uses
  kubectl skoop map -n shop --for 10m --permitted
  # One page with a picture, to open in a browser
  kubectl skoop map --all-nodes -o html > map.html
  # Everything of one machine, for Graphviz
  sudo kubectl-skoop map --local -o dot | dot -Tsvg > map.svg"
)]
pub struct MapCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Watch for this time, such as 30s or 10m
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse, default_value = "10s")]
    length: Duration,
    /// Also show connections that network policies allow and nobody used
    #[arg(long)]
    permitted: bool,
    /// How to print it
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: MapFormat,
    #[command(flatten)]
    place: SiteOptions,
}

/// The probes that report connections and lookups, and what becomes of their packets.
const EVENTS: [&str; 7] = ["tcpstate", "tcpretrans", "tcpreset", "drop", "udpbuf", "icmp", "dns"];
/// The probe that is read to learn which places there are.
const PLACES: &str = "sock";
/// The facts that are read of each place before the window.
const FACTS: [&str; 3] = ["addresses", "sockets", "peers"];
/// The facts that are read again after it.
const PEERS: [&str; 1] = ["peers"];

impl CliCommand for MapCommand {
    const NAME: &'static str = "map";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        if self.permitted && self.place.grammar() == Grammar::Machine {
            return Err(WrongUsage::error(
                "--permitted is about network policies, and --local looks at a machine; leave one of them out",
            ));
        }
        if self.length < Duration::from_secs(1) {
            return Err(WrongUsage::error(
                "--for is shorter than 1s, in which little can be seen; make it longer",
            ));
        }
        let Some((map, exit)) = block_on(self.look(context))? else {
            return Ok(Exit::Fine);
        };
        render::traffic_map(&map, self.output, context.colour)?;
        Ok(exit)
    }
}

impl MapCommand {
    /// The map, and how the command ends with it.
    async fn look(&self, context: &CommandContext) -> Result<Option<(TrafficMap, Exit)>> {
        let site = self.place.site(context).await?;
        let all = CaptureFilter::default();
        let Some(planned) = PlannedLook::of(&site, &self.scope, &self.place, all, &[], self.length).await? else {
            return Ok(None);
        };
        let greeted = planned.begin(context, &site).await?;
        let probes: Vec<String> = EVENTS
            .iter()
            .chain([&PLACES])
            .map(|probe| (*probe).to_owned())
            .collect();
        let OpenLook {
            mut session,
            recording,
            wanted,
            window,
            ..
        } = greeted.open(context, &site, &probes).await?;
        let opened = Instant::now();
        session.until(Some(opened + STEP), |state| rounds(state) > 0).await;
        let names = PlaceNames::of(wanted.inventory.as_ref());
        let targets = targets(&mut session, &names).await;
        let mut inventory = wanted.inventory;
        if let (Some(cluster), Some(inventory)) = (site.cluster_of(), inventory.as_mut()) {
            let own = targets.iter().filter_map(|target| target.name.split_once('/'));
            let namespaces: BTreeSet<String> = own.map(|(namespace, _)| namespace.to_owned()).collect();
            cluster.add_map_objects(inventory, namespaces).await;
        }
        let mut fold = TrafficFold::of(table(&session.state.evidence, &targets), &targets);
        session.progress.stage("watching who talks to whom");
        let mut order = EventOrder::default();
        session
            .until(Some(opened + self.length), |state| {
                for event in order.ready(state) {
                    fold.take(&event);
                }
                false
            })
            .await;
        let window_ms = opened.elapsed().as_millis() as u64;
        for event in window.close(&mut session).await {
            fold.take(&event);
        }
        let netns = targets.iter().filter_map(|target| target.netns).collect();
        path_facts::read_now(&mut session, netns, &PEERS).await;
        session.dismiss().await;
        let end_ns = fold.table.end(&targets, &session.state.evidence);
        let mut ends = MapEnds::new(&targets, inventory.as_ref());
        let mut lacks = missing(&session.state, Since::Opening);
        lacks.extend(unread(&session.state.evidence, &targets, &fold));
        if let Some(inventory) = &mut inventory {
            ends.meet_nodes(&session.state.evidence);
            let met = met(&session.state.evidence, &fold);
            meet_strangers(&site, inventory, &mut ends, met).await;
            lacks.append(&mut inventory.missing);
        }
        let mut permitted = Vec::new();
        if let Some(inventory) = inventory.as_ref().filter(|_| self.permitted) {
            let (edges, lack) = traffic_map::permitted(inventory, &targets);
            permitted = edges;
            lacks.extend(lack);
        }
        let (ends, edges) = traffic_map::traffic_map(&TrafficSeen {
            targets: &targets,
            fold: &fold,
            evidence: &session.state.evidence,
            ends: &ends,
            inventory: inventory.as_ref(),
            permitted: &permitted,
            end_ns,
        });
        session.progress.clear();
        let map = TrafficMap {
            api_version: API_VERSION.to_owned(),
            kind: "Map".to_owned(),
            at: now(),
            window_ms,
            ends,
            edges,
            missing: lacks,
        };
        let exit = if map.edges.is_empty() || !session.state.is_whole() {
            Exit::Inconclusive
        } else {
            Exit::Fine
        };
        Ok(Some((map, recording.end(exit))))
    }
}

/// The places that are looked at, with their addresses.
async fn targets(session: &mut Session, names: &PlaceNames) -> Vec<Endpoint> {
    session.progress.stage("reading sockets");
    let places = NumbersPlace::all(&session.state, names, Since::Opening);
    let mut targets: Vec<Endpoint> = places
        .iter()
        .filter(|place| place.netns != 0)
        .map(|place| traffic_map::endpoint_of(place, Vec::new()))
        .collect();
    for target in &targets {
        if let (Some(node), Some(netns)) = (session.state.named(&target.node), target.netns) {
            session.state.kernels.claim(node, netns);
        }
    }
    let netns = targets.iter().filter_map(|target| target.netns).collect();
    path_facts::read_again(session, netns, &FACTS).await;
    // Pods meet their nodes by addresses that the API does not tell.
    let nodes = session.state.evidence.nodes.iter().map(|node| node.host_netns);
    let nodes = nodes.filter(|netns| *netns != 0).collect();
    path_facts::read_again(session, nodes, &FACTS[..1]).await;
    for target in &mut targets {
        let facts = target.netns.and_then(|netns| session.state.evidence.netns(netns));
        let own = facts
            .and_then(|facts| facts.before.addresses.ok())
            .into_iter()
            .flatten();
        target.addresses = own.map(|own| own.address).filter(is_others).collect();
    }
    targets
}

/// Asks the API whose the addresses are that nobody is known to have.
async fn meet_strangers(site: &Site, inventory: &mut Inventory, ends: &mut MapEnds, met: BTreeSet<IpAddr>) {
    let Some(cluster) = site.cluster_of() else { return };
    let unknown = met.into_iter().filter(|address| ends.is_unknown(*address)).collect();
    let found = cluster.owners_of(unknown).await;
    ends.meet(&found);
    inventory.missing.extend(found.missing);
    inventory.pods.extend(found.pods);
    inventory.services.extend(found.services);
}

/// Every address that was seen.
fn met(evidence: &Evidence, fold: &TrafficFold) -> BTreeSet<IpAddr> {
    let conversations = fold.table.conversations.keys().flat_map(|key| [key.client, key.server]);
    let facts = evidence.netns.iter().flat_map(|netns| [&netns.before, &netns.after]);
    let peers = facts.filter_map(|facts| facts.peers.ok()).flatten();
    conversations
        .chain(peers.flat_map(|peer| [peer.client, peer.server]))
        .collect()
}

/// An address by which others can reach it.
fn is_others(address: &IpAddr) -> bool {
    let is_link_local = match address {
        IpAddr::V4(address) => address.is_link_local(),
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    !address.is_loopback() && !is_link_local
}

/// The conversations of these places, with all namespaces on whose packets are told.
fn table(evidence: &Evidence, targets: &[Endpoint]) -> ConversationTable {
    let mut table = ConversationTable::of(targets, |netns| {
        let known = evidence.netns(netns).and_then(|known| known.before.sockets.ok());
        known.cloned().unwrap_or_default()
    });
    table.look_at(evidence.nodes.iter().map(|node| node.host_netns));
    table
}

/// What is not on the map for want of room or because it was not told.
fn unread(evidence: &Evidence, targets: &[Endpoint], fold: &TrafficFold) -> Vec<Missing> {
    let mut all = Vec::new();
    if fold.table.left_out > 0 {
        let what = format!("{} conversations", fold.table.left_out);
        all.push(Missing::new(what, "there were more than there is room for").remedy("name fewer targets"));
    }
    for node in &evidence.nodes {
        for lost in node.lost.iter().filter(|lost| lost.untold() > 0) {
            let what = format!("{} events of probe {} on {}", lost.untold(), lost.probe, node.name);
            let why = "more came at once than can be told one by one";
            all.push(Missing::new(what, why).remedy("name fewer targets, or look when they are less busy"));
        }
    }
    for target in targets {
        let Some(netns) = target.netns.and_then(|netns| evidence.netns(netns)) else {
            continue;
        };
        for facts in [&netns.before.peers, &netns.after.peers] {
            match facts.get() {
                Err(missing) if missing.what.is_empty() => {
                    let what = format!("the sockets of {}", target.name);
                    all.push(Missing::new(what, "they were not read"));
                }
                Err(missing) => all.push(missing.clone()),
                Ok(_) => {}
            }
        }
    }
    all.dedup();
    all
}
