//! The findings of `doctor` about the network plug-in: which one there is, the state of its agent on each node, and the kinds of
//! policies. Nodes in the same state are one finding. Pure.

use super::node_findings::which;
use crate::kubernetes::agent_pods::{AgentPod, AgentSet};
use crate::kubernetes::calls::ApiGroups;
use crate::kubernetes::other_policies::ServedKind;
use crate::kubernetes::refusal::Refusal;
use crate::names;
use crate::render::CheckResult;
use diagnoses::kubernetes::agents::{self, Agent};
use diagnoses::words::shell;
use model::inventory::Node;
use model::missing::Missing;
use std::collections::{BTreeMap, BTreeSet};

/// States of one agent that are shown, at most.
const SHOWN: usize = 10;

/// What is known of a cluster's network.
#[derive(Debug)]
pub struct NetworkRead<'a> {
    /// The nodes in question.
    pub nodes: Vec<&'a Node>,
    /// The groups of kinds that the API server has.
    pub groups: Option<&'a ApiGroups>,
    /// The daemon sets that run agents.
    pub sets: Result<Vec<AgentSet>, Refusal>,
    /// The kinds of policies beside `NetworkPolicy`.
    pub kinds: Result<Vec<ServedKind>, Refusal>,
}

/// How an agent is known to be there.
enum Sign {
    Set(String),
    Condition,
    Group(String),
}

/// All findings about the network plug-in.
pub fn plugins(read: &NetworkRead<'_>) -> Vec<CheckResult> {
    let sets = read.sets.as_deref().unwrap_or_default();
    let known = known(read, sets);
    let mut findings = vec![plugin(read, &known)];
    for set in sets {
        findings.extend(states(read, set));
    }
    for (agent, sign) in &known {
        if matches!(sign, Sign::Condition) {
            findings.extend(told_by_condition(read, agent));
        }
    }
    findings.push(policies(read, &known));
    findings
}

/// The plug-ins that there are, each by its best sign.
fn known(read: &NetworkRead<'_>, sets: &[AgentSet]) -> Vec<(&'static Agent, Sign)> {
    let of_sets = sets.iter().flat_map(|set| {
        let name = format!("daemon set {}/{}", set.set.namespace, set.set.name);
        set.agents.iter().map(move |agent| (*agent, Sign::Set(name.clone())))
    });
    let reasons: BTreeSet<&str> = read.nodes.iter().map(|node| node.network_reason.as_str()).collect();
    let of_conditions = reasons
        .into_iter()
        .filter_map(|reason| Some((agents::of_condition(reason)?, Sign::Condition)));
    let groups = read.groups.map_or(&[][..], |groups| &groups.groups);
    let of_groups = groups
        .iter()
        .filter_map(|(group, _)| Some((agents::of_group(group)?, Sign::Group(group.clone()))));
    let mut known: Vec<(&'static Agent, Sign)> = Vec::new();
    for (agent, sign) in of_sets.chain(of_conditions).chain(of_groups) {
        let again = known.iter().any(|(other, _)| other.name == agent.name);
        if !again && !agent.only_serves() {
            known.push((agent, sign));
        }
    }
    known
}

fn plugin(read: &NetworkRead<'_>, known: &[(&'static Agent, Sign)]) -> CheckResult {
    let mut notes = Vec::new();
    if let Err(refused) = &read.sets {
        notes.push(format!("daemon sets could not be looked at: {refused}"));
    }
    let named = known.iter().map(|(agent, sign)| match sign {
        Sign::Set(set) => format!("{} ({set})", agent.name),
        Sign::Condition => format!("{} (by what it says of the nodes)", agent.name),
        Sign::Group(group) => format!("{} (by its API group {group})", agent.name),
    });
    let named: Vec<String> = named.collect();
    let without_set: Vec<&str> = known
        .iter()
        .filter(|(_, sign)| !matches!(sign, Sign::Set(_)))
        .map(|(agent, _)| agent.process)
        .collect();
    if known.is_empty() {
        notes.push(
            "no daemon set, no condition of a node and no API group tells; the files in /etc/cni/net.d of a node do"
                .to_owned(),
        );
    } else if !without_set.is_empty() && read.sets.is_ok() {
        notes.push(format!(
            "no daemon set runs {}: it is a service of the nodes, or something is left over from an earlier installation; the API does not tell its state",
            names::some(&without_set)
        ));
    }
    let what = if named.is_empty() {
        "not known".to_owned()
    } else {
        names::some(&named)
    };
    CheckResult::fine(format!("network plug-in: {what}")).beside("note", notes)
}

/// The state of an agent on a node.
#[derive(PartialEq, Eq)]
enum State<'a> {
    Ready,
    NotReady(&'a str),
    Absent,
}

