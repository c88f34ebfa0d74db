//! A node on the way does not forward packets.
//!
//! Why it happens: `net.ipv4.ip_forward` (or `net.ipv6.conf.all.forwarding`) was never set, or was reset later by a sysctl
//! file, a cloud agent or a network manager. Or forwarding is off for one interface. Or a route leads to a host that was never
//! meant to be a router.
//!
//! How it knows: the watched packet came in there, is not for that host, and was freed (`IP_INADDRERRORS` in `ip_error`; for
//! IPv6 in `ip6_forward`). And the sysctl of that host says that forwarding is off.
//!
//! Remedy: switch it on, also in the sysctl file that is read at boot.
//!
//! Silent on: hosts for which the packet is meant, missing routes, and answers (`no-return-route`).

use crate::case::Case;
use crate::case::observations;
use crate::case::routing;
use crate::kernel::walk::HopKind;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::count;
use model::report::{Direction, Happened};
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("sysctls"),
    Need::Fact("addresses"),
    Need::Fact("counters"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = routing::not_forwarded(case, Direction::Request);
    if let Some(first) = drops.first() {
        let netns = first.event.netns;
        let setting = routing::setting(case, netns, &case.interface(first.event), first.event.flow.dst());
        let finding = claim(case, netns, setting.as_deref(), first.event.flow.dst())
            .interface(case.interface(first.event))
            .of(drops.iter().map(|drop| drop.attempt))
            .because(format!(
                "{} for {}, which is none of its addresses, freed there: {}",
                count(drops.len(), "watched packet"),
                first.event.flow.dst(),
                first.words()
            ));
        return Ok(vec![
            finding.and_if(setting.map(|name| format!("{name} is 0 in {}", case.name(netns)))),
        ]);
    }
    Ok(gateway(case).or_else(|| unnamed(case)).into_iter().collect())
}

/// A route leads to a host that is nobody's router: it has one interface, and was never meant to forward.
fn gateway(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let tried = failed.first()?;
    let leg = case.leg(tried.attempt.id, Direction::Request)?;
    let stop = leg.farthest()?;
    let (netns, target) = (stop.netns, stop.flow.dst());
    let hop = case.way().iter().find(|hop| {
        let gateway = hop.next_hop.filter(|next| *next != target);
        (hop.direction, hop.kind) == (Direction::Request, HopKind::Route)
            && gateway.is_some_and(|gateway| case.owners(gateway).iter().any(|(owner, _)| *owner == netns))
    })?;
    if stop.happened == Happened::Left || case.owners(target).iter().any(|(owner, _)| *owner == netns) {
        return None;
    }
    let sysctl = routing::setting(case, netns, stop.interface.as_deref().unwrap_or_default(), target)?;
    let (sender, name) = (case.name(hop.netns), case.name(netns));
    let gateway = hop.next_hop?;
    let says = format!(
        "{sender} sends what is for {target} to {gateway}, and {name}, which has that address, does not forward"
    );
    let finding = fatal("forwarding-disabled", says)
        .at(case.node(netns), &name)
        .of(case.failed_ids())
        .remedy(
            Remedy::from(format!("correct the route of {sender}"))
                // What is run elsewhere than the rest would be run at the wrong place.
                .run(
                    ", shown by ",
                    case.command(hop.netns, "ip route get {}", &[&target])
                        .filter(|_| case.node(hop.netns) == case.node(netns)),
                )
                .say(format!("; or, if {name} is to be a router, let it forward"))
                .run(": ", case.command(netns, "sysctl -w {}", &[&format!("{sysctl}=1")])),
        )
        .because(format!(
            "the route of {sender} for {target} leads to {gateway}, an address of {name}"
        ))
        .and(format!("{sysctl} is 0 in {name}"));
    let lost = leg.drops.iter().find(|drop| drop.event.netns == netns);
    let finding = finding.and_if(lost.map(|drop| format!("the watched packets were freed there: {}", drop.words())));
    Some(observations::last_seen(case, finding, tried.attempt.id))
}

/// For kernels and families that give no reason of a drop: the packet came in and did not leave, and the sysctl of this host
/// forbids forwarding.
fn unnamed(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let tried = failed.first()?;
    let leg = case.leg(tried.attempt.id, Direction::Request)?;
    let stop = leg.farthest()?;
    let foreign = case.evidence.source.netns != Some(stop.netns)
        && !case
            .owners(stop.flow.dst())
            .iter()
            .any(|(netns, _)| *netns == stop.netns);
    if !routing::is_router(case, stop.netns) || !leg.drops.is_empty() || stop.happened != Happened::Arrived || !foreign
    {
        return None;
    }
    let interface = stop.interface.clone().unwrap_or_default();
    let name = routing::setting(case, stop.netns, &interface, stop.flow.dst())?;
    let finding = claim(case, stop.netns, Some(&name), stop.flow.dst())
        .interface(interface)
        .of(case.failed_ids())
        .because(format!("{name} is 0 in {}", case.name(stop.netns)));
    Some(observations::last_seen(case, finding, tried.attempt.id))
}

fn claim(case: &Case<'_>, netns: u32, setting: Option<&str>, target: IpAddr) -> Claim {
    let name = case.name(netns);
    let key = setting.unwrap_or(if target.is_ipv6() {
        "net.ipv6.conf.all.forwarding"
    } else {
        "net.ipv4.ip_forward"
    });
    fatal(
        "forwarding-disabled",
        format!("{name} does not forward packets ({key}=0)"),
    )
    .at(case.node(netns), &name)
    .remedy(
        Remedy::from("switch it on")
            .run(": ", case.command(netns, "sysctl -w {}", &[&format!("{key}=1")]))
            .say(", and find what switched it off (/etc/sysctl.d, a network manager)"),
    )
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn the_sources_node_does_not_forward() {
        let mut scene = Scene::two_nodes();
        scene.sysctl(scenes::X, "net.ipv4.ip_forward", "0");
        scene.dropped(3, scenes::X, "cbr0", "IP_INADDRERRORS", "ip_error");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["forwarding-disabled"]);
        assert!(judgement.verdicts[0].remedy.contains("net.ipv4.ip_forward=1"));
    }

    #[test]
    fn a_route_leads_to_a_pod_that_is_no_router() {
        let mut scene = Scene::two_nodes();
        scene.reroute(scenes::X, &scenes::route("203.0.113.0", 24, Some("172.31.90.2"), 2));
        scene.reroute(scenes::Y, &scenes::route("203.0.113.0", 24, Some("10.90.2.2"), 9));
        scene.sysctl(scenes::C, "net.ipv4.ip_forward", "0").aim("203.0.113.5");
        scene.dropped(3, scenes::C, "eth0", "IP_INADDRERRORS", "ip_error");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["forwarding-disabled"]);
        assert!(judgement.verdicts[0].remedy.contains("ip route get 203.0.113.5"));
    }

    #[test]
    fn ipv6_names_no_reason_and_the_sysctl_decides() {
        let mut scene = Scene::two_nodes().over_ipv6();
        scene.sysctl(scenes::X, "net.ipv6.conf.all.forwarding", "0");
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "ip6_forward");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["forwarding-disabled"]);
    }

    #[test]
    fn a_drop_of_the_firewall_on_a_host_that_forwards_is_not_this() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["netfilter-drop"]);
    }
}
