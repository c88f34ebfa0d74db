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
//! (policy.networking.k8s.io/v1alpha1), and `ClusterNetworkPolicy` (v1alpha2). A drop proves that they are enforced, and shows how: a netfilter rule, a queue's agent or an eBPF program dropped the watched packets on their way to the target. If
//! packets vanished without such a drop, or if nothing was sent, it is only a warning. If a forbidden connection works, nothing
//! enforces the policy, and this is only an info.
//!
//! Remedy: let the source in by a rule of that policy, or by one more policy. Take it out of a rule that denies it, or let it in by
//! a rule that comes before.
//!
//! Silent on: connections that some policy allows, drops of packets that no policy forbids (`netfilter-drop`, `bpf-drop`),
//! dropped answers (policies are about connections, not packets), failures of packets that arrived at the target, what policies
//! leave to each implementation, and all that depends on what is not evaluated (layer 7, domain names, fields that are not known) or
//! was not read.

use crate::case::firewall_drops::blocked;
use crate::case::observations;
use crate::case::policy_rulings::{of_attempt, of_question};
use crate::case::trail::Dropped;
use crate::case::{Case, Failure, Tried};
use crate::kernel::drops::Class;
use crate::kubernetes::policy::{Denial, DenialForm, Ruling, Side};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal, info, warning};
use crate::verdict::remedy::Remedy;
use crate::words::shell::{Command, command};
use crate::words::{at, count};
use model::inventory::ObjectRef;
use model::report::Direction;

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("netfilter")];

pub fn check(case: &Case<'_>) -> Checked {
    if case.inventory().is_none() {
        return Ok(Vec::new());
    }
    if case.asked().next().is_none() {
        return Ok(match of_question(case) {
            Some(Ruling::Denied(denials)) => vec![unsent(&denials)],
            _ => Vec::new(),
        });
    }
    let denied = |tried: &&Tried<'_>| matches!(of_attempt(case, tried), Some(Ruling::Denied(_)));
    let worked: Vec<_> = case.worked().into_iter().filter(denied).collect();
    let failed: Vec<_> = case.failed().into_iter().filter(denied).collect();
    let first = failed.first().or(worked.first());
    let Some(Some(Ruling::Denied(denials))) = first.map(|tried| of_attempt(case, tried)) else {
        return Ok(Vec::new());
    };
    let ids: Vec<u32> = failed.iter().map(|tried| tried.attempt.id).collect();
    let drops: Vec<Dropped<'_>> = case
        .accusing()
        .filter(|drop| ids.contains(&drop.attempt) && drop.direction == Direction::Request)
        .filter(|drop| matches!(drop.class, Class::Netfilter | Class::Bpf | Class::Queue))
        .collect();
    if let Some(first) = drops.first() {
        return Ok(vec![confirmed(case, &denials, &drops, first)]);
    }
    // Where one got through, nothing enforces it, and the others failed for another reason.
    if worked.is_empty() {
        return Ok(unconfirmed(case, &denials, &failed).into_iter().collect());
    }
    Ok(vec![unenforced(&denials, worked.len())])
}

/// A drop was seen.
fn confirmed(case: &Case<'_>, denials: &[Denial<'_>], drops: &[Dropped<'_>], first: &Dropped<'_>) -> Finding {
    let netns = first.event.netns;
    let place = at(&case.name(netns), Some(&case.interface(first.event)));
    let claim = fatal("network-policy-denies", says(denials, "forbids it"));
    let mut finding = described(claim, denials)
        .at(case.node(netns), case.name(netns))
        .interface(case.interface(first.event))
        .of(drops.iter().map(|drop| drop.attempt))
        .because(format!(
            "{} of the request freed in {place}: {} ({})",
            count(drops.len(), "watched packet"),
            first.words(),
            first.event.flow
        ));
    for blocked in blocked(case).iter().filter(|blocked| blocked.netns == netns) {
        finding = finding
            .and_if(blocked.rule_words())
            .and_if(blocked.counted())
            .and_if(blocked.comment());
    }
    with_reasons(finding, denials)
}

/// Packets vanished, and nobody saw where.
fn unconfirmed(case: &Case<'_>, denials: &[Denial<'_>], failed: &[&Tried<'_>]) -> Option<Finding> {
    let arrived = |tried: &&&Tried<'_>| {
        let request = case.leg(tried.attempt.id, Direction::Request);
        case.evidence
            .destination
            .netns
            .zip(request)
            .is_some_and(|(netns, leg)| leg.reached(netns) || leg.delivered())
    };
    if failed.iter().any(|tried| arrived(&tried)) {
        return Some(unenforced(denials, 0));
    }
    let vanished = failed
        .iter()
        .all(|tried| matches!(tried.failure(), Some(Failure::Silent(_) | Failure::Forbidden) | None));
    let ids: Vec<u32> = failed.iter().map(|tried| tried.attempt.id).collect();
    let explained = case.accusing().any(|drop| ids.contains(&drop.attempt)) || !case.silent.is_empty();
    if !vanished || explained {
        return None;
    }
    let claim = warning(
        "network-policy-denies",
        says(denials, "forbids it, though no drop was seen"),
    );
    let finding = described(claim, denials).of(ids).because(observations::met(failed[0]));
    Some(with_reasons(finding, denials))
}

