//! A conversation as a question that the rules can judge: its two ends, its connections as attempts, and the events about them.

use super::connection::ObservedConnection;
use super::conversation::Conversation;
use super::key::Key;
use super::lookup::ObservedLookup;
use super::outcomes;
use super::table::ConversationTable;
use crate::case::attribution::same_packet;
use crate::kernel::walk;
use model::attempt::{Attempt, WatchedFlow};
use model::endpoint::{Endpoint, EndpointKind};
use model::event::{Event, Seen};
use model::evidence::{Evidence, Intent};
use model::flow::{Flow, TCP, UDP, protocol_name};
use model::inventory::Inventory;
use model::missing::Known;
use model::report::Direction;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

/// Connections that a question is made of, at most.
const ATTEMPTS_MAX: usize = 64;
/// The port of name servers.
const DNS: u16 = 53;
/// A packet passes one node within this time.
const ONE_WAY_NS: u64 = 20_000_000;
/// Two programs that tell of the same drop run one after the other, and few other events come between.
const SAME_DROP_NS: u64 = 500_000;
const FEW: usize = 16;
/// The probe that follows packets hop by hop.
const TRAIL: &str = "path";

/// Both ends of a conversation, as far as they are known.
#[derive(Clone, Debug, Default)]
pub struct Ends {
    /// The end that asks.
    pub client: Endpoint,
    /// The end that should answer.
    pub server: Endpoint,
}

/// A conversation that was followed.
#[derive(Clone, Debug)]
pub struct PathOf {
    /// Which one.
    pub key: Key,
    /// Its ends.
    pub ends: Ends,
    /// What the API says of them.
    pub inventory: Known<Inventory>,
    /// Since when its packets were watched hop by hop; `None` where they were not.
    pub since_ns: Option<u64>,
}

/// The question whether this conversation works, with what was seen of it. `seen` holds the facts of the namespaces on its way and
/// all events.
#[must_use]
pub fn question(seen: &Evidence, table: &ConversationTable, path: &PathOf, now_ns: u64) -> Evidence {
    let (key, ends) = (path.key, path.ends.clone());
    let now_ns = table.until_ns(key.target, now_ns);
    let none = Conversation::default();
    let conversation = table.conversations.get(&key).unwrap_or(&none);
    let is_lookup = !conversation.lookups.is_empty();
    let service = ends.server.kind == EndpointKind::Service;
    let mut asked = Asked {
        other_clients: other_clients(table, key),
        ..Asked::default()
    };
    if is_lookup {
        asked.look_up(conversation, path.since_ns);
    } else {
        asked.connect(conversation, path.since_ns, now_ns, seen.limits.slow_ms * 1_000_000);
    }
    let events = asked.events(seen, table, key);
    let netns = ends.client.netns.unwrap_or_default();
    let mut question = Evidence {
        intent: match (is_lookup, service) {
            (true, _) => Intent::Dns,
            (false, true) => Intent::PodToService,
            (false, false) => Intent::PodToPod,
        },
        source: ends.client,
        destination: ends.server,
        protocol: protocol_name(key.protocol).into_owned(),
        attempts: asked.attempts,
        watched: asked
            .flows
            .into_iter()
            .map(|(flow, attempt)| WatchedFlow { attempt, netns, flow })
            .collect(),
        events,
        specs: Vec::new(),
        passive: true,
        every_family: false,
        inventory: path.inventory.clone(),
        ..without_events(seen)
    };
    leave_off_path_out(&mut question);
    outcomes::complete(&mut question, conversation, asked.hop_by_hop);
    if !asked.hop_by_hop {
        forget_hops(&mut question);
    }
    question
}

/// Nobody watched the packets of these attempts hop by hop: where they were not seen they may have been.
fn forget_hops(question: &mut Evidence) {
    question.events.retain(|event| !matches!(event.seen, Seen::Hop { .. }));
    for node in &mut question.nodes {
        node.probes.retain(|probe| probe.name != TRAIL);
    }
}

/// What lies on no way of this conversation is another's, whatever it looks like.
fn leave_off_path_out(question: &mut Evidence) {
    // What was met where nobody looked is another's: tuples are the same in every cluster of a machine.
    let known: BTreeSet<u32> = question.netns.iter().map(|netns| netns.id).collect();
    question
        .events
        .retain(|event| event.netns == 0 || known.contains(&event.netns));
    let mut on_path: BTreeSet<u32> = walk::path(question).iter().map(|hop| hop.netns).collect();
    on_path.extend(
        [question.source.netns, question.destination.netns]
            .into_iter()
            .flatten(),
    );
    on_path.extend(
        question
            .events
            .iter()
            .filter(|event| event.attempt.is_some())
            .map(|event| event.netns),
    );
    question.netns.retain(|netns| on_path.contains(&netns.id));
    question
        .events
        .retain(|event| event.attempt.is_some() || on_path.contains(&event.netns));
}

