//! What facts say is wrong with a tunnel: an entry that leads to a wrong host, a device that is gone.

use crate::case::Case;
use crate::case::node_routes;
use crate::case::tunnels::{self, crossings};
use crate::kernel::interfaces;
use crate::kernel::route::{self, Query, Way};
use crate::kernel::tunnel;
use model::facts::Link;
use model::report::Direction;
use std::net::IpAddr;

/// A forwarding entry for a device of another node that leads to an address which that node does not have.
#[derive(Clone, Debug)]
pub struct AstrayEntry<'a> {
    /// Namespace of the tunnel's device.
    pub netns: u32,
    /// That device.
    pub link: &'a Link,
    /// The hardware address of the entry.
    pub mac: &'a str,
    /// Where it leads.
    pub to: IpAddr,
    /// The namespace whose device bears the hardware address.
    pub far: u32,
    /// That device.
    pub device: &'a Link,
}

/// The first such entry on the way of packets that did not come to the node they were for.
pub fn astray<'a>(case: &Case<'a>) -> Option<AstrayEntry<'a>> {
    crossings(case).into_iter().find_map(|crossing| {
        let to = crossing.outer?.dst();
        let (netns, link) = (crossing.netns, crossing.link);
        let vni = link.vxlan.as_ref()?.vni;
        let fdb = case.before(netns, "forwarding entries", |facts| &facts.fdb).ok()?;
        let mut entries = fdb
            .iter()
            .filter(|entry| entry.ifindex == link.index && entry.dst == Some(to));
        let (mac, (far, device)) = entries.find_map(|entry| Some((&*entry.mac, bearer(case, vni, &entry.mac)?)))?;
        let far_facts = &case.evidence.netns(far)?.before;
        let reached = case.failed().iter().any(|tried| {
            let leg = case.leg(tried.attempt.id, crossing.direction);
            leg.is_some_and(|leg| leg.reached(far))
        });
        let right = far == netns || far_facts.addresses.ok().is_none() || interfaces::owns(far_facts, to);
        // An address that this node has only in front of a translation is no wrong one.
        (!reached && !right && belongs_to_another(case, netns, far, to)).then_some(AstrayEntry {
            netns,
            link,
            mac,
            to,
            far,
            device,
        })
    })
}

/// The namespace and the device of this network that bear a hardware address.
fn bearer<'a>(case: &Case<'a>, vni: u32, mac: &str) -> Option<(u32, &'a Link)> {
    let fits = |link: &&Link| link.vxlan.as_ref().is_some_and(|vxlan| vxlan.vni == vni) && link.mac == mac;
    let mut all = case.evidence.netns.iter();
    all.find_map(|netns| Some((netns.id, tunnels::devices(case, netns.id).find(fits)?)))
}

/// Another host is known to have the address, or it is looked for on a link on which its owner would be known.
fn belongs_to_another(case: &Case<'_>, netns: u32, far: u32, address: IpAddr) -> bool {
    let owned = case.owners(address).iter().any(|(owner, _)| *owner != far);
    let node = case.node(far);
    let listed = |of_it: bool| {
        let nodes = case.inventory().map_or(&[][..], |inventory| &inventory.nodes);
        let mut all = nodes.iter().filter(|other| (other.name == node) == of_it);
        all.any(|other| other.addresses.contains(&address))
    };
    let unanswered = case.silent.iter().any(|silent| silent.address == address);
    let on_link = case.evidence.netns(netns).is_some_and(|netns| {
        let way = route::lookup(&netns.before, &Query::to(address));
        matches!(way, Way::Out { hop, .. } if hop.via.is_none())
    });
    !listed(true) && (owned || unanswered || on_link || listed(false))
}

/// A node that lacks the tunnel's device, the other node's device, and the other node.
pub fn without_device<'a>(case: &Case<'a>, attempt: u32, direction: Direction) -> Option<(u32, &'a Link, u32)> {
    let host = |name: &str| case.evidence.node(name).map(|node| node.host_netns);
    if let Some(lacking) = node_routes::lacking_in_silence(case, attempt, direction) {
        let other = lacking.by_tunnel().filter(|_| lacking.own_device(case).is_none())?;
        return Some((lacking.netns, other, host(&lacking.node.name)?));
    }
    // What a program sends into the tunnel takes no route.
    let leg = case.leg(attempt, direction)?;
    let here = leg.farthest().map(|stop| case.node(stop.netns))?;
    let ends = [case.evidence.source.netns?, case.evidence.destination.netns?].map(|end| case.node(end));
    let there = ends
        .iter()
        .find(|node| **node != here)
        .filter(|_| ends.contains(&here))?;
    let stayed = leg.stops.iter().all(|stop| case.node(stop.netns) == here);
    let (netns, far) = (host(&here)?, host(there)?);
    let other = tunnels::devices(case, far).find(|link| tunnel::is_external(link) && link.up)?;
    case.after(netns, "interfaces", |facts| &facts.links).ok()?;
    let has = tunnels::devices(case, netns).any(|link| link.kind == other.kind);
    (stayed && !has).then_some((netns, other, far))
}
