//! A frame from the interface by which it is sent to the next place that decides: veth peers, bridges, tunnels, stacked devices.

use super::{At, HopKind, WalkEnd, WalkHop, Walker};
use crate::kernel::interfaces;
use core::net::{IpAddr, SocketAddr};
use model::facts::{Link, Peer};
use model::flow::{Flow, UDP};

/// The most ports of a bridge whose other ends are read to find an address nobody is known to own.
const PORTS_MAX: usize = 16;
/// The most tunnels within tunnels.
const TUNNELS_MAX: usize = 2;

/// Where a frame comes out on the other side of an interface.
pub(super) enum Crossed {
    /// It comes in here: namespace and interface.
    Lands(u32, u32),
    /// It does not.
    Ends(WalkEnd),
}

/// A frame on its way to the next hop of the packet it carries.
pub(super) struct Frame<'w, 'a, 'u> {
    /// The walk it belongs to.
    pub walker: &'w mut Walker<'a, 'u>,
    /// The steps of that walk so far.
    pub hops: &'w mut Vec<WalkHop>,
    /// The namespace it is in.
    pub netns: u32,
    /// The neighbour it is for: the gateway, or the destination itself.
    pub next_hop: IpAddr,
    /// The tuple of its packet.
    pub flow: Flow,
    /// Bridges it has passed since it was last sent, by namespace and index: it does not come through one twice.
    bridges: Vec<(u32, u32)>,
}

impl<'w, 'a, 'u> Frame<'w, 'a, 'u> {
    /// A packet is handed to a next hop.
    pub(super) const fn new(
        walker: &'w mut Walker<'a, 'u>,
        hops: &'w mut Vec<WalkHop>,
        netns: u32,
        next_hop: IpAddr,
        flow: Flow,
    ) -> Self {
        Self {
            walker,
            hops,
            netns,
            next_hop,
            flow,
            bridges: Vec::new(),
        }
    }

    /// It is sent by an interface of the namespace it is in.
    pub(super) fn leave(&mut self, oif: u32) -> Crossed {
        self.bridges.clear();
        let Some(facts) = self.walker.facts(self.netns) else {
            return Crossed::Ends(WalkEnd::Unread(self.netns));
        };
        let Some(link) = interfaces::link(facts, oif) else {
            return Crossed::Ends(WalkEnd::Unknown(format!("interface {oif} was not read")));
        };
        match link.kind.as_str() {
            "bridge" => self.bridge(oif, None),
            "vxlan" => self.tunnel(link),
            "veth" => match link.peer {
                Some(Peer {
                    netns: Some(there),
                    ifindex,
                }) => self.enter(there, ifindex),
                _ => Crossed::Ends(WalkEnd::Unknown(format!(
                    "the other end of {} was not found",
                    link.name
                ))),
            },
            "vlan" => self.vlan(link),
            "macvlan" | "macvtap" | "ipvlan" => self.sibling(link),
            "bond" | "team" => {
                let port = facts
                    .links
                    .ok()
                    .into_iter()
                    .flatten()
                    .find(|port| port.master == Some(oif) && port.carrier);
                match port {
                    Some(port) => self.leave(port.index),
                    None => Crossed::Ends(WalkEnd::LeavesMachine),
                }
            }
            _ => Crossed::Ends(WalkEnd::LeavesMachine),
        }
    }

    /// It comes in by an interface of this namespace: it goes up the stack there, or through the bridge the interface belongs to.
    fn enter(&mut self, netns: u32, ifindex: u32) -> Crossed {
        self.netns = netns;
        let Some(facts) = self.walker.facts(netns) else {
            return Crossed::Ends(WalkEnd::Unread(netns));
        };
        if let Some(above) = self.stacked_on(netns, ifindex) {
            return Crossed::Lands(above.0, above.1);
        }
        let master = interfaces::link(facts, ifindex)
            .and_then(|link| link.master)
            .and_then(|index| interfaces::link(facts, index));
        match master {
            Some(master) if master.kind == "bridge" => self.bridge(master.index, Some(ifindex)),
            Some(master) if matches!(master.kind.as_str(), "bond" | "team") => Crossed::Lands(netns, master.index),
            _ => Crossed::Lands(netns, ifindex),
        }
    }

