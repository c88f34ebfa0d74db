//! Packets go to a wrong hardware address of the next hop.
//!
//! Why it happens: a permanent entry is not updated (for example for the far end of a tunnel, after a node was created again).
//! Or an address moved to another pod or host, and the old entry is still taken as valid.
//!
//! How it knows: the watched packet arrived at a host that threw it away, because it carries the hardware address of another
//! host (`OTHERHOST`). Or the entry for the next hop has a hardware address that no interface of the owner of that address has,
//! and the packets vanish behind it.
//!
//! Remedy: delete the entry, so that the kernel asks again. Or correct the program that writes it: on a tunnel that learns
//! nothing, only that program, or `ip neigh replace`, puts the right entry in its place.
//!
//! Silent on: frames that a bridge floods to everybody, entries of other next hops, packets that arrive all the same, and an
//! address of which the owner of that hardware address is another owner (`address-conflict`).

use crate::case::Case;
use crate::case::neighbours::on_one_link;
use crate::case::observations;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::count;
use model::facts::Neighbour;
use model::report::{Direction, Happened};
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("neighbours"),
    Need::Fact("links"),
    Need::Fact("addresses"),
    Need::Fact("routes"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let failed = case.failed();
    let Some(tried) = failed.first() else {
        return Ok(Vec::new());
    };
    let lost = case.drops(Class::OtherHost);
    for hop in case.way() {
        let (Some(next), Some(oif)) = (hop.next_hop, hop.leaves) else {
            continue;
        };
        // A namespace that only shares an address with the path sends nothing of ours.
        if !was_there(case, tried.attempt.id, hop.direction, hop.netns) {
            continue;
        }
        // What arrives behind this hop proves its entry right.
        let leg = case.leg(tried.attempt.id, hop.direction);
        let owners = case.owners(next);
        let came_through = leg.is_some_and(|leg| {
            leg.stops.iter().filter(|stop| stop.netns != hop.netns).any(|stop| {
                let owner = owners.iter().find(|(owner, _)| *owner == stop.netns);
                // A port of the bridge that owns the address is not yet the bridge.
                owner.is_some_and(|(_, link)| {
                    link.kind != "bridge" || link.index == stop.ifindex || stop.happened == Happened::Left
                })
            })
        });
        let thrown = lost
            .iter()
            .find(|drop| drop.direction == hop.direction && owners.iter().any(|(owner, _)| *owner == drop.event.netns));
        if (came_through && thrown.is_none()) || owners.iter().any(|(owner, _)| *owner == hop.netns) {
            continue;
        }
        // Several answer for it: which of them is right is not told by the entry.
        if owners.len() > 1
            && owners
                .iter()
                .any(|(_, link)| entry_names(case, hop.netns, oif, next, &link.mac))
        {
            continue;
        }
        let unclaimed = case
            .drops(Class::BridgeNoPort)
            .iter()
            .any(|drop| owners.iter().any(|(owner, _)| *owner == drop.event.netns));
        let Some((entry, wrong)) = wrong_entry(case, hop.netns, oif, next, unclaimed) else {
            continue;
        };
        let near = case
            .link(hop.netns, oif)
            .zip(case.owner(next))
            .is_some_and(|(link, owner)| on_one_link(case, (hop.netns, link), owner));
        if !near && entry.state != "PERMANENT" && thrown.is_none() {
            continue;
        }
        let mut finding = build(case, hop.netns, oif, &entry, &wrong);
        if let Some(drop) = thrown {
            finding = finding.and(format!(
                "{} got the packet and threw it away: {}",
                case.name(drop.event.netns),
                drop.words()
            ));
        }
        return Ok(vec![observations::last_seen(case, finding, tried.attempt.id)]);
    }
    Ok(thrown_away(case).or_else(|| disowned(case)).into_iter().collect())
}

/// Packets of this direction were seen in this namespace, or are made there; without a trail nothing tells.
fn was_there(case: &Case<'_>, attempt: u32, direction: Direction, netns: u32) -> bool {
    let legs = [Direction::Request, Direction::Answer].map(|direction| case.leg(attempt, direction));
    let untold = legs.into_iter().flatten().all(|leg| leg.stops.is_empty());
    let seen = |leg: &crate::case::trail::Leg<'_>| leg.stops.iter().any(|stop| stop.netns == netns);
    let made = direction == Direction::Request && case.evidence.source.netns == Some(netns);
    untold || made || case.leg(attempt, direction).is_some_and(seen)
}

