//! Conversations of targets, folded from events one by one: how many connections each tried and made, and what became of them.
//!
//! A table of a busy pod has to stay small: of connections that ended well their number is kept, and of the others some.

mod belonging;
mod doubt;
mod telling;

use super::connection::ObservedConnection;
use super::connection_index::ConnectionIndex;
use super::conversation::Conversation;
use super::key::{Key, TargetRole};
use super::lookup::{Lookups, ObservedLookup};
use crate::kernel::drops::{Class, class_of};
use model::endpoint::Endpoint;
use model::event::{Event, Seen};
use model::facts::Socket;
use model::flow::Flow;
use model::report::Direction;
use model::word::Hook;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Conversations that are kept; beyond them new ones are only counted.
const CONVERSATIONS_MAX: usize = 4_096;

/// All conversations of all targets.
#[derive(Debug, Default)]
pub struct ConversationTable {
    targets: Vec<TargetEnd>,
    places: BTreeSet<u32>,
    /// By what tells them apart.
    pub conversations: BTreeMap<Key, Conversation>,
    index: ConnectionIndex,
    lookups: Lookups,
    next: u64,
    /// Connect times in nanoseconds, of connections that targets made.
    pub connect_ns: Vec<u64>,
    /// Answer times in nanoseconds, of lookups of targets.
    pub lookup_ns: Vec<u64>,
    /// Conversations that found no room.
    pub left_out: u64,
    /// What is told of sockets.
    told: Told,
}

/// What is told of sockets: where less is, less is known of connections.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// Each change of their state.
    changes: bool,
    /// Each segment that is sent again.
    resent: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            changes: true,
            resent: true,
        }
    }
}

#[derive(Debug)]
struct TargetEnd {
    netns: u32,
    addresses: Vec<IpAddr>,
    sockets: Vec<Socket>,
    /// Until when it was looked at, by the clock of its node.
    until_ns: Option<u64>,
}

impl ConversationTable {
    /// Of these targets, whose sockets were read before the window.
    #[must_use]
    pub fn of(targets: &[Endpoint], sockets: impl Fn(u32) -> Vec<Socket>) -> Self {
        let target = |end: &Endpoint| TargetEnd {
            netns: end.netns.unwrap_or_default(),
            addresses: end.addresses.clone(),
            sockets: end.netns.map(&sockets).unwrap_or_default(),
            until_ns: None,
        };
        Self {
            targets: targets.iter().map(target).collect(),
            lookups: Lookups::of(targets),
            ..Self::default()
        }
    }

    /// The same, told by these probes alone.
    #[must_use]
    pub fn told_by(mut self, probes: &[String]) -> Self {
        let tells = |name: &str| probes.iter().any(|probe| probe == name);
        self.told = Told {
            changes: tells("tcpstate"),
            resent: tells("tcpretrans"),
        };
        self
    }

    /// Takes in an event; those of a node in time order.
    pub fn take(&mut self, event: &Event) {
        let is_ours = event.netns == 0 || self.places.contains(&event.netns) || self.target_in(event.netns).is_some();
        if !is_ours {
            return;
        }
        self.learn_port(event);
        self.learn_made(event);
        match &event.seen {
            Seen::StateChange { old, new, .. } => self.changed(event, *old, *new),
            Seen::SocketError { errno, soft: false } => {
                if let Some(connection) = self.met(event) {
                    connection.fail(*errno);
                }
            }
            Seen::Retransmit { state, .. } => self.resent(event, *state),
            Seen::Hop {
                hook: Hook::Receive, ..
            } => self.knocked(event),
            Seen::RetransmitSynAck => self.unanswered(event),
            Seen::ResetReceived { state } => self.reset(event, None, state.has_closed()),
            Seen::ResetSent { reason, .. } => self.reset(event, reason.clone(), false),
            Seen::Drop { .. } if class_of(event) != Some(Class::Benign) => self.dropped(event),
            Seen::ReceiveBufferFull { .. } => self.lost_datagram(event),
            Seen::DnsQuery { .. } | Seen::DnsAnswer { .. } | Seen::DnsUnanswered { .. } => self.asked(event),
            _ => {}
        }
    }

