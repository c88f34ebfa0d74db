//! Two owners answer for one address, or have one hardware address.
//!
//! Why it happens: two pods or hosts were given the same address (an IPAM lost its state, a static address lies inside a pool,
//! a machine was restored from an image). Or a route of type `local` makes a host take packets that are meant for another one.
//! Or two interfaces of one link were given the same MAC address (a restarted container keeps one that was given away meanwhile),
//! and the bridge sends the packets to the one that it heard last.
//!
//! How it knows: more than one namespace on the way, or where the packets really went, has the address. Or the kernel itself
//! found the duplicate (`dadfailed`). Or a namespace that is not the target took the packets for the target. Or the packets were
//! met at an interface that has the MAC address of their next hop and is on the same link, and not at the next hop itself.
//!
//! Remedy: remove the address, or the route, from the host that should not have it; give one of both another MAC address.
//!
//! Silent on: addresses that may be on many hosts (loopback, link-local, service addresses on dummy devices), MAC addresses that
//! are shared on purpose (ipvlan, the host's ends of routed pods) or on other links, and attempts that work.

use crate::case::Case;
use crate::case::neighbours::on_one_link;
use crate::case::trail::Leg;
use crate::kernel::drops::Class;
use crate::kernel::walk::{WalkEnd, WalkHop};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::list;
use model::facts::Route;
use model::flow::Flow;
use model::report::{Direction, Happened};
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Fact("addresses"),
    Need::Fact("links"),
    Need::Fact("neighbours"),
    Need::Probe("path"),
    Need::Probe("drop"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let failed = case.failed();
    let Some(tried) = failed.first() else {
        return Ok(Vec::new());
    };
    let flow = tried.attempt.flow;
    let mut ends: Vec<IpAddr> = vec![flow.src()];
    ends.extend(case.trail.forms(tried.attempt.id).iter().map(Flow::dst));
    ends.push(flow.dst());
    for address in ends {
        if let Some(finding) = duplicate(case, address).or_else(|| detected(case, address)) {
            return Ok(vec![finding]);
        }
    }
    let id = tried.attempt.id;
    Ok(failed
        .iter()
        .find_map(|tried| one_hardware_address(case, tried.attempt.id))
        .or_else(|| taken(case, id))
        .or_else(|| answers_taken(case, id))
        .into_iter()
        .collect())
}

/// Several namespaces own it on ordinary interfaces.
fn duplicate(case: &Case<'_>, address: IpAddr) -> Option<Finding> {
    let shared = match address {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unicast_link_local(),
    };
    let mut owners = case.owners(address);
    owners.retain(|(_, link)| !link.loopback && link.kind != "dummy" && link.up);
    // A bridge's address is private to its node; each may have the same one.
    let first = owners.first().map(|(netns, _)| case.node(*netns));
    if owners.iter().any(|(netns, _)| Some(case.node(*netns)) != first) {
        owners.retain(|(_, link)| link.kind != "bridge");
    }
    if shared || owners.len() < 2 {
        return None;
    }
    let names: Vec<String> = owners
        .iter()
        .map(|(netns, link)| format!("{} ({}, {})", case.name(*netns), link.name, link.mac))
        .collect();
    let (netns, link) = owners[1];
    let finding = claim(
        case,
        address,
        netns,
        &link.name,
        &format!("{} all have it", list(&names)),
    )
    .because(format!("{address} is an address of {}", list(&names)));
    Some(finding)
}

