//! The edges of a map: conversations and sockets of all places, brought together by which ends they are between.

use super::ends::{MapEnds, of_pod, of_service};
use super::fold::{DropPlace, TrafficFold};
use super::permitted::PermittedEdge;
use super::rulings::{EdgeRulings, behind, selected};
use diagnoses::conversations::{Key, ObservedConnection, TargetRole};
use model::endpoint::Endpoint;
use model::evidence::Evidence;
use model::facts::{NetnsFacts, SocketPeer};
use model::flow::protocol_name;
use model::inventory::Inventory;
use model::traffic_map::{EdgeSource, MapDrop, MapEdge, MapEnd};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// What was seen in the window.
#[derive(Debug)]
pub struct TrafficSeen<'a> {
    /// The places that were watched.
    pub targets: &'a [Endpoint],
    /// What events told of them.
    pub fold: &'a TrafficFold,
    /// What was read of them before and after.
    pub evidence: &'a Evidence,
    /// Whose addresses are.
    pub ends: &'a MapEnds,
    /// The API's objects, where there are any.
    pub inventory: Option<&'a Inventory>,
    /// What policies expressly permit, where that was asked for.
    pub permitted: &'a [PermittedEdge],
    /// When the window closed, by the nodes' clock.
    pub end_ns: u64,
}

/// Which edge: source and destination by id, port, protocol.
type EdgeKey = (String, String, u16, String);

/// What an edge comes to.
#[derive(Default)]
struct EdgeSum {
    edge: MapEdge,
    drops: BTreeMap<(String, String), u64>,
    /// Smoothed round trip times, each with the connections of which it is the middle one.
    rtts_us: Vec<(u32, u32)>,
    /// Bytes on open connections before the window, in both directions.
    before: (u64, u64),
    rulings: EdgeRulings,
}

/// The ends and the edges between them, what suffers most first.
pub fn traffic_map(seen: &TrafficSeen) -> (Vec<MapEnd>, Vec<MapEdge>) {
    let mut edges = Edges {
        seen,
        ends: BTreeMap::new(),
        sums: BTreeMap::new(),
    };
    // What stays within a place has no way that could be drawn.
    let leave = |key: &&Key| !key.server.is_loopback() && key.client != key.server;
    for key in seen.fold.table.conversations.keys().filter(leave) {
        edges.converse(key);
    }
    for (at, target) in seen.targets.iter().enumerate() {
        let facts = target.netns.and_then(|netns| seen.evidence.netns(netns));
        if let Some(facts) = facts {
            for peer in peers(&facts.before) {
                edges.was_open(at, peer);
            }
            for peer in peers(&facts.after) {
                edges.is_open(at, peer);
            }
        }
    }
    edges.declare();
    for permitted in seen.permitted {
        edges.permit(permitted);
    }
    edges.told()
}

fn peers(facts: &NetnsFacts) -> impl Iterator<Item = &SocketPeer> {
    facts.peers.ok().into_iter().flatten()
}

struct Edges<'a> {
    seen: &'a TrafficSeen<'a>,
    ends: BTreeMap<String, MapEnd>,
    sums: BTreeMap<EdgeKey, EdgeSum>,
}

