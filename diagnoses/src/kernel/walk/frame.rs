//! A frame from the interface by which it is sent to the next place that decides: veth peers, bridges, tunnels, stacked devices.

use super::{At, HopKind, WalkEnd, WalkHop, Walker};
use crate::kernel::interfaces;
use crate::kernel::route::{self, Query, Way};
use crate::kernel::tunnel;
use core::net::{IpAddr, SocketAddr};
use model::facts::{Link, NetnsFacts, Peer};
use model::flow::Flow;

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
            _ if tunnel::is_tunnel(link) => self.tunnel(link),
            "bridge" => self.bridge(oif, None),
            "veth" => match link.peer {
                Some(Peer {
                    netns: Some(there),
                    ifindex,
                }) => match self.by_program(facts, link) {
                    Some(crossed) => crossed,
                    None => self.enter(there, ifindex),
                },
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

    /// Into a pair whose ends are both here (Cilium's `cilium_host` and `cilium_net`): only its programs take what is sent into it.
    /// They hand it to a pod of this node, or tell a tunnel its far end.
    fn by_program(&mut self, facts: &'a NetnsFacts, link: &Link) -> Option<Crossed> {
        let far = link.peer.as_ref().filter(|peer| peer.netns == Some(self.netns))?;
        let ends = [link.index, far.ifindex];
        let plugged = |index: &u32| interfaces::link(facts, *index).is_some_and(|end| end.master.is_some());
        let mut programs = facts.bpf.ok()?.iter();
        if ends.iter().any(plugged) || !programs.any(|program| ends.contains(&program.ifindex)) {
            return None;
        }
        let mut others = self.walker.evidence.netns.iter().filter(|other| other.id != self.netns);
        let owner = others.find(|other| interfaces::owns(&other.before, self.flow.dst()));
        let mut links = facts.links.ok()?.iter();
        let pod = owner.and_then(|owner| {
            let towards = |peer: &&Peer| peer.netns == Some(owner.id);
            let end = links.clone().filter_map(|link| link.peer.as_ref()).find(towards)?;
            Some((owner.id, end.ifindex))
        });
        if let Some((there, ifindex)) = pod {
            return Some(self.enter(there, ifindex));
        }
        let tunnel = links.find(|link| tunnel::is_external(link) && link.up)?;
        Some(self.tunnel(tunnel))
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
        let tunnel = ports.iter().find(|port| tunnel::carries_frames(port)).copied();
        if let Some(port) = known.or(tunnel) {
            self.passes(HopKind::Bridge, from, Some(port.index));
            if tunnel::carries_frames(port) {
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

    /// Into a tunnel: its far end, the outer packet's way there, and out again.
    fn tunnel(&mut self, link: &Link) -> Crossed {
        let Some(facts) = self.walker.facts(self.netns) else {
            return Crossed::Ends(WalkEnd::Unread(self.netns));
        };
        if link.kind == "vxlan" && link.vxlan.is_none() {
            return Crossed::Ends(WalkEnd::Unknown(format!("the settings of {} were not read", link.name)));
        }
        self.passes(HopKind::Tunnel, None, Some(link.index));
        let far = match self.far_end(link, facts) {
            Ok(far) => far,
            Err(end) => return Crossed::Ends(end),
        };
        if self.walker.tunnels >= TUNNELS_MAX {
            return Crossed::Ends(WalkEnd::Loop);
        }
        let under = link.peer.as_ref().and_then(|peer| peer.netns).unwrap_or(self.netns);
        let near = tunnel::local(link)
            .filter(|near| near.is_ipv4() == far.is_ipv4())
            .or_else(|| self.own_address_towards(under, far))
            .unwrap_or(far);
        let port = tunnel::udp_port(link).unwrap_or_default();
        let outer = Flow::new(
            tunnel::protocol(link),
            SocketAddr::new(near, 0),
            SocketAddr::new(far, port),
        );
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
            let mut links = facts.links.ok()?.iter();
            links.find(|other| tunnel::understand(link, other))
        });
        self.bridges.clear();
        match out.map(|other| other.index) {
            Some(index) => self.enter(there, index),
            None => Crossed::Ends(WalkEnd::NoTunnelEntry),
        }
    }

    /// Where a tunnel sends a packet: as its forwarding entries or its settings say, else to the next hop itself, and where a
    /// program or a list of peers decides, to the node that the destination lives on.
    fn far_end(&self, link: &Link, facts: &NetnsFacts) -> Result<IpAddr, WalkEnd> {
        if tunnel::is_external(link) || link.kind == "wireguard" {
            let unknown = || WalkEnd::Unknown(format!("where {} sends it is not known", link.name));
            return self.node_of_destination().ok_or_else(unknown);
        }
        if link.kind == "vxlan" {
            let fdb = facts.fdb.ok().map_or(&[][..], Vec::as_slice);
            let entry = |wanted: &str| {
                fdb.iter()
                    .find(|entry| entry.ifindex == link.index && entry.mac == wanted && entry.dst.is_some())
                    .and_then(|entry| entry.dst)
            };
            let by_mac = self.next_hop_mac().as_deref().and_then(entry);
            let known = by_mac.or_else(|| entry("00:00:00:00:00:00"));
            return known.or_else(|| tunnel::remote(link)).ok_or(WalkEnd::NoTunnelEntry);
        }
        // A tunnel to anywhere (`tunl0`) takes the next hop for its far end.
        let anywhere = Some(self.next_hop).filter(|_| !tunnel::carries_frames(link));
        tunnel::remote(link).or(anywhere).ok_or(WalkEnd::NoTunnelEntry)
    }

    /// An address of the node that the destination lives on: as the cluster lists it, else one on a link of this namespace.
    fn node_of_destination(&self) -> Option<IpAddr> {
        let evidence = self.walker.evidence;
        let here = evidence.netns(self.netns)?;
        let destination = self.flow.dst();
        let mut others = evidence.netns.iter().filter(|other| other.node != here.node);
        let owner = others.find(|other| interfaces::owns(&other.before, destination))?;
        let listed = evidence.inventory.ok().and_then(|inventory| {
            let node = inventory.node(&owner.node)?;
            let mut addresses = node.addresses.iter();
            addresses.find(|own| own.is_ipv4() == destination.is_ipv4()).copied()
        });
        listed.or_else(|| {
            let own = evidence.host(&owner.node)?.before.addresses.ok()?;
            let below = |oif: u32| interfaces::link(&here.before, oif).is_some_and(|link| !tunnel::is_tunnel(link));
            let on_link = |address: &IpAddr| match route::lookup(&here.before, &Query::to(*address)) {
                Way::Out { hop, .. } => hop.via.is_none() && hop.oif.is_some_and(below),
                _ => false,
            };
            own.iter().map(|own| own.address).find(on_link)
        })
    }

    /// The address from which a namespace sends to another, by the interface that leads there.
    fn own_address_towards(&self, netns: u32, far: IpAddr) -> Option<IpAddr> {
        let facts = &self.walker.evidence.netns(netns)?.before;
        let way = route::lookup(facts, &Query::to(far));
        let preferred = way.route().and_then(|route| route.prefsrc);
        preferred.or_else(|| {
            let mut own = facts.addresses.ok()?.iter();
            let fits = own.find(|own| Some(own.ifindex) == way.oif() && own.address.is_ipv4() == far.is_ipv4());
            fits.map(|own| own.address)
        })
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

#[cfg(test)]
mod tests {
    use crate::kernel::walk::{HopKind, WalkEnd, WalkHop, path};
    use crate::scenes::{self, Scene, TUNNEL};
    use model::facts::{BpfAttachment, Peer, Tunnel, Vxlan};
    use model::missing::Known;
    use model::report::Direction;

    /// The nodes' tunnel is of this kind; pods of the other node are reached through its next hop, where there is one.
    fn over(kind: &str, next_hops: [Option<&str>; 2], settings: impl Fn(u8) -> Option<Tunnel>) -> Scene {
        let mut scene = Scene::over_vxlan();
        for (node, own, other, via) in [(scenes::X, 1, 2, next_hops[0]), (scenes::Y, 2, 1, next_hops[1])] {
            scene.link(node, "flannel.1", |link| {
                kind.clone_into(&mut link.kind);
                link.vxlan = None;
                link.tunnel = settings(own);
            });
            scene.reroute(node, &scenes::route(&format!("10.90.{other}.0"), 24, via, TUNNEL));
        }
        scene
    }

    /// Protocol, far end and port of the outer packet of a request that comes to its target through the tunnel, and whose answer
    /// comes back.
    fn crossed(scene: &mut Scene) -> (u8, String, u16) {
        scene.flow(0);
        let hops = path(&scene.evidence);
        for (direction, end) in [(Direction::Request, scenes::C), (Direction::Answer, scenes::A)] {
            let last = hops.iter().rfind(|hop| hop.direction == direction).unwrap();
            assert_eq!((last.netns, &last.end), (end, &Some(WalkEnd::Local)), "{hops:?}");
        }
        let into = hops.iter().position(|hop| hop.kind == HopKind::Tunnel).unwrap();
        let outer = hops[into + 1].flow;
        assert_eq!(outer.src().to_string(), "172.31.90.1");
        (outer.protocol, outer.dst().to_string(), outer.dport)
    }

    #[test]
    fn a_packet_goes_on_through_tunnels_of_every_kind() {
        let ends = |own: u8, port: Option<u16>, id: Option<u32>| Tunnel {
            local: port.is_none().then(|| scenes::ip(&format!("172.31.90.{own}"))),
            remote: Some(scenes::ip(&format!("172.31.90.{}", 3 - own))),
            port,
            id,
            external: false,
        };
        let far = "172.31.90.2".to_owned();
        let nodes = [Some("172.31.90.2"), Some("172.31.90.1")];
        let mut geneve = over("geneve", [None; 2], |own| Some(ends(own, Some(6081), Some(7))));
        assert_eq!(crossed(&mut geneve), (17, far.clone(), 6081));
        for (kind, protocol) in [("gre", 47), ("ipip", 4), ("sit", 41)] {
            let mut scene = over(kind, [None; 2], |own| Some(ends(own, None, None)));
            assert_eq!(crossed(&mut scene), (protocol, far.clone(), 0), "{kind}");
        }
        // Calico's `tunl0` has no far end of its own: the next hop is.
        let mut anywhere = over("ipip", nodes, |_| Some(Tunnel::default()));
        assert_eq!(crossed(&mut anywhere), (4, far.clone(), 0));
        // A list of peers, or a program, tells where it goes: to the node that the target lives on.
        let mut wireguard = over("wireguard", [None; 2], |_| None);
        assert_eq!(crossed(&mut wireguard), (17, far.clone(), 0));
        let external = |_| {
            Some(Tunnel {
                port: Some(6081),
                external: true,
                ..Tunnel::default()
            })
        };
        assert_eq!(
            crossed(&mut over("geneve", [None; 2], external)),
            (17, far.clone(), 6081)
        );
        let mut vxlan = Scene::over_vxlan();
        for node in [scenes::X, scenes::Y] {
            vxlan.link(node, "flannel.1", |link| {
                link.vxlan = Some(Vxlan {
                    port: 8472,
                    external: true,
                    ..Vxlan::default()
                });
            });
        }
        assert_eq!(crossed(&mut vxlan), (17, far, 8472));
    }

    #[test]
    fn what_is_routed_to_a_program_goes_on_by_the_tunnel_that_it_tells_the_far_end() {
        let mut scene = Scene::over_vxlan();
        for (node, far) in [(scenes::X, "10.90.2.0"), (scenes::Y, "10.90.1.0")] {
            scene.link(node, "flannel.1", |link| {
                link.vxlan = Some(Vxlan {
                    port: 8472,
                    external: true,
                    ..Vxlan::default()
                });
            });
            scene.without_routes_by(node, TUNNEL);
            for other in ["10.90.1.0", "10.90.2.0"] {
                scene.reroute(node, &scenes::route(other, 24, Some(far), 30));
            }
            scene.facts(node, |facts| {
                if let Known::Known(links) = &mut facts.links {
                    for (index, name, peer) in [(30, "cilium_host", 31), (31, "cilium_net", 30)] {
                        let mut end = scenes::link(index, name, "veth");
                        end.peer = Some(Peer {
                            netns: Some(node),
                            ifindex: peer,
                        });
                        links.push(end);
                    }
                }
            });
        }
        let mut routed = scene.clone();
        for node in [scenes::X, scenes::Y] {
            scene.facts(node, |facts| {
                facts.bpf = Known::Known(vec![BpfAttachment {
                    kind: "tcx-egress".to_owned(),
                    on: "cilium_host".to_owned(),
                    ifindex: 30,
                    id: 7,
                    name: "cil_from_host".to_owned(),
                }]);
            });
        }
        assert_eq!(crossed(&mut scene), (17, "172.31.90.2".to_owned(), 8472));
        routed.flow(0);
        let tunnels = |hop: &WalkHop| hop.kind == HopKind::Tunnel;
        assert!(!path(&routed.evidence).iter().any(tunnels), "nothing is attached there");
    }

    #[test]
    fn a_tunnel_whose_far_end_nobody_tells_ends_the_walk_without_a_guess() {
        let mut scene = over("wireguard", [None; 2], |_| None);
        scene.aim("10.90.2.77");
        scene.flow(0);
        let hops = path(&scene.evidence);
        let last = hops.iter().rfind(|hop| hop.direction == Direction::Request).unwrap();
        assert!(matches!(last.end, Some(WalkEnd::Unknown(_))), "{hops:?}");
    }
}
