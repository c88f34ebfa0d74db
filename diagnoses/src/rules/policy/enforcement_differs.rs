//! A network plug-in enforces something else than the policies say.
//!
//! Why it happens: the plug-in's agent on that node is behind, hangs, or failed at a part of its rules. Or the pod is so young
//! that the agent has not come to it yet.
//!
//! How it knows: a rule that the plug-in made for policies dropped the watched packets, or its program said so, or Cilium's own
//! counters tell that a policy was the reason, although every policy of both ends lets them pass and each that exists could be evaluated. Or the plug-in has no rules for the pod at all and
//! drops what it sends or gets (Calico: `Unknown interface`). Or it is the reverse: a policy forbids the connection, a plug-in
//! on that node enforces policies of its kind, and the connection worked: then it is a warning.
//!
//! Remedy: see whether the plug-in's agent runs on that node and is up to date, and restart it.
//!
//! Silent on: flows that a policy forbids (`network-policy-denies`), clusters without a plug-in that enforces, policies that could
//! not be read or are not evaluated, and what a plug-in drops for other reasons than policies. A plug-in is judged by the kinds of
//! policies that it knows: kube-router knows `NetworkPolicy` alone, and whether others heed the policies of a cluster's admins depends
//! on their release and on how they are set up. Where Cilium's kinds are served, also
//! on what no policy selects, unless the source is such a pod and its node let the packets out: in the enforcement mode `always` they
//! are denied, and the API does not tell the mode. A pod younger than five seconds is only a warning.

use crate::case::firewall_drops::{Blocked, blocked};
use crate::case::policy_denials::{engine, says, with_reasons};
use crate::case::policy_rulings::{by_agent, of_attempt};
use crate::case::trail::Dropped;
use crate::case::{Case, Tried, cilium_reasons, node_agents, observations};
use crate::kernel::drops::{self, Class};
use crate::kernel::firewall::culprit::Culprit;
use crate::kubernetes::agents::{self, Agent};
use crate::kubernetes::policy::{Ruling, Side};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal, info, warning};
use crate::words::count;
use model::inventory::Pod;
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("bpf"),
    Need::Fact("cilium_metrics"),
    Need::Fact("links"),
];

/// A younger pod may not have been come to yet.
const YOUNG_S: u64 = 5;

pub fn check(case: &Case<'_>) -> Checked {
    let blocked = blocked(case);
    let mut findings: Vec<Finding> = blocked
        .iter()
        .filter_map(|blocked| unprogrammed(case, blocked))
        .collect();
    if findings.is_empty() && case.inventory().is_some() {
        findings.extend(blocked.iter().filter_map(|blocked| dropped(case, blocked)));
        findings.extend(refused_by_program(case));
        findings.extend(refused_by_datapath(case));
        findings.extend(let_through(case));
    }
    Ok(findings)
}

/// The plug-in knows nothing of the pod.
fn unprogrammed(case: &Case<'_>, blocked: &Blocked<'_>) -> Option<Finding> {
    let agent = blocked.owner()?;
    let mut sends = None;
    for suspect in blocked.culprit.iter().flat_map(Culprit::suspects) {
        let (chain, rule) = (&suspect.stop.chain.name, suspect.stop.rule?);
        let towards = if chain.contains("cali-from-wl-dispatch") {
            true
        } else if chain.contains("cali-to-wl-dispatch") {
            false
        } else {
            return None;
        };
        let told = [rule.comment.as_deref().unwrap_or_default(), &rule.text];
        if !told.iter().any(|text| text.contains("Unknown interface")) {
            return None;
        }
        sends = Some(towards);
    }
    let flow = blocked.first().event.flow;
    let address = if sends? { flow.src() } else { flow.dst() };
    let pod = case.inventory().and_then(|inventory| inventory.pods_at(address).next());
    let whom = pod.map_or_else(
        || format!("the pod at {address}"),
        |pod| format!("pod {}", pod.full_name()),
    );
    let says = format!(
        "{} has not programmed {whom} on {}",
        agent.name,
        place(case, blocked.netns)
    );
    let claim = by_age(case, pod, says);
    let interface = case.interface(blocked.first().event);
    let finding = described(claim, case, blocked, agent)
        .because(blocked.seen(case))
        .and_if(blocked.rule_words())
        .and_if(blocked.counted());
    Some(finding.and(format!(
        "the rule is met where {} has none for the pod's interface ({interface})",
        agent.name
    )))
}

