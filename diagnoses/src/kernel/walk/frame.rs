//! From an interface to the next place that decides: veth peers, bridges, tunnels, stacked devices.

use super::{At, HopKind, WalkEnd, WalkHop, Walker};
use crate::kernel::route;
use core::net::{IpAddr, SocketAddr};
use model::facts::{Link, Peer};
use model::flow::{Flow, UDP};

/// The most ports of a bridge whose other ends are read to find an address nobody is known to own.
const PORTS_MAX: usize = 16;
/// The most tunnels within tunnels.
const TUNNELS_MAX: usize = 2;

/// Where a packet comes out on the other side of an interface.
pub(super) enum Crossed {
    /// It comes in here.
    Lands(u32, u32),
    /// It does not.
    Ends(WalkEnd),
}

impl Walker<'_, '_> {
    /// From an interface to the next place that decides.
    pub(super) fn cross(
        &mut self,
        netns: u32,
        oif: u32,
        next_hop: IpAddr,
        flow: Flow,
        hops: &mut Vec<WalkHop>,
    ) -> Crossed {
        let Some(facts) = self.facts(netns) else {
            return Crossed::Ends(WalkEnd::Unread(netns));
        };
        let Some(link) = route::link(facts, oif) else {
            return Crossed::Ends(WalkEnd::Unknown(format!("interface {oif} was not read")));
        };
        match link.kind.as_str() {
            "bridge" => self.bridge(netns, oif, None, next_hop, flow, hops, &mut vec![]),
            "vxlan" => self.tunnel(netns, link, next_hop, flow, hops),
            "veth" => match link.peer {
                Some(Peer {
                    netns: Some(there),
                    ifindex,
                }) => self.enter(there, ifindex, next_hop, flow, hops, &mut vec![]),
                _ => Crossed::Ends(WalkEnd::Unknown(format!(
                    "the other end of {} was not found",
                    link.name
                ))),
            },
            "vlan" => self.vlan(netns, link, next_hop, flow, hops),
            "macvlan" | "macvtap" | "ipvlan" => self.sibling(netns, link, next_hop, flow, hops),
            "bond" | "team" => {
                let port = facts
                    .links
                    .ok()
                    .into_iter()
                    .flatten()
                    .find(|port| port.master == Some(oif) && port.carrier);
                match port {
                    Some(port) => self.cross(netns, port.index, next_hop, flow, hops),
                    None => Crossed::Ends(WalkEnd::LeavesMachine),
                }
            }
            _ => Crossed::Ends(WalkEnd::LeavesMachine),
        }
    }

    /// A frame comes in by an interface: it goes up the stack there, or through the bridge the interface belongs to.
    fn enter(
        &mut self,
        netns: u32,
        ifindex: u32,
        next_hop: IpAddr,
        flow: Flow,
        hops: &mut Vec<WalkHop>,
        seen: &mut Vec<(u32, u32)>,
    ) -> Crossed {
        let Some(facts) = self.facts(netns) else {
            return Crossed::Ends(WalkEnd::Unread(netns));
        };
        if let Some(above) = self.stacked_on(netns, ifindex, next_hop) {
            return Crossed::Lands(above.0, above.1);
        }
        let master = route::link(facts, ifindex)
            .and_then(|link| link.master)
            .and_then(|index| route::link(facts, index));
        match master {
            Some(master) if master.kind == "bridge" => {
                self.bridge(netns, master.index, Some(ifindex), next_hop, flow, hops, seen)
            }
            Some(master) if matches!(master.kind.as_str(), "bond" | "team") => Crossed::Lands(netns, master.index),
            _ => Crossed::Lands(netns, ifindex),
        }
    }

