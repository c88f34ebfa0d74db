//! The way a packet should take, walked from facts alone: routes, veth peers, bridges, tunnels, translations.
//!
//! [`next`] names the namespaces on the way that have not been read yet; the gatherer reads them and asks again until
//! nothing new comes. [`path`] is the walk itself, for rules: what was expected where. Nothing here judges.

use crate::route::{self, Query, Way};
use crate::translate;
use core::net::{IpAddr, SocketAddr};
use model::evidence::{Evidence, Intent};
use model::facts::{Link, NetnsFacts, Peer, Route};
use model::flow::{Flow, UDP};
use model::report::Direction;
use std::collections::BTreeSet;

/// The most routing decisions one packet may meet; a real packet's TTL ends later, but it has lost its way by then.
const DECISIONS_MAX: usize = 16;
/// The most ports of a bridge whose other ends are read to find an address nobody is known to own.
const PORTS_MAX: usize = 16;
/// The most tunnels within tunnels.
const TUNNELS_MAX: usize = 2;

/// What kind of step a hop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layer {
    /// A routing decision.
    Route,
    /// Through a bridge, from port to port.
    Bridge,
    /// Into a tunnel; the hops after it, up to the tunnel's far end, are those of the outer packet.
    Tunnel,
}

/// Why a walk goes no further.
#[derive(Clone, Debug, PartialEq)]
pub enum End {
    /// It is one of this namespace's own addresses: delivered.
    Local,
    /// No route matches.
    NoRoute,
    /// A route or a rule of routing policy refuses it.
    Refused,
    /// The bridge has no port behind which the next hop lives.
    NoPort,
    /// The tunnel has no far end for the next hop.
    NoTunnelEntry,
    /// It leaves by an interface whose other end is not on this machine.
    LeavesMachine,
    /// This namespace is on the way and was not read.
    Unread(u32),
    /// It goes round.
    Loop,
    /// A fact that is needed is missing, for this reason.
    Unknown(String),
}

/// One step of the expected way.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkHop {
    /// Request or answer.
    pub direction: Direction,
    /// Namespace it happens in.
    pub netns: u32,
    /// Kind of step.
    pub layer: Layer,
    /// The interface it comes in by; `None` where it is made here.
    pub arrives: Option<u32>,
    /// The interface it leaves by.
    pub leaves: Option<u32>,
    /// The neighbour it is handed to: the gateway, or the destination itself.
    pub next_hop: Option<IpAddr>,
    /// The tuple as it comes in.
    pub flow: Flow,
    /// The tuple as it leaves, where it is translated here.
    pub translated: Option<Flow>,
    /// The route it takes.
    pub route: Option<Route>,
    /// Why it goes no further.
    pub end: Option<End>,
}

/// Namespaces on the way, there and back, that were not read yet, in the order in which they are met.
#[must_use]
pub fn next(evidence: &Evidence) -> Vec<u32> {
    let mut unread = Unread::default();
    for id in [evidence.source.netns, evidence.destination.netns]
        .into_iter()
        .flatten()
    {
        unread.add(evidence, id);
    }
    for flow in questions(evidence) {
        let mut ends = Vec::new();
        if let Some(source) = evidence.source.netns {
            ends = walk(evidence, Direction::Request, At::made(source, flow), true, &mut unread).arrived;
        }
        if let Some(destination) = evidence.destination.netns
            && !ends.iter().any(|at| at.netns == destination)
        {
            ends.push(At::made(destination, flow));
        }
        for at in ends {
            let back = At::made(at.netns, at.flow.reversed());
            walk(evidence, Direction::Answer, back, true, &mut unread);
        }
    }
    unread.ids
}

/// The expected way of the watched packets and of their answers: one walk per tuple, hop by hop.
///
/// Where a translation is not settled (several backends, nothing seen), the first that the rules allow is walked.
#[must_use]
pub fn path(evidence: &Evidence) -> Vec<WalkHop> {
    questions(evidence)
        .into_iter()
        .flat_map(|flow| path_of(evidence, flow))
        .collect()
}

/// The expected way of one tuple from the source, and of its answer.
#[must_use]
pub fn path_of(evidence: &Evidence, flow: Flow) -> Vec<WalkHop> {
    let mut unread = Unread::default();
    let Some(source) = evidence.source.netns else {
        return Vec::new();
    };
    let request = walk(evidence, Direction::Request, At::made(source, flow), false, &mut unread);
    let answer = request
        .arrived
        .first()
        .copied()
        .or_else(|| Some(At::made(evidence.destination.netns?, flow)))
        .map(|at| At::made(at.netns, at.flow.reversed()));
    let mut hops = request.hops;
    if let Some(back) = answer {
        hops.extend(walk(evidence, Direction::Answer, back, false, &mut unread).hops);
    }
    hops
}