/// The plug-in's rule for policies drops what every policy lets pass.
fn dropped(case: &Case<'_>, blocked: &Blocked<'_>) -> Option<Finding> {
    let agent = blocked.owner()?;
    let decides = |suspect: &crate::kernel::firewall::culprit::Suspect<'_>| {
        agents::of_policy(&suspect.stop.place()).is_some() && !suspect.stop.wants_invalid()
    };
    let mut suspects = blocked.culprit.iter().flat_map(Culprit::suspects);
    if blocked.direction != Direction::Request || !suspects.all(decides) {
        return None;
    }
    let pod = admitted(case, agent, &blocked.drops)?.pod;
    let claim = by_age(case, pod, drops_all_the_same(case, blocked.netns, agent));
    let finding = described(claim, case, blocked, agent)
        .because(blocked.seen(case))
        .and_if(blocked.rule_words())
        .and_if(blocked.counted())
        .and_if(blocked.comment());
    Some(finding.and(ADMITTED))
}

/// The program that judges connections for the plug-in says drop, and every policy lets it pass.
fn refused_by_program(case: &Case<'_>) -> Option<Finding> {
    let mut losses = case.drops(Class::Queue);
    losses.retain(|drop| drop.direction == Direction::Request && drops::was_answered(drop.location()));
    let netns = losses.first()?.event.netns;
    let node = case.node(netns);
    let engines = node_agents::enforcing(case, &node);
    let agent = engines.into_iter().find(|agent| agent.judges_in_queue())?;
    let pod = admitted(case, agent, &losses)?.pod;
    let claim = by_age(case, pod, drops_all_the_same(case, netns, agent));
    let finding = claim
        .at(node, case.name(netns))
        .of(losses.iter().map(|drop| drop.attempt))
        .remedy(node_agents::look_at(case, netns, agent).say(", and restart it"))
        .because(observations::freed(case, &losses));
    Some(
        finding
            .and(format!(
                "the program behind the queue ({}) answered: drop",
                agent.process
            ))
            .and(ADMITTED),
    )
}

/// Cilium's programs count a drop for a policy, and every policy lets it pass.
fn refused_by_datapath(case: &Case<'_>) -> Option<Finding> {
    let mut losses = case.drops(Class::Bpf);
    losses.retain(|drop| drop.direction == Direction::Request);
    let netns = losses.first()?.event.netns;
    if !cilium_reasons::is_policy(case, netns) {
        return None;
    }
    let node = case.node(netns);
    let engines = node_agents::enforcing(case, &node);
    let agent = engines.into_iter().find(|agent| agent.judges_in_programs())?;
    let pod = admitted(case, agent, &losses)?.pod;
    let claim = by_age(case, pod, drops_all_the_same(case, netns, agent));
    let finding = claim
        .at(node, case.name(netns))
        .interface(case.interface(losses.first()?.event))
        .of(losses.iter().map(|drop| drop.attempt))
        .remedy(node_agents::look_at(case, netns, agent).say(", and restart it"))
        .because(observations::freed(case, &losses));
    Some(finding.and_if(cilium_reasons::said(case, netns)).and(ADMITTED))
}

const ADMITTED: &str =
    "every policy that selects one of the ends lets it pass, and all kinds of policies that exist were evaluated";

fn drops_all_the_same(case: &Case<'_>, netns: u32, agent: &Agent) -> String {
    format!(
        "no policy forbids it, and {} drops it all the same on {}",
        agent.name,
        place(case, netns)
    )
}

/// What policies are known to let pass.
struct Admitted<'a> {
    /// The younger pod of both ends.
    pod: Option<&'a Pod>,
}