    /// Through a bridge to the port behind which the next hop lives.
    #[expect(clippy::too_many_arguments, reason = "a frame's place and its way so far")]
    fn bridge(
        &mut self,
        netns: u32,
        bridge: u32,
        from: Option<u32>,
        next_hop: IpAddr,
        flow: Flow,
        hops: &mut Vec<WalkHop>,
        seen: &mut Vec<(u32, u32)>,
    ) -> Crossed {
        let Some(facts) = self.facts(netns) else {
            return Crossed::Ends(WalkEnd::Unread(netns));
        };
        seen.push((netns, bridge));
        if from.is_some() && route::owns(facts, next_hop) {
            return Crossed::Lands(netns, bridge);
        }
        let links = facts.links.ok().map_or(&[][..], Vec::as_slice);
        let at = At { netns, iif: from, flow };
        let mut ports: Vec<&Link> = links.iter().filter(|link| link.master == Some(bridge)).collect();
        // Back through the port it came from comes last: only a bridge port in hairpin mode does that.
        ports.sort_by_key(|port| Some(port.index) == from);
        for port in &ports {
            if let Some((there, ifindex)) = self.behind(port, next_hop, seen) {
                hops.push(WalkHop {
                    leaves: Some(port.index),
                    next_hop: Some(next_hop),
                    ..self.hop(at, HopKind::Bridge)
                });
                return self.enter(there, ifindex, next_hop, flow, hops, seen);
            }
        }
        let known = self.mac_of(netns, next_hop).and_then(|mac| {
            let fdb = facts.fdb.ok()?.iter().find(|entry| {
                entry.mac == mac && ports.iter().any(|port| port.index == entry.ifindex) && entry.state != "permanent"
            })?;
            ports.iter().find(|port| port.index == fdb.ifindex).copied()
        });
        let tunnel = ports.iter().find(|port| port.kind == "vxlan").copied();
        if let Some(port) = known.or(tunnel) {
            hops.push(WalkHop {
                leaves: Some(port.index),
                next_hop: Some(next_hop),
                ..self.hop(at, HopKind::Bridge)
            });
            if port.kind == "vxlan" {
                return self.tunnel(netns, port, next_hop, flow, hops);
            }
            if let Some(Peer {
                netns: Some(there),
                ifindex,
            }) = port.peer
            {
                self.unread.add(self.evidence, there);
                return self.enter(there, ifindex, next_hop, flow, hops, seen);
            }
            return Crossed::Ends(WalkEnd::LeavesMachine);
        }
        hops.push(self.hop(at, HopKind::Bridge));
        let unread: Vec<u32> = ports
            .iter()
            .filter_map(|port| port.peer.as_ref()?.netns)
            .filter(|id| self.evidence.netns(*id).is_none())
            .take(PORTS_MAX)
            .collect();
        for id in &unread {
            self.unread.add(self.evidence, *id);
        }
        if let Some(id) = unread.first() {
            return Crossed::Ends(WalkEnd::Unread(*id));
        }
        let leaves = ports
            .iter()
            .any(|port| Some(port.index) != from && port.peer.is_none() && port.kind != "veth");
        Crossed::Ends(if leaves {
            WalkEnd::LeavesMachine
        } else {
            WalkEnd::NoPort
        })
    }

    /// The far side of a port, where the next hop's address lives there, directly or behind more bridges.
    fn behind(&self, port: &Link, next_hop: IpAddr, seen: &[(u32, u32)]) -> Option<(u32, u32)> {
        let Peer { netns, ifindex } = port.peer.as_ref().filter(|_| port.kind == "veth")?;
        let there = (*netns)?;
        let facts = &self.evidence.netns(there)?.before;
        let far = route::link(facts, *ifindex)?;
        if let Some(master) = far.master.filter(|index| {
            route::link(facts, *index).is_some_and(|link| link.kind == "bridge") && !seen.contains(&(there, *index))
        }) {
            let mut seen = seen.to_vec();
            seen.push((there, master));
            let found = route::owns(facts, next_hop)
                || facts.links.ok()?.iter().any(|other| {
                    other.master == Some(master)
                        && other.index != *ifindex
                        && self.behind(other, next_hop, &seen).is_some()
                });
            return found.then_some((there, *ifindex));
        }
        let stacked = self.stacked_on(there, *ifindex, next_hop).is_some();
        (route::owns(facts, next_hop) || stacked).then_some((there, *ifindex))
    }

    /// A macvlan or ipvlan on top of this interface, in whatever namespace, that owns the address.
    fn stacked_on(&self, netns: u32, ifindex: u32, address: IpAddr) -> Option<(u32, u32)> {
        self.evidence.netns.iter().find_map(|other| {
            let links = other.before.links.ok()?;
            let own = other.before.addresses.ok()?;
            links
                .iter()
                .filter(|link| matches!(link.kind.as_str(), "macvlan" | "macvtap" | "ipvlan"))
                .filter(|link| lower(other.id, link) == Some((netns, ifindex)))
                .find(|link| own.iter().any(|a| a.ifindex == link.index && a.address == address))
                .map(|link| (other.id, link.index))
        })
    }

    /// Out of a macvlan or ipvlan: to a sibling on the same lower device, else out through that device.
    fn sibling(&mut self, netns: u32, link: &Link, next_hop: IpAddr, flow: Flow, hops: &mut Vec<WalkHop>) -> Crossed {
        let Some((below, index)) = lower(netns, link) else {
            return Crossed::Ends(WalkEnd::Unknown(format!(
                "the lower device of {} was not found",
                link.name
            )));
        };
        if let Some((there, ifindex)) = self.stacked_on(below, index, next_hop) {
            return Crossed::Lands(there, ifindex);
        }
        self.unread.add(self.evidence, below);
        self.cross(below, index, next_hop, flow, hops)
    }

