//! The next hop answers no ARP (IPv4) or neighbour solicitation (IPv6).
//!
//! Why it happens: the target is gone (a deleted pod, an old endpoint), or the gateway does not exist. Or the netmask is too
//! wide, so the kernel looks for a remote address on the local link. Or the host on the other side is told not to answer.
//!
//! How it knows: the watched packets need an address as their next hop, and the kernel got no answer for it, or asked twice in
//! vain, or dropped the watched packets for it (`NEIGH_FAILED`). The route of that namespace says whether the address is the
//! target itself or the gateway towards it.
//!
//! Remedy: check what is named: the target's address, the gateway of the route, or the setting that makes the other side
//! silent.
//!
//! Silent on: neighbours of other flows, tunnel devices (`overlay-broken`), interfaces that are down (`interface-down`) or in
//! no bridge (`interface-detached`), and requests or replies that a firewall drops (`netfilter-drop`).

use crate::case::Case;
use crate::case::neighbours::{Role, Silent};
use crate::case::observations;
use crate::case::unheard_neighbours::of_one;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::{at, count};
use model::report::Direction;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("neigh"),
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("neighbours"),
    Need::Fact("routes"),
    Need::Fact("addresses"),
    Need::Fact("sysctls"),
];

pub fn check(case: &Case<'_>) -> Checked {
    if case.failed().is_empty() {
        return Ok(Vec::new());
    }
    let tunnel = |silent: &Silent| {
        case.link(silent.netns, silent.ifindex)
            .is_some_and(|link| link.vxlan.is_some())
    };
    let filtered = |silent: &Silent| of_one(case, silent).is_some();
    let silent = case.silent.iter().filter(|silent| !tunnel(silent) && !filtered(silent));
    Ok(silent.take(1).map(|silent| finding(case, silent)).collect())
}

fn finding(case: &Case<'_>, silent: &Silent) -> Finding {
    let name = case.name(silent.netns);
    let interface = case
        .link(silent.netns, silent.ifindex)
        .map_or(String::new(), |link| link.name.clone());
    let place = at(&name, Some(&interface));
    let how = if silent.address.is_ipv6() {
        "neighbour solicitation"
    } else {
        "ARP"
    };
    let (who, remedy) = describe(case, silent, &interface);
    let answer = match silent.direction {
        Direction::Request => "",
        Direction::Answer => " (for the answer)",
    };
    let mut finding = fatal(
        "neighbour-unreachable",
        format!("nobody on {place} answers {how} for {}, {who}{answer}", silent.address),
    )
    .at(case.node(silent.netns), &name)
    .interface(&interface)
    .of(case.failed_ids())
    .remedy(remedy)
    .because(match silent.probes {
        Some(probes) => format!(
            "{name} asked for {} on {interface} and got no answer ({})",
            silent.address,
            count(probes.max(1).into(), "solicitation")
        ),
        None => format!(
            "packets to {} were dropped in {place} because it answers no {how}",
            silent.address
        ),
    });
    if silent.drops > 0 {
        finding = finding.and(format!(
            "{} dropped for it in {place}",
            count(silent.drops, "watched packet")
        ));
    }
    if silent.failed_entry {
        finding = finding.and(format!(
            "the neighbour table of {name} holds {} as failed or incomplete",
            silent.address
        ));
    }
    finding = finding.and_if(quiet(case, silent));
    match case.failed().first() {
        Some(tried) => finding.and(observations::met(tried)),
        None => finding,
    }
}

/// What the silent address is, and what to do.
fn describe(case: &Case<'_>, silent: &Silent, interface: &str) -> (String, Remedy) {
    match silent.role {
        Role::Gateway(target) => (
            format!("the gateway towards {target}"),
            Remedy::from("correct the route")
                .run(", shown by ", case.command(silent.netns, "ip route get {}", &[&target]))
                .say(format!(
                    "; {} must be an address that somebody on {interface} has",
                    silent.address
                )),
        ),
        Role::TunnelEnd => (
            "the far end of the tunnel".to_owned(),
            format!("see that {} is up and on the same link as {interface}", silent.address).into(),
        ),
        Role::Target => match case.owner(silent.address) {
            None => (
                "the target itself: it has no live owner on this link".to_owned(),
                format!(
                    "see who should own {}: a deleted pod or a stale endpoint; ask for an address that is in use",
                    silent.address
                )
                .into(),
            ),
            Some((owner, _)) if same_link(case, silent, owner) => (
                format!("the target itself, though {} owns it", case.name(owner)),
                format!("see why {} does not answer on this link", case.name(owner)).into(),
            ),
            Some((owner, _)) => (
                format!(
                    "looked for on the link, though {} owns it behind another one",
                    case.name(owner)
                ),
                Remedy::from(format!("correct the netmask or route of {interface}"))
                    .run(": ", case.command(silent.netns, "ip addr show {}", &[&interface]))
                    .say(format!("; {} is not on this link", silent.address)),
            ),
        },
    }
}