    /// Through a bridge, which it came to by a port or from the namespace itself, to the port behind which the next hop lives.
    fn bridge(&mut self, bridge: u32, from: Option<u32>) -> Crossed {
        let Some(facts) = self.walker.facts(self.netns) else {
            return Crossed::Ends(WalkEnd::Unread(self.netns));
        };
        self.bridges.push((self.netns, bridge));
        if from.is_some() && interfaces::owns(facts, self.next_hop) {
            return Crossed::Lands(self.netns, bridge);
        }
        let links = facts.links.ok().map_or(&[][..], Vec::as_slice);
        let mut ports: Vec<&Link> = links.iter().filter(|link| link.master == Some(bridge)).collect();
        // Back through the port it came from comes last: only a bridge port in hairpin mode does that.
        ports.sort_by_key(|port| Some(port.index) == from);
        for port in &ports {
            if let Some((there, ifindex)) = self.behind(port, &self.bridges) {
                self.passes(HopKind::Bridge, from, Some(port.index));
                return self.enter(there, ifindex);
            }
        }
        let known = self.next_hop_mac().and_then(|mac| {
            let fdb = facts.fdb.ok()?.iter().find(|entry| {
                entry.mac == mac && ports.iter().any(|port| port.index == entry.ifindex) && entry.state != "permanent"
            })?;
            ports.iter().find(|port| port.index == fdb.ifindex).copied()
        });
        let tunnel = ports.iter().find(|port| port.kind == "vxlan").copied();
        if let Some(port) = known.or(tunnel) {
            self.passes(HopKind::Bridge, from, Some(port.index));
            if port.kind == "vxlan" {
                return self.tunnel(port);
            }
            if let Some(Peer {
                netns: Some(there),
                ifindex,
            }) = port.peer
            {
                self.walker.note_unread(there);
                return self.enter(there, ifindex);
            }
            return Crossed::Ends(WalkEnd::LeavesMachine);
        }
        self.passes(HopKind::Bridge, from, None);
        let unread: Vec<u32> = ports
            .iter()
            .filter_map(|port| port.peer.as_ref()?.netns)
            .filter(|id| self.walker.evidence.netns(*id).is_none())
            .take(PORTS_MAX)
            .collect();
        for id in &unread {
            self.walker.note_unread(*id);
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

    /// One step more of the walk, in the namespace it is in: by which interface it came and by which it leaves.
    fn passes(&mut self, kind: HopKind, arrives: Option<u32>, leaves: Option<u32>) {
        let at = At {
            netns: self.netns,
            iif: arrives,
            flow: self.flow,
        };
        self.hops.push(WalkHop {
            leaves,
            next_hop: leaves.map(|_| self.next_hop),
            ..self.walker.hop(at, kind)
        });
    }

    /// The far side of a port, where the next hop's address lives there, directly or behind more bridges, but not behind those
    /// that were passed already.
    fn behind(&self, port: &Link, passed: &[(u32, u32)]) -> Option<(u32, u32)> {
        let Peer { netns, ifindex } = port.peer.as_ref().filter(|_| port.kind == "veth")?;
        let there = (*netns)?;
        let facts = &self.walker.evidence.netns(there)?.before;
        let far = interfaces::link(facts, *ifindex)?;
        if let Some(master) = far.master.filter(|index| {
            interfaces::link(facts, *index).is_some_and(|link| link.kind == "bridge")
                && !passed.contains(&(there, *index))
        }) {
            let mut passed = passed.to_vec();
            passed.push((there, master));
            let found = interfaces::owns(facts, self.next_hop)
                || facts.links.ok()?.iter().any(|other| {
                    other.master == Some(master) && other.index != *ifindex && self.behind(other, &passed).is_some()
                });
            return found.then_some((there, *ifindex));
        }
        let stacked = self.stacked_on(there, *ifindex).is_some();
        (interfaces::owns(facts, self.next_hop) || stacked).then_some((there, *ifindex))
    }

    /// A macvlan or ipvlan on top of an interface, in whatever namespace, that owns the next hop's address.
    fn stacked_on(&self, netns: u32, ifindex: u32) -> Option<(u32, u32)> {
        self.walker.evidence.netns.iter().find_map(|other| {
            let links = other.before.links.ok()?;
            let own = other.before.addresses.ok()?;
            links
                .iter()
                .filter(|link| matches!(link.kind.as_str(), "macvlan" | "macvtap" | "ipvlan"))
                .filter(|link| lower(other.id, link) == Some((netns, ifindex)))
                .find(|link| {
                    own.iter()
                        .any(|a| a.ifindex == link.index && a.address == self.next_hop)
                })
                .map(|link| (other.id, link.index))
        })
    }

    /// Out of a macvlan or ipvlan: to a sibling on the same lower device, else out through that device.
    fn sibling(&mut self, link: &Link) -> Crossed {
        let Some((below, index)) = lower(self.netns, link) else {
            return no_lower_device(link);
        };
        if let Some((there, ifindex)) = self.stacked_on(below, index) {
            return Crossed::Lands(there, ifindex);
        }
        self.walker.note_unread(below);
        self.netns = below;
        self.leave(index)
    }

    /// Out of a VLAN interface and into one on the far side.
    fn vlan(&mut self, link: &Link) -> Crossed {
        let Some((below, index)) = lower(self.netns, link) else {
            return no_lower_device(link);
        };
        self.walker.note_unread(below);
        self.netns = below;
        match self.leave(index) {
            Crossed::Lands(there, ifindex) => {
                let above = self.walker.facts(there).and_then(|facts| {
                    let own = facts.addresses.ok()?;
                    let is_next_hop = |other: &&Link| {
                        own.iter()
                            .any(|a| a.ifindex == other.index && a.address == self.next_hop)
                    };
                    facts
                        .links
                        .ok()?
                        .iter()
                        .filter(|other| other.kind == "vlan" && lower(there, other) == Some((there, ifindex)))
                        .max_by_key(is_next_hop)
                });
                Crossed::Lands(there, above.map_or(ifindex, |other| other.index))
            }
            ends @ Crossed::Ends(_) => ends,
        }
    }

    /// Into a VXLAN tunnel: the far end by neighbour and forwarding entry, the outer packet's way, and out again.
    fn tunnel(&mut self, link: &Link) -> Crossed {
        let (Some(facts), Some(vxlan)) = (self.walker.facts(self.netns), &link.vxlan) else {
            return Crossed::Ends(WalkEnd::Unknown(format!("the settings of {} were not read", link.name)));
        };
        self.passes(HopKind::Tunnel, None, Some(link.index));
        let mac = self.next_hop_mac();
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
        if self.walker.tunnels >= TUNNELS_MAX {
            return Crossed::Ends(WalkEnd::Loop);
        }
        let near = vxlan.local.unwrap_or(far);
        let outer = Flow::new(UDP, SocketAddr::new(near, 0), SocketAddr::new(far, vxlan.port));
        let under = link.peer.as_ref().and_then(|peer| peer.netns).unwrap_or(self.netns);
        self.walker.tunnels += 1;
        let mut walked = self.walker.follow(At::made(under, outer));
        self.walker.tunnels -= 1;
        let arrived = walked.arrived.first().copied();
        if arrived.is_some()
            && let Some(last) = walked.hops.last_mut()
        {
            last.end = None;
        }
        let stopped = walked.hops.last().and_then(|hop| hop.end.clone());
        self.hops.append(&mut walked.hops);
        let Some(there) = arrived.map(|at| at.netns) else {
            return Crossed::Ends(stopped.unwrap_or(WalkEnd::LeavesMachine));
        };
        let out = self.walker.facts(there).and_then(|facts| {
            facts
                .links
                .ok()?
                .iter()
                .find(|other| other.vxlan.as_ref().is_some_and(|far| far.vni == vxlan.vni))
        });
        self.bridges.clear();
        match out.map(|other| other.index) {
            Some(index) => self.enter(there, index),
            None => Crossed::Ends(WalkEnd::NoTunnelEntry),
        }
    }

    /// The hardware address of the next hop, as the namespace it is in knows it, else as its owner has it.
    fn next_hop_mac(&self) -> Option<String> {
        let evidence = self.walker.evidence;
        let known = evidence.netns(self.netns).and_then(|here| {
            [&here.before, &here.after]
                .into_iter()
                .filter_map(|facts| facts.neighbours.ok())
                .flatten()
                .find(|entry| entry.address == self.next_hop && !entry.mac.is_empty())
                .map(|entry| entry.mac.clone())
        });
        known.or_else(|| {
            evidence.netns.iter().find_map(|owner| {
                let own = owner
                    .before
                    .addresses
                    .ok()?
                    .iter()
                    .find(|own| own.address == self.next_hop)?;
                interfaces::link(&owner.before, own.ifindex)
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

fn no_lower_device(link: &Link) -> Crossed {
    Crossed::Ends(WalkEnd::Unknown(format!(
        "the lower device of {} was not found",
        link.name
    )))
}
