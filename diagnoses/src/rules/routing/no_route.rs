//! A host on the way has no route for the target.
//!
//! Why it happens: the pod has no default route. Or the CNI did not write the route to the other node's pods, or the /32 route
//! to this pod. Or nothing handles a service address and no route covers it. Or the route was removed.
//!
//! How it knows: the source's own kernel answers ENETUNREACH, and its table has nothing for the target. Or a node freed the
//! watched packet because it had no route (`IP_INNOROUTES`), and its table has nothing for it. Or a node has no own route for
//! the pods of another node and sends the packet to a gateway that is not that node. Then either an ICMP error comes back that
//! nobody can be reached there, or the packet never comes to that node, which has a route of its own for the way back.
//!
//! Remedy: add the route, or find out why the CNI did not.
//!
//! Silent on: routes that refuse on purpose (`route-rejects`), answers that have no way back (`no-return-route`), routes that
//! went away with their interface (`interface-down`), hosts that do not forward (`forwarding-disabled`), and networks that
//! carry the pods' packets by their default route.

use crate::case::node_routes;
use crate::case::observations;
use crate::case::routing::{self, add_route};
use crate::case::trail::Dropped;
use crate::case::{Case, Failure, Tried};
use crate::kernel::drops::Class;
use crate::kernel::route::{self, Query, Way};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::{count, list};
use model::facts::LookupAnswer;
use model::flow::Flow;
use model::report::Direction;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Probe("icmp"),
    Need::Fact("routes"),
    Need::Fact("rules"),
    Need::Fact("lookups"),
    Need::Fact("addresses"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    findings.extend(at_source(case));
    if findings.is_empty() {
        findings.extend(on_way(case));
    }
    if findings.is_empty() {
        findings.extend(past_other_node(case));
    }
    Ok(findings)
}

/// The source itself knows no way.
fn at_source(case: &Case<'_>) -> Option<Finding> {
    let source = case.evidence.source.netns?;
    let failed = case.failed();
    let lost: Vec<_> = failed
        .iter()
        .filter(|tried| {
            let nothing_left = case
                .leg(tried.attempt.id, Direction::Request)
                .is_none_or(|leg| leg.stops.is_empty());
            matches!(
                tried.failure(),
                Some(Failure::NetUnreachable | Failure::HostUnreachable | Failure::NoLocalAddress)
            ) && nothing_left
                && knows_no_way(case, source, tried.attempt.flow)
        })
        .collect();
    let first = lost.first()?;
    let target = first.attempt.flow.dst();
    let name = case.name(source);
    let finding = fatal("no-route", format!("{name} has no route to {target}"))
        .at(case.node(source), &name)
        .of(lost.iter().map(|tried| tried.attempt.id))
        .remedy(
            Remedy::from("add one")
                .run(": ", case.command(source, add_route(target), &[&target, &"GATEWAY"]))
                .say(", or a default route; see why the pod was set up without it"),
        )
        .because(observations::met(first))
        .and(format!(
            "the routing table of {name} holds nothing for {target}, and no packet left it"
        ));
    Some(finding.and_if(kernel_says(case, source, target)))
}

/// A node on the way freed it for want of a route.
fn on_way(case: &Case<'_>) -> Option<Finding> {
    let drops: Vec<Dropped<'_>> = routeless(case, Direction::Request);
    let first = drops.first()?;
    let netns = first.event.netns;
    let target = first.event.flow.dst();
    let name = case.name(netns);
    let finding = fatal("no-route", format!("{name} has no route to {target}"))
        .at(case.node(netns), &name)
        .interface(case.interface(first.event))
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(
            Remedy::from(format!("add one on {name}"))
                .run(": ", case.command(netns, add_route(target), &[&target, &"GATEWAY"]))
                .say(", or see why the CNI or the route daemon did not"),
        )
        .because(format!(
            "{} freed in {name}: {}",
            count(drops.len(), "watched packet"),
            first.words()
        ));
    let finding = finding.and(format!("its routing table holds nothing for {target}"));
    Some(finding.and_if(kernel_says(case, netns, target)))
}