/// The packets went to another interface of the link, which has the hardware address of their next hop too.
fn one_hardware_address(case: &Case<'_>, attempt: u32) -> Option<Finding> {
    for hop in case.way().iter().filter(|hop| hop.end.is_none()) {
        let Some((owner, own)) = hop.next_hop.and_then(|next| case.owner(next)) else {
            continue;
        };
        let leg = case.leg(attempt, hop.direction);
        if own.mac.is_empty() || owner == hop.netns || leg.is_none_or(|leg| leg.reached(owner)) {
            continue;
        }
        let others = case.evidence.netns.iter();
        for netns in others.filter(|netns| ![owner, hop.netns].contains(&netns.id)) {
            let mut links = netns.before.links.ok().into_iter().flatten();
            let twin = links.find(|link| {
                let shared = link.kind == "ipvlan" || own.kind == "ipvlan";
                link.up
                    && !shared
                    && link.mac.eq_ignore_ascii_case(&own.mac)
                    && on_one_link(case, (netns.id, link), (owner, own))
            });
            let Some(twin) = twin else { continue };
            let Some(met) = leg.and_then(|leg| came_to(leg, netns.id, twin.index)) else {
                continue;
            };
            let (name, twins) = (case.name(owner), case.name(netns.id));
            let finding = fatal(
                "address-conflict",
                format!(
                    "two hosts on one link have the MAC address {}: {name} ({}) and {twins} ({})",
                    own.mac, own.name, twin.name
                ),
            )
            .at(case.node(netns.id), &twins)
            .interface(&twin.name)
            .of(case.failed_ids())
            .remedy("give one of both another MAC address, or create one of both again")
            .because(format!(
                "{met} was met at {} of {twins}, and none of these packets in {name}, for which they are",
                twin.name
            ))
            .and(format!(
                "{} of {name} and {} of {twins} both have {}",
                own.name, twin.name, own.mac
            ));
            return Some(finding);
        }
    }
    None
}

/// A packet that came in by this interface.
fn came_to(leg: &Leg<'_>, netns: u32, ifindex: u32) -> Option<Flow> {
    let mut stops = leg.stops.iter();
    let stop = stops.find(|stop| (stop.netns, stop.ifindex) == (netns, ifindex) && stop.happened != Happened::Left);
    let lost = || {
        leg.drops
            .iter()
            .map(|drop| drop.event)
            .find(|event| (event.netns, event.ifindex) == (netns, ifindex))
    };
    stop.map(|stop| stop.flow).or_else(|| Some(lost()?.flow))
}

/// The kernel found the duplicate itself.
fn detected(case: &Case<'_>, address: IpAddr) -> Option<Finding> {
    case.evidence.netns.iter().find_map(|netns| {
        let own = netns.after.addresses.ok().or_else(|| netns.before.addresses.ok())?;
        let own = own.iter().find(|own| own.address == address && own.dad_failed)?;
        let interface = case.link(netns.id, own.ifindex).map_or("", |link| &link.name);
        let finding = claim(
            case,
            address,
            netns.id,
            interface,
            "duplicate address detection failed there",
        )
        .because(format!(
            "{address} on {interface} of {} is marked dadfailed: somebody else on the link has it",
            case.name(netns.id)
        ));
        Some(finding)
    })
}

/// A namespace that is not the target took the packets as its own.
fn taken(case: &Case<'_>, attempt: u32) -> Option<Finding> {
    let destination = case.evidence.destination.netns?;
    let request = case.leg(attempt, Direction::Request)?;
    let target = request.stops.last().map(|stop| stop.flow.dst())?;
    let owners = case.owners(target);
    let owned = owners
        .iter()
        .any(|(netns, link)| *netns == destination && !link.loopback && link.kind != "dummy");
    let taker = request
        .stops
        .iter()
        .find(|stop| stop.happened == Happened::Delivered)
        .map(|stop| stop.netns)
        .or_else(|| {
            let lost = request.drops.iter().find(|drop| drop.class == Class::NoSocket);
            lost.map(|drop| drop.event.netns)
        })?;
    let on_way = case.way().iter().any(|hop| hop.netns == taker);
    let by_route = own_route(case, taker, target);
    if !owned || taker == destination || taker == 0 || request.reached(destination) || (on_way && by_route.is_none()) {
        return None;
    }
    let link = owners
        .iter()
        .find(|(netns, _)| *netns == taker)
        .map(|(_, link)| &link.name);
    let claim = match (link, by_route) {
        (None, Some(route)) => by_route_alone(case, target, taker, route),
        (link, _) => {
            let why = format!("{} took the packets as its own", case.name(taker));
            claim(case, target, taker, link.map_or("", |link| link), &why)
        }
    };
    let finding = claim
        .because(format!(
            "packets for {target} of {} were taken by {}",
            case.name(destination),
            case.name(taker)
        ))
        .and(format!("none of them was seen in {}", case.name(destination)));
    Some(finding)
}

