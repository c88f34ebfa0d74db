//! What a flow may look like at another node than the one it is sent from: as it was sent, translated to an endpoint, or
//! masqueraded as well. Pure.

use crate::conversation::state::ConversationState;
use model::attempt::WatchedFlow;
use model::flow::{Flow, TCP, UDP};
use std::net::{IpAddr, SocketAddr};

/// The number under which a node follows flows that may be ours and may be another's: it is no attempt's. Whose they are is
/// known by the tuple that was seen leaving the source's node.
pub const MAYBE_OURS: u32 = 0xffff;
/// Ends followed for what may come masqueraded, at most.
const ENDS_MAX: usize = 64;

/// The tuples under which packets of these flows may come in at another node.
pub fn flows(state: &ConversationState, sent: &[WatchedFlow]) -> Vec<WatchedFlow> {
    let mut flows: Vec<WatchedFlow> = Vec::new();
    let mut masqueraded: Vec<WatchedFlow> = Vec::new();
    for watched in sent {
        let flow = watched.flow;
        for to in targets(state, flow) {
            add(
                &mut flows,
                watched.attempt,
                Flow::new(flow.protocol, SocketAddr::new(flow.src(), flow.sport), to),
            );
            // A flow that is known by its far end alone would be met twice.
            if let Some(node) = masquerade(state, flow).filter(|_| flow.sport != 0 && masqueraded.len() < ENDS_MAX) {
                let from = SocketAddr::new(node, 0);
                add(&mut masqueraded, MAYBE_OURS, Flow::new(flow.protocol, from, to));
            }
        }
    }
    flows.append(&mut masqueraded);
    flows
}

fn add(flows: &mut Vec<WatchedFlow>, attempt: u32, flow: Flow) {
    // It starts in none of the namespaces there.
    let watched = WatchedFlow {
        attempt,
        netns: 0,
        flow,
    };
    if !flows.contains(&watched) {
        flows.push(watched);
    }
}

/// Where it was sent, and the endpoints that may stand behind that.
fn targets(state: &ConversationState, flow: Flow) -> Vec<SocketAddr> {
    let mut targets = vec![SocketAddr::new(flow.dst(), flow.dport)];
    for backend in &state.backends {
        let alike = |address: &&IpAddr| address.is_ipv4() == flow.dst().is_ipv4();
        let port = if flow.dport == 0 {
            0
        } else {
            backend.port.unwrap_or(flow.dport)
        };
        targets.extend(
            backend
                .addresses
                .iter()
                .filter(alike)
                .map(|address| SocketAddr::new(*address, port)),
        );
    }
    targets.dedup();
    targets
}

/// The address under which the source's node sends on what it masquerades; `None` where that would be the same flow.
fn masquerade(state: &ConversationState, flow: Flow) -> Option<IpAddr> {
    if !matches!(flow.protocol, TCP | UDP) {
        return None;
    }
    let node = state.evidence.inventory.ok()?.node(&state.evidence.source.node)?;
    let own = node
        .addresses
        .iter()
        .find(|own| own.is_ipv4() == flow.src().is_ipv4())?;
    (*own != flow.src()).then_some(*own)
}

#[cfg(test)]
mod tests {
    use super::{MAYBE_OURS, flows};
    use crate::conversation::state::ConversationState;
    use model::attempt::WatchedFlow;
    use model::endpoint::Endpoint;
    use model::flow::{Flow, TCP};
    use model::inventory::{Inventory, Node};
    use model::missing::Known;

    #[test]
    fn a_flow_to_a_service_may_come_in_at_each_endpoint_and_masqueraded() {
        let mut state = ConversationState::of(["n1".to_owned(), "n2".to_owned()]);
        state.evidence.source.node = "n1".into();
        state.evidence.inventory = Known::Known(Inventory {
            nodes: vec![Node {
                name: "n1".into(),
                addresses: vec!["10.200.0.11".parse().unwrap()],
                ..Node::default()
            }],
            ..Inventory::default()
        });
        state.backends = vec![Endpoint {
            addresses: vec!["10.244.2.7".parse().unwrap()],
            port: Some(8080),
            ..Endpoint::default()
        }];
        let flow = |from: &str, to: &str| Flow::new(TCP, from.parse().unwrap(), to.parse().unwrap());
        let sent = WatchedFlow {
            attempt: 3,
            netns: 9,
            flow: flow("10.244.1.5:4001", "10.96.0.7:80"),
        };
        let watched = |attempt, flow| WatchedFlow {
            attempt,
            netns: 0,
            flow,
        };
        assert_eq!(
            flows(&state, &[sent]),
            [
                watched(3, flow("10.244.1.5:4001", "10.96.0.7:80")),
                watched(3, flow("10.244.1.5:4001", "10.244.2.7:8080")),
                watched(MAYBE_OURS, flow("10.200.0.11:0", "10.96.0.7:80")),
                watched(MAYBE_OURS, flow("10.200.0.11:0", "10.244.2.7:8080")),
            ]
        );
    }
}
