//! One conversation: what a target and a peer have to say to each other on one port, and what it has cost.

use super::connection::ObservedConnection;
use super::key::Cost;
use super::lookup::ObservedLookup;
use std::collections::BTreeMap;

/// Connections of a conversation that are kept one by one.
const CONNECTIONS_MAX: usize = 256;
/// Lookups that are kept one by one.
const LOOKUPS_MAX: usize = 64;

/// What a target and one peer have to say to each other on one port.
#[derive(Clone, Debug, Default)]
pub struct Conversation {
    /// Connections or lookups that were begun in the window.
    pub tried: u32,
    /// How many connections were made, or lookups found something.
    pub made: u32,
    /// Connections by their number, as many as are kept.
    pub connections: BTreeMap<u64, ObservedConnection>,
    /// Lookups that did not go well, as many as are kept, and the last that did.
    pub lookups: Vec<ObservedLookup>,
    /// What connections and lookups have cost that are kept no more.
    gone: Cost,
}

impl Conversation {
    /// What it has cost until now. Above `slow_ns` a connection is slow.
    #[must_use]
    pub fn cost(&self, now_ns: u64, slow_ns: u64) -> Cost {
        let connections = self
            .connections
            .values()
            .map(|connection| one(connection, now_ns, slow_ns));
        let lookups = self.lookups.iter().map(ObservedLookup::cost);
        connections.chain(lookups).fold(self.gone, Cost::and)
    }

    /// Something of it did not go well.
    #[must_use]
    pub fn suffers(&self, now_ns: u64, slow_ns: u64) -> bool {
        let cost = self.cost(now_ns, slow_ns);
        // A reset may be the client's own wish, and a program may take its time; who waits for what is found out.
        let odd = |connection: &ObservedConnection| {
            connection.reset.is_some() || connection.is_one_sided() || connection.unread.stays()
        };
        cost.is_felt() || self.connections.values().any(odd)
    }

    /// Takes in a lookup that has come to its end.
    pub fn look_up(&mut self, lookup: &ObservedLookup) {
        self.tried += 1;
        self.made += u32::from(lookup.found());
        let kept = |well: bool| self.lookups.iter().filter(|other| other.is_well() == well).count();
        if lookup.is_well() {
            // One of them shows what an answer looks like.
            self.lookups.retain(|other| !other.is_well());
        } else if kept(false) >= LOOKUPS_MAX {
            self.gone = self.gone.and(lookup.cost());
            return;
        }
        self.lookups.push(lookup.clone());
    }

    /// Lets connections go where there are too many: those that ended well, the oldest first.
    pub fn make_room(&mut self, now_ns: u64) -> Vec<ObservedConnection> {
        let mut gone = Vec::new();
        while self.connections.len() > CONNECTIONS_MAX {
            let done = |connection: &ObservedConnection| {
                connection.is_over() && !connection.failed(now_ns) && connection.reset.is_none()
            };
            let first = self.connections.iter().find(|(_, connection)| done(connection));
            let Some(id) = first.or_else(|| self.connections.iter().next()).map(|(id, _)| *id) else {
                break;
            };
            if let Some(connection) = self.connections.remove(&id) {
                self.gone = self.gone.and(one(&connection, now_ns, u64::MAX));
                gone.push(connection);
            }
        }
        gone
    }
}

fn one(connection: &ObservedConnection, now_ns: u64, slow_ns: u64) -> Cost {
    let failed = connection.failed(now_ns);
    let waited_ns = connection.waited_ns(now_ns);
    let slow = connection.connected_ns.is_some() && waited_ns > slow_ns;
    Cost {
        failed: u32::from(failed),
        // What is refused is answered.
        lost: if connection.refused() {
            0
        } else {
            connection.resent.max(connection.dropped).max(connection.overflowed)
        },
        waited_ns: if slow || (failed && connection.connected_ns.is_none()) {
            waited_ns
        } else {
            0
        },
    }
}
