//! A node port is asked for at an address where the node does not serve it.
//!
//! Why it happens: kube-proxy in nftables mode serves node ports at the node's own address only, and never at a loopback address;
//! `--nodeport-addresses` leaves addresses out; or a service has no cluster IP of that family.
//!
//! How it knows: the node's own kernel found no socket for the request, its rules do not translate it, and they translate the same
//! port at another address of that node.
//!
//! Remedy: ask for an address at which it is served, or change `--nodeport-addresses`.
//!
//! Silent on: ports that no rule of the node knows (`port-closed`), and requests that its rules translate or may translate.

use crate::case::Case;
use crate::case::far_end::{FarEnd, refused};
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::list;
use model::evidence::Evidence;
use model::flow::{Flow, bytes};
use model::report::{Direction, Happened};
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("tcpreset"),
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("addresses"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut ids = Vec::new();
    let mut first: Option<(FarEnd, Vec<IpAddr>)> = None;
    for (id, end) in refused(case) {
        let served = served_at(case, id, end);
        if !served.is_empty() {
            ids.push(id);
            first.get_or_insert((end, served));
        }
    }
    let Some((end, served)) = first else {
        return Ok(Vec::new());
    };
    let name = case.name(end.netns);
    let (to, port) = (end.flow.dst(), end.flow.dport);
    let served: Vec<String> = served.iter().map(IpAddr::to_string).collect();
    let service = case.inventory().and_then(|inventory| {
        let has_port =
            |service: &&model::inventory::Service| service.ports.iter().any(|own| own.node_port == Some(port));
        inventory.services.iter().find(has_port)
    });
    let whose = service.map_or_else(String::new, |service| format!(" of service {}", service.full_name()));
    let claim = fatal(
        "node-port-not-served-here",
        format!(
            "{name} serves node port {port}{whose} at {}, and not at {to}",
            list(&served)
        ),
    )
    .at(case.node(end.netns), &name)
    .of(ids)
    .remedy(format!(
        "ask for it at {}, or see kube-proxy's --nodeport-addresses on that node",
        served[0]
    ));
    let claim = match service {
        Some(service) => claim.object(service.object()),
        None => claim,
    };
    Ok(vec![
        claim
            .because(format!(
                "{name} found no socket for {}, and no rule of it translates that",
                end.flow
            ))
            .and(format!("its rules translate port {port} at {}", list(&served))),
    ])
}

/// Other addresses of the end for which its rules are certain to translate the same request, while they leave this one alone.
fn served_at(case: &Case<'_>, attempt: u32, end: FarEnd) -> Vec<IpAddr> {
    let Some(netns) = case.evidence.netns(end.netns) else {
        return Vec::new();
    };
    let facts = &netns.after;
    let leg = case.leg(attempt, Direction::Request);
    let entry = leg.and_then(|leg| {
        let mut stops = leg.stops.iter();
        stops.rfind(|stop| stop.netns == end.netns && stop.happened == Happened::Arrived)
    });
    let arrives = match entry {
        Some(stop) => Some(stop.ifindex),
        None if case.evidence.source.netns == Some(end.netns) => None,
        None => return Vec::new(),
    };
    // What the rules alone would do: asked without the tables that remember.
    let nothing = Evidence::default();
    let translated = |flow: Flow| translate::destinations(&nothing, &[], end.netns, facts, arrives, flow);
    if translated(end.flow) != [end.flow] {
        return Vec::new();
    }
    let own = netns.before.addresses.ok().into_iter().flatten();
    own.filter(|own| !own.link_scope && own.address.is_ipv4() == end.flow.dst().is_ipv4())
        .map(|own| own.address)
        .filter(|address| {
            let flow = Flow {
                daddr: bytes(*address),
                ..end.flow
            };
            *address != end.flow.dst() && !translated(flow).contains(&flow)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{Action, Match, NetfilterRule};
    use model::missing::Known;

    /// Port 80 is asked for at an address of node y, whose rules translate it at this one.
    fn asked_at(asked: &str, served: &str) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.evidence.destination.netns = Some(scenes::Y);
        scene.aim(asked);
        let rule = NetfilterRule {
            matches: vec![
                Match::Destination {
                    any: vec![served.to_owned()],
                    not: false,
                },
                Match::DestinationPort {
                    any: vec![(80, 80)],
                    not: false,
                },
            ],
            action: Action::Nat {
                kind: "DNAT".to_owned(),
                to: "10.90.2.2:8080".to_owned(),
            },
            ..NetfilterRule::default()
        };
        scene.facts(scenes::Y, |facts| {
            facts.netfilter = Known::Known(scenes::one_rule("nat", "PREROUTING", rule.clone()));
        });
        scene.finds_no_socket(3, scenes::Y, "up0");
        scene
    }

    #[test]
    fn a_port_that_is_served_at_another_address_of_the_node() {
        let judgement = judge(&asked_at("10.90.2.1", "172.31.90.2").evidence);
        assert_eq!(scenes::causes(&judgement), ["node-port-not-served-here"]);
        let says = &judgement.verdicts[0].says;
        assert!(says.contains("at 172.31.90.2, and not at 10.90.2.1"), "{says}");
    }

    #[test]
    fn a_port_that_no_rule_knows_is_closed() {
        let judgement = judge(&asked_at("10.90.2.1", "172.31.90.77").evidence);
        assert_eq!(scenes::causes(&judgement), ["port-closed"]);
    }
}