    /// Out of a VLAN interface and into one on the far side.
    fn vlan(&mut self, netns: u32, link: &Link, next_hop: IpAddr, flow: Flow, hops: &mut Vec<WalkHop>) -> Crossed {
        let Some((below, index)) = lower(netns, link) else {
            return Crossed::Ends(WalkEnd::Unknown(format!(
                "the lower device of {} was not found",
                link.name
            )));
        };
        self.unread.add(self.evidence, below);
        match self.cross(below, index, next_hop, flow, hops) {
            Crossed::Lands(there, ifindex) => {
                let above = self.facts(there).and_then(|facts| {
                    let own = facts.addresses.ok()?;
                    facts
                        .links
                        .ok()?
                        .iter()
                        .filter(|other| other.kind == "vlan" && lower(there, other) == Some((there, ifindex)))
                        .max_by_key(|other| own.iter().any(|a| a.ifindex == other.index && a.address == next_hop))
                });
                Crossed::Lands(there, above.map_or(ifindex, |other| other.index))
            }
            ends @ Crossed::Ends(_) => ends,
        }
    }

    /// Into a VXLAN tunnel: the far end by neighbour and forwarding entry, the outer packet's way, and out again.
    fn tunnel(&mut self, netns: u32, link: &Link, next_hop: IpAddr, flow: Flow, hops: &mut Vec<WalkHop>) -> Crossed {
        let at = At { netns, iif: None, flow };
        let (Some(facts), Some(vxlan)) = (self.facts(netns), &link.vxlan) else {
            return Crossed::Ends(WalkEnd::Unknown(format!("the settings of {} were not read", link.name)));
        };
        hops.push(WalkHop {
            leaves: Some(link.index),
            next_hop: Some(next_hop),
            ..self.hop(at, HopKind::Tunnel)
        });
        let mac = self.mac_of(netns, next_hop);
        let fdb = facts.fdb.ok().map_or(&[][..], Vec::as_slice);
        let entry = |wanted: &str| {
            fdb.iter()
                .find(|entry| entry.ifindex == link.index && entry.mac == wanted && entry.dst.is_some())
                .and_then(|entry| entry.dst)
        };
        let far = mac
            .as_deref()
            .and_then(entry)
            .or_else(|| entry("00:00:00:00:00:00"))
            .or(vxlan.remote.filter(|remote| !remote.is_multicast()));
        let Some(far) = far else {
            return Crossed::Ends(WalkEnd::NoTunnelEntry);
        };
        if self.tunnels >= TUNNELS_MAX {
            return Crossed::Ends(WalkEnd::Loop);
        }
        let near = vxlan.local.unwrap_or(far);
        let outer = Flow::new(UDP, SocketAddr::new(near, 0), SocketAddr::new(far, vxlan.port));
        let under = link.peer.as_ref().and_then(|peer| peer.netns).unwrap_or(netns);
        self.tunnels += 1;
        let mut walked = self.follow(At::made(under, outer));
        self.tunnels -= 1;
        let arrived = walked.arrived.first().copied();
        if arrived.is_some()
            && let Some(last) = walked.hops.last_mut()
        {
            last.end = None;
        }
        let stopped = walked.hops.last().and_then(|hop| hop.end.clone());
        hops.append(&mut walked.hops);
        let Some(there) = arrived.map(|at| at.netns) else {
            return Crossed::Ends(stopped.unwrap_or(WalkEnd::LeavesMachine));
        };
        let out = self.facts(there).and_then(|facts| {
            facts
                .links
                .ok()?
                .iter()
                .find(|other| other.vxlan.as_ref().is_some_and(|far| far.vni == vxlan.vni))
        });
        match out.map(|other| other.index) {
            Some(index) => self.enter(there, index, next_hop, flow, hops, &mut vec![]),
            None => Crossed::Ends(WalkEnd::NoTunnelEntry),
        }
    }

    /// The hardware address of a neighbour, as this namespace knows it, else as its owner has it.
    fn mac_of(&self, netns: u32, address: IpAddr) -> Option<String> {
        let known = self.evidence.netns(netns).and_then(|here| {
            [&here.before, &here.after]
                .into_iter()
                .filter_map(|facts| facts.neighbours.ok())
                .flatten()
                .find(|entry| entry.address == address && !entry.mac.is_empty())
                .map(|entry| entry.mac.clone())
        });
        known.or_else(|| {
            self.evidence.netns.iter().find_map(|owner| {
                let own = owner.before.addresses.ok()?.iter().find(|own| own.address == address)?;
                route::link(&owner.before, own.ifindex)
                    .map(|link| link.mac.clone())
                    .filter(|mac| !mac.is_empty())
            })
        })
    }
}

/// The lower device of a stacked interface.
fn lower(netns: u32, link: &Link) -> Option<(u32, u32)> {
    let Peer { netns: there, ifindex } = link.peer.as_ref()?;
    Some((there.unwrap_or(netns), *ifindex))
}
