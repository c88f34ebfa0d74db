//! What looks like a fault in ambient traffic and is none: each of these is healthy somewhere every second.

use super::connection::ObservedConnection;
use super::conversation::Conversation;
use super::key::{Key, TargetRole};
use super::table::ConversationTable;

/// A client that tries both families goes on with the other one within this time (RFC 8305, 5: 250 ms; some wait for longer).
const OTHER_FAMILY_NS: u64 = 2_000_000_000;
/// Whoever was refused at so many ports of one end looks for open ones.
const SCANNED_PORTS: usize = 3;
/// One refusal at a server's port is a client's slip; it is a fault when it goes on.
const REFUSALS_MIN: usize = 2;

/// Nothing of this conversation that looks like a failure is one.
pub fn is_innocent(table: &ConversationTable, key: &Key, conversation: &Conversation, now_ns: u64) -> bool {
    let failed: Vec<&ObservedConnection> = conversation
        .connections
        .values()
        .filter(|connection| connection.failed(now_ns))
        .collect();
    if failed.is_empty() || !conversation.lookups.is_empty() || !failed.iter().all(|connection| connection.refused()) {
        return false;
    }
    match key.role {
        TargetRole::Client => failed
            .iter()
            .all(|refused| made_over_the_other_family(table, key, refused)),
        TargetRole::Server => {
            failed.len() < REFUSALS_MIN
                || is_scanned(table, key, now_ns)
                || failed.iter().all(|refused| served_later(table, key, refused))
        }
    }
}

/// Whether the same client was refused over one family and served over the other.
fn made_over_the_other_family(table: &ConversationTable, key: &Key, refused: &ObservedConnection) -> bool {
    let others = table.conversations.iter().filter(|(other, _)| {
        (other.target, other.role, other.port, other.protocol)
            == (key.target, TargetRole::Client, key.port, key.protocol)
            && other.server.is_ipv4() != key.server.is_ipv4()
    });
    let made = |connection: &ObservedConnection| {
        let connected_ns = connection.connected_ns.unwrap_or(u64::MAX);
        connected_ns.abs_diff(refused.started_ns) < OTHER_FAMILY_NS
    };
    others.flat_map(|(_, other)| other.connections.values()).any(made)
}

/// The client knocks at one port after another.
fn is_scanned(table: &ConversationTable, key: &Key, now_ns: u64) -> bool {
    let refused = |other: &Conversation| {
        let mut connections = other.connections.values();
        connections.any(|connection| connection.refused() && connection.failed(now_ns))
    };
    let ports = table.conversations.iter().filter(|(other, conversation)| {
        (other.target, other.role, other.client) == (key.target, TargetRole::Server, key.client)
            && refused(conversation)
    });
    ports.count() >= SCANNED_PORTS
}

/// The program came up: whoever asked too early was served a moment later.
fn served_later(table: &ConversationTable, key: &Key, refused: &ObservedConnection) -> bool {
    let same_port = table.conversations.iter().filter(|(other, _)| {
        (other.target, other.role, other.port, other.protocol)
            == (key.target, TargetRole::Server, key.port, key.protocol)
    });
    let mut connections = same_port.flat_map(|(_, other)| other.connections.values());
    connections.any(|other| other.connected_ns.is_some_and(|at_ns| at_ns > refused.started_ns))
}