    /// Besides the targets' own namespaces, these are on the way of their packets. What happens elsewhere to the same tuples is
    /// another's.
    pub fn look_at(&mut self, places: impl IntoIterator<Item = u32>) {
        self.places.extend(places);
    }

    /// The conversation and connection of an event, and which way it goes.
    #[must_use]
    pub fn whose(&self, event: &Event) -> Option<(Key, u64, Direction)> {
        self.index.whose(event)
    }

    /// Conversations with name servers that keep somebody waiting, and for how long at least.
    pub fn waiting(&self, now_ns: u64) -> impl Iterator<Item = (Key, u64)> + '_ {
        let waiting = self.lookups.waiting_long(move |target| self.until_ns(target, now_ns));
        waiting.map(|(target, role, flow, waited_ns)| (key(target, role, flow), waited_ns))
    }

    /// Another target is its client, and tells more of it.
    #[must_use]
    pub fn is_twin(&self, key: &Key) -> bool {
        key.role == TargetRole::Server && self.target_at(key.client).is_some()
    }

    /// A target was looked at until now, by the clock of its node: that of another may be ahead.
    pub fn look_until(&mut self, target: usize, at_ns: u64) {
        if let Some(end) = self.targets.get_mut(target) {
            end.until_ns = Some(at_ns);
        }
    }

    /// Until when a target was looked at, by the clock of its node; `now_ns` where that is not known.
    #[must_use]
    pub fn until_ns(&self, target: usize, now_ns: u64) -> u64 {
        until_ns(&self.targets, target, now_ns)
    }

    /// Lookups that are still waited for when the window closes have come to their end.
    pub fn close(&mut self, now_ns: u64) {
        let targets = &self.targets;
        let left = self.lookups.close(|target| until_ns(targets, target, now_ns));
        for (target, lookup) in left {
            if lookup.has_waited_long(self.until_ns(target, now_ns)) || !self.answers(target, &lookup) {
                self.looked_up(target, &lookup);
            }
        }
    }

    /// Other lookups were answered by the server of this one.
    fn answers(&self, target: usize, lookup: &ObservedLookup) -> bool {
        let conversation = lookup
            .flow()
            .and_then(|flow| self.conversations.get(&key(target, lookup.role, flow)));
        conversation.is_some_and(|conversation| conversation.made > 0)
    }

    /// A new connection of a conversation; `None` where there is no room.
    fn begin(&mut self, key: Key, flow: Flow, at_ns: u64) -> Option<u64> {
        self.next += 1;
        let id = self.next;
        let conversation = self.room_for(key)?;
        conversation.tried += 1;
        let connection = ObservedConnection {
            flow,
            role: key.role,
            started_ns: at_ns,
            ..ObservedConnection::default()
        };
        conversation.connections.insert(id, connection);
        for gone in conversation.make_room(at_ns) {
            self.index.forget_flow(gone.flow);
        }
        if flow.sport != 0 {
            self.index.learn_flow(flow, (key, id));
        }
        Some(id)
    }

    fn room_for(&mut self, key: Key) -> Option<&mut Conversation> {
        if self.conversations.len() >= CONVERSATIONS_MAX && !self.conversations.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        Some(self.conversations.entry(key).or_default())
    }

    fn connection(&mut self, key: Key, id: u64) -> Option<&mut ObservedConnection> {
        self.conversations.get_mut(&key)?.connections.get_mut(&id)
    }

    fn target_in(&self, netns: u32) -> Option<usize> {
        self.targets.iter().position(|target| target.netns == netns)
    }

    fn target_at(&self, address: IpAddr) -> Option<usize> {
        self.targets
            .iter()
            .position(|target| target.addresses.contains(&address))
    }
}

fn key(target: usize, role: TargetRole, flow: Flow) -> Key {
    Key {
        target,
        role,
        client: flow.src(),
        server: flow.dst(),
        port: flow.dport,
        protocol: flow.protocol,
    }
}

fn until_ns(targets: &[TargetEnd], target: usize, now_ns: u64) -> u64 {
    let end = targets.get(target);
    end.and_then(|end| end.until_ns).unwrap_or(now_ns)
}
