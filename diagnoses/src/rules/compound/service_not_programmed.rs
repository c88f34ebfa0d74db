//! The source's node has no rule for the service's address.
//!
//! Why it happens: kube-proxy does not run on that node, is cut off from the API server, or is late with its changes.
//!
//! How it knows: the API lists ready endpoints for the service. The watched packets came to the node with the service's address
//! and were never translated, and no rule that was read there translates it. Or kube-proxy's own rules for services
//! without endpoints, or for addresses that no service has, rejected or dropped them.
//!
//! Remedy: check that kube-proxy runs on the node, and restart it.
//!
//! Silent on: services without ready endpoints (`service-without-endpoints`), packets that were translated, by old rules
//! too (`service-rules-stale`), old entries of connection tracking (`conntrack-stale`), IPVS, and nodes whose rules could not be read.

use crate::case::Case;
use crate::case::firewall_drops::blocked;
use crate::case::observations;
use crate::case::services::{AskedService, services};
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use model::evidence::{Evidence, NetnsEvidence};
use model::flow::Flow;
use model::report::{Direction, RulePlace};

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Fact("netfilter"), Need::Fact("links")];

pub fn check(case: &Case<'_>) -> Checked {
    let Some(host) = host(case).filter(|_| case.worked().is_empty()) else {
        return Ok(Vec::new());
    };
    for asked in services(case) {
        if asked.service.headless || asked.by_node || asked.usable().is_empty() {
            continue;
        }
        for tried in case.failed() {
            let (id, flow) = (tried.attempt.id, tried.attempt.flow);
            let same_family = asked
                .usable()
                .iter()
                .any(|backend| backend.address.is_ipv4() == flow.dst().is_ipv4());
            let arrived = case.leg(id, Direction::Request).is_some_and(|leg| leg.reached(host.id));
            if !asked.service.cluster_ips.contains(&flow.dst()) || !same_family || !arrived {
                continue;
            }
            if let Some(finding) = wrong(case, &asked, host, id, flow)? {
                return Ok(vec![finding]);
            }
        }
    }
    Ok(Vec::new())
}

/// The own namespace of the source's node.
fn host<'a>(case: &Case<'a>) -> Option<&'a NetnsEvidence> {
    let evidence = case.evidence;
    let node = evidence.nodes.iter().find(|node| node.name == evidence.source.node)?;
    evidence.netns(node.host_netns)
}

/// What is wrong with the node's rules for this tuple; nothing where they are right.
fn wrong(
    case: &Case<'_>,
    asked: &AskedService<'_>,
    host: &NetnsEvidence,
    id: u32,
    flow: Flow,
) -> Result<Option<Finding>, model::missing::Missing> {
    let to = case.trail.forms(id).last().copied().unwrap_or(flow);
    let node = &case.evidence.source.node;
    let says = |what: &str| {
        fatal(
            "service-not-programmed",
            format!("node {node} {what} {} ({})", asked.words(), flow.dst()),
        )
    };
    let by_kube_proxy = blocked(case).into_iter().find(|blocked| {
        let own = |place: &RulePlace| {
            place.table == "kube-proxy" || (place.chain.starts_with("KUBE-SERVICES") && blocked.answered(case))
        };
        let is_it = blocked.netns == host.id && blocked.attempts().contains(&id);
        is_it && blocked.direction == Direction::Request && blocked.place().as_ref().is_some_and(own)
    });
    if let Some(blocked) = by_kube_proxy {
        // It rejects what has no endpoints, and drops what is no service's.
        let what = if blocked.answered(case) {
            "still rejects what is sent to"
        } else {
            "has no rule for"
        };
        let finding = described(says(what), case, asked, host)
            .because(blocked.seen(case))
            .and_if(blocked.rule_words());
        return Ok(Some(met(endpoints(finding, asked), case)));
    }
    let ipvs = case
        .before(host.id, "links", |facts| &facts.links)?
        .iter()
        .any(|link| link.name == "kube-ipvs0");
    let dropped = case.accusing().any(|drop| {
        let class = drop.class;
        drop.attempt == id
            && !matches!(
                class,
                crate::kernel::drops::Class::Route | crate::kernel::drops::Class::Neighbour
            )
    });
    if ipvs || dropped {
        return Ok(None);
    }
    let netfilter = case.after(host.id, "netfilter rules", |facts| &facts.netfilter)?;
    if let Some(unread) = netfilter.unread.first() {
        return Err(unread.clone());
    }
    // What the rules alone would do: asked without the tables that remember.
    let arrives = (case.evidence.source.netns != Some(host.id)).then_some(0);
    let now = translate::destinations(&Evidence::default(), &[], host.id, &host.after, arrives, flow);
    if to.dst() == flow.dst() {
        let translates = now.iter().any(|one| one.dst() != flow.dst());
        if translates {
            return Ok(None);
        }
        let finding = described(says("has no rule for"), case, asked, host)
            .because(format!("{flow} came to node {node} and was never translated"))
            .and(format!(
                "no netfilter rule of node {node} translates {}:{}",
                flow.dst(),
                flow.dport
            ));
        return Ok(Some(met(endpoints(finding, asked), case)));
    }
    Ok(None)
}