/// The tuples asked about: what is watched, else what would be sent.
fn questions(evidence: &Evidence) -> Vec<Flow> {
    let mut flows: Vec<Flow> = Vec::new();
    let mut add = |flow: Flow| {
        let same = |known: &Flow| {
            (known.saddr, known.daddr, known.dport, known.protocol)
                == (flow.saddr, flow.daddr, flow.dport, flow.protocol)
        };
        if !flows.iter().any(same) {
            flows.push(flow);
        }
    };
    for watched in &evidence.watched {
        if Some(watched.netns) == evidence.source.netns {
            add(watched.flow);
        }
    }
    let mut targets = evidence.destination.addresses.clone();
    if evidence.intent == Intent::Dns
        && let Ok(resolv) = evidence.source.resolv.get()
    {
        targets.extend(resolv.nameservers.iter().take(3));
    }
    let protocol = match evidence.protocol.as_str() {
        "udp" => UDP,
        "icmp" => model::flow::ICMP,
        _ if evidence.intent == Intent::Dns => UDP,
        _ => model::flow::TCP,
    };
    for target in targets {
        let own = source_address(evidence, target);
        let port = evidence.destination.port.unwrap_or_default();
        add(Flow::new(
            protocol,
            SocketAddr::new(own, 0),
            SocketAddr::new(target, port),
        ));
    }
    flows
}

/// The source's own address of the target's family; unspecified when it has none.
fn source_address(evidence: &Evidence, target: IpAddr) -> IpAddr {
    let family = |address: &&IpAddr| address.is_ipv4() == target.is_ipv4();
    let unspecified = if target.is_ipv4() {
        IpAddr::from([0, 0, 0, 0])
    } else {
        IpAddr::from([0_u8; 16])
    };
    evidence
        .source
        .addresses
        .iter()
        .find(family)
        .copied()
        .unwrap_or(unspecified)
}

/// Namespaces to read, each once.
#[derive(Default)]
struct Unread {
    ids: Vec<u32>,
}

impl Unread {
    fn add(&mut self, evidence: &Evidence, id: u32) {
        if evidence.netns(id).is_none() && !self.ids.contains(&id) {
            self.ids.push(id);
        }
    }
}

/// A packet at a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct At {
    netns: u32,
    iif: Option<u32>,
    flow: Flow,
}

impl At {
    const fn made(netns: u32, flow: Flow) -> Self {
        Self { netns, iif: None, flow }
    }
}

/// What a walk met.
#[derive(Default)]
struct Walked {
    hops: Vec<WalkHop>,
    /// Where it was delivered.
    arrived: Vec<At>,
}

/// Follows a packet; with `all`, every translation that the rules allow, else the likeliest.
fn walk(evidence: &Evidence, direction: Direction, start: At, all: bool, unread: &mut Unread) -> Walked {
    let mut walker = Walker {
        evidence,
        direction,
        all,
        tunnels: 0,
        unread,
    };
    walker.follow(start)
}

/// Where a packet comes out on the other side of an interface.
enum Crossed {
    /// It comes in here.
    Lands(u32, u32),
    /// It does not.
    Ends(End),
}

struct Walker<'a, 'u> {
    evidence: &'a Evidence,
    direction: Direction,
    all: bool,
    tunnels: usize,
    unread: &'u mut Unread,
}

