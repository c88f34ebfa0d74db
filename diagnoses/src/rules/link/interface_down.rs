//! An interface on the way is down, or has no carrier.
//!
//! Why it happens: a person or a program set it down (`ip link set ... down`), its other end is down or gone, a cable or switch
//! port is dead, or loopback was never set up.
//!
//! How it knows: from the state of the interfaces that the packets have to pass, while the attempts fail. These are the
//! interfaces of source and target, their veth peers, bridges and uplinks; they are found along routes, veth pairs and bridges.
//! If both ends of a pair look down, the rule names the one that was set down.
//!
//! Remedy: set the interface up, or repair what is behind it.
//!
//! Silent on: interfaces that are down but not on the way, and attempts that work.

use crate::case::Case;
use crate::case::observations;
use crate::kernel::walk::WalkEnd;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use model::facts::Link;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Fact("links"),
    Need::Fact("addresses"),
    Need::Fact("routes"),
    Need::Probe("path"),
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
        (
            "is down",
            Remedy::from("set it up").run(": ", case.command(netns, "ip link set {} up", &[&link.name])),
        )
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
                {
                    add(hop.netns, link);
                }
            }
        }
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
    fn an_interface_beside_the_way_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::Y, "up0");
        scene.link(scenes::X, "vethb", |link| (link.up, link.carrier) = (false, false));
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"interface-down".to_owned()));
    }
}
