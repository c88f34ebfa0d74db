//! Which connection an event belongs to: by its socket, by its tuple, or because it began before it was looked at.

use super::{ConversationTable, key};
use crate::case::far_end::takes;
use crate::conversations::connection::ObservedConnection;
use crate::conversations::key::{Key, TargetRole};
use model::event::{Event, Seen};
use model::flow::{Flow, TCP, UDP};
use model::report::Direction;

/// Ports from here on are clients', unless somebody changed the range (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;
/// Events of one probe may come so much later than those of another.
const OUT_OF_ORDER_NS: u64 = 500_000_000;
/// A socket sends its first packet within this time.
const FIRST_PACKET_NS: u64 = 20_000_000;

impl ConversationTable {
    /// A socket leaves CLOSE before it has a port; the next that is told of its connection, or of a packet of it, has one.
    pub(super) fn learn_port(&mut self, event: &Event) {
        let flow = event.flow;
        if flow.protocol != TCP || flow.sport == 0 || flow.dport == 0 {
            return;
        }
        let own = self.index.of_socket(event);
        let known = self.index.of_flow(flow).or_else(|| self.index.of_flow(flow.reversed()));
        // A client may use its port again.
        if let Some(known) = known.filter(|(key, id)| !self.has_ended(*key, *id, event.at_ns)) {
            if let Some(own) = own {
                self.unite(own, known);
            }
            return;
        }
        if own.is_none() && event.sk != 0 && self.target_in(event.netns).is_some() {
            // A socket of a connection that was there before the window; no other has its port.
            return;
        }
        let found = own
            .map(|(key, id)| (key, id, flow))
            .or_else(|| self.portless(event.at_ns, flow))
            .or_else(|| self.portless(event.at_ns, flow.reversed()));
        let Some((key, id, flow)) = found else { return };
        // The socket's own view, or the packet's.
        let flow = if flow.dst() == key.server && flow.dport == key.port {
            flow
        } else {
            flow.reversed()
        };
        if let Some(connection) = self.connection(key, id).filter(|connection| connection.flow.sport == 0) {
            connection.flow = flow;
            self.index.learn_flow(flow, (key, id));
        }
    }

    /// What a target's socket is in the midst of tells that its connection was made, where that itself was not told.
    pub(super) fn learn_made(&mut self, event: &Event) {
        let state = match event.seen {
            Seen::StateChange { old, .. } => old,
            Seen::Retransmit { state, .. } | Seen::ResetReceived { state } | Seen::ResetSent { state, .. } => state,
            _ => return,
        };
        let Some((key, id)) = self.index.of_socket(event).filter(|_| state.is_synchronized()) else {
            return;
        };
        let Some(conversation) = self.conversations.get_mut(&key) else {
            return;
        };
        let made = &mut conversation.made;
        if let Some(connection) = conversation.connections.get_mut(&id)
            && connection.connected_ns.is_none()
            && !connection.existed
        {
            connection.existed = true;
            *made += 1;
        }
    }

    /// Events of different probes come in no common order: what was told of a connection before its beginning was seemed to be of one
    /// that had been there before the window.
    fn unite(&mut self, (key, id): (Key, u64), (of, early): (Key, u64)) {
        let Some(conversation) = self.conversations.get_mut(&key).filter(|_| of == key && early != id) else {
            return;
        };
        let Some(own) = conversation.connections.get(&id).filter(|own| own.flow.sport == 0) else {
            return;
        };
        let just_began = own.started_ns..own.started_ns.saturating_add(OUT_OF_ORDER_NS);
        let is_early = |other: &ObservedConnection| other.existed && just_began.contains(&other.started_ns);
        if !conversation.connections.get(&early).is_some_and(is_early) {
            return;
        }
        let told = conversation.connections.remove(&early);
        if let Some((told, own)) = told.zip(conversation.connections.get_mut(&id)) {
            *own = ObservedConnection {
                started_ns: own.started_ns,
                existed: false,
                ..told
            };
            self.index.learn_flow(own.flow, (key, id));
        }
    }