impl<'a> Walker<'a, '_> {
    fn follow(&mut self, start: At) -> Walked {
        let mut walked = Walked::default();
        let mut waiting = vec![(start, 0)];
        let mut met = BTreeSet::new();
        while let Some((at, decisions)) = waiting.pop() {
            if !met.insert(at) || decisions >= DECISIONS_MAX {
                let mut hop = self.hop(at, Layer::Route);
                hop.end = Some(End::Loop);
                walked.hops.push(hop);
                continue;
            }
            let Some(facts) = self.facts(at.netns) else {
                let mut hop = self.hop(at, Layer::Route);
                hop.end = Some(End::Unread(at.netns));
                walked.hops.push(hop);
                continue;
            };
            let mut targets = translate::destinations(self.evidence, at.netns, facts, at.iif, at.flow);
            if !self.all {
                targets.truncate(1);
            }
            for flow in targets.into_iter().rev() {
                if let Some(on) = self.decide(at, flow, facts, &mut walked) {
                    waiting.push((on, decisions + 1));
                }
            }
        }
        walked
    }

    /// One routing decision and the way to the next one.
    fn decide(&mut self, at: At, flow: Flow, facts: &'a NetnsFacts, walked: &mut Walked) -> Option<At> {
        let mut hop = self.hop(at, Layer::Route);
        hop.translated = (flow != at.flow).then_some(flow);
        let query = Query {
            dst: flow.dst(),
            src: Some(flow.src()),
            iif: at.iif,
            mark: 0,
        };
        let way = route::lookup(facts, &query);
        hop.route = way.route().cloned();
        let (oif, next_hop) = match way {
            Way::Local(_) => {
                walked.arrived.push(At { flow, ..at });
                hop.end = Some(End::Local);
                walked.hops.push(hop);
                return None;
            }
            Way::Out { hop: leaves, .. } => (leaves.oif, leaves.via.unwrap_or(query.dst)),
            Way::None => {
                hop.end = Some(End::NoRoute);
                walked.hops.push(hop);
                return None;
            }
            Way::Refused(_) | Way::RuleRefuses(_) => {
                hop.end = Some(End::Refused);
                walked.hops.push(hop);
                return None;
            }
            Way::Unknown(why) => {
                hop.end = Some(End::Unknown(why));
                walked.hops.push(hop);
                return None;
            }
        };
        hop.leaves = oif;
        hop.next_hop = Some(next_hop);
        let Some(oif) = oif else {
            hop.end = Some(End::Unknown("the route names no interface".to_owned()));
            walked.hops.push(hop);
            return None;
        };
        let leaving = if at.iif.is_some() || !self.all {
            translate::source(self.evidence, at.netns, facts, at.iif, oif, flow)
        } else {
            flow
        };
        if leaving != flow {
            hop.translated = Some(leaving);
        }
        let place = walked.hops.len();
        walked.hops.push(hop);
        match self.cross(at.netns, oif, next_hop, leaving, &mut walked.hops) {
            Crossed::Lands(netns, iif) => Some(At {
                netns,
                iif: Some(iif),
                flow: leaving,
            }),
            Crossed::Ends(end) => {
                let last = if matches!(end, End::Unread(_)) {
                    walked.hops.len() - 1
                } else {
                    place.max(walked.hops.len() - 1)
                };
                walked.hops[last].end.get_or_insert(end);
                None
            }
        }
    }

    /// From an interface to the next place that decides.
    fn cross(&mut self, netns: u32, oif: u32, next_hop: IpAddr, flow: Flow, hops: &mut Vec<WalkHop>) -> Crossed {
        let Some(facts) = self.facts(netns) else {
            return Crossed::Ends(End::Unread(netns));
        };
        let Some(link) = route::link(facts, oif) else {
            return Crossed::Ends(End::Unknown(format!("interface {oif} was not read")));
        };
        match link.kind.as_str() {
            "bridge" => self.bridge(netns, oif, None, next_hop, flow, hops, &mut vec![]),
            "vxlan" => self.tunnel(netns, link, next_hop, flow, hops),
            "veth" => match link.peer {
                Some(Peer {
                    netns: Some(there),
                    ifindex,
                }) => self.enter(there, ifindex, next_hop, flow, hops, &mut vec![]),
                _ => Crossed::Ends(End::Unknown(format!("the other end of {} was not found", link.name))),
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
                    None => Crossed::Ends(End::LeavesMachine),
                }
            }
            _ => Crossed::Ends(End::LeavesMachine),
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
            return Crossed::Ends(End::Unread(netns));
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
            return Crossed::Ends(End::Unread(netns));
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
                    ..self.hop(at, Layer::Bridge)
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
                ..self.hop(at, Layer::Bridge)
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
            return Crossed::Ends(End::LeavesMachine);
        }
        hops.push(self.hop(at, Layer::Bridge));
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
            return Crossed::Ends(End::Unread(*id));
        }
        let leaves = ports
            .iter()
            .any(|port| Some(port.index) != from && port.peer.is_none() && port.kind != "veth");
        Crossed::Ends(if leaves { End::LeavesMachine } else { End::NoPort })
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
            return Crossed::Ends(End::Unknown(format!("the lower device of {} was not found", link.name)));
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
            return Crossed::Ends(End::Unknown(format!("the lower device of {} was not found", link.name)));
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
            return Crossed::Ends(End::Unknown(format!("the settings of {} were not read", link.name)));
        };
        hops.push(WalkHop {
            leaves: Some(link.index),
            next_hop: Some(next_hop),
            ..self.hop(at, Layer::Tunnel)
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
            return Crossed::Ends(End::NoTunnelEntry);
        };
        if self.tunnels >= TUNNELS_MAX {
            return Crossed::Ends(End::Loop);
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
            return Crossed::Ends(stopped.unwrap_or(End::LeavesMachine));
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
            None => Crossed::Ends(End::NoTunnelEntry),
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

    /// Facts of a namespace; one that was not read is noted.
    fn facts(&mut self, netns: u32) -> Option<&'a NetnsFacts> {
        let found = self.evidence.netns(netns);
        if found.is_none() {
            self.unread.add(self.evidence, netns);
        }
        found.map(|netns| &netns.before)
    }

    fn hop(&self, at: At, layer: Layer) -> WalkHop {
        WalkHop {
            direction: self.direction,
            netns: at.netns,
            layer,
            arrives: at.iif,
            leaves: None,
            next_hop: None,
            flow: at.flow,
            translated: None,
            route: None,
            end: None,
        }
    }
}

/// The lower device of a stacked interface.
fn lower(netns: u32, link: &Link) -> Option<(u32, u32)> {
    let Peer { netns: there, ifindex } = link.peer.as_ref()?;
    Some((there.unwrap_or(netns), *ifindex))
}