/// The state of a set's agents, one finding for all nodes that share it.
fn states(read: &NetworkRead<'_>, set: &AgentSet) -> Vec<CheckResult> {
    let processes: Vec<&str> = set.agents.iter().map(|agent| agent.process).collect();
    let process = names::some(&processes);
    let full_name = format!("{}/{}", set.set.namespace, set.set.name);
    let pods = match &set.pods {
        Ok(pods) => pods,
        Err(refused) => {
            let what = format!("{process} (daemon set {full_name})");
            return vec![CheckResult::missing(what, refused.missing(""))];
        }
    };
    let mut groups: Vec<(State<'_>, Vec<&str>)> = Vec::new();
    let mut more: Vec<&str> = Vec::new();
    for node in names_of(read, pods) {
        let state = match pods.get(node) {
            None => State::Absent,
            Some(pod) => pod.not_ready.as_deref().map_or(State::Ready, State::NotReady),
        };
        match groups.iter().position(|(known, _)| *known == state) {
            Some(at) => groups[at].1.push(node),
            None if groups.len() < SHOWN => groups.push((state, vec![node])),
            None => more.push(node),
        }
    }
    let mut findings: Vec<CheckResult> = groups
        .into_iter()
        .map(|(state, nodes)| {
            let which = which(&nodes);
            match state {
                State::Ready => CheckResult::fine(format!("{which}: {process} is ready")),
                State::NotReady(why) => {
                    let pod = pods.get(nodes[0]).map_or("", |pod| &pod.name);
                    let logs = shell::command(
                        "kubectl -n {} logs {} --all-containers --tail=50",
                        &[&set.set.namespace, &pod],
                    );
                    let remedy = logs.map_or_else(
                        || format!("see the logs of its pods (daemon set {full_name})"),
                        |logs| format!("see why: {logs}"),
                    );
                    CheckResult::missing(
                        format!("{which}: {process} is not ready"),
                        Missing::new("", why).remedy(remedy),
                    )
                }
                State::Absent if set.wanted > pods.len() => {
                    let why = format!(
                        "daemon set {full_name} wants {} pods, and {} are on a node",
                        set.wanted,
                        pods.len()
                    );
                    let asked = shell::command(
                        "kubectl -n {} describe daemonset {}",
                        &[&set.set.namespace, &set.set.name],
                    );
                    let remedy = asked.map_or_else(String::new, |asked| format!("see why: {asked}"));
                    CheckResult::missing(format!("{which}: no {process}"), Missing::new("", why).remedy(remedy))
                }
                State::Absent => CheckResult::fine(format!("{which}: no {process}"))
                    .beside("note", vec![format!("daemon set {full_name} wants none there")]),
            }
        })
        .collect();
    if !more.is_empty() {
        let missing =
            Missing::new("", "there are more states than are shown").remedy("name the nodes you mean with --node");
        findings.push(CheckResult::missing(
            format!("{}: {process} is in other states", which(&more)),
            missing,
        ));
    }
    findings
}

/// The nodes in question on which such an agent can be; those of its pods, where nodes could not be read.
fn names_of<'a>(read: &NetworkRead<'a>, pods: &'a BTreeMap<String, AgentPod>) -> Vec<&'a str> {
    if read.nodes.is_empty() {
        return pods.keys().map(String::as_str).collect();
    }
    let linux = read
        .nodes
        .iter()
        .filter(|node| node.os.is_empty() || node.os == "linux");
    linux.map(|node| node.name.as_str()).collect()
}

/// What an agent that no daemon set runs has said of the nodes.
fn told_by_condition(read: &NetworkRead<'_>, agent: &Agent) -> Vec<CheckResult> {
    let mut groups: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for node in &read.nodes {
        let reason = node.network_reason.as_str();
        if agents::of_condition(reason).is_some_and(|of| of.name == agent.name) {
            groups.entry(reason).or_default().push(&node.name);
        }
    }
    let findings = groups.into_iter().take(SHOWN).map(|(reason, nodes)| {
        let what = format!(
            "{}: {} said {reason} when it last changed",
            which(&nodes),
            agent.process
        );
        if reason.ends_with("Down") {
            let why = "the network of the node is said to be unavailable";
            let remedy = format!("see whether {} runs there, and start it", agent.process);
            CheckResult::missing(what, Missing::new("", why).remedy(remedy))
        } else {
            CheckResult::fine(what)
        }
    });
    findings.collect()
}

/// The kinds of policies, and who enforces them.
fn policies(read: &NetworkRead<'_>, known: &[(&'static Agent, Sign)]) -> CheckResult {
    let mut kinds = vec!["NetworkPolicy".to_owned()];
    let mut notes = Vec::new();
    let enforcing: Vec<&str> = known
        .iter()
        .filter(|(agent, sign)| agent.always_enforces() && !matches!(sign, Sign::Group(_)))
        .map(|(agent, _)| agent.name)
        .collect();
    notes.push(if enforcing.is_empty() {
        "whether anything enforces NetworkPolicies the API does not tell; `diagnose` reads it from a node's own tables"
            .to_owned()
    } else {
        format!("NetworkPolicies are enforced by {}", names::some(&enforcing))
    });
    match &read.kinds {
        Ok(served) => {
            kinds.extend(served.iter().map(|kind| format!("{} ({})", kind.name, kind.version)));
            let passed_over: Vec<&str> = served
                .iter()
                .filter(|kind| !kind.evaluated)
                .map(|kind| kind.name.as_str())
                .collect();
            if !passed_over.is_empty() {
                notes.push(format!("not evaluated by `diagnose`: {}", passed_over.join(", ")));
            }
        }
        Err(refused) => notes.push(format!("other kinds could not be looked for: {refused}")),
    }
    CheckResult::fine(format!("kinds of policies: {}", kinds.join(", "))).beside("note", notes)
}