    /// The latest connection of this tuple that was begun just before, and whose port is not known: its first packet. Later ones may
    /// be another's, that was begun before the window.
    fn portless(&self, at_ns: u64, flow: Flow) -> Option<(Key, u64, Flow)> {
        let target = self.target_at(flow.src())?;
        let key = key(target, TargetRole::Client, flow);
        let connections = &self.conversations.get(&key)?.connections;
        let mut waiting = connections.iter().rev().filter(|(_, connection)| {
            let began = connection.started_ns..connection.started_ns.saturating_add(FIRST_PACKET_NS);
            connection.flow.sport == 0 && began.contains(&at_ns)
        });
        waiting.next().map(|(id, _)| (key, *id, flow))
    }

    /// It was there at that time, or began soon after: events of different probes come in no common order.
    pub(super) fn is_of(&self, key: Key, id: u64, at_ns: u64) -> bool {
        let connection = self.conversations.get(&key).and_then(|own| own.connections.get(&id));
        connection.is_some_and(|connection| {
            let until_ns = connection.ended_ns.unwrap_or(u64::MAX);
            (connection.started_ns.saturating_sub(OUT_OF_ORDER_NS)..until_ns).contains(&at_ns)
        })
    }

    fn has_ended(&self, key: Key, id: u64, at_ns: u64) -> bool {
        let connection = self.conversations.get(&key).and_then(|own| own.connections.get(&id));
        connection.is_none_or(|connection| connection.ended_ns.is_some_and(|ended_ns| ended_ns < at_ns))
    }

    pub(super) fn is_open(&self, key: Key, id: u64) -> bool {
        let connection = self.conversations.get(&key).and_then(|own| own.connections.get(&id));
        connection.is_some_and(|connection| connection.connected_ns.is_none() && connection.ended_ns.is_none())
    }

    /// Somebody asked a target for a connection, and the packet that did was lost or refused.
    pub(super) fn called(&mut self, event: &Event) -> Option<(Key, u64)> {
        self.called_by(event.flow, event.at_ns)
    }

    pub(super) fn called_by(&mut self, request: Flow, at_ns: u64) -> Option<(Key, u64)> {
        // Of what a target asks for its socket tells, where anything is told of sockets.
        let asks = self.target_at(request.src()).filter(|_| !self.told.changes);
        let (target, role) = match asks {
            Some(target) => (target, TargetRole::Client),
            None => (self.target_at(request.dst())?, TargetRole::Server),
        };
        let key = key(target, role, request);
        let id = self.begin(key, request, at_ns)?;
        Some((key, id))
    }

    /// A connection of a target that began before the window: which end the target is, its listeners tell.
    pub(super) fn older(&mut self, event: &Event) -> Option<(Key, u64, Direction)> {
        let flow = event.flow;
        let (target, local) = match (self.target_at(flow.src()), self.target_at(flow.dst())) {
            (Some(target), _) => (target, flow),
            (None, Some(target)) => (target, flow.reversed()),
            (None, None) => return None,
        };
        if flow.sport == 0 || flow.dport == 0 {
            return None;
        }
        let end = &self.targets[target];
        let listens = end.sockets.iter().any(|socket| {
            let is_bound = socket.state == "LISTEN" || socket.state == "UNCONN";
            is_bound
                && socket.flow.protocol == flow.protocol
                && socket.flow.sport == local.sport
                && takes(socket, local.src())
        });
        let is_high = |port: u16| port >= EPHEMERAL;
        let serves = match flow.protocol {
            // Whoever sends without connecting is bound to his port as well; where ports do not tell, he who sends first asks.
            UDP if is_high(local.sport) == is_high(local.dport) => flow != local,
            UDP => is_high(local.dport),
            // A port that nobody listens on is a client's, unless the other end's is as high and this one is not.
            _ => listens || local.sport < local.dport.min(1_024),
        };
        let (role, from_client) = if serves {
            (TargetRole::Server, local.reversed())
        } else {
            (TargetRole::Client, local)
        };
        let key = key(target, role, from_client);
        let id = self.begin(key, from_client, event.at_ns)?;
        let conversation = self.conversations.get_mut(&key)?;
        conversation.tried = conversation.tried.saturating_sub(u32::from(flow.protocol == TCP));
        conversation.connections.get_mut(&id)?.existed = true;
        let direction = if flow == from_client {
            Direction::Request
        } else {
            Direction::Answer
        };
        Some((key, id, direction))
    }

    /// The connection of an event at a socket, in the target's own namespace or elsewhere on its way.
    pub(super) fn met(&mut self, event: &Event) -> Option<&mut ObservedConnection> {
        let (key, id, _) = self.whose(event).or_else(|| self.older(event))?;
        self.connection(key, id)
    }
}