impl Edges<'_> {
    /// What events told of a conversation.
    fn converse(&mut self, key: &Key) {
        let seen = self.seen;
        let Some(conversation) = seen.fold.table.conversations.get(key) else {
            return;
        };
        let is_lookup = !conversation.lookups.is_empty();
        let cost = conversation.cost(seen.end_ns, u64::MAX);
        let events = seen.fold.events(key);
        let drops = events.into_iter().flat_map(|events| &events.drops);
        let drops: Vec<((String, String), u64)> = drops
            .map(|(place, packets)| ((self.place(place), place.why.clone()), *packets))
            .collect();
        let Some(sum) = self.edge(key) else {
            return;
        };
        let edge = &mut sum.edge;
        if is_lookup {
            edge.lookups += u64::from(conversation.tried);
        } else {
            edge.connections += u64::from(conversation.tried);
        }
        for (place, packets) in drops {
            *sum.drops.entry(place).or_default() += packets;
        }
        edge.failed += u64::from(cost.failed);
        edge.retransmits += events.map_or(0, |events| events.retransmits);
        // One that was never made was refused, and has failed.
        let is_reset = |connection: &&ObservedConnection| {
            connection.reset.is_some() && (connection.connected_ns.is_some() || connection.existed)
        };
        edge.resets += conversation.connections.values().filter(is_reset).count() as u64;
        edge.sent_bytes += events.map_or(0, |events| events.sent_bytes);
        edge.received_bytes += events.map_or(0, |events| events.received_bytes);
    }

    /// The edge of a conversation. What a client tells by itself is counted there; what came to a place through a service is an
    /// edge from that service.
    fn edge(&mut self, key: &Key) -> Option<&mut EdgeSum> {
        let seen = self.seen;
        let is_other_side = seen.fold.table.is_twin(key);
        let own = seen.ends.target(key.target);
        let (source, destination) = match key.role {
            TargetRole::Client => (own, seen.ends.at(key.server)),
            TargetRole::Server if is_other_side => (self.service_before(key)?, own),
            TargetRole::Server => (seen.ends.at(key.client), own),
        };
        let protocol = protocol_name(key.protocol).into_owned();
        let sum = self.between(source, destination, key.port, &protocol);
        if !sum.edge.is_observed() {
            sum.edge.known.push(EdgeSource::Observed);
        }
        if let Some(inventory) = seen.inventory.filter(|_| !is_other_side) {
            sum.rulings.ask(inventory, key.client, key.server, key.port, &protocol);
        }
        Some(sum)
    }

    /// The service through which a watched client came to this place, where it is the only one that can be.
    fn service_before(&self, key: &Key) -> Option<MapEnd> {
        let direct = |other: &Key| {
            let server = (other.client, other.server, other.port, other.protocol);
            other.role == TargetRole::Client && server == (key.client, key.server, key.port, key.protocol)
        };
        if self.seen.fold.table.conversations.keys().any(direct) || self.is_open_to(key) {
            return None;
        }
        let inventory = self.seen.inventory?;
        let pod = inventory.pods_at(key.server).next()?;
        let protocol = protocol_name(key.protocol);
        let leads_here = |service: &&model::inventory::Service| {
            service.ports.iter().any(|port| {
                behind(inventory, service, port.port, &protocol)
                    .iter()
                    .any(|(other, number)| other.uid == pod.uid && *number == key.port)
            })
        };
        let mut services = inventory.services.iter().filter(leads_here);
        let service = services.next()?;
        services.next().is_none().then(|| of_service(service))
    }

    /// The client's own sockets are connected to this place by its own address.
    fn is_open_to(&self, key: &Key) -> bool {
        let mut clients = self
            .seen
            .targets
            .iter()
            .filter(|target| target.addresses.contains(&key.client));
        clients.any(|client| {
            let facts = client.netns.and_then(|netns| self.seen.evidence.netns(netns));
            facts.is_some_and(|facts| {
                peers(&facts.before).chain(peers(&facts.after)).any(|peer| {
                    !peer.is_server && (peer.server, peer.port, peer.protocol) == (key.server, key.port, key.protocol)
                })
            })
        })
    }

    fn between(&mut self, source: MapEnd, destination: MapEnd, port: u16, protocol: &str) -> &mut EdgeSum {
        let key = (source.id.clone(), destination.id.clone(), port, protocol.to_owned());
        let edge = MapEdge {
            source: source.id.clone(),
            destination: destination.id.clone(),
            port,
            protocol: protocol.to_owned(),
            ..MapEdge::default()
        };
        for end in [source, destination] {
            let watched = end.watched;
            self.ends.entry(end.id.clone()).or_insert(end).watched |= watched;
        }
        self.sums.entry(key).or_insert_with(|| EdgeSum {
            edge,
            ..EdgeSum::default()
        })
    }

    fn key_of(at: usize, peer: &SocketPeer) -> Key {
        Key {
            target: at,
            role: if peer.is_server {
                TargetRole::Server
            } else {
                TargetRole::Client
            },
            client: peer.client,
            server: peer.server,
            port: peer.port,
            protocol: peer.protocol,
        }
    }

    /// Sockets of a place before the window.
    fn was_open(&mut self, at: usize, peer: &SocketPeer) {
        let key = Self::key_of(at, peer);
        if let Some(sum) = self.edge(&key) {
            let (sent, received) = directions(peer);
            sum.before = (sum.before.0 + sent, sum.before.1 + received);
        }
    }

    /// Sockets of a place after it.
    fn is_open(&mut self, at: usize, peer: &SocketPeer) {
        let key = Self::key_of(at, peer);
        if let Some(sum) = self.edge(&key) {
            let (sent, received) = directions(peer);
            sum.edge.sent_bytes += sent;
            sum.edge.received_bytes += received;
            sum.edge.open += u64::from(peer.connections);
            if peer.rtt_p50_us > 0 {
                sum.rtts_us.push((peer.rtt_p50_us, peer.connections));
            }
        }
    }

    /// Services stand for pods that are watched, whether anybody asked them or not.
    fn declare(&mut self) {
        let Some(inventory) = self.seen.inventory else { return };
        let watched: BTreeSet<IpAddr> = self
            .seen
            .targets
            .iter()
            .flat_map(|target| target.addresses.iter().copied())
            .collect();
        for service in &inventory.services {
            let mut stands_for = BTreeSet::new();
            for port in &service.ports {
                let protocol = port.protocol.to_lowercase();
                let pods = selected(inventory, service).filter(|pod| !pod.host_network);
                for pod in pods.filter(|pod| pod.addresses.iter().any(|address| watched.contains(address))) {
                    for number in diagnoses::kubernetes::pods::target_numbers(pod, port) {
                        stands_for.insert((of_pod(pod), number, protocol.clone()));
                    }
                }
            }
            for (workload, number, protocol) in stands_for {
                let workload = MapEnd {
                    watched: true,
                    ..workload
                };
                self.between(of_service(service), workload, number, &protocol)
                    .edge
                    .known
                    .push(EdgeSource::Declared);
            }
        }
    }

    /// Policies let one workload in at another. Where it asked a service that stands for that one, the permission was used.
    fn permit(&mut self, permitted: &PermittedEdge) {
        let PermittedEdge {
            source,
            destination,
            port,
            protocol,
        } = permitted;
        let sums = &self.sums;
        let stands_for_it = |service: &str| {
            let key = (service.to_owned(), destination.id.clone(), *port, protocol.clone());
            sums.contains_key(&key)
        };
        let mut asked = sums
            .values()
            .filter(|sum| sum.edge.is_observed() && sum.edge.source == source.id);
        if asked.any(|sum| sum.edge.destination.starts_with("Service/") && stands_for_it(&sum.edge.destination)) {
            return;
        }
        let sum = self.between(source.clone(), destination.clone(), *port, protocol);
        sum.edge.known.push(EdgeSource::Permitted);
        sum.rulings.permit();
    }

    /// Where packets were dropped, as people call it.
    fn place(&self, place: &DropPlace) -> String {
        let evidence = self.seen.evidence;
        let node = match place.node.as_str() {
            "" => evidence.nodes.first().map_or("", |node| node.name.as_str()),
            name => name,
        };
        let is_of_node = evidence.node(node).is_some_and(|node| node.host_netns == place.netns);
        if place.netns == 0 || is_of_node {
            return node.to_owned();
        }
        let mut targets = self.seen.targets.iter();
        let own = targets.find(|target| target.netns == Some(place.netns));
        match own {
            Some(target) => target.name.clone(),
            None => format!("netns {} on {node}", place.netns),
        }
    }

    fn told(self) -> (Vec<MapEnd>, Vec<MapEdge>) {
        let mut edges: Vec<MapEdge> = self.sums.into_values().map(told).collect();
        edges.sort_by_key(|edge| {
            let hurts = Reverse((edge.failed, edge.dropped(), edge.resets, edge.retransmits));
            (
                hurts,
                !edge.is_observed(),
                Reverse(edge.connections + edge.lookups),
                Reverse(edge.open),
            )
        });
        (self.ends.into_values().collect(), edges)
    }
}

