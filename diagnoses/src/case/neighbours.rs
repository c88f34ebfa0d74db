//! Next hops of the watched packets that answered no ARP or ND, and who shares a link with whom.

use crate::case::Case;
use crate::case::trail::Trail;
use crate::kernel::drops::Class;
use crate::kernel::route::{self, Query, Way};
use crate::kernel::walk;
use model::event::Seen;
use model::evidence::Evidence;
use model::facts::{Link, NextHop};
use model::flow::Flow;
use model::report::Direction;
use std::net::IpAddr;

/// A next hop that did not answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Silent {
    /// Namespace that asked.
    pub netns: u32,
    /// Interface it asked on.
    pub ifindex: u32,
    /// The address asked for.
    pub address: IpAddr,
    /// What it stands for on the way.
    pub role: Role,
    /// Which packets wait for it.
    pub direction: Direction,
    /// Solicitations that went unanswered, where seen.
    pub probes: Option<u16>,
    /// Watched packets that were dropped for it.
    pub drops: usize,
    /// The neighbour table after the window holds it as failed or incomplete.
    pub failed_entry: bool,
}

/// What a next hop stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The packet's own target, on this link.
    Target,
    /// The gateway towards this address.
    Gateway(IpAddr),
    /// The far end of a tunnel.
    TunnelEnd,
}

/// Every silent next hop on the way of the watched packets, without repetition.
///
/// Proofs: a resolution that failed, was left unanswered twice, or once and is not resolved at the end; or a watched packet that was dropped for it.
pub fn silent(evidence: &Evidence, trail: &Trail<'_>) -> Vec<Silent> {
    let ends = ends(evidence, trail);
    let mut found: Vec<Silent> = Vec::new();
    for event in &evidence.events {
        let Seen::NeighbourFailed { state, probes } = event.seen else {
            continue;
        };
        let address = event.flow.dst();
        if state & FAILED == 0 && probes < 2 && !failed_entry(evidence, event.netns, address) {
            continue;
        }
        if let Some((role, direction)) = role(evidence, event.netns, event.ifindex, address, &ends) {
            let known = found
                .iter_mut()
                .find(|silent| (silent.netns, silent.address) == (event.netns, address));
            match known {
                Some(silent) => silent.probes = silent.probes.max(Some(probes)),
                None => found.push(Silent {
                    netns: event.netns,
                    ifindex: event.ifindex,
                    address,
                    role,
                    direction,
                    probes: Some(probes),
                    drops: 0,
                    failed_entry: failed_entry(evidence, event.netns, address),
                }),
            }
        }
    }
    for drop in trail.drops().filter(|drop| drop.class == Class::Neighbour) {
        let (netns, target) = (drop.event.netns, drop.event.flow.dst());
        let known = found
            .iter_mut()
            .find(|silent| silent.netns == netns && silent.direction == drop.direction);
        if let Some(silent) = known {
            silent.drops += 1;
            continue;
        }
        let Some(facts) = evidence.netns(netns) else {
            continue;
        };
        let (address, role, oif) = match route::lookup(&facts.before, &Query::to(target)) {
            Way::Out { hop, .. } => match hop.via {
                Some(via) => (via, Role::Gateway(target), hop.oif),
                None => (target, Role::Target, hop.oif),
            },
            _ => (target, Role::Target, None),
        };
        let role = if role == Role::Target && drop.in_tunnel() {
            Role::TunnelEnd
        } else {
            role
        };
        found.push(Silent {
            netns,
            ifindex: if drop.event.ifindex == 0 {
                oif.unwrap_or(0)
            } else {
                drop.event.ifindex
            },
            address,
            role,
            direction: drop.direction,
            probes: None,
            drops: 1,
            failed_entry: failed_entry(evidence, netns, address),
        });
    }
    found
}

/// `NUD_FAILED`.
const FAILED: u16 = 0x20;

/// Addresses the watched packets go to, and which way they go then.
fn ends(evidence: &Evidence, trail: &Trail<'_>) -> Vec<(IpAddr, Direction)> {
    let mut ends: Vec<(IpAddr, Direction)> = Vec::new();
    let mut add = |flow: &Flow, direction: Direction| {
        let (to, from) = match direction {
            Direction::Request => (flow.dst(), flow.src()),
            Direction::Answer => (flow.src(), flow.dst()),
        };
        for end in [(to, Direction::Request), (from, Direction::Answer)] {
            if !end.0.is_unspecified() && !ends.contains(&end) {
                ends.push(end);
            }
        }
    };
    for watched in &evidence.watched {
        add(&watched.flow, Direction::Request);
    }
    for leg in &trail.legs {
        for stop in &leg.stops {
            add(&stop.flow, leg.direction);
        }
    }
    ends
}

fn role(
    evidence: &Evidence,
    netns: u32,
    ifindex: u32,
    address: IpAddr,
    ends: &[(IpAddr, Direction)],
) -> Option<(Role, Direction)> {
    let facts = evidence.netns(netns)?;
    if let Some((_, direction)) = ends.iter().find(|(end, _)| *end == address) {
        return Some((Role::Target, *direction));
    }
    let is_next = |hop: &NextHop| hop.via == Some(address) && hop.oif.is_none_or(|oif| oif == ifindex || ifindex == 0);
    for (end, direction) in ends {
        if let Way::Out { route, .. } = route::lookup(&facts.before, &Query::to(*end))
            && route.hops.iter().any(is_next)
        {
            return Some((Role::Gateway(*end), *direction));
        }
    }
    // A translation that no hook shows, because the packet waits for its next hop right behind it.
    let expected = walk::path(evidence)
        .into_iter()
        .find(|hop| hop.netns == netns && hop.next_hop == Some(address));
    if let Some(hop) = expected {
        let target = hop.translated.unwrap_or(hop.flow).dst();
        let role = if target == address {
            Role::Target
        } else {
            Role::Gateway(target)
        };
        return Some((role, hop.direction));
    }
    let tunnel = facts
        .before
        .fdb
        .ok()
        .is_some_and(|fdb| fdb.iter().any(|entry| entry.dst == Some(address)))
        || facts.before.links.ok().is_some_and(|links| {
            links
                .iter()
                .any(|link| link.vxlan.as_ref().is_some_and(|vxlan| vxlan.remote == Some(address)))
        });
    tunnel.then_some((Role::TunnelEnd, Direction::Request))
}

fn failed_entry(evidence: &Evidence, netns: u32, address: IpAddr) -> bool {
    let table = evidence.netns(netns).and_then(|netns| netns.after.neighbours.ok());
    table.is_some_and(|table| {
        table
            .iter()
            .any(|entry| entry.address == address && matches!(entry.state.as_str(), "FAILED" | "INCOMPLETE"))
    })
}

/// Both are known to be on one link: two ends of a pair, or ports of one bridge. Elsewhere somebody between may answer for the
/// owner (proxy ARP, as clouds do), and its hardware address is right.
pub fn on_one_link(case: &Case<'_>, (netns, link): (u32, &Link), (owner, own): (u32, &Link)) -> bool {
    let plugged = |netns: u32, link: &Link| {
        let far = case.peer(netns, link);
        let (netns, link) = far.unwrap_or((netns, link));
        (netns, link.master.unwrap_or(link.index))
    };
    let peer = |netns: u32, link: &Link| case.peer(netns, link).map(|(netns, link)| (netns, link.index));
    peer(netns, link) == Some((owner, own.index))
        || peer(owner, own) == Some((netns, link.index))
        || plugged(netns, link) == plugged(owner, own)
        || plugged(netns, link) == (owner, own.index)
        || plugged(owner, own) == (netns, link.index)
}
