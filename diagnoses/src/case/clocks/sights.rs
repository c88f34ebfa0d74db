//! Where each watched packet was met, machine by machine, and in which order it came from one to the other.

use super::Machines;
use crate::case::attribution::{learn, ours, owner_of};
use model::event::Seen;
use model::evidence::Evidence;
use model::flow::{ICMP, ICMPV6};
use model::report::Direction;
use model::word::Hook;
use std::collections::HashMap;

/// A packet at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sight {
    pub at_ns: u64,
    left: bool,
    /// TTL or hop limit; 0 when not told.
    ttl: u8,
    place: (u32, u32, Hook),
}

/// What tells a packet wherever it is met: attempt, direction, sequence, acknowledgement, flags, length, identification.
pub type PacketMarks = (u32, Direction, u32, u32, u8, u32, u16);

/// Each packet's sights, by machine and in that machine's order; one that was sent again has several groups.
pub type Packets = HashMap<PacketMarks, Vec<Vec<Vec<Sight>>>>;

pub fn packets(evidence: &Evidence, machines: &Machines<'_>) -> Packets {
    let mut events = ours(evidence);
    // What a translation made of a tuple is learned where it begins.
    events.sort_by_key(|event| (machines.of_event(evidence, event), event.at_ns));
    let (known, _) = learn(evidence, &events);
    let mut packets = Packets::new();
    for event in events {
        let (Seen::Hop { hook, .. }, Some(packet)) = (&event.seen, event.packet) else {
            continue;
        };
        let cut = packet.fragment != 0 && !matches!(event.flow.protocol, ICMP | ICMPV6);
        let Some((attempt, direction)) = owner_of(&known, event).filter(|_| !cut) else {
            continue;
        };
        let marks = (
            attempt,
            direction,
            packet.seq,
            packet.ack,
            packet.tcp_flags,
            packet.len,
            packet.ip_id,
        );
        let by_machine = packets
            .entry(marks)
            .or_insert_with(|| vec![Vec::new(); machines.boots.len()]);
        let groups = &mut by_machine[machines.of_event(evidence, event)];
        let sight = Sight {
            at_ns: event.at_ns,
            left: matches!(hook, Hook::Queue | Hook::Transmit),
            ttl: packet.ttl,
            place: (event.netns, event.ifindex, *hook),
        };
        let again = |group: &Vec<Sight>| {
            let same = |known: &Sight| (known.place, known.ttl) == (sight.place, sight.ttl);
            group.iter().any(same)
        };
        match groups.last_mut() {
            Some(group) if !again(group) => group.push(sight),
            _ => groups.push(vec![sight]),
        }
    }
    packets
}

/// A packet came to the second machine from the first, as its TTL and the way it was going tell.
pub fn begins(first: &[Sight], second: &[Sight]) -> bool {
    match (first.first(), second.first()) {
        (Some(one), Some(other)) => earlier(one, other),
        _ => false,
    }
}

/// The first sight is earlier on the way than the second, of another machine: routers lower the TTL, and what leaves arrives.
const fn earlier(one: &Sight, other: &Sight) -> bool {
    let told = one.ttl != 0 && other.ttl != 0;
    told && (one.ttl > other.ttl || (one.ttl == other.ttl && one.left && !other.left))
}

/// When a packet left the one machine for the other and arrived there, and when it left the other and came back: each a pair
/// of times, of the one machine and of the other. A request begins at the one, an answer ends there.
#[expect(clippy::type_complexity, reason = "two pairs of times")]
pub fn crossing(direction: Direction, one: &[Sight], other: &[Sight]) -> (Option<(u64, u64)>, Option<(u64, u64)>) {
    let (Some(first), Some(last)) = (other.first(), other.last()) else {
        return (None, None);
    };
    if one.is_empty() {
        return (None, None);
    }
    let (leaves, returns) = match direction {
        Direction::Request => {
            let leaves = one
                .iter()
                .rposition(|sight| earlier(sight, first))
                .unwrap_or(one.len() - 1);
            let back = one.iter().skip(leaves + 1).position(|sight| earlier(last, sight));
            (Some(leaves), back.map(|back| leaves + 1 + back))
        }
        Direction::Answer => {
            let returns = one.iter().position(|sight| earlier(last, sight)).unwrap_or_default();
            let leaves = one[..returns].iter().rposition(|sight| earlier(sight, first));
            (leaves, Some(returns))
        }
    };
    (
        leaves.map(|at| (one[at].at_ns, first.at_ns)),
        returns.map(|at| (one[at].at_ns, last.at_ns)),
    )
}
