//! The way of the watched packets as the report shows it.

use crate::case::trail::Leg;
use crate::case::{Case, Fate, Tried, firewall_drops};
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
    // What has no name tells a reader nothing: packets pass it between two places that have one.
    let mut hops: Vec<Hop> = leg
        .stops
        .iter()
        .filter(|stop| case.is_named(stop.netns))
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
            let how = if firewall_drops::rejected(case, drop) {
                "rejected"
            } else {
                "dropped"
            };
            (Happened::Dropped, format!("{how}: {} ({meaning})", drop.words()))
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
        if leg.stops.last().is_some_and(|stop| !case.is_named(stop.netns)) {
            end.says += ", and then in a network namespace that nothing names";
        }
        hops.push(end);
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::path;
    use crate::case::Case;
    use crate::scenes::{Scene, X};
    use model::owner::Owner;
    use model::report::Happened;

    /// Neither a name nor a process, and nobody read its facts.
    const NAMELESS: u32 = 4_026_532_183;

    /// A packet that leaves a by x and is not seen again behind a namespace that nobody knows.
    fn through_a_nameless_namespace() -> Scene {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, X, "up0");
        let flow = scene.evidence.attempts[0].flow;
        scene.hop(NAMELESS, "br0", flow, 1);
        scene
    }

    #[test]
    fn a_namespace_without_a_name_is_left_out_and_still_told_of_at_the_end() {
        let scene = through_a_nameless_namespace();
        let hops = path(&Case::new(&scene.evidence));
        let places: Vec<&str> = hops.iter().map(|hop| hop.netns.as_str()).collect();
        assert_eq!(places, ["netns/a", "netns/x", "netns/x", "netns/x", "netns/x"]);
        let last = hops.last().unwrap();
        assert_eq!(last.happened, Happened::LastSeen);
        assert!(
            last.says.ends_with("in a network namespace that nothing names"),
            "{}",
            last.says
        );
    }

    #[test]
    fn a_namespace_whose_facts_nobody_read_is_called_after_its_owner() {
        let mut scene = through_a_nameless_namespace();
        for event in &mut scene.evidence.events {
            if event.netns == NAMELESS {
                event.owner = Owner::Netns { name: "gw".into() };
            }
        }
        let hops = path(&Case::new(&scene.evidence));
        assert_eq!(hops.last().unwrap().netns, "netns/gw");
    }
}
