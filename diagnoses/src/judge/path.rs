//! The way of the watched packets as the report shows it.

use crate::case::trail::Leg;
use crate::case::{Case, Fate, Tried};
use crate::kernel::drops::{self, Class};
use crate::words;
use model::evidence::Clock;
use model::report::{Direction, Happened, Hop};

/// The trail of the attempt that tells most: the first that failed, else the first that was asked for; one for each address family.
pub fn path(case: &Case<'_>) -> Vec<Hop> {
    let mut chosen: Vec<u32> = Vec::new();
    for v6 in [false, true] {
        let of_family = |tried: &&&Tried<'_>| tried.attempt.flow.dst().is_ipv6() == v6;
        let failed = case.failed();
        let asked: Vec<_> = case.asked().collect();
        let first = failed.iter().find(of_family).or_else(|| asked.iter().find(of_family));
        chosen.extend(first.map(|tried| tried.attempt.id));
    }
    if chosen.is_empty() {
        chosen.extend(case.trail.legs.first().map(|leg| leg.attempt));
    }
    let legs = case.trail.legs.iter().filter(|leg| chosen.contains(&leg.attempt));
    legs.flat_map(|leg| hops(case, leg)).collect()
}

fn hops(case: &Case<'_>, leg: &Leg<'_>) -> Vec<Hop> {
    let start = case.evidence.window.start_ns;
    let several = leg
        .stops
        .iter()
        .any(|stop| case.node(stop.netns) != case.node(leg.stops[0].netns));
    let unordered = |netns: u32| {
        let name = case.evidence.netns(netns).map_or("", |netns| netns.node.as_str());
        let node = case.evidence.nodes.iter().find(|node| node.name == name);
        several && node.is_some_and(|node| node.clock == Clock::Unknown)
    };
    let hop = |netns: u32, interface: Option<String>, happened, flow, from, at_ns: u64, packets, says| Hop {
        direction: leg.direction,
        attempt: leg.attempt,
        node: case.node(netns),
        netns: case.name(netns),
        netns_id: netns,
        interface,
        happened,
        flow,
        translated_from: from,
        at_ns: at_ns.saturating_sub(start),
        packets,
        says,
    };
    let mut hops: Vec<Hop> = leg
        .stops
        .iter()
        .map(|stop| {
            let verb = match stop.happened {
                Happened::Left => "left through",
                Happened::Arrived => "arrived at",
                _ => "read by a program in",
            };
            let place = words::at(&case.name(stop.netns), stop.interface.as_deref());
            let from = stop.translated_from.map_or(String::new(), |from| {
                format!(", translated: {from} became {}", stop.flow)
            });
            hop(
                stop.netns,
                stop.interface.clone(),
                stop.happened,
                stop.flow,
                stop.translated_from,
                stop.first_ns,
                stop.packets,
                if unordered(stop.netns) {
                    format!("{verb} {place}{from}; when, beside what other nodes saw, is not known: no packet was seen at both")
                } else {
                    format!("{verb} {place}{from}")
                },
            )
        })
        .collect();
    let mut ends: Vec<Hop> = Vec::new();
    for drop in &leg.drops {
        let interface = Some(case.interface(drop.event)).filter(|name| !name.is_empty());
        let (happened, says) = if drop.class == Class::NoSocket {
            (Happened::NoSocket, "delivered to no socket: nothing listens".to_owned())
        } else {
            let meaning = drops::meaning(drop.class);
            (Happened::Dropped, format!("dropped: {} ({meaning})", drop.words()))
        };
        let same = ends
            .iter_mut()
            .find(|end| end.says == says && end.netns_id == drop.event.netns && end.interface == interface);
        match same {
            Some(end) => end.packets += 1,
            None => ends.push(hop(
                drop.event.netns,
                interface,
                happened,
                drop.event.flow,
                None,
                drop.event.at_ns,
                1,
                says,
            )),
        }
    }
    hops.append(&mut ends);
    let ended = hops.iter().any(|hop| {
        matches!(
            hop.happened,
            Happened::Dropped | Happened::Delivered | Happened::NoSocket
        )
    });
    let answered = leg.direction == Direction::Request && case.leg(leg.attempt, Direction::Answer).is_some();
    let worked = case
        .attempt(leg.attempt)
        .is_some_and(|tried| tried.fate == Fate::Worked);
    if let Some(last) = hops.last().filter(|_| !ended && !answered && !worked) {
        let mut end = last.clone();
        end.happened = Happened::LastSeen;
        end.translated_from = None;
        end.says = format!("last seen here: {}", last.says);
        hops.push(end);
    }
    hops
}
