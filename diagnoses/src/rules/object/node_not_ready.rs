//! The node of an end is not ready: its kubelet does not report.
//!
//! Why it happens: the node is down or cut off, its kubelet or container runtime has stopped, or it has too few resources.
//!
//! How it knows: from the cluster's API. The node's condition `Ready` is not true. Or its Lease was not renewed for much longer
//! than the 10 s that a kubelet takes; the Lease shows this earlier than the condition. It is the cause of a failure only if
//! nothing seen on the way explains the failure better. If everything worked, pods still run there and will be moved away.
//!
//! Remedy: find out why (`kubectl describe node`), and start or reach its kubelet.
//!
//! Silent on: nodes that are ready, nodes of neither end, and services that pods of another node can serve.

use crate::case::Case;
use crate::case::observations;
use crate::case::services::services;
use crate::kernel::drops::Class;
use crate::kubernetes::pods::pod_of;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal, info, warning};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use model::inventory::Node;
use model::object_ref::ObjectRef;

pub const NEEDS: &[Need] = &[];

/// A kubelet that has not renewed its Lease for this long, in seconds, has missed several renewals or one by far.
const LEASE_STALE_S: u64 = 15;

pub fn check(case: &Case<'_>) -> Checked {
    let Some(inventory) = case.inventory() else {
        return Ok(Vec::new());
    };
    let mut names: Vec<&str> = Vec::new();
    // Nodes that have all pods of the service: if one is not ready, the rejection follows from that.
    let mut alone: Vec<&str> = Vec::new();
    for end in [&case.evidence.source, &case.evidence.destination] {
        let of_pod = pod_of(case.evidence, end).map(|pod| pod.node.as_str());
        names.extend(of_pod.or(Some(end.node.as_str())));
    }
    for asked in services(case).into_iter().filter(|asked| asked.usable().is_empty()) {
        alone.extend(asked.backends().iter().map(|backend| backend.endpoint.node.as_str()));
        alone.extend(asked.selected().iter().map(|pod| pod.node.as_str()));
    }
    names.extend(&alone);
    names.sort_unstable();
    names.dedup();
    let nodes = names.into_iter().filter_map(|name| inventory.node(name));
    let lost = nodes.filter(|node| is_lost(node));
    Ok(lost
        .map(|node| finding(case, node, alone.contains(&node.name.as_str())))
        .collect())
}

fn is_lost(node: &Node) -> bool {
    !node.ready || node.lease_age_s.is_some_and(|age| age > LEASE_STALE_S)
}

fn finding(case: &Case<'_>, node: &Node, alone: bool) -> Finding {
    let says = match node.lease_age_s {
        _ if !node.ready && node.reason.is_empty() => format!("node {} is not ready", node.name),
        _ if !node.ready => format!("node {} is not ready: {}", node.name, node.reason),
        age => format!(
            "node {} is about to be not ready: its kubelet was last heard of {} s ago",
            node.name,
            age.unwrap_or_default()
        ),
    };
    let better = !alone
        && case
            .accusing()
            .any(|drop| !matches!(drop.class, Class::Neighbour | Class::NoSocket));
    let claim = if better {
        info("node-not-ready", says)
    } else if case.worked().is_empty() {
        fatal("node-not-ready", says)
    } else if !node.ready {
        warning("node-not-ready", says)
    } else {
        // One Lease that is late is no fault yet where everything works.
        info("node-not-ready", says)
    };
    claim
        .node(&node.name)
        .object(ObjectRef {
            kind: "Node".to_owned(),
            namespace: String::new(),
            name: node.name.clone(),
        })
        .of(case.failed_ids())
        .remedy(
            Remedy::from("see why")
                .run(": ", command("kubectl describe node {}", &[&node.name]))
                .say(format!("; on {}", node.name))
                .run(": ", command("systemctl status kubelet", &[])),
        )
        .because(format!(
            "its condition Ready is {}",
            if node.ready { "still true" } else { "not true" }
        ))
        .and_if((!node.ready && !node.message.is_empty()).then(|| node.message.clone()))
        .and_if(
            node.lease_age_s
                .map(|age| format!("its Lease was renewed {age} s ago (a kubelet does it every 10 s)")),
        )
        .and_if(case.failed().first().map(|tried| observations::met(tried)))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::Cluster;

    fn lost(mut cluster: Cluster, name: &str) -> Cluster {
        let node = cluster.node(name);
        node.ready = false;
        "NodeStatusUnknown".clone_into(&mut node.reason);
        cluster
    }

    #[test]
    fn a_node_that_is_not_ready_is_the_cause_of_what_nothing_else_explains() {
        let mut cluster = lost(Cluster::pods(), "y");
        cluster.scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["node-not-ready"]);
        assert_eq!(judgement.verdicts[0].place.node.as_deref(), Some("y"));
    }

    #[test]
    fn a_kubelet_that_is_silent_is_told_before_the_condition_is() {
        let mut cluster = Cluster::pods();
        cluster.node("y").lease_age_s = Some(25);
        cluster.without_helpers();
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["node-not-ready"]);
        assert!(
            judgement.verdicts[0].says.contains("25 s ago"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    #[test]
    fn where_everything_works_a_late_lease_is_only_worth_knowing() {
        let mut cluster = Cluster::pods();
        cluster.node("y").lease_age_s = Some(25);
        cluster.scene.connects(3);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), Vec::<String>::new());
        let mut cluster = lost(cluster, "y");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["node-not-ready"]);
    }

    #[test]
    fn a_service_whose_pods_are_all_there_has_it_for_its_cause() {
        let mut cluster = lost(Cluster::web(), "y");
        let endpoint = &mut cluster.slice("web").endpoints[0];
        (endpoint.ready, endpoint.serving) = (false, false);
        cluster.scene.refused(3);
        let flow = cluster.scene.evidence.watched[0].flow;
        cluster
            .scene
            .drop(scenes::X, "cbr0", flow, "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["node-not-ready"]);
    }

    #[test]
    fn a_node_that_serves_nobody_here_or_what_is_explained_better_is_not_it() {
        let mut cluster = lost(Cluster::pods(), "y");
        cluster
            .scene
            .dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["netfilter-drop"]);
        let mut cluster = Cluster::web();
        cluster.scene.refused(3);
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"node-not-ready".to_owned()));
    }
}
