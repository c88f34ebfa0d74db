//! A route refuses the target on purpose (`blackhole`, `prohibit` or `unreachable`), or a routing policy rule does.
//!
//! Why it happens: a block of addresses is aggregated or drained (CNIs blackhole their address pools as a whole), a policy
//! table refuses, or somebody left a route behind. Also: packets from outside that a translation sends to a loopback address
//! are refused, unless `route_localnet` is on.
//!
//! How it knows: routing freed the watched packet at a place whose table (longest prefix, metric, policy rules) leads to such a
//! route. Or the source's own connect fails at once with the error of that route.
//!
//! Remedy: delete the route, or add a more specific one.
//!
//! Silent on: missing routes (`no-route`), answers that are refused (`no-return-route`), firewall rules.

use crate::case::Case;
use crate::case::observations;
use crate::case::routing::{refusal, way, without};
use crate::kernel::drops::Class;
use crate::kernel::route::{self, Query};
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::shell::of_interface;

use model::report::Direction;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("routes"),
    Need::Fact("rules"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings: Vec<Finding> = Vec::new();
    for drop in case.drops(Class::Route) {
        if drop.direction != Direction::Request {
            continue;
        }
        let Some((route, remedy)) = way(case, &drop).as_ref().and_then(refusal) else {
            continue;
        };
        let netns = drop.event.netns;
        let finding = build(case, netns, drop.event.flow.dst(), &route, &remedy, [drop.attempt]).because(format!(
            "the watched packets were freed in {}: {}",
            case.name(netns),
            drop.words()
        ));
        findings.push(finding.and(format!("its routing leads {} to: {route}", drop.event.flow.dst())));
        break;
    }
    if findings.is_empty() {
        findings.extend(to_loopback(case));
    }
    if findings.is_empty() {
        findings.extend(at_source(case));
    }
    if findings.is_empty() {
        findings.extend(last_seen(case));
    }
    Ok(findings)
}

/// A translation leads to 127.0.0.0/8, and routing takes no packet from outside for it (`route_localnet`).
fn to_loopback(case: &Case<'_>) -> Option<Finding> {
    let drops = case.drops(Class::Loopback);
    let first = drops.iter().find(|drop| drop.direction == Direction::Request)?;
    let (netns, target) = (first.event.netns, first.event.flow.dst());
    let (name, interface) = (case.name(netns), case.interface(first.event));
    let finding = fatal(
        "route-rejects",
        format!("{name} takes no packets for {target} that come in from outside"),
    )
    .at(case.node(netns), &name)
    .interface(&interface)
    .of(drops.iter().map(|drop| drop.attempt))
    .remedy(
        Remedy::from(format!(
            "translate to an address of {name} that is no loopback address, or allow it"
        ))
        .run(
            ": ",
            case.command(
                netns,
                "sysctl -w {}",
                &[&of_interface("net.ipv4.conf", &interface, "route_localnet=1")],
            ),
        ),
    )
    .because(format!("the watched packets were freed in {name}: {}", first.words()));
    Some(finding.and(format!("it came in by {interface} for {target}")))
}

/// The source's own routing refuses: nothing leaves it.
fn at_source(case: &Case<'_>) -> Option<Finding> {
    let source = case.evidence.source.netns?;
    let facts = &case.evidence.netns(source)?.before;
    let failed = case.failed();
    let tried = failed.iter().find(|tried| {
        case.leg(tried.attempt.id, Direction::Request)
            .is_none_or(|leg| leg.stops.is_empty())
    })?;
    let target = tried.attempt.flow.dst();
    let (route, remedy) = refusal(&route::lookup(facts, &Query::ours(tried.attempt.flow)))?;
    let finding = build(case, source, target, &route, &remedy, case.failed_ids())
        .because(observations::met(tried))
        .and(format!(
            "the routing of {} leads {target} to: {route}",
            case.name(source)
        ));
    Some(finding)
}

/// For kernels that give no reason of a drop: the packet arrived at a host whose routing refuses it, and went no further.
fn last_seen(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let tried = failed.first()?;
    let leg = case.leg(tried.attempt.id, Direction::Request)?;
    let stop = leg.farthest()?;
    if !leg.drops.is_empty() || stop.happened == model::report::Happened::Left {
        return None;
    }
    let facts = &case.evidence.netns(stop.netns)?.before;
    let query = Query {
        mark: translate::mark(facts, Some(stop.ifindex), stop.flow),
        ..Query::of(stop.flow, Some(stop.ifindex))
    };
    let (route, remedy) = refusal(&route::lookup(facts, &query))?;
    let finding = build(case, stop.netns, stop.flow.dst(), &route, &remedy, case.failed_ids()).because(format!(
        "the routing of {} leads {} to: {route}",
        case.name(stop.netns),
        stop.flow.dst()
    ));
    Some(observations::last_seen(case, finding, tried.attempt.id))
}

fn build(
    case: &Case<'_>,
    netns: u32,
    target: IpAddr,
    route: &str,
    remedy: &[String],
    attempts: impl IntoIterator<Item = u32>,
) -> crate::verdict::finding::Claim {
    let name = case.name(netns);
    fatal("route-rejects", format!("a route of {name} refuses {target}: {route}"))
        .at(case.node(netns), &name)
        .of(attempts)
        .remedy(without(case, netns, remedy).say(", or add a more specific route"))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{Route, RouteKind};

    fn refusing(kind: RouteKind) -> Route {
        Route {
            kind,
            hops: Vec::new(),
            ..scenes::route("10.90.2.0", 24, None, 2)
        }
    }

    #[test]
    fn a_blackhole_on_the_node() {
        let mut scene = Scene::two_nodes();
        scene.reroute(scenes::X, &refusing(RouteKind::Blackhole));
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "ip_error");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["route-rejects"]);
        assert!(
            judgement.verdicts[0].says.contains("blackhole 10.90.2.0/24"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    #[test]
    fn a_loopback_address_takes_nothing_from_outside() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "IP_LOCALNET", "ip_route_input_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["route-rejects"]);
        assert!(
            judgement.verdicts[0]
                .remedy
                .contains("net.ipv4.conf.cbr0.route_localnet=1")
        );
    }

    #[test]
    fn a_prohibit_in_the_pod_itself() {
        let mut scene = Scene::two_nodes();
        scene
            .reroute(scenes::A, &refusing(RouteKind::Prohibit))
            .fails(3, 13, "EACCES");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["route-rejects"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/a"));
    }

    #[test]
    fn a_more_specific_route_wins_over_a_blackhole() {
        let mut scene = Scene::two_nodes();
        scene.reroute(
            scenes::X,
            &Route {
                kind: RouteKind::Blackhole,
                hops: Vec::new(),
                ..scenes::route("10.90.0.0", 16, None, 2)
            },
        );
        scene.vanishes(3, scenes::X, "up0");
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"route-rejects".to_owned()));
    }
}
