//! Routes from a node to the pods of another one: a node that lacks one hands their packets to a gateway, as it does with all that
//! it does not know.

use crate::case::Case;
use crate::case::routing;
use crate::case::tunnels;
use crate::kernel::route::{self, Query, Way};
use crate::kernel::tunnel;
use crate::verdict::remedy::Remedy;
use ipnet::IpNet;
use model::facts::{Link, Route};
use model::inventory::Node;
use model::report::Direction;
use std::net::IpAddr;

/// A route to another node's pods that a node does not have.
#[derive(Clone, Debug)]
pub struct LackingRoute<'a> {
    /// The node's own namespace.
    pub netns: u32,
    /// A packet's destination.
    pub target: IpAddr,
    /// The node that it lives on.
    pub node: &'a Node,
    /// The range of that node's pods, where it is known, else the address itself.
    pub range: String,
    /// The route that packets take instead.
    pub route: Route,
    /// The gateway that they are handed to: it is not that node.
    pub gateway: IpAddr,
    /// The interface by which the other node sends to this one's pods, where it has a route of its own for them.
    pub mirrored: Option<&'a Link>,
}

impl<'a> LackingRoute<'a> {
    /// The device of the other node's tunnel, where the nodes reach each other's pods by one.
    pub fn by_tunnel(&self) -> Option<&'a Link> {
        self.mirrored.filter(|link| tunnel::is_tunnel(link))
    }

    /// The tunnel device of this node that the lacking route would lead to.
    pub fn own_device(&self, case: &Case<'a>) -> Option<&'a Link> {
        let other = self.by_tunnel()?;
        tunnels::devices(case, self.netns).find(|link| tunnel::understand(link, other))
    }

    /// An address of the other node by which it could be reached.
    pub fn via(&self) -> Option<IpAddr> {
        let mut addresses = self.node.addresses.iter();
        addresses.find(|own| own.is_ipv4() == self.target.is_ipv4()).copied()
    }
}

/// The route that a node lacks on the way of an attempt's packets. Whether that is a fault, or the network beyond the gateway
/// carries them, other facts have to say.
pub fn lacking<'a>(case: &Case<'a>, attempt: u32, direction: Direction) -> Option<LackingRoute<'a>> {
    let inventory = case.inventory()?;
    let leg = case.leg(attempt, direction)?;
    let looked_into = |netns: u32| case.evidence.netns(netns).is_some();
    let stop = leg.stops.iter().rev().find(|stop| looked_into(stop.netns))?;
    let from = case.node(stop.netns);
    let netns = case.evidence.node(&from).map_or(stop.netns, |node| node.host_netns);
    let target = stop.flow.dst();
    let holds = |node: &&Node| pods_range(node, target).is_some();
    // A pod's address may lie in the range of another node than its own, where blocks of addresses are not handed out by ranges.
    let node = match inventory.pods_at(target).next() {
        Some(pod) => inventory.node(&pod.node),
        None => inventory.nodes.iter().find(holds),
    }
    .filter(|node| node.name != from)?;
    let facts = &case.evidence.netns(netns)?.before;
    let Way::Out { route, hop } = route::lookup(facts, &Query::to(target)) else {
        return None;
    };
    let gateway = hop.via.filter(|via| !node.addresses.contains(via))?;
    let of_its_own = pods_range(node, target).map_or(0, |range| range.prefix_len().min(16));
    if route.prefix > of_its_own {
        return None;
    }
    let range = pods_range(node, target).map_or_else(|| target.to_string(), |range| range.to_string());
    let here = inventory.node(&from);
    let mirrored = case.evidence.host(&node.name).and_then(|other| {
        let Way::Out { route, hop } = route::lookup(&other.before, &Query::to(stop.flow.src())) else {
            return None;
        };
        let link = case.link(other.id, hop.oif?)?;
        let to_this_node = hop
            .via
            .is_some_and(|via| here.is_some_and(|here| here.addresses.contains(&via)));
        (route.prefix > 0 && (to_this_node || tunnel::is_tunnel(link))).then_some(link)
    });
    Some(LackingRoute {
        netns,
        target,
        node,
        range,
        route: route.clone(),
        gateway,
        mirrored,
    })
}

/// A route that is lacking, where nothing but that explains the attempt: its packets were not seen to be dropped, never came to the other
/// node, and that node has a route of its own for the other direction, so it is not the network beyond that carries them.
pub fn lacking_in_silence<'a>(case: &Case<'a>, attempt: u32, direction: Direction) -> Option<LackingRoute<'a>> {
    let leg = case.leg(attempt, direction)?;
    let found = lacking(case, attempt, direction)?;
    let met = leg.stops.iter().any(|stop| case.node(stop.netns) == found.node.name);
    (found.mirrored.is_some() && leg.drops.is_empty() && !met).then_some(found)
}

/// Who writes such routes, and the one that can be written by hand.
pub fn remedy(case: &Case<'_>, lacking: &LackingRoute<'_>) -> Remedy {
    let name = case.name(lacking.netns);
    if let Some(device) = lacking.own_device(case) {
        return format!(
            "restart the CNI's agent on {name}: it writes the route to {}, which leads into {}",
            lacking.range, device.name
        )
        .into();
    }
    let why = format!(
        "restart the CNI's agent on {name}, or see why it did not write a route to {}",
        lacking.range
    );
    let write = lacking.via().and_then(|via| {
        let ours = routing::add_route(lacking.target);
        case.command(lacking.netns, ours, &[&lacking.range, &via])
    });
    Remedy::from(why).run(": ", write)
}

/// The range of the node's pods that an address is in.
fn pods_range(node: &Node, address: IpAddr) -> Option<IpNet> {
    let ranges = node.pod_cidrs.iter().filter_map(|range| range.parse::<IpNet>().ok());
    ranges.into_iter().find(|range| range.contains(&address))
}
