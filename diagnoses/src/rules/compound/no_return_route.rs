//! The packet arrives, but the answer has no way back.
//!
//! Why it happens: the target (or a node on the way back) has no route to the source's address, or a route that refuses it. Or
//! the source should have been masqueraded and was not, so the target answers to an address that exists only elsewhere.
//!
//! How it knows: the request was seen in the target's namespace and no answer left it, and its routing has nothing for the
//! source's address as it arrived there (its `IpOutNoRoutes` counter rises). Or an answer was seen on its way, and routing
//! freed it (no route, a route that refuses, forwarding off, reverse path filter). Or its node has no route to the pods of the
//! asker's node, which has one for the way there, and the answer that it sent to a gateway instead was not seen again.
//!
//! Remedy: add the route back, or masquerade the source before it leaves its own network.
//!
//! Silent on: requests that never arrived, answers that a firewall drops (`netfilter-drop`), and full accept queues
//! (`accept-queue-full`), where `ListenOverflows` rises.

use crate::case::Case;
use crate::case::node_routes;
use crate::case::observations;
use crate::case::routing;
use crate::case::trail::Dropped;
use crate::kernel::drops::Class;
use crate::kernel::route::{self, Query, Way};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use model::report::Direction;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("path"),
    Need::Probe("drop"),
    Need::Fact("routes"),
    Need::Fact("rules"),
    Need::Fact("counters"),
    Need::Fact("addresses"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let lost = dropped(case);
    if let Some(finding) = lost {
        return Ok(vec![finding]);
    }
    Ok(unsent(case).or_else(|| past_other_node(case)).into_iter().collect())
}

/// The answer's node hands it to a gateway, because it has no route to the pods of the asker's node, and nothing comes back.
fn past_other_node(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let (tried, lacking) = failed.iter().find_map(|tried| {
        let found = node_routes::lacking_in_silence(case, tried.attempt.id, Direction::Answer)?;
        // A tunnel that is gone or down takes its routes with it, and is the deeper fault.
        let by_route_alone = found.by_tunnel().is_none() || found.own_device(case).is_some_and(|link| link.up);
        by_route_alone.then_some((tried, found))
    })?;
    let (netns, back, gateway) = (lacking.netns, lacking.target, lacking.gateway);
    let name = case.name(netns);
    let finding = fatal(
        "no-return-route",
        format!(
            "the request arrives, but {name} has no route back to the pods of node {} ({back}): it sends the answer to \
             {gateway}, and it is not seen again",
            lacking.node.name
        ),
    )
    .at(case.node(netns), &name)
    .of(case.failed_ids())
    .remedy(node_routes::remedy(case, &lacking))
    .because(format!(
        "the route of {name} for {back} is {}/{} via {gateway}",
        lacking.route.dst, lacking.route.prefix
    ))
    .and_if(lacking.mirrored.map(|link| {
        let node = &lacking.node.name;
        format!("node {node} has a route of its own for the way there, by {}", link.name)
    }));
    Some(observations::last_seen(case, finding, tried.attempt.id))
}

/// An answer was freed by routing on its way back.
fn dropped(case: &Case<'_>) -> Option<Finding> {
    let classes = [Class::Route, Class::NotForwarding, Class::ReversePath];
    let mut drops: Vec<Dropped<'_>> = classes.into_iter().flat_map(|class| case.drops(class)).collect();
    drops.extend(routing::not_forwarded(case, Direction::Answer));
    drops.retain(|drop| drop.direction == Direction::Answer);
    let first = drops.first()?;
    let netns = first.event.netns;
    let name = case.name(netns);
    let back = first.event.flow.dst();
    let (why, remedy) = match (first.class, routing::way(case, first)) {
        (Class::ReversePath, _) => (
            format!(
                "the reverse path filter of {name} rejects it on {}",
                case.interface(first.event)
            ),
            "make routing symmetric, or set rp_filter to 2 (loose) there".into(),
        ),
        (Class::NotForwarding, _) => (
            format!("{name} does not forward it"),
            format!("switch forwarding on in {name}").into(),
        ),
        (_, Some(way)) => match routing::refusal(&way) {
            Some((route, delete)) => (
                format!("a route of {name} refuses it: {route}"),
                routing::without(case, netns, &delete),
            ),
            None => (format!("{name} has no route to {back}"), add(case, netns, back)),
        },
        (_, None) => (format!("{name} has no route to {back}"), add(case, netns, back)),
    };
    let finding = fatal(
        "no-return-route",
        format!("the answer to {back} has no way back: {why}"),
    )
    .at(case.node(netns), &name)
    .interface(case.interface(first.event))
    .of(drops.iter().map(|drop| drop.attempt))
    .remedy(remedy)
    .because(format!("answers to {back} were freed in {name}: {}", first.words()));
    Some(observations::last_seen(case, finding, first.attempt))
}

