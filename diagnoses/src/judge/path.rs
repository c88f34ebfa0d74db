//! The way of the watched packets as the report shows it.

use crate::case::firewall_drops::Rejections;
use crate::case::trail::{Dropped, Leg};
use crate::case::{Case, Fate, Tried, connect_translation};
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
    let rejections = Rejections::of(case);
    legs.flat_map(|leg| hops(case, leg, &rejections)).collect()
}

fn hops<'a>(case: &Case<'a>, leg: &Leg<'a>, rejections: &Rejections<'a>) -> Vec<Hop> {
    let start = case.evidence.window.start_ns;
    let several = leg
        .stops
        .iter()
        .any(|stop| case.node(stop.netns) != case.node(leg.stops[0].netns));
    let unordered = |netns: u32| {
        let name = case.evidence.netns(netns).map_or("", |netns| netns.node.as_str());
        let node = case.evidence.node(name);
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
        translated_in: None,
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
    if let Some(done) = connect_translation::of(case, leg)
        && let Some(first) = hops.first_mut()
    {
        first.translated_from = Some(done.asked);
        first.translated_in = Some(connect_translation::PLACE.to_owned());
        let became = format!("{} became {}", done.asked, done.became);
        first.says = format!("{}; {became} in {}", first.says, connect_translation::PLACE);
    }
    let mut lost: Vec<Hop> = Vec::new();
    for drop in &leg.drops {
        let interface = Some(case.interface(drop.event)).filter(|name| !name.is_empty());
        let (happened, says) = if drop.class == Class::NoSocket {
            (Happened::NoSocket, "delivered to no socket: nothing listens".to_owned())
        } else {
            let meaning = drops::meaning(drop.class);
            let how = if rejections.tell(case, drop) {
                "rejected"
            } else {
                "dropped"
            };
            (Happened::Dropped, format!("{how}: {} ({meaning})", drop.words()))
        };
        let known = lost
            .iter()
            .any(|end| end.says == says && end.netns_id == drop.event.netns && end.interface == interface);
        if !known {
            lost.push(hop(
                drop.event.netns,
                interface,
                happened,
                drop.event.flow,
                None,
                drop.event.at_ns,
                losses(case, leg, drop, rejections),
                says,
            ));
        }
    }
    let ended = !lost.is_empty() || hops.iter().any(|hop| hop.happened == Happened::Delivered);
    for end in lost {
        let at = place_of(&hops, &end);
        hops.insert(at, end);
    }
    let answered = leg.direction == Direction::Request && case.leg(leg.attempt, Direction::Answer).is_some();
    let tried = case.attempt(leg.attempt);
    let worked = tried.is_some_and(|tried| tried.fate == Fate::Worked);
    // Where the connection was made, the first answers came all the way.
    let all_the_way = leg.direction == Direction::Answer
        && tried.is_some_and(|tried| tried.connected() || tried.attempt.first_answer_ns.is_some());
    if let Some(last) = hops.last().filter(|_| !ended && !answered && !worked && !all_the_way) {
        let mut end = last.clone();
        end.happened = Happened::LastSeen;
        end.translated_from = None;
        end.translated_in = None;
        end.says = format!("last seen here: {}", last.says);
        if leg.stops.last().is_some_and(|stop| !case.is_named(stop.netns)) {
            end.says += ", and then in a network namespace that nothing names";
        }
        hops.push(end);
    }
    hops
}

/// How many packets were lost there in the same way: of all attempts of this kind, as the verdict counts them.
fn losses<'a>(case: &Case<'a>, leg: &Leg<'a>, lost: &Dropped<'a>, rejections: &Rejections<'a>) -> u32 {
    let rejected = rejections.tell(case, lost);
    let alike = |other: &&Dropped<'a>| {
        let (one, other_event) = (lost.event, other.event);
        other.direction == lost.direction
            && other.words() == lost.words()
            && (one.netns, one.ifindex) == (other_event.netns, other_event.ifindex)
            && one.flow.protocol == other_event.flow.protocol
            && one.flow.dst().is_ipv6() == other_event.flow.dst().is_ipv6()
            && rejections.tell(case, other) == rejected
    };
    let own = leg.drops.iter().filter(alike).count();
    let all = case.accusing().filter(|other| alike(&other)).count();
    u32::try_from(own.max(all)).unwrap_or(u32::MAX)
}

/// Where on the way a loss belongs: behind the last place of its interface, else of its namespace, else at the end. Large packets
/// may be lost at a place which small ones passed.
fn place_of(hops: &[Hop], lost: &Hop) -> usize {
    let behind = |fits: &dyn Fn(&Hop) -> bool| hops.iter().rposition(fits).map(|at| at + 1);
    let here = |hop: &Hop| hop.netns_id == lost.netns_id;
    behind(&|hop| here(hop) && hop.interface == lost.interface)
        .or_else(|| behind(&here))
        .unwrap_or(hops.len())
}

#[cfg(test)]
mod tests {
    use super::path;
    use crate::case::Case;
    use crate::scenes::{C, Scene, X};
    use model::event::Seen;
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
    fn a_loss_of_large_packets_stands_where_it_happened_though_small_ones_went_on() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, C, "eth0");
        let flow = scene.evidence.attempts[0].flow;
        scene.drop(X, "cbr0", flow, "PKT_TOO_BIG", "ip_forward");
        let hops = path(&Case::new(&scene.evidence));
        let places: Vec<&str> = hops.iter().map(|hop| hop.netns.as_str()).collect();
        let mut in_order = places.clone();
        in_order.dedup();
        assert_eq!(in_order, ["netns/a", "netns/x", "netns/y", "netns/c"]);
        assert_eq!(hops[3].happened, Happened::Dropped, "{hops:?}");
    }

    #[test]
    fn a_loss_is_counted_as_the_verdict_counts_it() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, X, "cbr0", "A_NEW_REASON", "a_new_function");
        let hops = path(&Case::new(&scene.evidence));
        let lost = hops.iter().find(|hop| hop.happened == Happened::Dropped).unwrap();
        assert_eq!(lost.packets, 3);
    }

    #[test]
    fn of_packets_with_the_same_words_those_that_were_rejected_are_counted_apart() {
        let mut scene = Scene::two_nodes();
        scene.dropped(1, X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let flow = scene.evidence.attempts[0].flow;
        for _ in 0..2 {
            scene.pauses_ms(5);
            scene.drop(X, "cbr0", flow, "NETFILTER_DROP", "nf_hook_slow");
            scene.saw(
                X,
                "cbr0",
                flow,
                Seen::IcmpSent {
                    kind: 3,
                    code: 3,
                    info: 0,
                },
            );
        }
        let hops = path(&Case::new(&scene.evidence));
        let lost = hops.iter().filter(|hop| hop.happened == Happened::Dropped);
        let told: Vec<(&str, u32)> = lost
            .map(|hop| (hop.says.split(':').next().unwrap(), hop.packets))
            .collect();
        assert_eq!(told.len(), 2, "{told:?}");
        assert!(
            told.contains(&("dropped", 1)) && told.contains(&("rejected", 2)),
            "{told:?}"
        );
    }

    #[test]
    fn answers_of_a_connection_that_was_made_were_not_last_seen_on_the_way() {
        let last_seen = |connected_ns| {
            let mut scene = Scene::two_nodes();
            scene.answers_vanish(1);
            scene.evidence.attempts[0].connected_ns = connected_ns;
            let hops = path(&Case::new(&scene.evidence));
            hops.iter().any(|hop| hop.happened == Happened::LastSeen)
        };
        assert!(last_seen(None) && !last_seen(Some(400_000)));
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
