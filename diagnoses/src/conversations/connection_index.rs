//! Which connection an event is about: by its tuple, either way round; by the client's end of it; or by its socket.

use super::key::Key;
use model::event::Event;
use model::flow::Flow;
use model::report::Direction;
use std::collections::HashMap;
use std::net::IpAddr;

/// A conversation, and the number of one of its connections.
pub type ConnectionId = (Key, u64);

/// Where connections are found.
#[derive(Debug, Default)]
pub struct ConnectionIndex {
    sockets: HashMap<(u32, u64), ConnectionId>,
    flows: HashMap<Flow, ConnectionId>,
    /// By protocol, address and port of the client, which a translation of the server leaves as they are.
    clients: HashMap<(u8, IpAddr, u16), ConnectionId>,
}

impl ConnectionIndex {
    /// The conversation and connection of an event, and which way it goes.
    pub fn whose(&self, event: &Event) -> Option<(Key, u64, Direction)> {
        let flow = event.flow;
        let of_client = |address, port| self.clients.get(&(flow.protocol, address, port)).copied();
        let request = || self.of_flow(flow).or_else(|| of_client(flow.src(), flow.sport));
        let answer = || {
            self.of_flow(flow.reversed())
                .or_else(|| of_client(flow.dst(), flow.dport))
        };
        let there = |(key, id)| (key, id, Direction::Request);
        let back = |(key, id)| (key, id, Direction::Answer);
        let exactly = self
            .of_flow(flow)
            .map(there)
            .or_else(|| self.of_flow(flow.reversed()).map(back));
        exactly
            .or_else(|| request().map(there))
            .or_else(|| answer().map(back))
            .or_else(|| self.of_socket(event).map(there))
    }

    /// That of exactly this tuple, from client to server.
    pub fn of_flow(&self, flow: Flow) -> Option<ConnectionId> {
        self.flows.get(&flow).copied()
    }

    /// That of the socket at which it happened.
    pub fn of_socket(&self, event: &Event) -> Option<ConnectionId> {
        self.sockets.get(&(event.netns, event.sk)).copied()
    }

    /// This tuple, from client to server, is a connection's.
    pub fn learn_flow(&mut self, flow: Flow, connection: ConnectionId) {
        self.flows.insert(flow, connection);
        self.clients.insert((flow.protocol, flow.src(), flow.sport), connection);
    }

    /// The socket of this event is a connection's.
    pub fn learn_socket(&mut self, event: &Event, connection: ConnectionId) {
        self.sockets.insert((event.netns, event.sk), connection);
    }

    /// A connection of this tuple is no longer kept.
    pub fn forget_flow(&mut self, flow: Flow) {
        self.flows.remove(&flow);
        self.clients.remove(&(flow.protocol, flow.src(), flow.sport));
    }

    /// The socket of this event is closed.
    pub fn forget_socket(&mut self, event: &Event) {
        self.sockets.remove(&(event.netns, event.sk));
    }
}
