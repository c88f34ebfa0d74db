//! A network policy forbids this connection.
//!
//! Why it happens: a policy selects the target (or the source, for egress), and no rule of any policy that selects it allows
//! this peer on this port. Or a rule denies it, in a kind of policy that has such rules. Usual reasons: a default denial without
//! an exception, a label or a port that differs, a rule that comes too late in the order of policies and tiers, or DNS forgotten in
//! an egress policy.
//!
//! How it knows: the policies of both ends are evaluated as their kinds define them: `NetworkPolicy` (networking.k8s.io/v1),
//! `CiliumNetworkPolicy` and `CiliumClusterwideNetworkPolicy` (cilium.io/v2), Calico's `NetworkPolicy` and `GlobalNetworkPolicy`
//! (projectcalico.org/v3, crd.projectcalico.org/v1), `AdminNetworkPolicy` and `BaselineAdminNetworkPolicy`
//! (policy.networking.k8s.io/v1alpha1), and `ClusterNetworkPolicy` (v1alpha2); for the source as the dropping place saw it (a node
//! port shows the target a node's address, not the pod's; Cilium goes by an identity that may stay the pod's). A drop proves that they are enforced, and
//! shows how: a netfilter rule, a queue's agent or an eBPF program dropped the watched packets on their way to the target; Cilium's
//! own counters tell its reason. If packets vanished without such a drop, or if nothing was sent, it is only a warning. If a
//! forbidden connection works, nothing enforces the policy, or nothing that is known to heed policies of its kind, and this is only
//! an info. Where a policy of a plug-in's own kind could not be evaluated, a rule that the plug-in made for it may be what dropped
//! the packets.
//!
//! Remedy: let the source in by a rule of that policy, or by one more policy. Take it out of a rule that denies it, or let it in by
//! a rule that comes before.
//!
//! Silent on: connections that some policy allows, drops of packets that no policy forbids (`netfilter-drop`, `bpf-drop`), or none
//! of a kind that the plug-in there knows, queues that nobody reads (`queue-agent-drops`), policies that a plug-in has not applied
//! (`enforcement-differs`), dropped answers (policies are about connections, not packets), failures of packets that arrived at the
//! target, what policies leave to each implementation, and all that depends on what is not evaluated (layer 7, domain names, fields
//! that are not known) or was not read.

use crate::case::firewall_drops::{Blocked, blocked};
use crate::case::observations;
use crate::case::policy_denials::{described, engine, heeded, says, unheeded, with_reasons};
use crate::case::policy_rulings::{of_attempt, of_question};
use crate::case::trail::Dropped;
use crate::case::{Case, Failure, Tried, cilium_reasons, node_agents};
use crate::kernel::drops::{self, Class};
use crate::kernel::firewall::culprit::Culprit;
use crate::kubernetes::policy::{Denial, Ruling};
use crate::kubernetes::policy_chains;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal, info, warning};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use crate::words::{at, count, list};
use model::object_ref::ObjectRef;
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("cilium_metrics"),
];

pub fn check(case: &Case<'_>) -> Checked {
    if case.inventory().is_none() {
        return Ok(Vec::new());
    }
    let by_own_kind: Vec<Finding> = blocked(case)
        .iter()
        .filter_map(|blocked| of_own_kind(case, blocked))
        .collect();
    if !by_own_kind.is_empty() {
        return Ok(by_own_kind);
    }
    if case.asked().next().is_none() {
        return Ok(match of_question(case) {
            Some(Ruling::Denied(denials)) => vec![unsent(case, &denials)],
            _ => Vec::new(),
        });
    }
    let denied = |tried: &&Tried<'_>| matches!(of_attempt(case, tried), Some(Ruling::Denied(_)));
    let worked: Vec<_> = case.worked().into_iter().filter(denied).collect();
    let failed: Vec<_> = case.failed().into_iter().filter(denied).collect();
    let Some(tried) = failed.first().or(worked.first()) else {
        return Ok(Vec::new());
    };
    let Some(Ruling::Denied(denials)) = of_attempt(case, tried) else {
        return Ok(Vec::new());
    };
    let heeded = heeded(case, tried, &denials);
    let ids: Vec<u32> = failed.iter().map(|tried| tried.attempt.id).collect();
    let drops: Vec<Dropped<'_>> = case
        .accusing()
        .filter(|drop| ids.contains(&drop.attempt) && drop.direction == Direction::Request)
        .filter(|drop| match drop.class {
            Class::Netfilter | Class::Bpf => true,
            // Where no program answered, no policy was asked.
            Class::Queue => drops::was_answered(drop.location()),
            _ => false,
        })
        .collect();
    if let Some(first) = drops.first().filter(|_| !heeded.is_empty()) {
        return Ok(vec![confirmed(case, &heeded, &drops, first)]);
    }
    // Where one got through, nothing enforces it, and the others failed for another reason.
    let finding = if worked.is_empty() {
        unconfirmed(case, &denials, &heeded, &failed)
    } else {
        unenforced(case, tried, &denials, worked.len())
    };
    Ok(finding.into_iter().collect())
}

