//! An interface on the way is down, or has no carrier.
//!
//! Why it happens: a person or a program set it down (`ip link set ... down`), its other end is down or gone, a cable or switch
//! port is dead, or loopback was never set up.
//!
//! How it knows: from the state of the interfaces that the packets have to pass, while the attempts fail. These are the
//! interfaces of source and target, their veth peers, bridges, uplinks and tunnels; they are found along routes, veth pairs and
//! bridges, and a tunnel also where the packets should have left the node by it, or its packets were taken by nobody.
//! If both ends of a pair look down, the rule names the one that was set down.
//!
//! Remedy: set the interface up, or repair what is behind it. Setting it up does not bring back the routes that a program or a
//! person wrote; the answer says who writes them.
//!
//! Silent on: interfaces that are down but not on the way, and attempts that work.

use crate::case::Case;
use crate::case::node_routes;
use crate::case::observations;
use crate::case::tunnels;
use crate::kernel::drops::Class;
use crate::kernel::tunnel;
use crate::kernel::walk::WalkEnd;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use model::facts::Link;
use model::report::Direction;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Fact("links"),
    Need::Fact("addresses"),
    Need::Fact("routes"),
    Need::Probe("path"),
    Need::Probe("drop"),
];

pub fn check(case: &Case<'_>) -> Checked {
    if case.failed().is_empty() {
        return Ok(Vec::new());
    }
    let mut dead = on_way(case);
    // A bridge has no carrier of its own: it loses it with its last port.
    dead.retain(|(_, link)| !link.up || (!link.carrier && link.kind != "bridge"));
    // What was set down is the cause of what merely lost its carrier.
    dead.sort_by_key(|(_, link)| link.up);
    let Some(&(netns, link)) = dead.first() else {
        return Ok(Vec::new());
    };
    let name = case.name(netns);
    let (state, remedy) = if link.up {
        let behind = case.peer(netns, link).map_or_else(
            || "its other end or cable is dead".to_owned(),
            |(far, peer)| format!("its other end is {} in {}", peer.name, case.name(far)),
        );
        (
            "has no carrier",
            Remedy::from(format!("look at what {} is connected to: {behind}", link.name)),
        )
    } else {
        ("is down", set_up(case, netns, link))
    };
    let mut finding = fatal("interface-down", format!("interface {} of {name} {state}", link.name))
        .at(case.node(netns), &name)
        .interface(&link.name)
        .of(case.failed_ids())
        .remedy(remedy)
        .because(format!(
            "{} in {name} is {}{} (operstate {})",
            link.name,
            if link.up { "set up" } else { "set down" },
            if link.carrier { "" } else { ", without carrier" },
            if link.operstate.is_empty() {
                "not told"
            } else {
                &link.operstate
            }
        ));
    for (far, other) in dead.into_iter().skip(1) {
        finding = finding.and(format!(
            "{} in {} {}",
            other.name,
            case.name(far),
            if other.up { "lost its carrier" } else { "is down too" }
        ));
    }
    if let Some(tried) = case.failed().first() {
        finding = observations::last_seen(case, finding, tried.attempt.id);
    }
    Ok(vec![finding])
}

/// How to set it up, and what does not come back by that: the kernel deletes the routes of an interface that goes down, and writes
/// only those of its own addresses again.
fn set_up(case: &Case<'_>, netns: u32, link: &Link) -> Remedy {
    let name = case.name(netns);
    let remedy = Remedy::from("set it up").run(": ", case.command(netns, "ip link set {} up", &[&link.name]));
    let ends = [case.evidence.source.netns, case.evidence.destination.netns];
    if tunnel::is_tunnel(link) {
        remedy.say(format!(
            "; the routes into it, which the CNI's agent wrote, do not come back by that: restart the agent on {name}"
        ))
    } else if link.loopback || link.master.is_some() {
        remedy
    } else if ends.contains(&Some(netns)) {
        remedy.say("; its default route does not come back by that: create the pod again, or write the route")
    } else {
        remedy.say("; routes by way of it that a program or a person wrote do not come back by that")
    }
}

