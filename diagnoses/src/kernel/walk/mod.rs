//! The way a packet should take, walked from facts alone: routes, veth peers, bridges, tunnels, translations.
//!
//! [`next`] names the namespaces on the way that have not been read yet; the gatherer reads them and asks again until
//! nothing new comes. [`path`] is the walk itself, for rules: what was expected where. Nothing here judges.
//!
//! What lies between two routing decisions is `frame`, between two nodes `onward`. The decisions themselves are `kernel/route` and
//! `kernel/translate`.

mod frame;
mod onward;

use crate::kernel::interfaces;
use crate::kernel::route::{self, Query, Way};
use crate::kernel::translate::{self, Done};
use core::net::{IpAddr, SocketAddr};
use frame::{Crossed, Frame};
use model::evidence::{Evidence, Intent};
use model::facts::{NetnsFacts, Route};
use model::flow::{Flow, UDP};
use model::report::Direction;
use std::collections::BTreeSet;

/// The most routing decisions one packet may meet; a real packet's TTL ends later, but it has lost its way by then.
const DECISIONS_MAX: usize = 16;

/// What kind of step a hop is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HopKind {
    /// A routing decision.
    Route,
    /// Through a bridge, from port to port.
    Bridge,
    /// Into a tunnel; the hops after it, up to the tunnel's far end, are those of the outer packet.
    Tunnel,
}