fn described(claim: Claim, case: &Case<'_>, asked: &AskedService<'_>, host: &NetnsEvidence) -> Claim {
    let node = &case.evidence.source.node;
    claim
        .at(node.clone(), case.name(host.id))
        .object(asked.service.object())
        .of(case.failed_ids())
        .remedy(
            Remedy::from(format!(
                "see whether kube-proxy runs on {node} and reaches the API server"
            ))
            .run(
                ": ",
                command(
                    "kubectl -n kube-system get pods -o wide --field-selector {}",
                    &[&format!("spec.nodeName={node}")],
                ),
            )
            .say(", and restart it"),
        )
}

fn endpoints(finding: Finding, asked: &AskedService<'_>) -> Finding {
    let ready: Vec<String> = asked
        .usable()
        .iter()
        .take(4)
        .map(|backend| format!("{}:{}", backend.address, backend.port))
        .collect();
    finding.and(format!("its EndpointSlices list as ready: {}", ready.join(", ")))
}

fn met(finding: Finding, case: &Case<'_>) -> Finding {
    finding.and_if(case.failed().first().map(|tried| observations::met(tried)))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::Cluster;
    use model::facts::{Action, Match, Netfilter, NetfilterRule};
    use model::missing::{Known, Missing};

    /// The SYN comes to node x and leaves it as it came.
    fn untranslated() -> Cluster {
        let mut cluster = Cluster::web();
        cluster
            .scene
            .facts(scenes::X, |facts| facts.netfilter = Known::Known(Netfilter::default()));
        cluster.scene.vanishes(3, scenes::X, "up0");
        cluster
    }

    #[test]
    fn a_service_that_the_node_does_not_know_is_it() {
        let mut cluster = untranslated();
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-not-programmed"]);
        assert_eq!(judgement.verdicts[0].place.node.as_deref(), Some("x"));
        assert_eq!(judgement.verdicts[0].place.object.as_ref().unwrap().name, "web");
    }

    #[test]
    fn kube_proxys_own_rule_for_what_is_no_service_shows_it_too() {
        let mut cluster = Cluster::web();
        let rule = NetfilterRule {
            text: "ip daddr 10.96.0.0/16 drop".to_owned(),
            matches: vec![Match::Destination {
                any: vec!["10.96.0.0/16".to_owned()],
                not: false,
            }],
            action: Action::Drop,
            ..NetfilterRule::default()
        };
        let mut rules = scenes::one_rule("kube-proxy", "FORWARD", rule);
        "nftables".clone_into(&mut rules.chains[0].backend);
        cluster
            .scene
            .facts(scenes::X, |facts| facts.netfilter = Known::Known(rules.clone()));
        cluster
            .scene
            .dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nft_do_chain");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-not-programmed"]);
        assert!(
            judgement.verdicts[0].because[1].contains("10.96.0.0/16 drop"),
            "{:?}",
            judgement.verdicts[0]
        );
    }

    #[test]
    fn a_service_without_endpoints_or_with_a_rule_is_not_it() {
        let mut cluster = untranslated();
        cluster.no_endpoints("web");
        assert_eq!(
            scenes::causes(&judge(cluster.evidence())),
            ["service-without-endpoints"]
        );
        let mut cluster = Cluster::web();
        cluster.scene.vanishes(3, scenes::X, "up0");
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"service-not-programmed".to_owned()));
    }

    #[test]
    fn rules_that_could_not_be_read_accuse_nobody() {
        let mut cluster = untranslated();
        let unread = Missing::new("netfilter rules of x", "no tool reads them");
        cluster
            .scene
            .facts(scenes::X, |facts| facts.netfilter = Known::Missing(unread.clone()));
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["unexplained-timeout"]);
        assert!(
            judgement
                .missing
                .iter()
                .any(|lack| lack.what.contains("netfilter rules"))
        );
    }
}
