//! Which events are of watched packets, of which attempt, and which way they go.

use crate::kernel::drops::{Class, class_of};
use model::event::{Event, Packet, Seen};
use model::evidence::Evidence;
use model::flow::{Flow, ICMP, ICMPV6, TCP};
use model::report::Direction;
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

/// To which attempt a tuple belongs.
pub type FlowOwners = HashMap<Flow, (u32, Direction)>;

/// Events in time order, of the namespaces that were looked into. The same tuple in any other one is somebody else's (a second
/// cluster on this machine with the same addresses), unless it is a packet that was seen in one of ours before.
pub fn ours(evidence: &Evidence) -> Vec<&Event> {
    let mut events: Vec<&Event> = evidence.events.iter().collect();
    events.sort_by_key(|event| event.at_ns);
    let flood = Flood::of(evidence);
    let mut packets: HashSet<u64> = HashSet::new();
    events.retain(|event| !flood.carried(evidence, event));
    events.retain(|event| {
        let here = event.netns == 0 || evidence.netns(event.netns).is_some();
        if here && event.netns != 0 && event.skb != 0 {
            packets.insert(event.skb);
        }
        here || packets.contains(&event.skb)
    });
    events
}

/// Copies that a bridge made for all of its ports, because it did not know yet behind which one the target lives. Those who
/// are not meant throw them away as another host's; they are no part of the way.
struct Flood {
    /// Namespaces off the path that did.
    thrown: HashSet<u32>,
    /// Interfaces that lead there: namespace and index.
    ports: HashSet<(u32, u32)>,
}

impl Flood {
    fn of(evidence: &Evidence) -> Self {
        let thrown: HashSet<u32> = evidence
            .events
            .iter()
            .filter(|event| event.netns != 0 && evidence.netns(event.netns).is_none() && of_another_host(event))
            .map(|event| event.netns)
            .collect();
        let mut ports = HashSet::new();
        for netns in evidence.netns.iter().filter(|_| !thrown.is_empty()) {
            let links = netns.before.links.ok().into_iter().flatten();
            let leads = links.filter(|link| {
                let there = link.peer.as_ref().and_then(|peer| peer.netns);
                there.is_some_and(|there| thrown.contains(&there))
            });
            ports.extend(leads.map(|link| (netns.id, link.index)));
        }
        Self { thrown, ports }
    }

    fn carried(&self, evidence: &Evidence, event: &Event) -> bool {
        // A port in hairpin mode gives the sender its own packet back.
        let own = evidence.source.netns == Some(event.netns) && evidence.source.addresses.contains(&event.flow.src());
        self.thrown.contains(&event.netns)
            || self.ports.contains(&(event.netns, event.ifindex))
            || (own && of_another_host(event))
    }
}

/// It was thrown away for its hardware address.
pub fn of_another_host(event: &Event) -> bool {
    matches!(&event.seen, Seen::Drop { .. }) && class_of(event) == Some(Class::OtherHost)
}

/// The attempt of a packet that was freed inside a tunnel's packet, which no hop has shown yet (a rule on OUTPUT is met before
/// any device).
pub fn tunnelled(known: &FlowOwners, event: &Event) -> Option<(u32, Direction)> {
    let is_drop = matches!(event.seen, Seen::Drop { .. });
    let within = event.quoted.filter(|_| is_drop && !is_icmp(event))?;
    known.get(&within).copied()
}

/// An ICMP error quotes a packet; anything else that has one within carries it.
pub fn is_icmp(event: &Event) -> bool {
    matches!(event.flow.protocol, ICMP | ICMPV6)
}

/// The attempt of an event's tuple. A socket that has let go of its port tells it as 0; the other parts then say whose it is,
/// where they leave no choice.
pub fn owner_of(known: &FlowOwners, event: &Event) -> Option<(u32, Direction)> {
    let flow = event.flow;
    if let Some(owner) = known.get(&flow) {
        return Some(*owner);
    }
    if flow.protocol != TCP || (flow.sport != 0 && flow.dport != 0) {
        return None;
    }
    let port = |own: u16, told: u16| told == 0 || own == told;
    let mut alike = known.iter().filter(|(own, _)| {
        (own.saddr, own.daddr, own.protocol) == (flow.saddr, flow.daddr, flow.protocol)
            && port(own.sport, flow.sport)
            && port(own.dport, flow.dport)
    });
    let owner = alike.next().map(|(_, owner)| *owner)?;
    alike.all(|(_, other)| *other == owner).then_some(owner)
}

/// Datagrams of ours that were cut into pieces: only the first piece bears ports, the others are known by addresses and
/// identification (RFC 791, 3.2). IPv6's identification is not told, so there they stay nobody's.
#[derive(Debug, Default)]
pub struct Datagrams(HashMap<(u128, u128, u8, u16), (u32, Direction)>);

