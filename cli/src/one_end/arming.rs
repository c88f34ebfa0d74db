//! The probes of rare events, armed at a node, and the time there.

use crate::conversation::session::Session;
use crate::conversation::state::ConversationState;
use model::event::Event;
use model::protocol::{Filter, Request};
use std::net::IpAddr;
use std::time::Duration;

/// What tells of faults and costs nothing while there are none.
pub const PROBES: [&str; 8] = [
    "drop",
    "tcpreset",
    "tcpretrans",
    "tcpstate",
    "icmp",
    "neigh",
    "udpbuf",
    "dns",
];
/// Single events of a node's probe that are reported in a second; beyond them only totals.
const EVENTS_PER_SECOND: u32 = 20_000;

/// Arms the probes of rare events at a node, for what happens in these namespaces and to packets of these addresses, and opens
/// their window.
pub fn arm(session: &mut Session, node: usize, id: u32, netns: Vec<u32>, residents: Vec<IpAddr>) {
    let known = session.state.nodes[node].hello.as_ref();
    let has = |name: &&str| known.is_some_and(|hello| hello.probes.iter().any(|probe| probe.name == **name));
    let probes = PROBES
        .iter()
        .filter(|name| has(name))
        .map(|name| (*name).to_owned())
        .collect();
    let filter = Filter {
        netns,
        residents,
        events_per_second: EVENTS_PER_SECOND,
        ..Filter::default()
    };
    session.ask_at(node, Request::Arm { id, probes, filter });
    session.ask_at(node, Request::Go { id });
}

/// The time at a node so long after its window was opened, by its own clock, as far as the client can tell: that of another node may
/// be ahead.
pub fn now_ns(state: &ConversationState, node: &str, elapsed: Duration) -> u64 {
    let evidence = &state.evidence;
    let is_alone = evidence.nodes.len() == 1;
    let own = |event: &&Event| is_alone || evidence.node_of(event) == node;
    let latest = evidence.events.iter().rev().find(own).map_or(0, |event| event.at_ns);
    let opened = evidence.node(node).map(|node| node.window.start_ns);
    let opened = opened.filter(|start_ns| *start_ns != 0);
    latest.max(opened.unwrap_or(evidence.window.start_ns) + elapsed.as_nanos() as u64)
}