/// The packets arrive at an end that does not have their address any more: whoever sends them there remembers it wrongly.
fn disowned(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let tried = failed.first()?;
    let leg = case.leg(tried.attempt.id, Direction::Request)?;
    let stop = leg.farthest().filter(|stop| stop.happened == Happened::Arrived)?;
    let target = stop.flow.dst();
    let addresses = case.after(stop.netns, "addresses", |facts| &facts.addresses).ok()?;
    let own = addresses.iter().any(|own| own.address == target) || !case.owners(target).is_empty();
    // A route that leads to it means it as a gateway, not as the owner.
    let is_gateway = case
        .way()
        .iter()
        .filter_map(|hop| hop.next_hop)
        .any(|next| next != target && addresses.iter().any(|own| own.address == next));
    if own
        || is_gateway
        || crate::case::routing::is_router(case, stop.netns)
        || case.evidence.source.netns == Some(stop.netns)
    {
        return None;
    }
    let name = case.name(stop.netns);
    let interface = stop.interface.clone().unwrap_or_default();
    let finding = fatal(
        "neighbour-stale",
        format!("packets for {target} are still sent to {name}, which does not have this address any more"),
    )
    .at(case.node(stop.netns), &name)
    .interface(&interface)
    .of(case.failed_ids())
    .remedy(format!(
        "give {name} the address {target} again, or delete the neighbour entry for it on the host that sends to it (ip neigh del)"
    ))
    .because(format!("{target} arrives at {interface} of {name} and is none of its addresses"));
    Some(observations::last_seen(case, finding, tried.attempt.id))
}

/// No entry could be read, but a host threw the watched packet away for its hardware address.
fn thrown_away(case: &Case<'_>) -> Option<Finding> {
    let lost = case.drops(Class::OtherHost);
    let first = lost.first()?;
    let target = first.event.flow.dst();
    let owned = case.owners(target).iter().any(|(owner, _)| *owner == first.event.netns);
    let unanswered = case
        .leg(first.attempt, Direction::Answer)
        .is_none_or(|leg| leg.stops.is_empty());
    if !owned && !unanswered {
        return None;
    }
    let name = case.name(first.event.netns);
    let finding = fatal(
        "neighbour-stale",
        format!("packets to {target} arrive at {name} with another host's hardware address"),
    )
    .at(case.node(first.event.netns), &name)
    .interface(case.interface(first.event))
    .of(lost.iter().map(|drop| drop.attempt))
    .remedy(format!(
        "delete the neighbour entry for {target} on the host that sends to it (ip neigh del)"
    ))
    .because(format!(
        "{} freed in {name}: {}",
        count(lost.len(), "watched packet"),
        first.words()
    ));
    Some(observations::last_seen(case, finding, first.attempt))
}

/// The neighbour table holds this hardware address for the next hop.
fn entry_names(case: &Case<'_>, netns: u32, ifindex: u32, next: IpAddr, mac: &str) -> bool {
    let table = case.after(netns, "neighbours", |facts| &facts.neighbours).ok();
    table.is_some_and(|table| {
        table.iter().any(|entry| {
            (entry.address, entry.ifindex) == (next, ifindex) && !mac.is_empty() && entry.mac.eq_ignore_ascii_case(mac)
        })
    })
}

/// An entry in use whose hardware address no interface of the owner has; `strict`: is not that of the owning interface.
fn wrong_entry(case: &Case<'_>, netns: u32, ifindex: u32, next: IpAddr, strict: bool) -> Option<(Neighbour, String)> {
    let table = case.after(netns, "neighbours", |facts| &facts.neighbours).ok()?;
    let entry = table
        .iter()
        .find(|entry| entry.address == next && entry.ifindex == ifindex && !entry.mac.is_empty() && !entry.proxy)?;
    if matches!(entry.state.as_str(), "FAILED" | "INCOMPLETE" | "NOARP" | "") {
        return None;
    }
    let (owner, link) = case.owner(next)?;
    let links = case.after(owner, "interfaces", |facts| &facts.links).ok()?;
    let same = |mac: &str| mac.eq_ignore_ascii_case(&entry.mac);
    // A host may answer for its address on any of its interfaces; routed networks answer through the host's own end.
    let host = case
        .peer(owner, link)
        .and_then(|(host, _)| case.after(host, "interfaces", |facts| &facts.links).ok());
    let known = !strict
        && links
            .iter()
            .chain(host.into_iter().flatten())
            .any(|link| same(&link.mac));
    (!known && !same(&link.mac) && !link.mac.is_empty()).then(|| (entry.clone(), link.mac.clone()))
}

fn build(case: &Case<'_>, netns: u32, ifindex: u32, entry: &Neighbour, right: &str) -> Finding {
    let name = case.name(netns);
    let interface = case
        .link(netns, ifindex)
        .map_or(String::new(), |link| link.name.clone());
    let owner = case
        .owner(entry.address)
        .map_or_else(String::new, |(owner, _)| case.name(owner));
    fatal(
        "neighbour-stale",
        format!(
            "{name} sends packets for {} to {}, which is not its hardware address ({right})",
            entry.address, entry.mac
        ),
    )
    .at(case.node(netns), &name)
    .interface(&interface)
    .of(case.failed_ids())
    .remedy(remedy(case, netns, ifindex, entry, right))
    .because(format!(
        "neighbour entry in {name}: {} dev {interface} lladdr {} {}",
        entry.address, entry.mac, entry.state
    ))
    .and(format!("{owner} owns {} and has {right}", entry.address))
}