/// All but the events, of which there may be many.
fn without_events(seen: &Evidence) -> Evidence {
    Evidence {
        nodes: seen.nodes.clone(),
        netns: seen.netns.clone(),
        processes: seen.processes.clone(),
        missing: seen.missing.clone(),
        window: seen.window,
        limits: seen.limits,
        ..Evidence::default()
    }
}

/// The number under which the packets of a conversation were followed, as a packet shows that has met no translation yet.
fn followed_as(seen: &Evidence, key: Key) -> Option<u32> {
    let is_own = |flow: Flow| {
        (flow.src(), flow.dst(), flow.dport, flow.protocol) == (key.client, key.server, key.port, key.protocol)
    };
    let mut followed = seen
        .events
        .iter()
        .filter(|event| event.attempt.is_some() && event.quoted.is_none());
    followed.find(|event| is_own(event.flow))?.attempt
}

/// Clients that have a conversation with the same server and port.
fn other_clients(table: &ConversationTable, key: Key) -> BTreeSet<IpAddr> {
    let keys = table.conversations.keys();
    let others = keys.filter(|other| {
        (other.server, other.port, other.protocol) == (key.server, key.port, key.protocol) && other.client != key.client
    });
    others.map(|other| other.client).collect()
}

/// The attempts that a conversation becomes in a question, and their numbers.
#[derive(Default)]
struct Asked {
    attempts: Vec<Attempt>,
    flows: BTreeMap<Flow, u32>,
    /// Attempts of connections, by the number of the connection in the table.
    connections: BTreeMap<u64, u32>,
    /// Whether their packets were watched hop by hop.
    hop_by_hop: bool,
    /// Attempts by the client's port.
    ports: HashMap<u16, u32>,
    /// Other clients of the same server and port.
    other_clients: BTreeSet<IpAddr>,
    /// By attempt: when its connection began, in nanoseconds, if an earlier one had the same tuple.
    again: HashMap<u32, u64>,
}

/// Tuples that several connections had one after the other, and the last that has each.
fn used_again(conversation: &Conversation) -> HashMap<Flow, u64> {
    let mut last: HashMap<Flow, (usize, u64)> = HashMap::new();
    let told = conversation.connections.iter();
    for (id, connection) in told.filter(|(_, connection)| connection.flow.sport != 0) {
        let (times, of) = last.entry(connection.flow).or_default();
        (*times, *of) = (*times + 1, *id);
    }
    let again = last.into_iter().filter(|(_, (times, _))| *times > 1);
    again.map(|(flow, (_, id))| (flow, id)).collect()
}

impl Asked {
    /// Adds connections: those that were watched hop by hop, if one of them failed; else all of them, as if nobody had watched.
    fn connect(&mut self, conversation: &Conversation, since_ns: Option<u64>, now_ns: u64, slow_ns: u64) {
        let since_ns = since_ns.unwrap_or(u64::MAX);
        let watched = |connection: &ObservedConnection| {
            // If an end does not read, packets tell what it says from now on, whenever the connection began.
            connection.started_ns >= since_ns || connection.existed || connection.unread.stays()
        };
        let bad = |connection: &ObservedConnection| {
            let slow = connection.connected_ns.is_some() && connection.waited_ns(now_ns) > slow_ns;
            let odd = connection.reset.is_some() || connection.is_one_sided() || connection.unread.stays();
            connection.failed(now_ns) || odd || slow
        };
        let mut connections = conversation.connections.values();
        self.hop_by_hop = connections.any(|connection| watched(connection) && bad(connection));
        let mut chosen: Vec<(&u64, bool)> = conversation
            .connections
            .iter()
            .filter(|(_, connection)| !self.hop_by_hop || watched(connection))
            .map(|(id, connection)| (id, bad(connection)))
            .collect();
        // The last of each kind: what was read after the window is about them.
        chosen.sort_by_key(|(id, bad)| (!bad, core::cmp::Reverse(**id)));
        chosen.truncate(ATTEMPTS_MAX);
        let mut ids: Vec<u64> = chosen.into_iter().map(|(id, _)| *id).collect();
        ids.sort_unstable();
        let again = used_again(conversation);
        for id in ids {
            let connection = &conversation.connections[&id];
            let last = again.get(&connection.flow);
            // Packets cannot tell connections of one tuple apart.
            if last.is_some_and(|last| *last != id) {
                continue;
            }
            let number = self.next();
            if last.is_some() {
                self.again.insert(number, connection.started_ns);
            }
            self.connections.insert(id, number);
            self.flows.insert(connection.flow, number);
            self.ports.insert(connection.flow.sport, number);
            // What became of one that was there before is not asked.
            if !connection.existed || connection.failed(now_ns) {
                self.attempts.push(connection.attempt(number, now_ns));
            }
        }
    }

