//! Tunnels that the watched packets go through: by which device, between which addresses, over which interface.

use crate::case::Case;
use crate::kernel::interfaces;
use crate::kernel::tunnel;
use crate::kernel::walk::HopKind;
use model::facts::Link;
use model::flow::Flow;
use model::report::Direction;

/// A tunnel on the way.
#[derive(Clone, Debug)]
pub struct Crossing<'a> {
    /// Namespace of the device.
    pub netns: u32,
    /// The device.
    pub link: &'a Link,
    /// Which way the packets go.
    pub direction: Direction,
    /// The tuple of the tunnel's own packets, its source port left open; `None` where it is not known where they go.
    pub outer: Option<Flow>,
    /// The interface by which they leave.
    pub under: Option<&'a Link>,
}

impl Crossing<'_> {
    /// What the tunnel adds to each packet, in bytes.
    pub fn adds_bytes(&self) -> u32 {
        tunnel::adds_bytes(self.link, self.outer.is_some_and(|outer| outer.dst().is_ipv6()))
    }

    /// `172.31.90.1 -> 172.31.90.2, UDP port 8472`.
    pub fn outer_words(&self) -> Option<String> {
        let outer = self.outer?;
        let by = match tunnel::udp_port(self.link) {
            Some(port) => format!("UDP port {port}"),
            None => format!("{} packets", self.link.kind),
        };
        Some(format!("{} -> {}, {by}", outer.src(), outer.dst()))
    }
}

/// Every tunnel on the expected way, there and back.
pub fn crossings<'a>(case: &Case<'a>) -> Vec<Crossing<'a>> {
    let way = case.way();
    let mut found = Vec::new();
    for (at, hop) in way.iter().enumerate().filter(|(_, hop)| hop.kind == HopKind::Tunnel) {
        let Some(link) = hop.leaves.and_then(|index| case.link(hop.netns, index)) else {
            continue;
        };
        // What follows, up to the far end, are the steps of the tunnel's own packet.
        let outer = way.get(at + 1).filter(|next| next.direction == hop.direction);
        found.push(Crossing {
            netns: hop.netns,
            link,
            direction: hop.direction,
            outer: outer.map(|next| next.flow),
            under: outer.and_then(|next| case.link(next.netns, next.leaves?)),
        });
    }
    found
}

/// Tunnel devices of a namespace, whether packets are known to take them or not.
pub fn devices<'a>(case: &Case<'a>, netns: u32) -> impl Iterator<Item = &'a Link> {
    let links = case.after(netns, "interfaces", |facts| &facts.links);
    let links = links.map_or(&[] as &[Link], Vec::as_slice);
    links.iter().filter(|link| tunnel::is_tunnel(link))
}

/// The device whose packet this was: by the address and the port that it was sent from or to.
pub fn sender<'a>(case: &Case<'a>, outer: Flow) -> Option<(u32, &'a Link)> {
    case.evidence
        .netns
        .iter()
        .filter(|netns| interfaces::owns(&netns.before, outer.src()))
        .find_map(|netns| {
            let sends = |link: &&Link| {
                tunnel::protocol(link) == outer.protocol
                    && tunnel::udp_port(link).is_none_or(|port| port == outer.dport)
            };
            Some((netns.id, devices(case, netns.id).find(sends)?))
        })
}