/// A node hands what is for another node's pods to a gateway, which knows no way either: it says so, or is silent while that
/// other node has a route of its own for the way back.
fn past_other_node(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let found = |tried: &&Tried<'_>| {
        let id = tried.attempt.id;
        if is_unreachable(tried) {
            node_routes::lacking(case, id, Direction::Request)
        } else if matches!(tried.failure(), Some(Failure::Silent(_)) | None) {
            node_routes::lacking_in_silence(case, id, Direction::Request)
        } else {
            None
        }
    };
    let (first, lacking) = failed.iter().find_map(|tried| Some((tried, found(tried)?)))?;
    let (netns, target, gateway) = (lacking.netns, lacking.target, lacking.gateway);
    let name = case.name(netns);
    let told = is_unreachable(first);
    let what_gateway_does = if told {
        "which knows no way either"
    } else {
        "and nothing comes back"
    };
    let alike = failed.iter().filter(|tried| is_unreachable(tried) == told);
    let finding = fatal(
        "no-route",
        format!(
            "{name} has no route to the pods of node {} ({target}): it sends them to {gateway}, {what_gateway_does}",
            lacking.node.name
        ),
    )
    .at(case.node(netns), &name)
    .of(alike.map(|tried| tried.attempt.id))
    .remedy(node_routes::remedy(case, &lacking))
    .because(observations::met(first))
    .and(format!(
        "the route of {name} for {target} is {}/{} via {gateway}, and node {} is {}",
        lacking.route.dst,
        lacking.route.prefix,
        lacking.node.name,
        list(&lacking.node.addresses.iter().map(IpAddr::to_string).collect::<Vec<_>>())
    ));
    let back = lacking.mirrored.map(|link| {
        format!(
            "node {} has a route of its own for the way back, by {}",
            lacking.node.name, link.name
        )
    });
    Some(observations::last_seen(case, finding.and_if(back), first.attempt.id))
}

fn is_unreachable(tried: &Tried<'_>) -> bool {
    let named = |name: &str| matches!(name, "EHOSTUNREACH" | "ENETUNREACH");
    let mut errors = tried.attempt.icmp.iter();
    matches!(
        tried.failure(),
        Some(Failure::HostUnreachable | Failure::NetUnreachable)
    ) || errors.any(|error| !error.local && named(&error.errno.name))
}

/// Watched packets freed for want of a route, where the table agrees (or could not be read, and the reason says so alone).
pub fn routeless<'a>(case: &Case<'a>, direction: Direction) -> Vec<Dropped<'a>> {
    let mut drops: Vec<Dropped<'a>> = case
        .drops(Class::Route)
        .into_iter()
        .chain(case.drops(Class::NotForwarding))
        .collect();
    drops.retain(|drop| {
        drop.direction == direction
            && match routing::way(case, drop) {
                Some(Way::None) => true,
                Some(Way::Unknown(_)) | None => drop.reason().contains("NOROUTES"),
                Some(Way::Refused(route)) => routing::is_kernels_own_refusal(route),
                Some(_) => false,
            }
    });
    drops
}

fn knows_no_way(case: &Case<'_>, netns: u32, flow: Flow) -> bool {
    let Some(facts) = case.evidence.netns(netns).map(|netns| &netns.before) else {
        return false;
    };
    match route::lookup(facts, &Query::ours(flow)) {
        Way::None => true,
        Way::Refused(route) => routing::is_kernels_own_refusal(route),
        Way::Unknown(_) => kernel_says(case, netns, flow.dst()).is_some(),
        _ => false,
    }
}

