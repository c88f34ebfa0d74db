//! The packets of one attempt in one direction: the places at which they were met, and what was lost of them.

use super::ways::{Moment, Ways};
use crate::kernel::drops::Class;
use crate::kernel::tunnel;
use model::event::{Event, Seen};
use model::evidence::Evidence;
use model::flow::Flow;
use model::report::{Direction, Happened};
use model::word::Hook;

/// The packets of one attempt in one direction.
#[derive(Clone, Debug)]
pub struct Leg<'a> {
    /// The attempt.
    pub attempt: u32,
    /// Which way.
    pub direction: Direction,
    /// Places in the order in which a packet meets them.
    pub stops: Vec<Stop>,
    /// Losses, those of healthy traffic left out.
    pub drops: Vec<Dropped<'a>>,
    /// ICMP errors about packets of this leg that were dropped on their way to its sender.
    pub lost_errors: Vec<Dropped<'a>>,
    /// Other events about this flow: resets, retransmissions, ICMP errors, socket errors, state changes, DNS messages.
    pub others: Vec<&'a Event>,
}

/// One place at which packets were met.
#[derive(Clone, Debug, PartialEq)]
pub struct Stop {
    /// Namespace, by inode.
    pub netns: u32,
    /// Interface index; 0 when the packet was at none.
    pub ifindex: u32,
    /// Its name, where known.
    pub interface: Option<String>,
    /// `Left`, `Arrived` or `Delivered`.
    pub happened: Happened,
    /// The tuple here.
    pub flow: Flow,
    /// The tuple before, where it was translated on the way here.
    pub translated_from: Option<Flow>,
    /// First time, `CLOCK_MONOTONIC` nanoseconds.
    pub first_ns: u64,
    /// Last time.
    pub last_ns: u64,
    /// Packets seen here.
    pub packets: u32,
    /// The largest IP packet seen here, in bytes.
    pub largest_bytes: u32,
    /// The smallest and the largest TTL or hop limit seen here; 0 when none was told.
    pub ttl: (u8, u8),
    /// When a packet is here: the earliest of those that were met.
    moment: Moment,
}

/// A loss on a watched flow.
#[derive(Clone, Copy, Debug)]
pub struct Dropped<'a> {
    /// The event.
    pub event: &'a Event,
    /// Its family.
    pub class: Class,
    /// The attempt.
    pub attempt: u32,
    /// Which way the packet went.
    pub direction: Direction,
}

impl Dropped<'_> {
    /// The kernel's reason.
    pub fn reason(&self) -> &str {
        match &self.event.seen {
            Seen::Drop { reason, .. } => reason,
            _ => "",
        }
    }

    /// The kernel function, empty where the kernel hides it.
    pub fn location(&self) -> &str {
        match &self.event.seen {
            Seen::Drop { location, .. } => location.as_deref().unwrap_or(""),
            _ => "",
        }
    }

    /// It was a tunnel's own packet, with a watched one in it.
    pub fn in_tunnel(&self) -> bool {
        tunnel::is_around(self.event)
    }

    /// `NETFILTER_DROP in nft_do_chain`.
    pub fn words(&self) -> String {
        match self.location() {
            "" => self.reason().to_owned(),
            location => format!("{} in {location}", self.reason()),
        }
    }
}

impl Stop {
    /// The order in which the first packet met this place.
    pub fn first_met(&self) -> (u8, u64) {
        (self.moment.rank, self.first_ns)
    }

    /// How much lower a TTL got between two packets met here.
    pub fn ttl_spread(&self) -> u8 {
        self.ttl.1.saturating_sub(self.ttl.0)
    }
}

