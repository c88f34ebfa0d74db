//! Which pod or node an end or a namespace of a run is, and what a pod says of itself.

use model::endpoint::Endpoint;
use model::evidence::{Evidence, NodeEvidence};
use model::inventory::{Inventory, Pod, PodWarning, Port, ServicePort};
use model::object_ref::ObjectRef;

/// The pod that an end is.
pub fn pod_of<'a>(evidence: &'a Evidence, end: &Endpoint) -> Option<&'a Pod> {
    let inventory = evidence.inventory.ok()?;
    let by_uid = match &end.owner {
        model::owner::Owner::Pod { uid, .. } => inventory.pod_of_uid(uid),
        _ => None,
    };
    let named = |kind: &&ObjectRef| kind.kind == "Pod";
    by_uid
        .or_else(|| {
            let object = end.object.as_ref().filter(named)?;
            inventory.pod(&object.namespace, &object.name)
        })
        .or_else(|| {
            let (namespace, name) = end.name.split_once('/')?;
            inventory.pod(namespace, name)
        })
        .or_else(|| {
            end.addresses
                .iter()
                .find_map(|address| inventory.pods_at(*address).next())
        })
}

/// The pod whose network namespace it is; `None` for those of nodes, and where nothing tells.
pub fn pod_in(evidence: &Evidence, netns: u32) -> Option<&Pod> {
    let inventory = evidence.inventory.ok()?;
    if node_of_host(evidence, netns).is_some() {
        return None;
    }
    for end in [&evidence.source, &evidence.destination] {
        if end.netns == Some(netns)
            && let Some(pod) = pod_of(evidence, end)
        {
            return Some(pod);
        }
    }
    let Some(of) = evidence.netns(netns) else {
        // Nobody looked into it; what happened there may tell whose it is.
        return evidence
            .events
            .iter()
            .filter(|event| event.netns == netns)
            .find_map(|event| match &event.owner {
                model::owner::Owner::Pod { uid, .. } => inventory.pod_of_uid(uid),
                _ => None,
            });
    };
    let told = |pod: &&Pod| {
        of.name == pod.full_name() || (!pod.uid.is_empty() && of.name.strip_prefix("pod/") == Some(pod.uid.as_str()))
    };
    let own = of.before.addresses.ok().into_iter().flatten();
    inventory
        .pods
        .iter()
        .find(told)
        .or_else(|| own.flat_map(|own| inventory.pods_at(own.address)).next())
}

/// The node whose own namespace it is.
fn node_of_host(evidence: &Evidence, netns: u32) -> Option<&str> {
    let of = evidence.netns(netns).map(|netns| netns.node.as_str());
    let is_host =
        |node: &&NodeEvidence| node.host_netns == netns && netns != 0 && of.is_none_or(|own| own == node.name);
    evidence.nodes.iter().find(is_host).map(|node| node.name.as_str())
}

/// The name of a namespace in the cluster's words: its pod, or its node.
pub fn name_of(evidence: &Evidence, netns: u32) -> Option<String> {
    evidence.inventory.ok()?;
    match node_of_host(evidence, netns) {
        Some(node) => Some(node.to_owned()),
        None => pod_in(evidence, netns).map(Pod::full_name),
    }
}

/// The numbers that a target port has in a pod.
pub fn target_numbers(pod: &Pod, port: &ServicePort) -> Vec<u16> {
    match &port.target {
        Port::Number(number) => vec![*number],
        Port::Name(name) => pod
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .filter(|own| own.name == *name && own.protocol.eq_ignore_ascii_case(&port.protocol))
            .map(|own| own.port)
            .collect(),
    }
}

/// What an event says of a pod: `kubelet warns: FailedMount: secret "keys" not found`.
pub fn warning_words(warning: &PodWarning) -> String {
    let who = match warning.component.as_str() {
        "" => "an event",
        component => component,
    };
    format!("{who} warns: {}: {}", warning.reason, warning.message)
}

/// Why a pod is not ready or not there, in a few words: what its containers wait for, else its conditions; and what was warned of.
pub fn not_ready(inventory: &Inventory, pod: &Pod) -> Option<String> {
    let why = lacks(inventory, pod)?;
    Some(match pod.warnings.first() {
        Some(warning) => format!("{why}; {}", warning_words(warning)),
        None => why,
    })
}