fn kernel_says(case: &Case<'_>, netns: u32, target: IpAddr) -> Option<String> {
    let lookups = case.before(netns, "route lookups", |facts| &facts.lookups).ok()?;
    let answer = lookups
        .iter()
        .find(|lookup| lookup.dst == target && lookup.src.is_none())?;
    match &answer.answer {
        LookupAnswer::Error(errno) => Some(format!(
            "asked for a route to {target}, its kernel answers {}",
            errno.name
        )),
        LookupAnswer::Route(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::cluster::Cluster;
    use crate::scenes::{self, Scene};
    use model::inventory::Node;

    #[test]
    fn the_pod_has_no_default_route() {
        let mut scene = Scene::two_nodes();
        scene.unroute(scenes::A, "0.0.0.0", 0).fails(3, 101, "ENETUNREACH");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["no-route"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/a"));
    }

    #[test]
    fn the_node_has_no_route_to_the_other_nodes_pods() {
        let mut scene = Scene::two_nodes();
        scene.unroute(scenes::X, "10.90.2.0", 24);
        scene.dropped(3, scenes::X, "cbr0", "IP_INNOROUTES", "ip_error");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["no-route"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/x"));
    }

    #[test]
    fn over_ipv6_the_location_and_the_table_say_so() {
        let mut scene = Scene::two_nodes().over_ipv6();
        scene.unroute(scenes::X, "fd90:2::", 64);
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "ip6_pkt_drop");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["no-route"]);
    }

    #[test]
    fn what_is_for_the_other_nodes_pods_goes_to_a_gateway_that_knows_no_way() {
        let mut cluster = Cluster::pods();
        cluster.node("y").pod_cidrs = vec!["10.90.2.0/24".to_owned()];
        cluster.scene.unroute(scenes::X, "10.90.2.0", 24);
        let gateway = scenes::route("0.0.0.0", 0, Some("172.31.90.254"), 2);
        cluster.scene.reroute(scenes::X, &gateway);
        cluster.scene.fails(3, 113, "EHOSTUNREACH");
        for watched in cluster.scene.evidence.watched.clone() {
            cluster.scene.walk_to(watched.attempt, watched.flow, scenes::X, "up0");
        }
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["no-route"]);
        assert_eq!(judgement.verdicts[0].place.node.as_deref(), Some("x"));
        assert!(
            judgement.verdicts[0]
                .remedy
                .contains("ip route add 10.90.2.0/24 via 172.31.90.2")
        );
        // A fabric that carries pods' packets by the default route answers nothing of the kind.
        let mut cluster = Cluster::pods();
        cluster
            .scene
            .unroute(scenes::X, "10.90.2.0", 24)
            .unroute(scenes::Y, "10.90.1.0", 24)
            .reroute(scenes::X, &gateway)
            .reroute(scenes::Y, &gateway);
        cluster.scene.vanishes(3, scenes::X, "up0");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["unexplained-timeout"]);
    }

    #[test]
    fn the_gateway_may_be_silent_where_the_other_node_has_its_route_for_the_way_back() {
        let gateway = scenes::route("0.0.0.0", 0, Some("172.31.90.254"), 2);
        let mut cluster = Cluster::pods();
        cluster.scene.unroute(scenes::X, "10.90.2.0", 24);
        cluster.scene.reroute(scenes::X, &gateway);
        cluster.scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["no-route"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.place.node.as_deref(), Some("x"));
        assert!(
            verdict.says.contains("172.31.90.254, and nothing comes back"),
            "{}",
            verdict.says
        );
        // What came to the other node had a route that carried it.
        let mut cluster = Cluster::pods();
        cluster.scene.unroute(scenes::X, "10.90.2.0", 24);
        cluster.scene.reroute(scenes::X, &gateway);
        cluster.scene.vanishes(3, scenes::Y, "up0");
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"no-route".to_owned()));
    }

    #[test]
    fn a_pods_own_node_is_named_though_its_address_lies_in_the_range_of_another() {
        let mut cluster = Cluster::pods();
        let other = Node {
            name: "z".to_owned(),
            addresses: vec![scenes::ip("172.31.90.3")],
            pod_cidrs: vec!["10.90.2.0/24".to_owned()],
            ready: true,
            ..Node::default()
        };
        cluster.inventory().nodes.insert(0, other);
        let gateway = scenes::route("0.0.0.0", 0, Some("172.31.90.254"), 2);
        cluster.scene.unroute(scenes::X, "10.90.2.0", 24);
        cluster.scene.reroute(scenes::X, &gateway);
        cluster.scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["no-route"]);
        let says = &judgement.verdicts[0].says;
        assert!(says.contains("the pods of node y (10.90.2.2)"), "{says}");
    }

    #[test]
    fn a_route_into_the_tunnel_that_is_gone_is_written_by_the_agent() {
        let mut cluster = Cluster::over_vxlan();
        cluster.scene.unroute(scenes::X, "10.90.2.0", 24);
        cluster.scene.tunnel = false;
        cluster.scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["no-route"]);
        let remedy = &judgement.verdicts[0].remedy;
        assert!(remedy.contains("agent") && remedy.contains("flannel.1"), "{remedy}");
    }

    #[test]
    fn a_refused_connection_with_all_routes_in_place_is_not_this() {
        let mut scene = Scene::two_nodes();
        scene.fails(3, 111, "ECONNREFUSED");
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"no-route".to_owned()));
    }
}