/// An entry that the kernel asks for again is deleted; on a tunnel that learns nothing it is written anew, since nobody answers
/// there.
fn remedy(case: &Case<'_>, netns: u32, ifindex: u32, entry: &Neighbour, right: &str) -> Remedy {
    let Some(link) = case.link(netns, ifindex) else {
        return "delete the entry, and see who wrote it".into();
    };
    if link.vxlan.as_ref().is_some_and(|vxlan| !vxlan.learning) {
        let names: [&dyn core::fmt::Display; 3] = [&entry.address, &right, &link.name];
        return Remedy::from(format!(
            "restart the CNI's agent on {}, which writes it",
            case.name(netns)
        ))
        .run(
            "; by hand: ",
            case.command(netns, "ip neigh replace {} lladdr {} dev {} nud permanent", &names),
        );
    }
    Remedy::from("delete the entry")
        .run(
            ": ",
            case.command(netns, "ip neigh del {} dev {}", &[&entry.address, &link.name]),
        )
        .say(", and see who wrote it")
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::missing::Known;

    #[test]
    fn a_permanent_entry_with_a_wrong_address() {
        let mut scene = Scene::two_nodes();
        scene.facts(scenes::Y, |facts| {
            facts.neighbours = Known::Known(vec![scenes::neighbour(
                9,
                "10.90.2.2",
                "02:00:00:00:00:99",
                "PERMANENT",
            )]);
        });
        scene.dropped(3, scenes::C, "eth0", "OTHERHOST", "ip_rcv_core");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["neighbour-stale"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/y"));
        assert!(judgement.verdicts[0].remedy.contains("ip neigh del 10.90.2.2 dev cbr0"));
    }

    #[test]
    fn an_entry_of_a_tunnel_that_learns_nothing_is_replaced_and_not_deleted() {
        let mut scene = Scene::over_vxlan();
        scene.facts(scenes::X, |facts| {
            facts.neighbours = Known::Known(vec![scenes::neighbour(
                scenes::TUNNEL,
                "10.90.2.0",
                "02:00:00:00:00:77",
                "PERMANENT",
            )]);
        });
        scene.dropped(3, scenes::Y, "flannel.1", "OTHERHOST", "ip_rcv_core");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["neighbour-stale"]);
        let remedy = &judgement.verdicts[0].remedy;
        let right = scenes::tunnel_mac(2);
        let command = format!("ip neigh replace 10.90.2.0 lladdr {right} dev flannel.1 nud permanent");
        assert!(remedy.contains(&command) && !remedy.contains("neigh del"), "{remedy}");
    }

    #[test]
    fn an_end_that_lost_its_address_is_no_router() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::C, "eth0");
        scene.sysctl(scenes::C, "net.ipv4.ip_forward", "0");
        scene.facts(scenes::C, |facts| facts.addresses = Known::Known(Vec::new()));
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["neighbour-stale"]);
    }

    #[test]
    fn a_bridge_that_took_another_address() {
        let mut scene = Scene::two_nodes();
        scene.facts(scenes::A, |facts| {
            facts.neighbours = Known::Known(vec![scenes::neighbour(
                2,
                "10.90.1.1",
                "02:00:00:00:00:04",
                "REACHABLE",
            )]);
        });
        scene.dropped(3, scenes::X, "vetha", "NO_TX_TARGET", "br_handle_frame_finish");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["neighbour-stale"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/a"));
    }

    #[test]
    fn a_router_that_answers_for_the_other_node_is_not_it() {
        let mut scene = Scene::two_nodes();
        for (node, other) in [(scenes::X, "172.31.90.2"), (scenes::Y, "172.31.90.1")] {
            scene.link(node, "up0", |link| {
                link.peer = Some(model::facts::Peer {
                    netns: Some(999),
                    ifindex: 7,
                });
            });
            scene.facts(node, |facts| {
                facts.neighbours = Known::Known(vec![scenes::neighbour(2, other, "3a:c0:68:e2:76:c9", "REACHABLE")]);
            });
        }
        scene.vanishes(3, scenes::X, "up0");
        let causes = scenes::causes(&judge(&scene.evidence));
        assert_eq!(causes, ["unexplained-timeout"]);
    }

    #[test]
    fn a_right_entry_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.facts(scenes::Y, |facts| {
            facts.neighbours = Known::Known(vec![scenes::neighbour(
                9,
                "10.90.2.2",
                "02:00:00:00:00:02",
                "REACHABLE",
            )]);
        });
        scene.vanishes(3, scenes::Y, "vethc");
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"neighbour-stale".to_owned()));
    }
}
