//! The source's node has no rule for the service's address.
//!
//! Why it happens: the agent that programs services there (kube-proxy, or the network plug-in in its place) does not run, is cut
//! off from the API server, or is late with its changes.
//!
//! How it knows: the API lists ready endpoints for the service. The watched packets came to the node with the service's address
//! and were never translated, and no rule that was read there translates it. Or kube-proxy's own rules for services
//! without endpoints, or for addresses that no service has, rejected or dropped them.
//!
//! Remedy: check that this agent runs on the node, and restart it. The node's own rules, interfaces and eBPF programs tell which
//! one it is.
//!
//! Silent on: services without ready endpoints (`service-without-endpoints`), packets that were translated, by old rules
//! too (`service-rules-stale`), old entries of connection tracking (`conntrack-stale`), IPVS, and nodes whose rules could not be read.

use crate::case::Case;
use crate::case::firewall_drops::blocked;
use crate::case::node_agents::serving;
use crate::case::observations;
use crate::case::services::{AskedService, services};
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::list;
use crate::words::shell::command;
use model::evidence::{Evidence, NetnsEvidence};
use model::flow::Flow;
use model::report::{Direction, RulePlace};

pub const NEEDS: &[Need] = &[
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("links"),
    Need::Fact("bpf"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let Some(host) = case
        .evidence
        .host(&case.evidence.source.node)
        .filter(|_| case.worked().is_empty())
    else {
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
            ))
            .and_if(programmed_by(case, node));
        return Ok(Some(met(endpoints(finding, asked), case)));
    }
    Ok(None)
}

fn described(claim: Claim, case: &Case<'_>, asked: &AskedService<'_>, host: &NetnsEvidence) -> Claim {
    let node = &case.evidence.source.node;
    let agents: Vec<String> = serving(case, node)
        .iter()
        .map(|agent| agent.process.to_owned())
        .collect();
    let one = agents.len() < 2;
    let who = if agents.is_empty() {
        "whatever programs services on this node".to_owned()
    } else {
        list(&agents)
    };
    claim
        .at(node.clone(), case.name(host.id))
        .object(asked.service.object())
        .of(case.failed_ids())
        .remedy(
            Remedy::from(format!(
                "see whether {who} {} on {node} and {} the API server",
                if one { "runs" } else { "run" },
                if one { "reaches" } else { "reach" }
            ))
            .run(
                ": ",
                command(
                    "kubectl get pods -A -o wide --field-selector {}",
                    &[&format!("spec.nodeName={node}")],
                ),
            )
            .say(if one { ", and restart it" } else { ", and restart them" }),
        )
}

/// `services are programmed on n1 by Cilium (cilium-agent)`.
fn programmed_by(case: &Case<'_>, node: &str) -> Option<String> {
    let agents = serving(case, node);
    let words: Vec<String> = agents
        .iter()
        .map(|agent| format!("{} ({})", agent.name, agent.process))
        .collect();
    (!words.is_empty()).then(|| format!("services are programmed on {node} by {}", list(&words)))
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

    fn remedy(cluster: &mut Cluster) -> String {
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-not-programmed"]);
        judgement.verdicts[0].remedy.clone()
    }

    #[test]
    fn the_agent_that_has_to_program_it_is_named_as_the_node_tells() {
        let said = remedy(&mut untranslated());
        assert!(
            said.starts_with(
                "see whether whatever programs services on this node runs on x and reaches the API server"
            ),
            "{said}"
        );
        let mut cluster = untranslated();
        let others = scenes::one_rule("nat", "KUBE-SERVICES", NetfilterRule::default());
        cluster
            .scene
            .facts(scenes::X, |facts| facts.netfilter = Known::Known(others.clone()));
        assert!(remedy(&mut cluster).starts_with("see whether kube-proxy runs on x"));
        // Cilium without kube-proxy, and beside it.
        let program = model::facts::BpfAttachment {
            kind: "cgroup-connect4".to_owned(),
            name: "cil_sock4_conne".to_owned(),
            on: "/".to_owned(),
            ifindex: 0,
            id: 7,
        };
        let attach = |cluster: &mut Cluster| {
            cluster
                .scene
                .facts(scenes::X, |facts| facts.bpf = Known::Known(vec![program.clone()]));
        };
        attach(&mut cluster);
        let said = remedy(&mut cluster);
        assert!(
            said.starts_with("see whether cilium-agent and kube-proxy run on x and reach"),
            "{said}"
        );
        let mut cluster = untranslated();
        attach(&mut cluster);
        let said = remedy(&mut cluster);
        assert!(said.starts_with("see whether cilium-agent runs on x"), "{said}");
        // kube-router's service proxy has an interface of its own.
        let mut cluster = untranslated();
        cluster.scene.facts(scenes::X, |facts| {
            if let Known::Known(links) = &mut facts.links {
                links.push(scenes::link(20, "kube-dummy-if", "dummy"));
            }
        });
        assert!(remedy(&mut cluster).starts_with("see whether kube-router runs on x"));
    }
}