/// The answers went to another host, which has the address that the source sends from and knows nothing of the request.
fn answers_taken(case: &Case<'_>, attempt: u32) -> Option<Finding> {
    let source = case.evidence.source.netns?;
    let answer = case.leg(attempt, Direction::Answer)?;
    let lost = answer.drops.iter().find(|drop| drop.class == Class::NoSocket)?;
    let (taker, address) = (lost.event.netns, lost.event.flow.dst());
    let owned = case.owners(address).iter().any(|(netns, _)| *netns == source);
    if !owned || taker == 0 || taker == source || answer.reached(source) {
        return None;
    }
    let why = format!(
        "{} took the answers to {} as its own",
        case.name(taker),
        case.name(source)
    );
    let interface = case.interface(lost.event);
    let finding = claim(case, address, taker, &interface, &why)
        .remedy(
            Remedy::from(format!("let {} send from an address of its own", case.name(source)))
                .run(
                    ", the one it takes being shown by ",
                    case.command(source, "ip route get {}", &[&lost.event.flow.src()]),
                )
                .say(format!("; or take {address} away from {}", case.name(taker))),
        )
        .because(format!("{} found no socket there: {}", lost.event.flow, lost.words()))
        .and(format!("none of them was seen in {}", case.name(source)));
    Some(finding)
}

/// The route by which a namespace takes what is for an address as its own, where the watched packets come by it unchanged.
fn own_route<'a>(case: &'a Case<'_>, netns: u32, address: IpAddr) -> Option<&'a Route> {
    let delivered = |hop: &&WalkHop| {
        (hop.direction, hop.netns) == (Direction::Request, netns)
            && hop.end == Some(WalkEnd::Local)
            && hop.translated.is_none()
            && hop.flow.dst() == address
    };
    case.way().iter().find(delivered)?.route.as_ref()
}

/// It has no such address: a route of the kind `local` makes it answer.
fn by_route_alone(case: &Case<'_>, address: IpAddr, netns: u32, route: &Route) -> Claim {
    let name = case.name(netns);
    let prefix = format!("{}/{}", route.dst, route.prefix);
    let says = format!("{name} takes packets for {address} as its own: its route says that {prefix} is local");
    fatal("address-conflict", says)
        .at(case.node(netns), &name)
        .of(case.failed_ids())
        .remedy(Remedy::from("delete the route").run(
            ": ",
            case.command(
                netns,
                if address.is_ipv6() {
                    "ip -6 route del local {} table {}"
                } else {
                    "ip route del local {} table {}"
                },
                &[&prefix, &route.table],
            ),
        ))
}