/// A drop was seen.
fn confirmed(case: &Case<'_>, denials: &[Denial<'_>], drops: &[Dropped<'_>], first: &Dropped<'_>) -> Finding {
    let netns = first.event.netns;
    let place = at(&case.name(netns), Some(&case.interface(first.event)));
    let claim = fatal("network-policy-denies", says(denials, "forbids it"));
    let by_rules = blocked(case);
    let by_rules = || by_rules.iter().filter(|blocked| blocked.netns == netns);
    let ended = by_rules().next().map_or("freed", |blocked| blocked.ended(case));
    let mut finding = described(case, claim, denials)
        .at(case.node(netns), case.name(netns))
        .interface(case.interface(first.event))
        .of(drops.iter().map(|drop| drop.attempt))
        .because(format!(
            "{} of the request {ended} in {place}: {} ({})",
            count(drops.len(), "watched packet"),
            first.words(),
            first.event.flow
        ));
    for blocked in by_rules() {
        finding = finding
            .and_if(blocked.rule_words())
            .and_if(blocked.counted())
            .and_if(blocked.comment());
    }
    if first.class == Class::Bpf {
        finding = finding.and_if(cilium_reasons::said(case, netns));
    }
    with_reasons(case, finding, denials)
}

/// Packets vanished, and nobody saw where.
fn unconfirmed(
    case: &Case<'_>,
    denials: &[Denial<'_>],
    heeded: &[Denial<'_>],
    failed: &[&Tried<'_>],
) -> Option<Finding> {
    let arrived = |tried: &&&Tried<'_>| {
        let request = case.leg(tried.attempt.id, Direction::Request);
        case.evidence
            .destination
            .netns
            .zip(request)
            .is_some_and(|(netns, leg)| leg.reached(netns) || leg.delivered())
    };
    if let Some(tried) = failed.iter().find(arrived) {
        return unenforced(case, tried, denials, 0);
    }
    let vanished = failed
        .iter()
        .all(|tried| matches!(tried.failure(), Some(Failure::Silent(_) | Failure::Forbidden) | None));
    let ids: Vec<u32> = failed.iter().map(|tried| tried.attempt.id).collect();
    let explained = case.accusing().any(|drop| ids.contains(&drop.attempt)) || !case.silent.is_empty();
    if !vanished || explained || heeded.is_empty() {
        return None;
    }
    let claim = warning(
        "network-policy-denies",
        says(heeded, "forbids it, though no drop was seen"),
    );
    let finding = described(case, claim, heeded)
        .of(ids)
        .because(observations::met(failed[0]));
    Some(with_reasons(case, finding, heeded))
}

/// Nothing was sent.
fn unsent(case: &Case<'_>, denials: &[Denial<'_>]) -> Finding {
    let claim = warning("network-policy-denies", says(denials, "forbids it, if it is enforced"));
    let finding = described(case, claim, denials).because("nothing was sent, so nobody saw whether it is enforced");
    with_reasons(case, finding, denials)
}

/// It got through all the same, and nothing is there that would surely have to enforce it.
fn unenforced(case: &Case<'_>, tried: &Tried<'_>, denials: &[Denial<'_>], worked: usize) -> Option<Finding> {
    if engine(case, tried).is_some() {
        return None;
    }
    let denial = denials.first()?;
    let (node, unheeded) = (&denial.pod.node, unheeded(case, denial));
    if unheeded.is_empty() {
        return None;
    }
    let kinds = kinds(&unheeded);
    let use_another = || format!("use a network plug-in that enforces {kinds}, if it should hold");
    let enforced = !node_agents::enforcing(case, node).is_empty();
    let (verb, remedy) = if enforced {
        (
            format!("forbids it, and nothing here is known to enforce {kinds}"),
            use_another(),
        )
    } else if node_agents::would_be_seen(case, node) {
        ("forbids it, and nothing enforces it".to_owned(), use_another())
    } else {
        (
            "forbids it, and it got through all the same".to_owned(),
            format!("see whether anything on node {node} enforces {kinds}, if it should hold"),
        )
    };
    let claim = info("network-policy-denies", says(denials, &verb));
    let finding = described(case, claim, denials).remedy(remedy).because(match worked {
        0 => "the request arrived at the target".to_owned(),
        many => format!("{} worked all the same", count(many, "attempt")),
    });
    Some(with_reasons(case, finding, denials))
}

/// The kinds of policies, each once.
fn kinds(policies: &[&ObjectRef]) -> String {
    let mut kinds: Vec<String> = policies.iter().map(|policy| policy.kind.clone()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    list(&kinds)
}

/// A plug-in's own rule for policies of its own kind dropped it, each of these policies is an object of the cluster, and what they
/// say could not be evaluated.
fn of_own_kind(case: &Case<'_>, blocked: &Blocked<'_>) -> Option<Finding> {
    let (inventory, agent) = (case.inventory()?, blocked.owner()?);
    let mut hit = blocked.drops.iter().filter_map(|drop| case.attempt(drop.attempt));
    if !hit.all(|tried| matches!(of_attempt(case, tried), Some(Ruling::Unknown(_)))) {
        return None;
    }
    let known = || {
        let read = inventory.policy_objects.objects.iter().map(|policy| &policy.object);
        inventory.other_policies.iter().chain(read)
    };
    let mut objects: Vec<&ObjectRef> = Vec::new();
    for suspect in blocked.culprit.iter().flat_map(Culprit::suspects) {
        let names = policy_chains::policies(suspect.stop.chain, suspect.stop.rule?);
        if names.is_empty() {
            return None;
        }
        for name in names {
            let is_it = |object: &&ObjectRef| policy_chains::names(name, object);
            objects.push(known().find(is_it)?);
        }
    }
    objects.dedup();
    let first = *objects.first()?;
    let kind = first.kind.split('.').next().unwrap_or_default();
    let name = |object: &ObjectRef| match object.namespace.as_str() {
        "" => object.name.clone(),
        namespace => format!("{namespace}/{}", object.name),
    };
    let names: Vec<String> = objects.iter().map(|object| name(object)).collect();
    let verb = if names.len() == 1 { "forbids" } else { "forbid" };
    let place = case.name(blocked.netns);
    let show = match first.namespace.as_str() {
        "" => command("kubectl get {} {} -o yaml", &[&first.kind, &first.name]),
        namespace => command(
            "kubectl -n {} get {} {} -o yaml",
            &[&namespace, &first.kind, &first.name],
        ),
    };
    let mut claim = fatal(
        "network-policy-denies",
        format!("{kind} {} of {} {verb} it", list(&names), agent.name),
    )
    .at(case.node(blocked.netns), &place)
    .interface(case.interface(blocked.first().event))
    .object(first.clone())
    .of(blocked.attempts())
    .remedy(Remedy::from("let the flow pass in that policy").run(": ", show));
    if let Some(place) = blocked.place() {
        claim = claim.rule(place);
    }
    let finding = claim
        .because(blocked.seen(case))
        .and_if(blocked.rule_words())
        .and_if(blocked.counted());
    Some(finding.and(format!("{} made this rule for {}", agent.name, list(&names))))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::{Cluster, labels, object};
    use model::facts::{Action, Match};
    use model::inventory::{LabelSelector, NetworkPolicy, PolicyPeer, PolicyRule};
    use model::missing::Known;
    use model::object_ref::ObjectRef;
    use model::report::{Conclusion, Severity};

    /// shop/web-1 lets in pods with app=api alone.
    fn only_api(mut cluster: Cluster) -> Cluster {
        let by_label = |text: &str| LabelSelector {
            match_labels: labels(text),
            ..LabelSelector::default()
        };
        cluster.inventory().policies = Known::Known(vec![NetworkPolicy {
            namespace: "shop".to_owned(),
            name: "web-from-api".to_owned(),
            pod_selector: by_label("app=web"),
            policy_types: vec!["Ingress".to_owned()],
            ingress: vec![PolicyRule {
                peers: vec![PolicyPeer {
                    pod_selector: Some(by_label("app=api")),
                    ..PolicyPeer::default()
                }],
                ports: vec![],
            }],
            egress: vec![],
        }]);
        cluster
    }

    #[test]
    fn a_drop_of_what_a_policy_forbids_is_the_policy_and_the_rule_its_proof() {
        let mut cluster = only_api(Cluster::pods());
        let tests = vec![Match::DestinationPort {
            any: vec![(80, 80)],
            not: false,
        }];
        let scene = &mut cluster.scene;
        scene.filter(
            scenes::Y,
            "FORWARD",
            "-p tcp --dport 80 -j DROP",
            &tests,
            &Action::Drop,
            3,
        );
        scene.dropped(3, scenes::Y, "vethc", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["network-policy-denies"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.severity, Severity::Fatal);
        assert_eq!(verdict.place.object.as_ref().unwrap().name, "web-from-api");
        assert_eq!(verdict.place.node.as_deref(), Some("y"));
        let proof = verdict.because.join("\n");
        assert!(proof.contains("--dport 80 -j DROP"), "{proof}");
        assert!(
            proof.contains("lets in only pods with app=api of namespace shop; shop/a has app=client"),
            "{proof}"
        );
    }

    #[test]
    fn a_rule_of_another_kind_that_denies_is_named_with_its_place_and_the_way_out() {
        let policy = object("GlobalNetworkPolicy.projectcalico.org", "", "no-clients");
        let spec = "{order: 10, selector: app == 'web', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'client'}}, {action: Allow}]}";
        let mut cluster = Cluster::pods().with_policy("projectcalico.org/v3", policy, spec);
        cluster
            .scene
            .dropped(3, scenes::Y, "vethc", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["network-policy-denies"]);
        let verdict = &judgement.verdicts[0];
        assert!(
            verdict
                .says
                .contains("GlobalNetworkPolicy.projectcalico.org no-clients forbids it (Ingress of shop/web-1)"),
            "{}",
            verdict.says
        );
        let proof = verdict.because.join("\n");
        assert!(
            proof.contains("tier default, order 10: rule 1 of Ingress denies it"),
            "{proof}"
        );
        assert!(
            verdict
                .remedy
                .contains("`kubectl edit globalnetworkpolicy.projectcalico.org no-clients`"),
            "{}",
            verdict.remedy
        );
    }

    #[test]
    fn where_layer_7_or_a_name_would_decide_the_policy_is_not_accused_and_it_is_said_why() {
        let policy = || object("CiliumNetworkPolicy", "shop", "get-only");
        let spec = "{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}], toPorts: [{ports: [{port: '80', protocol: TCP}], rules: {http: [{method: GET}]}}]}]}";
        let mut cluster = Cluster::pods().with_policy("cilium.io/v2", policy(), spec);
        cluster.scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert!(
            !scenes::causes(&judgement)
                .iter()
                .any(|cause| cause == "network-policy-denies")
        );
        let open = judgement
            .missing
            .iter()
            .find(|lack| lack.what == "what policies say of it");
        assert_eq!(open.unwrap().why, "rules of layer 7 are not evaluated");
        // One that allows it is not accused of a drop, and says nothing.
        let spec = "{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}]}]}";
        let mut cluster = Cluster::pods().with_policy("cilium.io/v2", policy(), spec);
        cluster
            .scene
            .dropped(3, scenes::Y, "vethc", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        assert!(!judgement.missing.iter().any(|lack| lack.what.contains("policies")));
    }

    #[test]
    fn without_a_drop_it_is_said_with_care() {
        let mut cluster = only_api(Cluster::pods());
        cluster.scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["network-policy-denies"]);
        assert_eq!(judgement.verdicts[0].severity, Severity::Warning);
    }

    #[test]
    fn behind_a_service_the_pods_port_and_address_count() {
        let mut cluster = only_api(Cluster::web());
        cluster.scene.vanishes(3, scenes::X, "up0");
        assert_eq!(scenes::cause(&judge(cluster.evidence())), "network-policy-denies");
    }

    #[test]
    fn the_api_alone_makes_it_a_warning_and_no_verdict() {
        let mut cluster = only_api(Cluster::pods());
        cluster.without_helpers();
        let judgement = judge(cluster.evidence());
        assert_eq!(judgement.outcome, Conclusion::Inconclusive);
        assert_eq!(judgement.verdicts[0].severity, Severity::Warning);
        assert!(judgement.headline.contains("web-from-api"), "{}", judgement.headline);
    }

    #[test]
    fn where_it_works_all_the_same_nothing_enforces_it() {
        let mut cluster = only_api(Cluster::pods());
        cluster.scene.connects(3);
        let judgement = judge(cluster.evidence());
        assert_eq!(judgement.outcome, Conclusion::Healthy);
        assert_eq!(judgement.verdicts[0].severity, Severity::Info);
        assert!(judgement.verdicts[0].says.contains("nothing enforces it"));
        let remedy = &judgement.verdicts[0].remedy;
        assert!(remedy.contains("plug-in that enforces NetworkPolicy,"), "{remedy}");
    }

    #[test]
    fn what_nothing_enforces_is_called_by_its_kind() {
        let spec = "{endpointSelector: {matchLabels: {app: web}}, ingressDeny: [{fromEndpoints: [{}]}]}";
        let policy = object("CiliumNetworkPolicy", "shop", "nobody");
        let mut cluster = Cluster::pods().with_policy("cilium.io/v2", policy, spec);
        cluster.scene.connects(3);
        let judgement = judge(cluster.evidence());
        let remedy = &judgement.verdicts[0].remedy;
        assert_eq!(
            remedy,
            "use a network plug-in that enforces CiliumNetworkPolicy, if it should hold"
        );
    }

    const DENIED_TO_ALL: &str =
        "{priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}";

    /// An admin keeps everybody from all pods; on the node of shop/web-1 there is a chain for policies, whose rule does this.
    fn denied_by_an_admin(chain: &str, text: &str, action: &Action) -> Cluster {
        let policy = object("AdminNetworkPolicy", "", "nobody");
        let mut cluster = Cluster::pods().with_policy("policy.networking.k8s.io/v1alpha1", policy, DENIED_TO_ALL);
        cluster.scene.agents_rule(scenes::Y, chain, text, action, 3);
        cluster
    }

    #[test]
    fn what_works_past_a_plugin_that_does_not_know_the_kind_or_may_not_is_worth_knowing_alone() {
        for chain in ["KUBE-POD-FW-ABC", "cali-tw-vethc"] {
            let mut cluster = denied_by_an_admin(chain, "-j ACCEPT", &Action::Accept);
            cluster.scene.connects(3);
            let judgement = judge(cluster.evidence());
            assert_eq!(judgement.outcome, Conclusion::Healthy, "{chain}");
            let verdict = &judgement.verdicts[0];
            assert_eq!(verdict.severity, Severity::Info);
            assert_eq!(
                verdict.says,
                "AdminNetworkPolicy nobody forbids it, and nothing here is known to enforce AdminNetworkPolicy (Ingress of shop/web-1)"
            );
            assert_eq!(
                verdict.remedy,
                "use a network plug-in that enforces AdminNetworkPolicy, if it should hold"
            );
        }
    }

    #[test]
    fn a_drop_by_a_plugin_that_does_not_know_the_kind_is_not_that_policys_doing() {
        let dropped = |chain: &str| {
            let mut cluster = denied_by_an_admin(chain, "-j DROP", &Action::Drop);
            cluster
                .scene
                .dropped(3, scenes::Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
            cluster
        };
        assert_eq!(
            scenes::causes(&judge(dropped("KUBE-POD-FW-ABC").evidence())),
            ["netfilter-drop"]
        );
        // Where a policy that it knows forbids it as well, that one is named. One that may know the kind drops it for that.
        for (mut cluster, name) in [
            (only_api(dropped("KUBE-POD-FW-ABC")), "web-from-api"),
            (dropped("cali-tw-vethc"), "nobody"),
        ] {
            let judgement = judge(cluster.evidence());
            assert_eq!(scenes::causes(&judgement), ["network-policy-denies"]);
            let verdict = &judgement.verdicts[0];
            assert_eq!(verdict.place.object.as_ref().unwrap().name, name);
        }
    }

    #[test]
    fn packets_that_vanish_on_a_plugins_node_are_not_laid_to_a_policy_that_it_does_not_know() {
        let mut cluster = denied_by_an_admin("KUBE-POD-FW-ABC", "-j ACCEPT", &Action::Accept);
        cluster.scene.vanishes(3, scenes::X, "up0");
        let causes = scenes::causes(&judge(cluster.evidence()));
        assert!(
            !causes.iter().any(|cause| cause == "network-policy-denies"),
            "{causes:?}"
        );
    }

    #[test]
    fn a_drop_of_what_is_allowed_and_a_port_that_is_closed_are_not_it() {
        let mut cluster = only_api(Cluster::pods());
        cluster.pod("shop/a").labels = labels("app=api");
        cluster
            .scene
            .dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
        let mut cluster = only_api(Cluster::pods());
        cluster
            .scene
            .facts(scenes::C, |facts| facts.sockets = Known::Known(vec![]));
        cluster.scene.refused(3);
        for watched in cluster.scene.evidence.watched.clone() {
            cluster.scene.walk_to(watched.attempt, watched.flow, scenes::C, "eth0");
            cluster
                .scene
                .drop(scenes::C, "eth0", watched.flow, "NO_SOCKET", "tcp_v4_rcv");
        }
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["port-closed"]);
    }

    #[test]
    fn a_dropped_answer_is_not_a_policys_doing() {
        let mut cluster = only_api(Cluster::pods());
        cluster
            .scene
            .answer_dropped(3, scenes::Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
    }

    #[test]
    fn a_source_that_was_translated_is_judged_as_the_dropping_place_sees_it() {
        // Asked for at a node's port: x translates the source to its own address, and y sees x.
        let mut cluster = only_api(Cluster::pods());
        cluster.pod("shop/a").labels = labels("app=api");
        let scene = &mut cluster.scene;
        scene.agents_rule(scenes::Y, "cali-tw-vethc", "-j DROP", &Action::Drop, 1);
        let asked = scene.flow(0);
        let seen = scenes::tcp("172.31.90.1:40000", "10.90.2.2:80");
        scene.hop(scenes::A, "eth0", asked, 7);
        scene.hop_learned(scenes::X, "up0", seen, 7);
        scene.hop(scenes::Y, "up0", seen, 7);
        scene.drop(scenes::Y, "up0", seen, "NETFILTER_DROP", "nf_hook_slow");
        let during = "connect".to_owned();
        scene.attempt(0, asked, model::attempt::Outcome::TimedOut { during });
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["network-policy-denies"]);
        let verdict = &judgement.verdicts[0];
        let proof = verdict.because.join("\n");
        assert!(
            proof.contains("it sees x's address (172.31.90.1), not the pod's"),
            "{proof}"
        );
        assert!(
            verdict
                .remedy
                .contains("let 172.31.90.1 in at shop/web-1 by an ipBlock"),
            "{}",
            verdict.remedy
        );
        // Cilium may know it as shop/a all the same.
        let mut by_identity = cluster.clone();
        by_identity.inventory().policy_objects.groups = vec!["cilium.io".to_owned()];
        assert_eq!(scenes::causes(&judge(by_identity.evidence())), ["netfilter-drop"]);
        // The policy that lets the node in lets it in.
        let block = PolicyPeer {
            ip_block: Some(model::inventory::IpBlock {
                cidr: "172.31.90.0/24".to_owned(),
                except: vec![],
            }),
            ..PolicyPeer::default()
        };
        if let Known::Known(policies) = &mut cluster.inventory().policies {
            policies[0].ingress[0].peers = vec![block];
        }
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["enforcement-differs"]);
    }

    #[test]
    fn a_queue_that_nobody_reads_asks_no_policy() {
        let mut cluster = only_api(Cluster::pods());
        cluster
            .scene
            .dropped(3, scenes::Y, "vethc", "NOT_SPECIFIED", "nf_queue");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["queue-agent-drops"]);
        let mut cluster = only_api(Cluster::pods());
        cluster
            .scene
            .dropped(3, scenes::Y, "vethc", "NOT_SPECIFIED", "nfqnl_reinject");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["network-policy-denies"]);
    }

    #[test]
    fn a_rule_that_rejects_is_said_to_reject() {
        let mut cluster = only_api(Cluster::pods());
        let scene = &mut cluster.scene;
        let with = "icmp-port-unreachable".to_owned();
        scene.agents_rule(scenes::Y, "KUBE-POD-FW-ABC", "-j REJECT", &Action::Reject { with }, 3);
        scene.dropped(3, scenes::Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["network-policy-denies"]);
        let proof = &judgement.verdicts[0].because[0];
        assert!(
            proof.starts_with("3 watched packets of the request rejected in y up0"),
            "{proof}"
        );
        let hop = judgement
            .path
            .iter()
            .find(|hop| hop.says.contains("NETFILTER_DROP"))
            .unwrap();
        assert!(hop.says.starts_with("rejected: "), "{}", hop.says);
    }

    #[test]
    fn a_plugins_rule_for_a_policy_of_its_own_kind_names_that_policy() {
        let mut cluster = Cluster::pods();
        let scene = &mut cluster.scene;
        scene.agents_rule(scenes::Y, "cali-pi-default.deny-db", "-j DROP", &Action::Drop, 3);
        scene.dropped(3, scenes::Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(cluster.evidence());
        assert_eq!(
            scenes::causes(&judgement),
            ["enforcement-differs"],
            "no such policy exists any more"
        );
        cluster.inventory().other_policies = vec![ObjectRef {
            kind: "GlobalNetworkPolicy.crd.projectcalico.org".to_owned(),
            name: "default.deny-db".to_owned(),
            ..ObjectRef::default()
        }];
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["network-policy-denies"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.says, "GlobalNetworkPolicy default.deny-db of Calico forbids it");
        assert_eq!(
            verdict.remedy,
            "let the flow pass in that policy: `kubectl get GlobalNetworkPolicy.crd.projectcalico.org default.deny-db -o yaml`"
        );
    }

    #[test]
    fn a_policy_that_was_read_and_cannot_be_evaluated_is_named_by_the_rule_that_was_made_for_it() {
        let policy = || object("GlobalNetworkPolicy.projectcalico.org", "", "get-only");
        let spec =
            |action: &str| format!("{{types: [Ingress], ingress: [{{action: {action}, http: {{methods: [GET]}}}}]}}");
        let of = |spec: &str| {
            let mut cluster = Cluster::pods().with_policy("projectcalico.org/v3", policy(), spec);
            let scene = &mut cluster.scene;
            scene.agents_rule(scenes::Y, "cali-pi-default.get-only", "-j DROP", &Action::Drop, 3);
            scene.dropped(3, scenes::Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
            judge(cluster.evidence())
        };
        let judgement = of(&spec("Allow"));
        assert_eq!(scenes::causes(&judgement), ["network-policy-denies"]);
        let says = &judgement.verdicts[0].says;
        assert_eq!(says, "GlobalNetworkPolicy get-only of Calico forbids it");
        let allowed = of("{types: [Ingress], ingress: [{action: Allow}]}");
        assert_eq!(scenes::causes(&allowed), ["enforcement-differs"], "it lets it pass");
    }

    #[test]
    fn where_nothing_could_be_read_nobody_says_that_nothing_enforces_it() {
        let mut cluster = only_api(Cluster::pods());
        cluster.scene.connects(3);
        let unread = model::missing::Missing::new("netfilter rules of y", "no right to read them");
        let unread = || Known::Missing(unread.clone());
        cluster.scene.facts(scenes::Y, |facts| facts.netfilter = unread());
        let judgement = judge(cluster.evidence());
        assert!(
            !judgement.verdicts[0].says.contains("nothing enforces"),
            "{}",
            judgement.verdicts[0].says
        );
    }
}