/// The owner is reachable from this interface without a router: its other end, or a port of the same bridge.
fn same_link(case: &Case<'_>, silent: &Silent, owner: u32) -> bool {
    let Some(link) = case.link(silent.netns, silent.ifindex) else {
        return true;
    };
    let mut hosts = vec![silent.netns];
    hosts.extend(case.peer(silent.netns, link).map(|(netns, _)| netns));
    hosts.contains(&owner)
        || case.evidence.netns(owner).is_some_and(|owner| {
            let links = owner.before.links.ok();
            links.is_some_and(|links| {
                links
                    .iter()
                    .filter_map(|link| link.peer.as_ref()?.netns)
                    .any(|host| hosts.contains(&host))
            })
        })
}

/// A setting that keeps the owner of the address silent.
fn quiet(case: &Case<'_>, silent: &Silent) -> Option<String> {
    let setting = |netns: u32, interface: &str, name: &str| {
        let of = |scope: &str| {
            case.sysctl(netns, &format!("net.ipv4.conf.{scope}.{name}"))
                .ok()
                .flatten()
                .and_then(|value| value.trim().parse::<i32>().ok())
        };
        of(interface).max(of("all"))
    };
    if let Some((owner, link)) = case.owner(silent.address)
        && let Some(value) = setting(owner, &link.name, "arp_ignore").filter(|value| *value > 0)
    {
        return Some(format!(
            "{} owns it, but net.ipv4.conf.{}.arp_ignore is {value}, which lets it answer less or nothing",
            case.name(owner),
            link.name
        ));
    }
    let here = case.link(silent.netns, silent.ifindex)?;
    let (host, peer) = case.peer(silent.netns, here)?;
    let unowned = case.owner(silent.address).is_none();
    let link_local = matches!(silent.address, IpAddr::V4(v4) if v4.is_link_local());
    if unowned && link_local && setting(host, &peer.name, "proxy_arp").unwrap_or(0) == 0 {
        return Some(format!(
            "net.ipv4.conf.{}.proxy_arp is 0 in {}, so the host does not answer for it",
            peer.name,
            case.name(host)
        ));
    }
    None
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene, tcp};
    use model::event::Seen;
    use model::report::Conclusion;

    fn failed(scene: &mut Scene, netns: u32, interface: &str, address: &str) {
        let asked = if address.contains(':') {
            tcp("[::]:0", &format!("[{address}]:0"))
        } else {
            tcp("0.0.0.0:0", &format!("{address}:0"))
        };
        scene.saw(
            netns,
            interface,
            asked,
            Seen::NeighbourFailed { state: 0x20, probes: 3 },
        );
    }

    #[test]
    fn a_target_without_an_owner() {
        let mut scene = Scene::two_nodes();
        scene.evidence.destination.netns = None;
        scene.aim("10.90.2.77");
        scene.dropped(3, scenes::Y, "up0", "NEIGH_FAILED", "neigh_invalidate");
        failed(&mut scene, scenes::Y, "cbr0", "10.90.2.77");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["neighbour-unreachable"]);
        assert!(
            judgement.verdicts[0].says.contains("no live owner"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    #[test]
    fn a_gateway_that_is_not_there() {
        let mut scene = Scene::two_nodes();
        scene.reroute(scenes::A, &scenes::route("0.0.0.0", 0, Some("10.90.1.254"), 2));
        scene.fails(3, 113, "EHOSTUNREACH");
        failed(&mut scene, scenes::A, "eth0", "10.90.1.254");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["neighbour-unreachable"]);
        assert!(judgement.verdicts[0].says.contains("the gateway towards 10.90.2.2"));
    }

    #[test]
    fn neighbour_discovery_counts_like_arp() {
        let mut scene = Scene::two_nodes().over_ipv6();
        scene.reroute(scenes::A, &scenes::route("::", 0, Some("fd90:1::fe"), 2));
        scene.fails(3, 113, "EHOSTUNREACH");
        failed(&mut scene, scenes::A, "eth0", "fd90:1::fe");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["neighbour-unreachable"]);
    }

    #[test]
    fn a_silent_neighbour_of_another_flow_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        failed(&mut scene, scenes::X, "cbr0", "10.90.1.99");
        assert_eq!(judge(&scene.evidence).outcome, Conclusion::Healthy);
    }
}