/// Policies are known to let these packets pass, all together and those that the agent knows; `None` where that is not so.
fn admitted<'a>(case: &Case<'a>, agent: &'static Agent, drops: &[Dropped<'_>]) -> Option<Admitted<'a>> {
    let inventory = case.inventory()?;
    if !inventory.other_policies.is_empty() || inventory.unread(&["polic", "namespaces"]).is_some() {
        return None;
    }
    // A pod that no policy selects may be meant to be closed.
    let surely = |drop: &Dropped<'_>| {
        let tried = case.attempt(drop.attempt)?;
        let Ruling::Allowed { open } = of_attempt(case, tried)? else {
            return None;
        };
        let by_its_kinds = matches!(by_agent(case, tried, agent)?, Ruling::Allowed { .. });
        let meant = open.is_empty() || (open.contains(&Side::Egress) && has_left_its_node(case, drop));
        (by_its_kinds && meant).then_some(())
    };
    if !drops.iter().all(|drop| surely(drop).is_some()) {
        return None;
    }
    let flow = drops.first()?.event.flow;
    let ends = [flow.src(), flow.dst()]
        .into_iter()
        .filter_map(|address| inventory.pods_at(address).next());
    let pod = ends.min_by_key(|pod| inventory.age_s(pod).unwrap_or(u64::MAX));
    Some(Admitted { pod })
}

/// The source's own node let it out. Where nothing selects the source either, the plug-in closes no pod for that alone.
fn has_left_its_node(case: &Case<'_>, drop: &Dropped<'_>) -> bool {
    let (from, at) = (&case.evidence.source.node, case.node(drop.event.netns));
    !from.is_empty() && !at.is_empty() && *from != at
}

/// A policy forbids it, and the plug-in that enforces policies there let it through.
fn let_through(case: &Case<'_>) -> Option<Finding> {
    let denied = |tried: &&Tried<'_>| engine(case, tried).is_some();
    let worked: Vec<&Tried<'_>> = case.worked().into_iter().filter(denied).collect();
    if let Some(first) = worked.first() {
        let ids = worked.iter().map(|tried| tried.attempt.id).collect();
        let proof = format!("{} worked all the same", count(worked.len(), "attempt"));
        return not_applied(case, first, warning, ids, &proof);
    }
    // It failed behind that: worth knowing, and no cause.
    let failed = case.failed();
    let arrived = failed.iter().find(|tried| {
        let request = case.leg(tried.attempt.id, Direction::Request);
        let reached = case.evidence.destination.netns.zip(request);
        denied(tried) && reached.is_some_and(|(netns, leg)| leg.reached(netns) || leg.delivered())
    })?;
    not_applied(case, arrived, info, vec![], "the request arrived at the target")
}