/// Tunnels that are down on a node which the packets should leave by them. No route tells: those into a tunnel go down with it,
/// and what a program sends into its own takes none.
fn tunnels_down<'a>(case: &Case<'a>) -> Vec<(u32, &'a Link)> {
    let mut found: Vec<(u32, &'a Link)> = Vec::new();
    let down = |netns: u32| tunnels::devices(case, netns).filter(|link| !link.up);
    for tried in case.failed() {
        let id = tried.attempt.id;
        for direction in [Direction::Request, Direction::Answer] {
            if let Some(lacking) = node_routes::lacking_in_silence(case, id, direction) {
                let own = lacking.own_device(case).filter(|link| !link.up);
                found.extend(own.map(|link| (lacking.netns, link)));
            }
            let Some(leg) = case.leg(id, direction) else {
                continue;
            };
            // The other end of the tunnel: nobody takes its packets there.
            for drop in leg
                .drops
                .iter()
                .filter(|drop| drop.class == Class::Overlay && drop.in_tunnel())
            {
                let port = drop.event.flow.dport;
                let there = down(drop.event.netns).filter(|link| tunnel::udp_port(link) == Some(port));
                found.extend(there.map(|link| (drop.event.netns, link)));
            }
            // This end: the packets come to the node and do not leave it.
            let Some(here) = leg.farthest().map(|stop| case.node(stop.netns)) else {
                continue;
            };
            let ends = [case.evidence.source.netns, case.evidence.destination.netns];
            let crosses = ends.into_iter().flatten().any(|end| case.node(end) != here);
            let stayed = leg.stops.iter().all(|stop| case.node(stop.netns) == here);
            let host = case.evidence.node(&here);
            if let Some(host) = host.filter(|_| crosses && stayed) {
                let own = down(host.host_netns).filter(|link| tunnel::is_external(link));
                found.extend(own.map(|link| (host.host_netns, link)));
            }
        }
    }
    found
}

/// Interfaces that the packets or their answers have to pass, each once.
fn on_way<'a>(case: &Case<'a>) -> Vec<(u32, &'a Link)> {
    let mut links: Vec<(u32, &'a Link)> = Vec::new();
    let mut add = |netns: u32, link: &'a Link| {
        let peer = case.peer(netns, link).filter(|_| link.kind == "veth");
        for (netns, link) in [Some((netns, link)), peer].into_iter().flatten() {
            if !links
                .iter()
                .any(|(at, known)| *at == netns && known.index == link.index)
            {
                links.push((netns, link));
            }
        }
    };
    let source = case.evidence.source.netns;
    for tried in case.failed() {
        let flow = tried.attempt.flow;
        let forms = case.trail.forms(tried.attempt.id);
        let targets: Vec<IpAddr> = forms.iter().map(model::flow::Flow::dst).chain([flow.dst()]).collect();
        for target in targets {
            let own = target.is_loopback() || case.owners(target).iter().any(|(netns, _)| Some(*netns) == source);
            if let (true, Some(source)) = (own, source) {
                for lo in links_of(case, source).filter(|link| link.loopback) {
                    add(source, lo);
                }
            } else if let Some((netns, link)) = case.owner(target) {
                add(netns, link);
            }
        }
    }
    for hop in case.way() {
        for index in [hop.arrives, hop.leaves].into_iter().flatten() {
            if let Some(link) = case.link(hop.netns, index) {
                add(hop.netns, link);
            }
        }
        if let Some(route) = &hop.route {
            for index in route.hops.iter().filter(|next| next.dead).filter_map(|next| next.oif) {
                if let Some(link) = case.link(hop.netns, index) {
                    add(hop.netns, link);
                }
            }
        }
        // A route goes with its interface: where none is left, the interface that lost it is one of these.
        if matches!(hop.end, Some(WalkEnd::NoRoute | WalkEnd::Refused)) {
            for link in links_of(case, hop.netns).filter(|link| !link.loopback && !link.up) {
                let leads_on = link
                    .peer
                    .as_ref()
                    .and_then(|peer| peer.netns)
                    .is_some_and(|far| far != hop.netns && case.evidence.netns(far).is_some());
                if leads_on
                    || (link.kind.is_empty() && has_address(case, hop.netns, link.index))
                    || only_way_out(case, hop.netns, link)
                    || tunnel::is_tunnel(link)
                {
                    add(hop.netns, link);
                }
            }
        }
    }
    for (netns, link) in tunnels_down(case) {
        add(netns, link);
    }
    links
}

fn links_of<'a>(case: &Case<'a>, netns: u32) -> impl Iterator<Item = &'a Link> {
    case.after(netns, "interfaces", |facts| &facts.links)
        .map_or(&[] as &[Link], Vec::as_slice)
        .iter()
}