/// Why a walk goes no further.
#[derive(Clone, Debug, PartialEq)]
pub enum WalkEnd {
    /// It is one of this namespace's own addresses: delivered.
    Local,
    /// No route matches.
    NoRoute,
    /// A route or a rule of routing policy refuses it.
    Refused,
    /// It is for somebody else, and this namespace does not forward; the sysctl that says so.
    NotForwarding(String),
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
    pub kind: HopKind,
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
    pub end: Option<WalkEnd>,
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
        let mut there = Walked::default();
        if let Some(source) = evidence.source.netns {
            let start = At::made(source, flow);
            there = walk(evidence, Direction::Request, start, true, &[], &mut unread);
        }
        let mut ends = there.arrived;
        if let Some(destination) = evidence.destination.netns
            && !ends.iter().any(|at| at.netns == destination)
        {
            ends.push(At::made(destination, flow));
        }
        for at in ends {
            let back = At::made(at.netns, at.flow.reversed());
            walk(evidence, Direction::Answer, back, true, &there.done, &mut unread);
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
    let request = walk(
        evidence,
        Direction::Request,
        At::made(source, flow),
        false,
        &[],
        &mut unread,
    );
    let answer = request
        .arrived
        .first()
        .copied()
        .or_else(|| Some(At::made(evidence.destination.netns?, flow)))
        .map(|at| At::made(at.netns, at.flow.reversed()));
    let mut hops = request.hops;
    if let Some(back) = answer {
        hops.extend(walk(evidence, Direction::Answer, back, false, &request.done, &mut unread).hops);
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
    /// Translations it met.
    done: Vec<Done>,
}

/// Follows a packet; with `all`, every translation that the rules allow, else the likeliest.
fn walk(evidence: &Evidence, direction: Direction, start: At, all: bool, done: &[Done], unread: &mut Unread) -> Walked {
    let mut walker = Walker {
        evidence,
        direction,
        all,
        done,
        tunnels: 0,
        unread,
    };
    walker.follow(start)
}

/// A walk under way.
struct Walker<'a, 'u> {
    evidence: &'a Evidence,
    direction: Direction,
    all: bool,
    /// Translations to undo.
    done: &'u [Done],
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
                let mut hop = self.hop(at, HopKind::Route);
                hop.end = Some(WalkEnd::Loop);
                walked.hops.push(hop);
                continue;
            }
            let Some(facts) = self.facts(at.netns) else {
                let mut hop = self.hop(at, HopKind::Route);
                hop.end = Some(WalkEnd::Unread(at.netns));
                walked.hops.push(hop);
                continue;
            };
            let mut targets = translate::destinations(self.evidence, self.done, at.netns, facts, at.iif, at.flow);
            if !self.all {
                targets.truncate(1);
            }
            for flow in targets.into_iter().rev() {
                let on = self.decide(at, flow, facts, &mut walked);
                waiting.extend(on.into_iter().map(|on| (on, decisions + 1)));
            }
        }
        walked
    }

    /// One routing decision and the way to the next one.
    fn decide(&mut self, at: At, flow: Flow, facts: &'a NetnsFacts, walked: &mut Walked) -> Vec<At> {
        let mut hop = self.hop(at, HopKind::Route);
        hop.translated = (flow != at.flow).then_some(flow);
        let query = match self.direction {
            Direction::Request => {
                let ours = at.iif.is_none() && !self.evidence.passive;
                Query {
                    mark: translate::mark(facts, at.iif, at.flow),
                    ..if ours {
                        Query::ours(flow)
                    } else {
                        Query::of(flow, at.iif)
                    }
                }
            }
            // What a connection's answers are marked with may come from its own memory.
            Direction::Answer => Query::of(flow, at.iif),
        };
        let way = route::lookup(facts, &query);
        hop.route = way.route().cloned();
        let (oif, next_hop) = match way {
            Way::Local(_) => {
                if flow != at.flow {
                    walked.done.push(Done {
                        netns: at.netns,
                        before: at.flow,
                        after: flow,
                    });
                }
                walked.arrived.push(At { flow, ..at });
                hop.end = Some(WalkEnd::Local);
                walked.hops.push(hop);
                return vec![];
            }
            Way::Out { hop: leaves, .. } => (leaves.oif, leaves.via.unwrap_or(query.dst)),
            Way::None => {
                hop.end = Some(WalkEnd::NoRoute);
                walked.hops.push(hop);
                return vec![];
            }
            Way::Refused(_) | Way::RuleRefuses(_) => {
                hop.end = Some(WalkEnd::Refused);
                walked.hops.push(hop);
                return vec![];
            }
            Way::Unknown(why) => {
                hop.end = Some(WalkEnd::Unknown(why));
                walked.hops.push(hop);
                return vec![];
            }
        };
        let incoming = at.iif.and_then(|iif| interfaces::link(facts, iif));
        if let Some(sysctl) = incoming.and_then(|link| interfaces::not_forwarding(facts, &link.name, flow.dst())) {
            hop.end = Some(WalkEnd::NotForwarding(sysctl));
            walked.hops.push(hop);
            return vec![];
        }
        hop.leaves = oif;
        hop.next_hop = Some(next_hop);
        let Some(oif) = oif else {
            hop.end = Some(WalkEnd::Unknown("the route names no interface".to_owned()));
            walked.hops.push(hop);
            return vec![];
        };
        let mut leaving = translate::sources(self.evidence, at.netns, facts, at.iif, oif, flow);
        if self.direction == Direction::Answer {
            // Connection tracking has settled on the first packet what becomes of its answers.
            leaving = vec![flow];
        }
        if !self.all {
            leaving.truncate(1);
        }
        let mut on = Vec::new();
        for left in leaving {
            let mut hop = hop.clone();
            if left != at.flow {
                hop.translated = Some(left);
                walked.done.push(Done {
                    netns: at.netns,
                    before: at.flow,
                    after: left,
                });
            }
            walked.hops.push(hop);
            let crossed = Frame::new(self, &mut walked.hops, at.netns, next_hop, left).leave(oif);
            match self.onward(at.netns, next_hop, left, crossed) {
                Crossed::Lands(netns, iif) => on.push(At {
                    netns,
                    iif: Some(iif),
                    flow: left,
                }),
                Crossed::Ends(end) => {
                    if let Some(last) = walked.hops.last_mut() {
                        last.end.get_or_insert(end);
                    }
                }
            }
        }
        on
    }

    /// Facts of a namespace; one that was not read is noted.
    fn facts(&mut self, netns: u32) -> Option<&'a NetnsFacts> {
        self.note_unread(netns);
        self.evidence.netns(netns).map(|netns| &netns.before)
    }

    /// A namespace on the way is to be read, unless it was.
    fn note_unread(&mut self, netns: u32) {
        self.unread.add(self.evidence, netns);
    }

    fn hop(&self, at: At, kind: HopKind) -> WalkHop {
        WalkHop {
            direction: self.direction,
            netns: at.netns,
            kind,
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