impl Datagrams {
    /// A packet of ours was met.
    pub fn meet(&mut self, event: &Event, owner: (u32, Direction)) {
        if let Some(key) = piece(event) {
            self.0.insert(key, owner);
        }
    }

    /// To which attempt a piece without ports belongs.
    pub fn whose(&self, event: &Event) -> Option<(u32, Direction)> {
        let portless = event.flow.sport == 0 && event.flow.dport == 0;
        self.0.get(&piece(event).filter(|_| portless)?).copied()
    }
}

/// What all pieces of one datagram share; nothing for what is whole.
fn piece(event: &Event) -> Option<(u128, u128, u8, u16)> {
    let packet = event
        .packet
        .filter(|packet| packet.fragment != 0 && packet.ip_id != 0)?;
    let flow = &event.flow;
    (!is_icmp(event)).then(|| (bits(flow.src()), bits(flow.dst()), flow.protocol, packet.ip_id))
}

fn bits(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}

/// Which tuples belong to which attempt, and what each translated one was before.
pub fn learn(evidence: &Evidence, events: &[&Event]) -> (FlowOwners, HashMap<Flow, Flow>) {
    let mut known = FlowOwners::new();
    let mut before = HashMap::new();
    for watched in &evidence.watched {
        known.insert(watched.flow, (watched.attempt, Direction::Request));
        known
            .entry(watched.flow.reversed())
            .or_insert((watched.attempt, Direction::Answer));
    }
    let mut skbs: HashMap<u64, (u32, Direction, Flow, Option<Packet>)> = HashMap::new();
    for event in events {
        let learned = match event.seen {
            Seen::Hop { learned, .. } => learned,
            _ => false,
        };
        let mut owner = known.get(&event.flow).copied();
        if owner.is_none() && learned {
            let from = skbs
                .get(&event.skb)
                .filter(|(.., packet)| same_packet(*packet, event.packet))
                .or_else(|| {
                    skbs.values()
                        .find(|(_, _, flow, packet)| continues(flow, *packet, event))
                });
            owner = from.map(|&(attempt, direction, flow, _)| {
                before.insert(event.flow, flow);
                (attempt, direction)
            });
        }
        if owner.is_none() {
            owner = told(evidence, event);
        }
        if let Some((attempt, direction)) = owner {
            known.entry(event.flow).or_insert((attempt, direction));
            known
                .entry(event.flow.reversed())
                .or_insert((attempt, opposite(direction)));
        }
        if let Some((attempt, direction)) = owner
            && matches!(event.seen, Seen::Hop { .. })
            && event.skb != 0
        {
            skbs.insert(event.skb, (attempt, direction, event.flow, event.packet));
        }
    }
    (known, before)
}

const fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Request => Direction::Answer,
        Direction::Answer => Direction::Request,
    }
}

/// The kernel followed the packet itself and says whose it is; which way it goes, the end that no translation changed tells.
fn told(evidence: &Evidence, event: &Event) -> Option<(u32, Direction)> {
    let attempt = event.attempt.filter(|_| event.quoted.is_none())?;
    let of_attempt = |watched: &&model::attempt::WatchedFlow| {
        watched.attempt == attempt && watched.flow.protocol == event.flow.protocol
    };
    let flow = &event.flow;
    evidence.watched.iter().filter(of_attempt).find_map(|watched| {
        let ours = &watched.flow;
        let near =
            |address, port| (address, port) == (ours.saddr, ours.sport) || (port == ours.sport && ours.sport != 0);
        let far = |address, port| (address, port) == (ours.daddr, ours.dport);
        if near(flow.saddr, flow.sport) || far(flow.daddr, flow.dport) {
            Some((attempt, Direction::Request))
        } else if near(flow.daddr, flow.dport) || far(flow.saddr, flow.sport) {
            Some((attempt, Direction::Answer))
        } else {
            None
        }
    })
}

/// The marks that no translation changes agree.
pub fn same_packet(one: Option<Packet>, other: Option<Packet>) -> bool {
    match (one, other) {
        (Some(one), Some(other)) => {
            one.seq == other.seq && one.ack == other.ack && one.tcp_flags == other.tcp_flags && one.ip_id == other.ip_id
        }
        _ => true,
    }
}

/// Where the packet's earlier sight under this address was lost: the same protocol, marks and one end unchanged.
fn continues(flow: &Flow, packet: Option<Packet>, event: &Event) -> bool {
    packet.is_some_and(|packet| packet.seq != 0)
        && event.packet.is_some()
        && same_packet(packet, event.packet)
        && flow.protocol == event.flow.protocol
        && (flow.sport == event.flow.sport && flow.saddr == event.flow.saddr
            || flow.dport == event.flow.dport && flow.daddr == event.flow.daddr)
}