#[cfg(test)]
mod tests {
    use super::{NetworkRead, plugins};
    use crate::kubernetes::agent_pods::agent_sets;
    use crate::kubernetes::calls::ApiGroups;
    use crate::kubernetes::cluster::ClusterApi;
    use crate::kubernetes::fake_server::{FakeAnswer, FakeServer};
    use crate::kubernetes::other_policies::served;
    use crate::render::CheckResult;
    use model::inventory::Node;
    use serde_json::{Value, json};

    fn node(number: usize, network_reason: &str) -> Node {
        Node {
            name: format!("n{number}"),
            os: "linux".to_owned(),
            network_reason: network_reason.to_owned(),
            ..Node::default()
        }
    }

    fn daemon_set(name: &str, wanted: usize) -> Value {
        json!({
            "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {
                "selector": {"matchLabels": {"app": name}},
                "template": {"spec": {"hostNetwork": true, "containers": [{"name": name}]}},
            },
            "status": {"desiredNumberScheduled": wanted},
        })
    }

    fn pod(set: &str, number: usize) -> Value {
        let ready = !number.is_multiple_of(5);
        json!({
            "metadata": {"name": format!("{set}-{number:05}"), "namespace": "kube-system"},
            "spec": {"nodeName": format!("n{number}")},
            "status": {
                "phase": "Running",
                "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}],
                "containerStatuses": [{"name": set, "ready": ready, "restartCount": 0, "image": "", "imageID": "",
                    "state": if ready { json!({"running": {}}) } else { json!({"waiting": {"reason": "CrashLoopBackOff"}}) }}],
            },
        })
    }

    const SETS: &str = "/apis/apps/v1/daemonsets";
    const PODS: &str = "/api/v1/namespaces/kube-system/pods?";

    async fn told(cluster: &ClusterApi, nodes: &[Node], groups: &[(&str, &str)]) -> Vec<CheckResult> {
        let groups = ApiGroups {
            groups: groups
                .iter()
                .map(|(group, version)| ((*group).to_owned(), vec![(*version).to_owned()]))
                .collect(),
            now: None,
        };
        plugins(&NetworkRead {
            nodes: nodes.iter().collect(),
            groups: Some(&groups),
            sets: agent_sets(cluster).await,
            kinds: served(cluster, &groups).await,
        })
    }

    fn says(findings: &[CheckResult]) -> Vec<&str> {
        findings.iter().map(|finding| finding.what.as_str()).collect()
    }

    fn beside(finding: &CheckResult) -> String {
        let (_, lines) = finding.beside.as_ref().unwrap();
        lines.join("; ")
    }

    #[tokio::test]
    async fn on_five_thousand_nodes_the_agents_state_is_a_line_for_each_state_and_few_calls() {
        let all: Vec<Node> = (0..5_000).map(|number| node(number, "CiliumIsUp")).collect();
        let fake = FakeServer::default()
            .list(
                SETS,
                &json!([daemon_set("cilium", 5_000), daemon_set("cilium-envoy", 5_000), daemon_set("logs", 5_000)]),
            )
            .pages(PODS, 4_998, |number| pod("cilium", number))
            .object(
                "/apis/cilium.io/v2",
                json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "cilium.io/v2", "resources": [
                    {"name": "ciliumnetworkpolicies", "singularName": "", "namespaced": true, "kind": "CiliumNetworkPolicy", "verbs": ["list"]},
                ]}),
            );
        let findings = told(&fake.cluster(), &all, &[("cilium.io", "v2")]).await;
        assert_eq!(
            says(&findings),
            [
                "network plug-in: Cilium (daemon set kube-system/cilium)",
                "1000 nodes (n0, n5, n10, n15, n20 and 995 more): cilium-agent is not ready",
                "3998 nodes (n1, n2, n3, n4, n6 and 3993 more): cilium-agent is ready",
                "2 nodes (n4998 and n4999): no cilium-agent",
                "kinds of policies: NetworkPolicy, CiliumNetworkPolicy (v2)",
            ]
        );
        let broken = findings[1].missing.as_ref().unwrap();
        assert_eq!(broken.why, "CrashLoopBackOff");
        assert!(broken.remedy.contains("logs cilium-00000 "), "{broken:?}");
        let absent = findings[3].missing.as_ref().unwrap();
        assert!(absent.why.contains("wants 5000 pods, and 4998"), "{absent:?}");
        assert_eq!(beside(&findings[4]), "NetworkPolicies are enforced by Cilium");
        assert_eq!(fake.asked().len(), 1 + 10 + 1, "{:?}", fake.asked());
    }

    #[tokio::test]
    async fn a_node_on_which_no_agent_is_wanted_lacks_none() {
        let fake = FakeServer::default()
            .list(SETS, &json!([daemon_set("kube-proxy", 1)]))
            .list(PODS, &json!([pod("kube-proxy", 1)]));
        let findings = told(&fake.cluster(), &[node(1, ""), node(2, "")], &[]).await;
        assert_eq!(
            says(&findings)[..3],
            [
                "network plug-in: not known",
                "node n1: kube-proxy is ready",
                "node n2: no kube-proxy"
            ]
        );
        assert!(findings.iter().all(|finding| finding.missing.is_none()));
        assert!(beside(&findings[2]).ends_with("wants none there"));
    }

    #[tokio::test]
    async fn an_agent_that_is_a_service_of_the_nodes_is_known_by_what_it_says_of_them() {
        let fake = FakeServer::default().list(SETS, &json!([]));
        let nodes = [node(1, "FlannelIsUp"), node(2, "FlannelIsUp"), node(3, "RouteCreated")];
        let findings = told(&fake.cluster(), &nodes, &[]).await;
        assert_eq!(
            says(&findings)[..2],
            [
                "network plug-in: flannel (by what it says of the nodes)",
                "2 nodes (n1 and n2): flanneld said FlannelIsUp when it last changed"
            ]
        );
        assert!(beside(&findings[0]).starts_with("no daemon set runs flanneld"));
        assert!(
            beside(&findings[2]).starts_with("whether anything enforces"),
            "flannel enforces none"
        );

        let down = told(&fake.cluster(), &[node(1, "CalicoIsDown")], &[]).await;
        assert!(down[1].missing.is_some(), "{down:?}");
    }

    #[tokio::test]
    async fn a_group_alone_proves_no_enforcement_and_kinds_that_nobody_evaluates_are_told() {
        let resources = json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": "crd.antrea.io/v1beta1", "resources": [
            {"name": "networkpolicies", "singularName": "", "namespaced": true, "kind": "NetworkPolicy", "verbs": ["list"]},
        ]});
        let fake = FakeServer::default()
            .list(SETS, &json!([]))
            .object("/apis/crd.antrea.io/v1beta1", resources);
        let findings = told(&fake.cluster(), &[node(1, "")], &[("crd.antrea.io", "v1beta1")]).await;
        assert_eq!(
            says(&findings),
            [
                "network plug-in: Antrea (by its API group crd.antrea.io)",
                "kinds of policies: NetworkPolicy, NetworkPolicy.crd.antrea.io (v1beta1)"
            ]
        );
        let notes = beside(&findings[1]);
        assert!(
            notes.contains("whether anything enforces")
                && notes.contains("not evaluated by `diagnose`: NetworkPolicy.crd.antrea.io"),
            "{notes}"
        );
    }

    #[tokio::test]
    async fn what_may_not_be_read_is_said_and_accuses_nobody() {
        let forbidden = |what: &str| FakeAnswer::Status(403, format!("{what} is forbidden"));
        let fake = FakeServer::default()
            .with(SETS, forbidden("daemonsets"))
            .with("/apis/cilium.io/v2", forbidden("it"));
        let findings = told(&fake.cluster(), &[node(1, "CiliumIsUp")], &[("cilium.io", "v2")]).await;
        assert!(findings.iter().all(|finding| finding.missing.is_none()), "{findings:?}");
        assert!(beside(&findings[0]).contains("daemon sets could not be looked at"));
        assert!(beside(findings.last().unwrap()).contains("other kinds could not be looked for"));
        // A user's own daemon set of that name has no say over nodes.
        let mut own = daemon_set("cilium", 1);
        own["spec"]["template"]["spec"]["hostNetwork"] = json!(false);
        let fake = FakeServer::default().list(SETS, &json!([own]));
        let findings = told(&fake.cluster(), &[node(1, "")], &[]).await;
        assert_eq!(findings[0].what, "network plug-in: not known");
    }
}