fn lacks(inventory: &Inventory, pod: &Pod) -> Option<String> {
    let node = inventory.node(&pod.node).filter(|node| !node.ready);
    if let Some(node) = node {
        return Some(format!("its node {} is not ready", node.name));
    }
    if pod.terminating {
        return Some("it is being deleted".to_owned());
    }
    let stuck = pod
        .containers
        .iter()
        .find_map(|container| match container.state.as_str() {
            "waiting" if !container.reason.is_empty() => {
                Some(format!("container {} waits: {}", container.name, container.reason))
            }
            "terminated" if !container.init => {
                let code = container
                    .exit_code
                    .map_or(String::new(), |code| format!(", exit code {code}"));
                Some(format!(
                    "container {} has ended: {}{code}",
                    container.name, container.reason
                ))
            }
            _ => None,
        });
    if stuck.is_some() {
        return stuck;
    }
    if !matches!(pod.phase.as_str(), "Running" | "") {
        let reason = if pod.reason.is_empty() {
            String::new()
        } else {
            format!(" ({})", pod.reason)
        };
        return Some(format!("its phase is {}{reason}", pod.phase));
    }
    if pod.ready {
        return None;
    }
    let unready: Vec<&str> = pod
        .containers
        .iter()
        .filter(|container| !container.ready && !container.init)
        .map(|container| container.name.as_str())
        .collect();
    Some(match unready.as_slice() {
        [] if pod.reason.is_empty() => "its condition Ready is false".to_owned(),
        [] => format!("its condition Ready is false: {}", pod.reason),
        names => format!(
            "container {} runs and is not ready (its readiness probe fails)",
            names.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::{name_of, not_ready};
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::Cluster;
    use model::inventory::PodWarning;

    #[test]
    fn why_a_pod_is_not_ready_is_told_with_what_its_kubelet_warns_of() {
        let mut cluster = Cluster::pods();
        cluster.unready("shop/web-1", "running", "");
        cluster.pod("shop/web-1").warnings = vec![PodWarning {
            component: "kubelet".to_owned(),
            reason: "Unhealthy".to_owned(),
            message: "Readiness probe failed: HTTP probe failed with statuscode: 503".to_owned(),
        }];
        let inventory = cluster.scene.evidence.inventory.ok().unwrap();
        let why = not_ready(inventory, inventory.pod("shop", "web-1").unwrap()).unwrap();
        assert_eq!(
            why,
            "container main runs and is not ready (its readiness probe fails); \
             kubelet warns: Unhealthy: Readiness probe failed: HTTP probe failed with statuscode: 503"
        );
    }

    #[test]
    fn namespaces_are_called_by_their_pods_and_nodes() {
        let mut cluster = Cluster::pods();
        for netns in &mut cluster.scene.evidence.netns {
            netns.name = format!("netns {}", netns.id);
        }
        let names = [scenes::A, scenes::X, scenes::Y, scenes::C].map(|id| name_of(cluster.evidence(), id).unwrap());
        assert_eq!(names, ["shop/a", "x", "y", "shop/web-1"]);
        // A pod that is no end is known by its address.
        cluster.scene.evidence.destination = model::endpoint::Endpoint::default();
        assert_eq!(name_of(cluster.evidence(), scenes::C).as_deref(), Some("shop/web-1"));
    }

    #[test]
    fn verdicts_speak_of_pods_and_say_on_which_node_to_act() {
        let mut cluster = Cluster::pods();
        cluster.scene.evidence.destination.pid = Some(4711);
        cluster
            .scene
            .dropped(3, scenes::C, "eth0", "NETFILTER_DROP", "nf_hook_slow");
        let drops = &judge(cluster.evidence()).verdicts[0];
        assert_eq!(drops.place.pod.as_deref(), Some("shop/web-1"));
        let mut cluster = Cluster::pods();
        let rule = model::facts::NetfilterRule {
            action: model::facts::Action::Drop,
            ..model::facts::NetfilterRule::default()
        };
        let rules = scenes::one_rule("filter", "FORWARD", rule);
        cluster.scene.facts(scenes::Y, |facts| {
            facts.netfilter = model::missing::Known::Known(rules.clone());
        });
        cluster
            .scene
            .dropped(3, scenes::Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(cluster.evidence());
        let verdict = &judgement.verdicts[0];
        assert_eq!(
            (verdict.place.node.as_deref(), verdict.place.pod.as_deref()),
            (Some("y"), None)
        );
        assert!(
            verdict
                .remedy
                .starts_with("on node y: delete the rule: `iptables-legacy -t filter"),
            "{}",
            verdict.remedy
        );
        assert!(
            judgement
                .headline
                .starts_with("shop/a cannot reach shop/web-1:80/tcp: "),
            "{}",
            judgement.headline
        );
    }
}