fn has_address(case: &Case<'_>, netns: u32, ifindex: u32) -> bool {
    case.before(netns, "addresses", |facts| &facts.addresses)
        .is_ok_and(|addresses| addresses.iter().any(|own| own.ifindex == ifindex && !own.link_scope))
}

fn only_way_out(case: &Case<'_>, netns: u32, link: &Link) -> bool {
    links_of(case, netns)
        .filter(|other| !other.loopback)
        .all(|other| other.index == link.index)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::cluster::Cluster;
    use crate::scenes::{self, Scene};

    #[test]
    fn the_targets_own_interface_is_down() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::Y, "up0");
        scene.link(scenes::C, "eth0", |link| (link.up, link.carrier) = (false, false));
        scene.link(scenes::Y, "vethc", |link| link.carrier = false);
        scene.link(scenes::Y, "cbr0", |link| link.carrier = false);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::cause(&judgement), "interface-down");
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
        assert!(judgement.verdicts[0].remedy.contains("ip link set eth0 up"));
    }

    #[test]
    fn the_hosts_end_of_the_veth_is_down() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::Y, "up0", "NOT_SPECIFIED", "br_handle_frame_finish");
        scene.link(scenes::Y, "vethc", |link| (link.up, link.carrier) = (false, false));
        scene.link(scenes::C, "eth0", |link| link.carrier = false);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["interface-down"]);
        assert_eq!(judgement.verdicts[0].place.interface.as_deref(), Some("vethc"));
    }

    #[test]
    fn the_uplink_took_its_routes_with_it() {
        let mut scene = Scene::two_nodes();
        scene.fails(3, 101, "ENETUNREACH");
        scene.link(scenes::X, "up0", |link| (link.up, link.carrier) = (false, false));
        scene.link(scenes::Y, "up0", |link| link.carrier = false);
        scene.without_routes_by(scenes::X, 2);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::cause(&judgement), "interface-down");
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/x"));
    }

    #[test]
    fn a_tunnel_that_is_down_took_its_routes_with_it_and_only_the_agent_writes_them_again() {
        let mut cluster = Cluster::over_vxlan();
        cluster.scene.without_routes_by(scenes::X, scenes::TUNNEL);
        cluster.scene.tunnel = false;
        let down = |link: &mut model::facts::Link| (link.up, link.carrier) = (false, false);
        cluster
            .scene
            .link(scenes::X, "flannel.1", down)
            .vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["interface-down"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.place.interface.as_deref(), Some("flannel.1"));
        let remedy = &verdict.remedy;
        assert!(remedy.contains("ip link set flannel.1 up"), "{remedy}");
        assert!(remedy.contains("restart the agent"), "{remedy}");
    }

    #[test]
    fn a_tunnel_of_a_program_is_down_at_either_end() {
        let external = |cluster: &mut Cluster, up: [bool; 2]| {
            for (node, up) in [scenes::X, scenes::Y].into_iter().zip(up) {
                cluster.scene.without_routes_by(node, scenes::TUNNEL);
                cluster.scene.link(node, "flannel.1", |link| {
                    "cilium_vxlan".clone_into(&mut link.name);
                    (link.up, link.carrier) = (up, up);
                    link.vxlan.as_mut().unwrap().external = true;
                });
            }
        };
        let mut cluster = Cluster::over_vxlan();
        external(&mut cluster, [true, false]);
        cluster
            .scene
            .dropped_in_tunnel(3, (scenes::Y, "up0"), "up0", "NO_SOCKET", "__udp4_lib_rcv");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["interface-down"]);
        assert_eq!(judgement.verdicts[0].place.node.as_deref(), Some("y"));
        let mut cluster = Cluster::over_vxlan();
        external(&mut cluster, [false, true]);
        cluster.scene.vanishes(3, scenes::X, "vetha");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["interface-down"]);
        assert_eq!(judgement.verdicts[0].place.node.as_deref(), Some("x"));
        let mut cluster = Cluster::over_vxlan();
        external(&mut cluster, [true, true]);
        cluster.scene.vanishes(3, scenes::X, "vetha");
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"interface-down".to_owned()));
    }

    #[test]
    fn an_interface_beside_the_way_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::Y, "up0");
        scene.link(scenes::X, "vethb", |link| (link.up, link.carrier) = (false, false));
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"interface-down".to_owned()));
    }
}
