//! Strict reverse path filtering rejects the packet's source address.
//!
//! Why it happens: the answer would leave through another interface than the one the packet came in by (two uplinks, asymmetric
//! routes, an address on another interface), and `rp_filter` is 1 there. Or no route at all leads back to the source; loose
//! mode (2) rejects this too.
//!
//! How it knows: the watched packet was freed with `IP_RPFILTER` (on older kernels: it arrived and went no further, and
//! `IPReversePathFilter` rose). The sysctls of that interface say which mode is on.
//!
//! Remedy: make routing symmetric, or set `rp_filter` to 2 (loose) on that interface.
//!
//! Silent on: answers that are rejected this way (`no-return-route`), and packets of other flows.

use crate::case::Case;
use crate::case::observations;
use crate::kernel::drops::Class;
use crate::kernel::route::{self, Query, Way};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::count;
use crate::words::shell::of_interface;
use model::report::{Direction, Happened};
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("sysctls"),
    Need::Fact("routes"),
    Need::Fact("counters"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut drops = case.drops(Class::ReversePath);
    drops.retain(|drop| drop.direction == Direction::Request);
    if let Some(first) = drops.first() {
        let netns = first.event.netns;
        let interface = case.interface(first.event);
        let finding = claim(case, netns, &interface, first.event.flow.src())
            .of(drops.iter().map(|drop| drop.attempt))
            .because(format!(
                "{} from {} freed where they came in: {}",
                count(drops.len(), "watched packet"),
                first.event.flow.src(),
                first.words()
            ))
            .and_if(mode(case, netns, &interface))
            .and_if(way_back(case, netns, first.event.flow.src()));
        return Ok(vec![finding]);
    }
    let failed = case.failed();
    let Some(tried) = failed.first() else {
        return Ok(Vec::new());
    };
    let Some(leg) = case.leg(tried.attempt.id, Direction::Request) else {
        return Ok(Vec::new());
    };
    let Some(stop) = leg
        .farthest()
        .filter(|stop| stop.happened == Happened::Arrived && leg.drops.is_empty())
    else {
        return Ok(Vec::new());
    };
    let rose = case.growth(stop.netns, "TcpExt.IPReversePathFilter").unwrap_or(0);
    if rose == 0 || case.watched_by("drop") {
        return Ok(Vec::new());
    }
    let interface = stop.interface.clone().unwrap_or_default();
    let finding = claim(case, stop.netns, &interface, stop.flow.src())
        .of(case.failed_ids())
        .because(format!(
            "IPReversePathFilter of {} rose by {rose} in the window",
            case.name(stop.netns)
        ))
        .and_if(mode(case, stop.netns, &interface))
        .and_if(way_back(case, stop.netns, stop.flow.src()));
    Ok(vec![observations::last_seen(case, finding, tried.attempt.id)])
}

fn claim(case: &Case<'_>, netns: u32, interface: &str, source: IpAddr) -> Claim {
    let name = case.name(netns);
    fatal(
        "reverse-path-filtered",
        format!("the reverse path filter of {name} rejects packets from {source} on {interface}: the way back is another one"),
    )
    .at(case.node(netns), &name)
    .interface(interface)
    .remedy(
        Remedy::from(format!("make the route back to {source} leave by {interface}"))
            .run(", or ", case.command(netns, "sysctl -w {}", &[&of_interface("net.ipv4.conf", interface, "rp_filter=2")]))
            .say(" (and that of all)"),
    )
}

fn mode(case: &Case<'_>, netns: u32, interface: &str) -> Option<String> {
    let value = |scope: &str| {
        case.sysctl(netns, &format!("net.ipv4.conf.{scope}.rp_filter"))
            .ok()
            .flatten()
    };
    let (of_all, own) = (value("all"), value(interface));
    if of_all.is_none() && own.is_none() {
        return None;
    }
    Some(format!(
        "rp_filter in {} is {} for all and {} for {interface} (the greater one counts; 1 is strict)",
        case.name(netns),
        of_all.map_or("not told", str::trim),
        own.map_or("not told", str::trim)
    ))
}

fn way_back(case: &Case<'_>, netns: u32, source: IpAddr) -> Option<String> {
    let facts = &case.evidence.netns(netns)?.before;
    match route::lookup(facts, &Query::to(source)) {
        Way::Out { hop, .. } => {
            let link = case.link(netns, hop.oif?)?;
            Some(format!("its route back to {source} leaves by {}", link.name))
        }
        Way::None => Some(format!("it has no route back to {source}")),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn a_source_that_belongs_elsewhere() {
        let mut scene = Scene::two_nodes();
        scene.sysctl(scenes::X, "net.ipv4.conf.all.rp_filter", "1");
        scene.dropped(3, scenes::X, "cbr0", "IP_RPFILTER", "ip_rcv_finish_core");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["reverse-path-filtered"]);
        assert!(
            judgement.verdicts[0]
                .because
                .iter()
                .any(|fact| fact.contains("rp_filter in netns/x is 1"))
        );
    }
}
