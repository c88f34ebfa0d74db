//! From one node to the next: what lies between them was not looked into, so the next place is where the packet must come in.

use super::frame::Crossed;
use super::{WalkEnd, Walker};
use crate::kernel::interfaces;
use crate::kernel::route::{self, Query, Way};
use core::net::IpAddr;
use model::evidence::NetnsEvidence;
use model::flow::Flow;

impl Walker<'_, '_> {
    /// Where a packet that leaves a node comes in at another one that was looked at: at the node that is its next hop, else at
    /// the node that its destination lives on.
    pub(super) fn onward(&self, netns: u32, next_hop: IpAddr, flow: Flow, crossed: Crossed) -> Crossed {
        let Crossed::Ends(WalkEnd::LeavesMachine | WalkEnd::Unknown(_)) = crossed else {
            return crossed;
        };
        let Some(here) = self.evidence.netns(netns).filter(|_| self.evidence.nodes.len() > 1) else {
            return crossed;
        };
        // What leaves a pod comes to its own node first.
        if self.evidence.host(&here.node).is_none_or(|host| host.id != netns) {
            return crossed;
        }
        let others = || self.evidence.netns.iter().filter(|other| other.node != here.node);
        let owns = |other: &&NetnsEvidence, address| interfaces::owns(&other.before, address);
        let nodes = self.evidence.nodes.iter().filter(|node| node.name != here.node);
        let next = nodes
            .filter_map(|node| self.evidence.netns(node.host_netns))
            .find(|host| owns(host, next_hop))
            .or_else(|| {
                let owner = others().find(|other| owns(other, flow.dst()))?;
                self.evidence.host(&owner.node)
            });
        match next.and_then(|host| Some((host.id, comes_in(host, flow)?))) {
            Some((netns, ifindex)) => Crossed::Lands(netns, ifindex),
            None => crossed,
        }
    }
}

/// The interface by which a node would answer is the one by which it is taken to be asked.
fn comes_in(host: &NetnsEvidence, flow: Flow) -> Option<u32> {
    match route::lookup(&host.before, &Query::to(flow.src())) {
        Way::Out { hop, .. } => hop.oif,
        _ => None,
    }
}