fn not_applied(
    case: &Case<'_>,
    tried: &Tried<'_>,
    how: fn(&'static str, String) -> Claim,
    attempts: Vec<u32>,
    proof: &str,
) -> Option<Finding> {
    let (agent, denials) = engine(case, tried)?;
    let denial = denials.first()?;
    let policy = denial.policies.first()?;
    let node = &denial.pod.node;
    let verb = format!("forbids it, and {} has not applied it on node {node}", agent.name);
    let host = case.evidence.node(node).map_or(0, |of| of.host_netns);
    let claim = how("enforcement-differs", says(&denials, &verb))
        .pod(denial.pod)
        .object(policy.clone())
        .of(attempts)
        .remedy(node_agents::look_at(case, host, agent).say(", and restart it"));
    Some(with_reasons(case, claim.because(proof), &denials))
}

/// A pod that has just come may not have been come to yet.
fn by_age(case: &Case<'_>, pod: Option<&Pod>, says: String) -> Claim {
    let age_s = pod
        .and_then(|pod| case.inventory()?.age_s(pod))
        .filter(|age_s| *age_s < YOUNG_S);
    match (age_s, pod) {
        (Some(age_s), Some(pod)) => warning(
            "enforcement-differs",
            format!("{says} yet: {} was {age_s} s old when this run began", pod.full_name()),
        ),
        _ => fatal("enforcement-differs", says),
    }
}

fn described(claim: Claim, case: &Case<'_>, blocked: &Blocked<'_>, agent: &Agent) -> Claim {
    let claim = claim
        .at(case.node(blocked.netns), case.name(blocked.netns))
        .interface(case.interface(blocked.first().event))
        .of(blocked.attempts())
        .remedy(node_agents::look_at(case, blocked.netns, agent).say(", and restart it"));
    match blocked.place() {
        Some(place) => claim.rule(place),
        None => claim,
    }
}

fn place(case: &Case<'_>, netns: u32) -> String {
    match case.node(netns) {
        node if node.is_empty() => case.name(netns),
        node => format!("node {node}"),
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::cluster::{Cluster, object};
    use crate::scenes::{self, X, Y};
    use model::facts::{Action, BpfAttachment, CiliumCount, CiliumMetrics};
    use model::inventory::{LabelSelector, NetworkPolicy, PolicyRule};
    use model::missing::{Known, Missing};
    use model::object_ref::ObjectRef;
    use model::report::{Conclusion, Severity};

    const END_OF_TIER: &str = "-m comment --comment \"cali:x\" -m comment --comment \"End of tier default. Drop if no policies passed packet\" -j DROP";
    const UNKNOWN: &str = "-m comment --comment \"cali:x\" -m comment --comment \"Unknown interface\" -j DROP";

    /// Calico's rules for shop/web-1 drop what shop/a sends.
    fn dropped_by_calico() -> Cluster {
        dropped_by_calico_on(Y, "up0")
    }

    fn dropped_by_calico_on(node: u32, interface: &str) -> Cluster {
        let mut cluster = Cluster::pods();
        let scene = &mut cluster.scene;
        scene.agents_rule(node, "cali-tw-vethc", END_OF_TIER, &Action::Drop, 3);
        scene.dropped(3, node, interface, "NETFILTER_DROP", "nf_hook_slow");
        cluster
    }

    /// Nothing may come in at shop/web-1.
    fn deny_all(mut cluster: Cluster) -> Cluster {
        cluster.inventory().policies = Known::Known(vec![NetworkPolicy {
            namespace: "shop".to_owned(),
            name: "deny-all".to_owned(),
            pod_selector: LabelSelector::default(),
            policy_types: vec!["Ingress".to_owned()],
            ..NetworkPolicy::default()
        }]);
        cluster
    }

    #[test]
    fn what_every_policy_lets_pass_and_the_plugin_drops_is_its_agents_doing() {
        let mut cluster = dropped_by_calico();
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["enforcement-differs"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(
            verdict.says,
            "no policy forbids it, and Calico drops it all the same on node y"
        );
        assert_eq!(verdict.severity, Severity::Fatal);
        assert_eq!(
            verdict.remedy,
            "see whether calico-node runs on y and is up to date, and restart it"
        );
    }

    #[test]
    fn what_a_policy_forbids_or_nobody_evaluated_is_not_it() {
        let mut cluster = deny_all(dropped_by_calico());
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["network-policy-denies"]);
        let mut cluster = dropped_by_calico();
        cluster.inventory().other_policies = vec![ObjectRef {
            kind: "GlobalNetworkPolicy.crd.projectcalico.org".to_owned(),
            name: "default.lock".to_owned(),
            ..ObjectRef::default()
        }];
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        assert!(
            !judgement.verdicts[0].remedy.contains("-D"),
            "{}",
            judgement.verdicts[0].remedy
        );
        let mut cluster = dropped_by_calico();
        let unread = Missing::new("GlobalNetworkPolicy objects", "forbidden");
        cluster.inventory().missing.push(unread);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
    }

    #[test]
    fn where_cilium_may_deny_what_no_policy_selects_only_what_a_rule_allows_is_accused() {
        let served = |cluster: &mut Cluster| cluster.inventory().policy_objects.groups = vec!["cilium.io".to_owned()];
        let mut cluster = dropped_by_calico_on(X, "vetha");
        served(&mut cluster);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
        let allows_all = |name: &str, side: &str| NetworkPolicy {
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            policy_types: vec![side.to_owned()],
            ingress: vec![PolicyRule::default()],
            egress: vec![PolicyRule::default()],
            ..NetworkPolicy::default()
        };
        // In one direction alone, the other is still closed in that mode.
        cluster.inventory().policies = Known::Known(vec![allows_all("in", "Ingress")]);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
        cluster.inventory().policies = Known::Known(vec![allows_all("in", "Ingress"), allows_all("out", "Egress")]);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["enforcement-differs"]);
        // Where the source's node let out what nothing selects, that is not its mode.
        let mut cluster = dropped_by_calico();
        served(&mut cluster);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["enforcement-differs"]);
        cluster.inventory().policies = Known::Known(vec![allows_all("out", "Egress")]);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
    }

    #[test]
    fn what_cilium_drops_for_a_policy_that_is_none_any_more_is_its_agents_doing() {
        let dropped = |reason: u8| {
            let metrics = |packets| {
                let count = CiliumCount {
                    reason,
                    direction: 1,
                    packets,
                    bytes: 0,
                };
                Known::Known(CiliumMetrics {
                    programs: vec![7],
                    map: Some(9),
                    counts: vec![count],
                })
            };
            let mut cluster = Cluster::pods();
            let scene = &mut cluster.scene;
            scene.dropped(3, Y, "up0", "TC_INGRESS", "__netif_receive_skb_core");
            scene.facts(Y, |facts| {
                facts.cilium_metrics = metrics(1);
                facts.bpf = Known::Known(vec![BpfAttachment {
                    kind: "tcx-ingress".to_owned(),
                    on: "vethc".to_owned(),
                    ifindex: 5,
                    id: 7,
                    name: "cil_from_contai".to_owned(),
                }]);
            });
            scene.after(Y, |facts| facts.cilium_metrics = metrics(4));
            cluster
        };
        let judgement = judge(dropped(133).evidence());
        assert_eq!(scenes::causes(&judgement), ["enforcement-differs"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(
            verdict.says,
            "no policy forbids it, and Cilium drops it all the same on node y"
        );
        let proof = verdict.because.join("\n");
        assert!(
            proof.contains("Cilium says: policy denied, ingress, 3 packets"),
            "{proof}"
        );
        // It drops for other reasons, too, and what a policy forbids.
        assert_eq!(scenes::causes(&judge(dropped(151).evidence())), ["bpf-drop"]);
        let mut cluster = deny_all(dropped(133));
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["network-policy-denies"]);
    }

    #[test]
    fn a_rule_of_the_plugin_that_is_not_about_policies_is_not_it() {
        let mut cluster = Cluster::pods();
        let scene = &mut cluster.scene;
        scene.agents_rule(Y, "cali-FORWARD", "-j DROP", &Action::Drop, 3);
        scene.dropped(3, Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
    }

    /// The agent on node x has no rules for shop/a.
    fn unknown_to_calico(age_s: Option<i64>) -> Cluster {
        let mut cluster = Cluster::pods();
        let scene = &mut cluster.scene;
        scene.agents_rule(X, "cali-from-wl-dispatch", UNKNOWN, &Action::Drop, 3);
        scene.dropped(3, X, "vetha", "NETFILTER_DROP", "nf_hook_slow");
        cluster.inventory().read_at_s = Some(1_000);
        cluster.pod("shop/a").started_at_s = age_s.map(|age_s| 1_000 - age_s);
        cluster
    }

    #[test]
    fn an_interface_that_the_agent_does_not_know_is_a_pod_that_it_has_not_programmed() {
        for age_s in [None, Some(3_600)] {
            let judgement = judge(unknown_to_calico(age_s).evidence());
            assert_eq!(scenes::causes(&judgement), ["enforcement-differs"]);
            let verdict = &judgement.verdicts[0];
            assert_eq!(verdict.says, "Calico has not programmed pod shop/a on node x");
            assert_eq!(verdict.severity, Severity::Fatal);
            assert!(!verdict.remedy.contains("-D"), "{}", verdict.remedy);
        }
    }

    #[test]
    fn a_pods_first_seconds_count_as_not_yet() {
        for age_s in [0, 1, 4, -2] {
            let judgement = judge(unknown_to_calico(Some(age_s)).evidence());
            assert_eq!(judgement.verdicts[0].severity, Severity::Warning);
            let old = age_s.max(0);
            assert_eq!(
                judgement.verdicts[0].says,
                format!(
                    "Calico has not programmed pod shop/a on node x yet: shop/a was {old} s old when this run began"
                )
            );
        }
    }

    #[test]
    fn a_policy_that_the_plugin_has_not_applied_is_a_warning() {
        let mut cluster = deny_all(Cluster::pods());
        let scene = &mut cluster.scene;
        scene.agents_rule(Y, "KUBE-POD-FW-ABC", "-j ACCEPT", &Action::Accept, 3);
        scene.connects(3);
        let judgement = judge(cluster.evidence());
        assert_eq!(judgement.outcome, Conclusion::Fault);
        assert_eq!(scenes::causes(&judgement), ["enforcement-differs"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.severity, Severity::Warning);
        assert_eq!(
            verdict.says,
            "network policy shop/deny-all forbids it, and kube-router has not applied it on node y (Ingress of shop/web-1)"
        );
        assert!(verdict.remedy.contains("kube-router runs on y"), "{}", verdict.remedy);
        assert_eq!(judgement.verdicts.len(), 1, "nobody says that nothing enforces it");
    }

    /// On the node of shop/web-1 kube-router enforces policies, and the cluster has this one of another kind.
    fn beside_kube_router(mut cluster: Cluster, api_version: &str, policy: ObjectRef, spec: &str) -> Cluster {
        let scene = &mut cluster.scene;
        scene.agents_rule(Y, "KUBE-POD-FW-ABC", "-j ACCEPT", &Action::Accept, 3);
        cluster.with_policy(api_version, policy, spec)
    }

    #[test]
    fn a_plugin_has_not_failed_to_apply_a_policy_of_a_kind_that_it_does_not_know() {
        for (api_version, policy, spec) in [
            (
                "policy.networking.k8s.io/v1alpha1",
                object("AdminNetworkPolicy", "", "nobody"),
                "{priority: 10, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}",
            ),
            (
                "cilium.io/v2",
                object("CiliumNetworkPolicy", "shop", "nobody"),
                "{endpointSelector: {matchLabels: {app: web}}, ingressDeny: [{fromEndpoints: [{}]}]}",
            ),
            (
                "projectcalico.org/v3",
                object("GlobalNetworkPolicy.projectcalico.org", "", "nobody"),
                "{order: 10, selector: app == 'web', types: [Ingress], ingress: [{action: Deny}]}",
            ),
        ] {
            let mut cluster = beside_kube_router(Cluster::pods(), api_version, policy.clone(), spec);
            cluster.scene.connects(3);
            let judgement = judge(cluster.evidence());
            assert!(scenes::causes(&judgement).is_empty(), "{api_version}");
            let verdict = &judgement.verdicts[0];
            assert_eq!(verdict.rule, "network-policy-denies", "{api_version}");
            assert_eq!(verdict.severity, Severity::Info, "{api_version}");
            // One that it knows, beside that, it has not applied.
            let mut cluster = beside_kube_router(deny_all(Cluster::pods()), api_version, policy, spec);
            cluster.scene.connects(3);
            let judgement = judge(cluster.evidence());
            assert_eq!(scenes::causes(&judgement), ["enforcement-differs"], "{api_version}");
            assert_eq!(
                judgement.verdicts[0].says,
                "network policy shop/deny-all forbids it, and kube-router has not applied it on node y (Ingress of shop/web-1)"
            );
        }
    }

    #[test]
    fn a_plugin_drops_rightly_what_only_a_kind_lets_pass_that_it_does_not_know() {
        let policy = || object("CiliumNetworkPolicy", "shop", "all");
        let spec = "{endpointSelector: {matchLabels: {app: web}}, ingress: [{fromEndpoints: [{}]}]}";
        let dropped = |cluster: Cluster| {
            let mut cluster = beside_kube_router(cluster, "cilium.io/v2", policy(), spec);
            let scene = &mut cluster.scene;
            scene.agents_rule(Y, "KUBE-POD-FW-ABC", "-j DROP", &Action::Drop, 3);
            scene.dropped(3, Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
            scenes::causes(&judge(cluster.evidence()))
        };
        assert_eq!(dropped(deny_all(Cluster::pods())), ["netfilter-drop"]);
        assert_eq!(dropped(Cluster::pods()), ["enforcement-differs"]);
    }

    #[test]
    fn a_closed_port_behind_a_policy_that_is_not_applied_stays_the_cause() {
        let mut cluster = deny_all(Cluster::pods());
        let scene = &mut cluster.scene;
        scene.agents_rule(Y, "KUBE-POD-FW-ABC", "-j ACCEPT", &Action::Accept, 3);
        scene.facts(scenes::C, |facts| facts.sockets = Known::Known(vec![]));
        scene.finds_no_socket(3, scenes::C, "eth0");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["port-closed"]);
    }
}
