//! A node on the way does not forward packets.
//!
//! Why it happens: `net.ipv4.ip_forward` (or `net.ipv6.conf.all.forwarding`) was never set, or was reset by a later sysctl
//! file, a cloud agent or a network manager; or forwarding is off for one interface.
//!
//! How it knows: the watched packet came in there, is not for that host, and was freed (`IP_INADDRERRORS` in `ip_error`; for
//! IPv6 in `ip6_forward`), and the sysctl of that host says so.
//!
//! Remedy: switch it on, and in the sysctl file that decides at boot.
//!
//! Silent on: hosts for which the packet is meant, missing routes, and answers (`no-return-route`).

use super::{Checked, Need};
use crate::case::Case;
use crate::drops::Class;
use crate::finding::{Claim, Finding, fatal};
use crate::trail::Dropped;
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
    let drops = not_forwarded(case, Direction::Request);
    if let Some(first) = drops.first() {
        let netns = first.event.netns;
        let setting = setting(case, netns, &case.interface(first.event), first.event.flow.dst());
        let finding = claim(case, netns, setting.as_deref(), first.event.flow.dst())
            .interface(case.interface(first.event))
            .of(drops.iter().map(|drop| drop.attempt))
            .because(format!(
                "{} watched packets came in there, are for {}, and were freed: {}",
                drops.len(),
                first.event.flow.dst(),
                first.words()
            ));
        return Ok(vec![finding.and_if(setting.map(|name| format!("{name} is 0 in {}", case.name(netns))))]);
    }
    Ok(unnamed(case).into_iter().collect())
}

/// Kernels and families that name no drop: the packet came in and did not leave a host whose sysctl forbids it.
fn unnamed(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let tried = failed.first()?;
    let leg = case.leg(tried.attempt.id, Direction::Request)?;
    let stop = leg.farthest()?;
    let foreign = case.evidence.source.netns != Some(stop.netns)
        && !case.owners(stop.flow.dst()).iter().any(|(netns, _)| *netns == stop.netns);
    if !leg.drops.is_empty() || stop.happened != Happened::Arrived || !foreign {
        return None;
    }
    let interface = stop.interface.clone().unwrap_or_default();
    let name = setting(case, stop.netns, &interface, stop.flow.dst())?;
    let finding = claim(case, stop.netns, Some(&name), stop.flow.dst())
        .interface(interface)
        .of(case.failed_ids())
        .because(format!("{name} is 0 in {}", case.name(stop.netns)));
    Some(super::unexplained_timeout::last_seen(case, finding, tried.attempt.id))
}

fn claim(case: &Case<'_>, netns: u32, setting: Option<&str>, target: IpAddr) -> Claim {
    let name = case.name(netns);
    let key = setting.unwrap_or(if target.is_ipv6() {
        "net.ipv6.conf.all.forwarding"
    } else {
        "net.ipv4.ip_forward"
    });
    fatal("forwarding-disabled", format!("{name} does not forward packets ({key}=0)"))
        .at(case.node(netns), &name)
        .remedy(format!(
            "{}sysctl -w {key}=1, and find what switched it off (/etc/sysctl.d, a network manager)",
            case.inside(netns)
        ))
}

/// Watched packets that a host did not forward, as reason, location and sysctl say.
pub fn not_forwarded<'a>(case: &Case<'a>, direction: Direction) -> Vec<Dropped<'a>> {
    let mut drops = case.drops(Class::NotForwarding);
    let v6 = case.drops(Class::Other).into_iter().filter(|drop| drop.location().starts_with("ip6_forward"));
    let unnamed = case.drops(Class::Route);
    drops.extend(v6.chain(unnamed).filter(|drop| {
        setting(case, drop.event.netns, &case.interface(drop.event), drop.event.flow.dst()).is_some()
            && !matches!(super::no_route::way(case, drop), Some(crate::route::Way::Refused(_) | crate::route::Way::RuleRefuses(_)))
    }));
    drops.retain(|drop| {
        let own = case.owners(drop.event.flow.dst()).iter().any(|(netns, _)| *netns == drop.event.netns);
        drop.direction == direction && !own
    });
    drops
}

/// The sysctl that keeps a host from forwarding, where one does.
fn setting(case: &Case<'_>, netns: u32, interface: &str, target: IpAddr) -> Option<String> {
    let zero = |name: &str| {
        let value = case.sysctl(netns, name).ok().flatten();
        value.is_some_and(|value| value.trim() == "0")
    };
    if target.is_ipv6() {
        let name = "net.ipv6.conf.all.forwarding";
        return zero(name).then(|| name.to_owned());
    }
    let of_interface = format!("net.ipv4.conf.{interface}.forwarding");
    [("net.ipv4.ip_forward".to_owned()), of_interface].into_iter().find(|name| zero(name))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scene::{self, Scene};

    #[test]
    fn the_sources_node_does_not_forward() {
        let mut scene = Scene::two_nodes();
        scene.sysctl(scene::X, "net.ipv4.ip_forward", "0");
        scene.dropped(3, scene::X, "cbr0", "IP_INADDRERRORS", "ip_error");
        let judgement = judge(&scene.evidence);
        assert_eq!(scene::causes(&judgement), ["forwarding-disabled"]);
        assert!(judgement.verdicts[0].remedy.contains("net.ipv4.ip_forward=1"));
    }

    #[test]
    fn ipv6_names_no_reason_and_the_sysctl_decides() {
        let mut scene = Scene::two_nodes().over_ipv6();
        scene.sysctl(scene::X, "net.ipv6.conf.all.forwarding", "0");
        scene.dropped(3, scene::X, "cbr0", "NOT_SPECIFIED", "ip6_forward");
        assert_eq!(scene::causes(&judge(&scene.evidence)), ["forwarding-disabled"]);
    }

    #[test]
    fn a_drop_of_the_firewall_on_a_host_that_forwards_is_not_this() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scene::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scene::causes(&judge(&scene.evidence)), ["netfilter-drop"]);
    }
}