/// Bytes from client to server, and back.
const fn directions(peer: &SocketPeer) -> (u64, u64) {
    if peer.is_server {
        (peer.received_bytes, peer.sent_bytes)
    } else {
        (peer.sent_bytes, peer.received_bytes)
    }
}

fn told(mut sum: EdgeSum) -> MapEdge {
    let mut edge = sum.edge;
    edge.sent_bytes = edge.sent_bytes.saturating_sub(sum.before.0);
    edge.received_bytes = edge.received_bytes.saturating_sub(sum.before.1);
    let drops = sum.drops.into_iter();
    edge.drops = drops
        .map(|((place, why), packets)| MapDrop { place, why, packets })
        .collect();
    edge.drops.sort_by_key(|drop| Reverse(drop.packets));
    edge.ruling = sum.rulings.together();
    edge.denied_by = sum.rulings.denied_by.into_iter().collect();
    sum.rtts_us.sort_unstable();
    let all: u64 = sum.rtts_us.iter().map(|(_, connections)| u64::from(*connections)).sum();
    let mut below = 0;
    let mut rtts = sum.rtts_us.into_iter();
    edge.rtt_p50_us = rtts.find_map(|(rtt_us, connections)| {
        below += u64::from(connections);
        (2 * below >= all).then_some(rtt_us)
    });
    edge
}