    fn look_up(&mut self, conversation: &Conversation, since_ns: Option<u64>) {
        let since_ns = since_ns.unwrap_or(u64::MAX);
        let watched = |lookup: &&ObservedLookup| lookup.started_ns >= since_ns;
        self.hop_by_hop = conversation
            .lookups
            .iter()
            .any(|lookup| watched(&lookup) && !lookup.is_well());
        let hop_by_hop = self.hop_by_hop;
        let chosen = |lookup: &&ObservedLookup| !hop_by_hop || watched(lookup);
        for lookup in conversation.lookups.iter().filter(chosen) {
            let number = self.attempts.len() as u32 + 1;
            for query in &lookup.queries {
                self.flows.insert(query.flow, number);
                self.ports.insert(query.flow.sport, number);
            }
            self.attempts.push(lookup.attempt(number));
        }
    }

    fn next(&self) -> u32 {
        self.connections.len() as u32 + 1
    }

    /// The events about these attempts, each under its number, and those that tell of the neighbours on the way.
    fn events(&mut self, seen: &Evidence, table: &ConversationTable, key: Key) -> Vec<Event> {
        let mut events = Vec::new();
        let trail = followed_as(seen, key);
        // A packet keeps its address while its tuple is translated.
        let mut packets: HashMap<u64, (u32, &Event)> = HashMap::new();
        for event in &seen.events {
            // Unless it was freed meanwhile, and a packet of another conversation or connection has it now.
            let is_anothers = || table.whose(event).is_some_and(|(of, ..)| of != key);
            let carried = packets.get(&event.skb).filter(|(_, met)| {
                let soon = event.at_ns.saturating_sub(met.at_ns) < ONE_WAY_NS;
                soon && same_packet(met.packet, event.packet) && !is_anothers()
            });
            let number = match event.attempt {
                Some(_) if trail.is_some() && event.attempt == trail && event.quoted.is_none() => {
                    let number = self.of_client(event, key);
                    number.or(carried.map(|(number, _)| *number))
                }
                Some(_) => None,
                None => self.of_tuple(event, table, key),
            };
            let number = number.filter(|number| !self.is_of_earlier(*number, event));
            if let Some(number) = number.filter(|_| event.skb != 0 && matches!(event.seen, Seen::Hop { .. })) {
                packets.insert(event.skb, (number, event));
            }
            let told = |known: &Event| {
                let drops = [known, event]
                    .iter()
                    .all(|event| matches!(event.seen, Seen::Drop { .. }));
                // The packet that is dropped next may well have the address of the last one.
                drops
                    && (known.skb, known.netns, known.attempt) == (event.skb, event.netns, number)
                    && event.at_ns.abs_diff(known.at_ns) < SAME_DROP_NS
            };
            if event.skb != 0 && events.iter().rev().take(FEW).any(told) {
                continue;
            }
            let beside = matches!(event.seen, Seen::NeighbourFailed { .. });
            if number.is_some() || beside {
                events.push(Event {
                    attempt: number,
                    ..event.clone()
                });
            }
        }
        events
    }

    /// It was met before the connection began that has its tuple now.
    fn is_of_earlier(&self, number: u32, event: &Event) -> bool {
        let began_ns = self.again.get(&number);
        began_ns.is_some_and(|began_ns| event.at_ns.saturating_add(ONE_WAY_NS) < *began_ns)
    }

    /// By the client's port, which no translation of the far end changes.
    fn of_client(&mut self, event: &Event, key: Key) -> Option<u32> {
        let flow = event.flow;
        // Several clients of one server may be followed under one number.
        if self.other_clients.contains(&flow.src()) || self.other_clients.contains(&flow.dst()) {
            return None;
        }
        let back = flow.dst() == key.client || (flow.sport == key.port && flow.dport != key.port);
        let port = if back { flow.dport } else { flow.sport };
        if let Some(number) = self.ports.get(&port) {
            return Some(*number);
        }
        // A connection that was there before the window, and that nothing but its packets tells of.
        let whole = !back && matches!(event.seen, Seen::Hop { .. }) && flow.protocol == TCP && flow.src() == key.client;
        if !whole || self.ports.len() >= ATTEMPTS_MAX {
            return None;
        }
        let number = self.ports.len().max(self.flows.len()) as u32 + 1;
        self.ports.insert(port, number);
        self.flows.insert(flow, number);
        Some(number)
    }

    fn of_tuple(&self, event: &Event, table: &ConversationTable, key: Key) -> Option<u32> {
        let own = |flow: Flow| self.flows.get(&flow).copied();
        if let Some(number) = own(event.flow).or_else(|| own(event.flow.reversed())) {
            return Some(number);
        }
        let of_server = |flow: Flow| flow.protocol == UDP && (flow.sport == DNS || flow.dport == DNS);
        if key.port == DNS && of_server(event.flow) {
            let flow = event.flow;
            let port = if flow.sport == DNS { flow.dport } else { flow.sport };
            return self.ports.get(&port).copied();
        }
        let (of, id, _): (Key, u64, Direction) = table.whose(event)?;
        if of == key {
            self.connections.get(&id).copied()
        } else {
            None
        }
    }
}