fn claim(case: &Case<'_>, address: IpAddr, netns: u32, interface: &str, why: &str) -> Claim {
    let name = case.name(netns);
    fatal(
        "address-conflict",
        format!("two hosts have the address {address}: {why}"),
    )
    .at(case.node(netns), &name)
    .interface(interface)
    .of(case.failed_ids())
    .remedy(
        Remedy::from(format!("take {address} away from the one that should not have it")).run(
            ", for example ",
            case.command(netns, "ip addr del {} dev {}", &[&address, &interface]),
        ),
    )
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{Route, RouteKind};
    use model::missing::Known;

    #[test]
    fn bridges_of_two_nodes_may_have_the_same_address() {
        let mut cluster = scenes::cluster::Cluster::pods();
        for node in [scenes::X, scenes::Y] {
            cluster.scene.facts(node, |facts| {
                if let Known::Known(addresses) = &mut facts.addresses {
                    let bridge = addresses.iter().find(|own| own.ifindex == 9).unwrap().clone();
                    addresses.push(model::facts::Address {
                        address: scenes::ip("172.17.0.1"),
                        ..bridge
                    });
                }
            });
        }
        cluster.scene.aim("172.17.0.1").vanishes(3, scenes::X, "vetha");
        let causes = scenes::causes(&judge(cluster.evidence()));
        assert!(!causes.contains(&"address-conflict".to_owned()), "{causes:?}");
    }

    #[test]
    fn a_node_takes_what_is_for_a_pod_behind_it() {
        let mut scene = Scene::two_nodes();
        scene.reroute(
            scenes::X,
            &Route {
                kind: RouteKind::Local,
                table: 255,
                ..scenes::route("10.90.2.0", 24, None, 1)
            },
        );
        scene.dropped(3, scenes::X, "cbr0", "NO_SOCKET", "tcp_v4_rcv");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["address-conflict"]);
        let remedy = &judgement.verdicts[0].remedy;
        assert!(remedy.contains("ip route del local 10.90.2.0/24 table 255"), "{remedy}");
    }

    #[test]
    fn answers_go_to_another_host_with_the_senders_address() {
        let mut scene = Scene::two_nodes();
        scene.answer_dropped(2, scenes::X, "cbr0", "NO_SOCKET", "tcp_v4_rcv");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["address-conflict"]);
        assert!(
            judgement.verdicts[0].says.contains("took the answers"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    const D: u32 = 201;

    /// A pod d beside c on node y, to which the packets for c go.
    fn astray(address: &str, mac: &str) -> Scene {
        let mut scene = Scene::two_nodes();
        let mut d = scene.evidence.netns(scenes::C).unwrap().clone();
        (d.id, d.name, d.before.netns) = (D, "netns/d".to_owned(), D);
        d.before.addresses = Known::Known(vec![model::facts::Address {
            ifindex: 2,
            address: scenes::ip(address),
            prefix: 24,
            tentative: false,
            dad_failed: false,
            link_scope: false,
        }]);
        let peer = |netns, ifindex| {
            Some(model::facts::Peer {
                netns: Some(netns),
                ifindex,
            })
        };
        if let Known::Known(links) = &mut d.before.links {
            (links[1].mac, links[1].peer) = (mac.to_owned(), peer(scenes::Y, 7));
        }
        // Read once, after the packets had been seen there.
        d.after = model::facts::NetnsFacts::default();
        scene.facts(scenes::Y, |facts| {
            if let Known::Known(links) = &mut facts.links {
                let mut port = links.iter().find(|link| link.name == "vethc").unwrap().clone();
                (port.index, port.name, port.peer) = (7, "vethd".to_owned(), peer(D, 2));
                links.push(port);
            }
            facts.neighbours = Known::Known(vec![scenes::neighbour(9, "10.90.2.2", mac, "REACHABLE")]);
        });
        for id in 0..3 {
            let flow = scene.flow(id);
            scene.walk_to(id, flow, scenes::Y, "up0");
            let during = "connect".to_owned();
            scene.attempt(id, flow, model::attempt::Outcome::TimedOut { during });
            scene.drop(D, "", flow, "IP_INADDRERRORS", "ip_error");
            scene.evidence.events.last_mut().unwrap().ifindex = 2;
        }
        scene.evidence.netns.push(d);
        scene
    }

    #[test]
    fn two_pods_of_a_link_with_one_mac_are_named() {
        let judgement = judge(&astray("10.90.2.4", "02:00:00:00:00:02").evidence);
        assert_eq!(scenes::causes(&judgement), ["address-conflict"]);
        let verdict = &judgement.verdicts[0];
        assert!(verdict.says.contains("02:00:00:00:00:02"), "{}", verdict.says);
        assert_eq!(verdict.place.netns.as_deref(), Some("netns/d"));
    }

    #[test]
    fn a_pod_that_has_the_address_too_is_no_stale_entry() {
        let judgement = judge(&astray("10.90.2.2", "02:00:00:00:00:77").evidence);
        assert_eq!(scenes::causes(&judgement), ["address-conflict"]);
        let says = &judgement.verdicts[0].says;
        assert!(says.contains("netns/c") && says.contains("netns/d"), "{says}");
    }

    #[test]
    fn one_mac_on_two_links_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::X, "vetha");
        let causes = scenes::causes(&judge(&scene.evidence));
        assert!(!causes.contains(&"address-conflict".to_owned()), "{causes:?}");
    }

    #[test]
    fn the_kernel_found_the_duplicate() {
        let mut scene = Scene::two_nodes().over_ipv6();
        scene.facts(scenes::C, |facts| {
            if let Known::Known(addresses) = &mut facts.addresses {
                for own in addresses.iter_mut() {
                    own.dad_failed = own.address.is_ipv6();
                }
            }
        });
        scene.vanishes(3, scenes::Y, "up0");
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "address-conflict");
    }
}
