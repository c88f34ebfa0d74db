//! What a flow may look like at another node than the one it is sent from: translated to a backend there, or as it was sent.
//! Pure.

use crate::look::Look;
use model::attempt::WatchedFlow;
use model::flow::Flow;
use std::net::SocketAddr;

/// The tuples under which the packets of these flows may come in at a node.
pub fn flows(look: &Look, node: usize, sent: &[WatchedFlow]) -> Vec<WatchedFlow> {
    let mut flows: Vec<WatchedFlow> = Vec::new();
    let start = look.evidence.nodes[node].host_netns;
    for watched in sent {
        let flow = watched.flow;
        let mut add = |to: SocketAddr| {
            let flow = Flow::new(flow.protocol, SocketAddr::new(flow.src(), flow.sport), to);
            let known = |other: &WatchedFlow| other.flow == flow && other.attempt == watched.attempt;
            if !flows.iter().any(known) {
                flows.push(WatchedFlow {
                    attempt: watched.attempt,
                    netns: start,
                    flow,
                });
            }
        };
        add(SocketAddr::new(flow.dst(), flow.dport));
        for backend in &look.backends {
            let port = backend.port.unwrap_or(flow.dport);
            let alike = |address: &&std::net::IpAddr| address.is_ipv4() == flow.dst().is_ipv4();
            for address in backend.addresses.iter().filter(alike) {
                add(SocketAddr::new(*address, if flow.dport == 0 { 0 } else { port }));
            }
        }
    }
    flows
}