/// The request arrived and its receiver knows no way to answer.
fn unsent(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let (tried, stop) = failed.iter().find_map(|tried| {
        let request = case.leg(tried.attempt.id, Direction::Request)?;
        let stop = request.farthest()?;
        let arrived = case
            .owners(stop.flow.dst())
            .iter()
            .any(|(netns, _)| *netns == stop.netns);
        let answered = case
            .leg(tried.attempt.id, Direction::Answer)
            .is_some_and(|leg| leg.stops.iter().any(|answer| answer.netns != stop.netns));
        (arrived && !answered && Some(stop.netns) != case.evidence.source.netns).then_some((tried, stop))
    })?;
    let netns = stop.netns;
    let facts = &case.evidence.netns(netns)?.before;
    let back = stop.flow.src();
    let way = route::lookup(facts, &Query::of(stop.flow.reversed(), None));
    let name = case.name(netns);
    let (why, remedy) = match &way {
        Way::None => (format!("{name} has no route to {back}"), add(case, netns, back)),
        Way::Refused(route) if routing::is_kernels_own_refusal(route) => {
            (format!("{name} has no route to {back}"), add(case, netns, back))
        }
        Way::Refused(_) | Way::RuleRefuses(_) => {
            let (route, delete) = routing::refusal(&way)?;
            (
                format!("a route of {name} refuses {back}: {route}"),
                routing::without(case, netns, &delete),
            )
        }
        _ => return None,
    };
    let counter = if back.is_ipv6() {
        "Ip6.OutNoRoutes"
    } else {
        "Ip.OutNoRoutes"
    };
    let rose = case.growth(netns, counter).unwrap_or(0);
    let finding = fatal(
        "no-return-route",
        format!("the request arrives, but {why}, so no answer comes back"),
    )
    .at(case.node(netns), &name)
    .of(case.failed_ids())
    .remedy(remedy)
    .because(format!(
        "{} from {back} was seen in {name}, and no answer left it",
        case.evidence.protocol
    ))
    .and(why)
    .and_if((rose > 0).then(|| format!("{counter} of {name} rose by {rose} in the window")));
    Some(observations::last_seen(case, finding, tried.attempt.id))
}

fn add(case: &Case<'_>, netns: u32, back: IpAddr) -> Remedy {
    Remedy::from(format!("add a route back in {}", case.name(netns)))
        .run(
            ": ",
            case.command(netns, routing::add_route(back), &[&back, &"GATEWAY"]),
        )
        .say(", or masquerade the source before it leaves its own network")
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::cluster::Cluster;
    use crate::scenes::{self, Scene};

    #[test]
    fn the_target_knows_no_way_back() {
        let mut scene = Scene::two_nodes();
        scene.unroute(scenes::C, "0.0.0.0", 0).vanishes(3, scenes::C, "eth0");
        scene.grew(scenes::C, "Ip.OutNoRoutes", 3);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["no-return-route"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
        assert!(
            judgement.verdicts[0]
                .because
                .iter()
                .any(|fact| fact.contains("rose by 3"))
        );
    }

    #[test]
    fn the_answers_node_has_no_route() {
        let mut scene = Scene::two_nodes();
        scene
            .unroute(scenes::Y, "10.90.1.0", 24)
            .answer_dropped(2, scenes::Y, "cbr0", "IP_INNOROUTES", "ip_error");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["no-return-route"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/y"));
    }

    #[test]
    fn the_answer_goes_to_a_gateway_for_want_of_a_route_to_the_other_nodes_pods() {
        let mut cluster = Cluster::over_vxlan();
        cluster.scene.tunnel = false;
        cluster.scene.unroute(scenes::Y, "10.90.1.0", 24).answers_vanish(3);
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["no-return-route"]);
        assert_eq!(judgement.verdicts[0].place.node.as_deref(), Some("y"));
        let mut cluster = Cluster::over_vxlan();
        cluster.scene.answers_vanish(3);
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"no-return-route".to_owned()));
    }

    #[test]
    fn a_silent_target_with_a_route_back_is_not_this() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::C, "eth0");
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"no-return-route".to_owned()));
    }
}