/// Nothing was sent.
fn unsent(denials: &[Denial<'_>]) -> Finding {
    let claim = warning("network-policy-denies", says(denials, "forbids it, if it is enforced"));
    let finding = described(claim, denials).because("nothing was sent, so nobody saw whether it is enforced");
    with_reasons(finding, denials)
}

/// It got through all the same.
fn unenforced(denials: &[Denial<'_>], worked: usize) -> Finding {
    let claim = info(
        "network-policy-denies",
        says(denials, "forbids it, and nothing enforces it"),
    );
    let finding = described(claim, denials)
        .remedy("use a network plug-in that enforces NetworkPolicy, if it should hold")
        .because(match worked {
            0 => "the request arrived at the target".to_owned(),
            many => format!("{} worked all the same", count(many, "attempt")),
        });
    with_reasons(finding, denials)
}

/// `network policy shop/deny-all forbids it (Ingress of shop/db-0)`.
fn says(denials: &[Denial<'_>], verb: &str) -> String {
    let denial = &denials[0];
    let plain = denial.policies.iter().all(|policy| policy.kind == "NetworkPolicy");
    let names: Vec<String> = denial.policies.iter().map(|policy| name(policy, plain)).collect();
    let (one_policy, policies) = if plain {
        ("network policy ", "network policies ")
    } else {
        ("", "")
    };
    let what = match (names.as_slice(), verb.strip_prefix("forbids")) {
        ([one], _) => format!("{one_policy}{one} {verb}"),
        ([one, another], Some(rest)) => format!("{policies}{one} and {another} together forbid{rest}"),
        ([one, more @ ..], Some(rest)) => format!("{policies}{one} and {} more together forbid{rest}", more.len()),
        _ => format!("a network policy {verb}"),
    };
    format!("{what} ({} of {})", denial.side.name(), denial.pod.full_name())
}

/// `shop/web`; with its kind, where that is not plain from what stands before it.
fn name(policy: &ObjectRef, plain: bool) -> String {
    let kind = if plain {
        String::new()
    } else {
        format!("{} ", policy.kind)
    };
    match policy.namespace.as_str() {
        "" => format!("{kind}{}", policy.name),
        namespace => format!("{kind}{namespace}/{}", policy.name),
    }
}

fn described(claim: Claim, denials: &[Denial<'_>]) -> Claim {
    let denial = &denials[0];
    let Some(policy) = denial.policies.first() else {
        return claim;
    };
    let pod = denial.pod.full_name();
    let what = match (denial.form, denial.side) {
        (DenialForm::NothingAllows, Side::Ingress) => format!("let it in at {pod} by a rule of its own"),
        (DenialForm::NothingAllows, Side::Egress) => format!("let it out of {pod} by a rule of its own"),
        (DenialForm::Rule { first: true }, _) => {
            "take it out of the rule that denies it, or allow it by a rule that comes before".to_owned()
        }
        (DenialForm::Rule { first: false }, _) => {
            "take it out of the rule that denies it: no rule that allows can come before".to_owned()
        }
    };
    claim
        .object(policy.clone())
        .remedy(Remedy::from(what).run(": ", edit(policy)))
}

/// `kubectl -n shop edit networkpolicy web`; the API takes a kind with its group as the name of the resource.
fn edit(policy: &ObjectRef) -> Option<Command> {
    let resource = policy.kind.to_lowercase();
    match policy.namespace.as_str() {
        "" => command("kubectl edit {} {}", &[&resource, &policy.name]),
        namespace => command("kubectl -n {} edit {} {}", &[&namespace, &resource, &policy.name]),
    }
}

fn with_reasons(mut finding: Finding, denials: &[Denial<'_>]) -> Finding {
    for denial in denials {
        for why in denial.why.iter().take(4) {
            finding = finding.and(format!("{}: {why}", denial.side.name()));
        }
    }
    finding
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::{Cluster, labels, object};
    use model::facts::{Action, Match};
    use model::inventory::{LabelSelector, NetworkPolicy, ObjectRef, PolicyPeer, PolicyRule};
    use model::missing::Known;
    use model::policy_objects::{PolicyObject, PolicyObjects};
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

    /// The cluster has this policy of Calico's or Cilium's.
    fn with_policy(mut cluster: Cluster, api_version: &str, object: ObjectRef, spec: &str) -> Cluster {
        let (group, _) = api_version.split_once('/').unwrap();
        cluster.inventory().policy_objects = PolicyObjects {
            groups: vec![group.to_owned()],
            objects: vec![PolicyObject {
                api_version: api_version.to_owned(),
                object,
                spec: serde_yaml::from_str(spec).unwrap(),
                ..PolicyObject::default()
            }],
            unread: vec![],
        };
        cluster
    }

    #[test]
    fn a_rule_of_another_kind_that_denies_is_named_with_its_place_and_the_way_out() {
        let policy = object("GlobalNetworkPolicy.projectcalico.org", "", "no-clients");
        let spec = "{order: 10, selector: app == 'web', types: [Ingress], ingress: [{action: Deny, source: {selector: app == 'client'}}, {action: Allow}]}";
        let mut cluster = with_policy(Cluster::pods(), "projectcalico.org/v3", policy, spec);
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
        let mut cluster = with_policy(Cluster::pods(), "cilium.io/v2", policy(), spec);
        cluster.scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert!(!scenes::causes(&judgement).contains(&"network-policy-denies"));
        let open = judgement
            .missing
            .iter()
            .find(|lack| lack.what == "what policies say of it");
        assert_eq!(open.unwrap().why, "rules of layer 7 are not evaluated");
        // One that allows it is not accused of a drop, and says nothing.
        let spec = "{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}]}]}";
        let mut cluster = with_policy(Cluster::pods(), "cilium.io/v2", policy(), spec);
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
}