impl Leg<'_> {
    /// A packet was met at a hook.
    pub(super) fn meet(
        &mut self,
        evidence: &Evidence,
        event: &Event,
        hook: Hook,
        moment: Moment,
        before: Option<Flow>,
    ) {
        let happened = match hook {
            Hook::Queue | Hook::Transmit => Happened::Left,
            Hook::Receive => Happened::Arrived,
            Hook::Delivered => Happened::Delivered,
        };
        let (bytes, ttl) = event.packet.map_or((0, 0), |packet| (packet.len, packet.ttl));
        let same = self.stops.iter_mut().find(|stop| {
            stop.netns == event.netns
                && stop.ifindex == event.ifindex
                && stop.happened == happened
                && stop.flow == event.flow
        });
        if let Some(stop) = same {
            // Queue and transmit of one packet are one place.
            if hook != Hook::Transmit {
                stop.packets += 1;
            }
            stop.first_ns = stop.first_ns.min(event.at_ns);
            stop.last_ns = stop.last_ns.max(event.at_ns);
            stop.moment = stop.moment.min(moment);
            stop.largest_bytes = stop.largest_bytes.max(bytes);
            stop.ttl = (stop.ttl.0.min(ttl), stop.ttl.1.max(ttl));
            return;
        }
        self.stops.push(Stop {
            netns: event.netns,
            ifindex: event.ifindex,
            interface: event
                .interface
                .clone()
                .or_else(|| link_name(evidence, event.netns, event.ifindex)),
            happened,
            flow: event.flow,
            translated_from: before,
            first_ns: event.at_ns,
            last_ns: event.at_ns,
            packets: 1,
            largest_bytes: bytes,
            ttl: (ttl, ttl),
            moment,
        });
    }

    /// Puts the places into the order in which a packet meets them.
    pub(super) fn sort(&mut self, ways: &Ways<'_>) {
        let way = (self.attempt, self.direction);
        self.stops.sort_by_key(|stop| {
            let Moment { rank, visit, since_ns } = stop.moment;
            (rank, ways.began_ns(way, visit), visit, since_ns, stop.first_ns)
        });
    }

    /// The same packet told by two probes is one loss.
    pub(super) fn has_drop(&self, event: &Event) -> bool {
        self.drops.iter().any(|drop| {
            drop.event.skb != 0 && drop.event.skb == event.skb && event.at_ns.abs_diff(drop.event.at_ns) < 20_000
        })
    }

    /// A stop shows what its tuple was before only where it differs from the stop before it.
    pub(super) fn mark_translations(&mut self) {
        let mut last: Option<Flow> = None;
        for stop in &mut self.stops {
            stop.translated_from = match last {
                Some(flow) if flow != stop.flow => Some(flow),
                Some(_) => None,
                None => stop.translated_from.filter(|flow| *flow != stop.flow),
            };
            last = Some(stop.flow);
        }
    }

    /// The place farthest on the way at which a packet was met.
    pub fn farthest(&self) -> Option<&Stop> {
        self.stops.last()
    }

    /// A packet was met in this namespace.
    pub fn reached(&self, netns: u32) -> bool {
        self.stops.iter().any(|stop| stop.netns == netns) || self.drops.iter().any(|drop| drop.event.netns == netns)
    }

    /// It was handed to a socket or read by a program.
    pub fn delivered(&self) -> bool {
        self.stops.iter().any(|stop| stop.happened == Happened::Delivered)
    }

    /// Nothing was seen of it but what its own namespace saw.
    pub fn stayed_in(&self, netns: u32) -> bool {
        !self.stops.is_empty() && self.stops.iter().all(|stop| stop.netns == netns)
    }

    /// Times a segment of it was sent again.
    pub fn retransmits(&self) -> usize {
        self.others
            .iter()
            .filter(|event| matches!(event.seen, Seen::Retransmit { errno: 0, .. }))
            .count()
    }
}

/// The name of an interface, as the facts of its namespace tell it.
fn link_name(evidence: &Evidence, netns: u32, ifindex: u32) -> Option<String> {
    let links = evidence.netns(netns)?.before.links.ok()?;
    links
        .iter()
        .find(|link| link.index == ifindex)
        .map(|link| link.name.clone())
}
