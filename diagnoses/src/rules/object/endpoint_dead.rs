//! A service still lists an address that no living pod has.
//!
//! Why it happens: an `EndpointSlice` was made by hand and forgotten. Or the controller that keeps slices has stopped. Or a pod
//! went away while it had connections, and the slices are not up to date yet.
//!
//! How it knows: from the cluster's API. A slice lists the address as ready, and the pod it names does not exist or has ended.
//! No other pod has the address, and it is from the range of pod addresses. Connections that were sent there failed, or the
//! service lists nothing else.
//!
//! Remedy: correct or delete the slice, or restart the controller manager.
//!
//! Silent on: addresses outside the cluster (services without a selector may list them), addresses of nodes, and connections
//! that failed at a living pod.

use crate::case::observations;
use crate::case::services::{AskedService, Backend, failed_at, services};
use crate::case::{Case, Failure, Tried};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal, warning};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use ipnet::IpNet;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[Need::Probe("path")];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    for asked in services(case) {
        let usable = asked.usable();
        let dead: Vec<&Backend<'_>> = usable.iter().filter(|backend| is_dead(case, &asked, backend)).collect();
        let all = dead.len() == usable.len();
        for backend in dead {
            findings.extend(finding(case, &asked, backend, all));
        }
    }
    Ok(findings)
}

/// Nobody has the address who could have it.
fn is_dead(case: &Case<'_>, asked: &AskedService<'_>, backend: &Backend<'_>) -> bool {
    let inventory = asked.inventory;
    let (address, text) = (backend.address, format!("the pod that has {}", backend.address));
    if inventory
        .unread(&[&text, "names of the node's other pods", "pods behind the service"])
        .is_some()
    {
        return false;
    }
    let ended = |phase: &str| matches!(phase, "Succeeded" | "Failed");
    if let Some(pod) = backend.pod {
        return ended(&pod.phase) || !(pod.addresses.is_empty() || pod.addresses.contains(&address));
    }
    let of_node = inventory.nodes.iter().any(|node| node.addresses.contains(&address));
    let named = backend
        .endpoint
        .target
        .as_ref()
        .is_some_and(|target| target.kind == "Pod");
    !of_node && (named || of_pods(case, asked, address))
}

/// The address is of a range that a node gives its pods; or of the ranges beside those of the nodes that were read, where nobody
/// answered what was sent to it.
fn of_pods(case: &Case<'_>, asked: &AskedService<'_>, address: IpAddr) -> bool {
    let ranges = asked.inventory.nodes.iter().flat_map(|node| &node.pod_cidrs);
    let mut ranges = ranges.filter_map(|range| range.parse::<IpNet>().ok());
    let hit = failed_at(case, address);
    let silent = !hit.is_empty()
        && hit.iter().all(|id| {
            !matches!(
                case.attempt(*id).and_then(Tried::failure),
                Some(Failure::Refused | Failure::Reset)
            )
        });
    let wide = |range: &IpNet| {
        let length = if range.addr().is_ipv4() { 16 } else { 48 };
        IpNet::new(range.addr(), range.prefix_len().min(length)).is_ok_and(|wide| wide.contains(&address))
    };
    ranges.any(|range| range.contains(&address) || (silent && wide(&range)))
}

fn finding(case: &Case<'_>, asked: &AskedService<'_>, backend: &Backend<'_>, all: bool) -> Option<Finding> {
    let address = backend.address;
    let mut hit = failed_at(case, address);
    if hit.is_empty() && all && case.worked().is_empty() {
        hit = case.failed_ids();
    }
    let says = format!("{} lists {address}, which no living pod has", asked.words());
    let untried = case.asked().next().is_none();
    let claim = if !hit.is_empty() || (all && untried) {
        fatal("endpoint-dead", says)
    } else if case.failed().is_empty() {
        warning("endpoint-dead", says)
    } else {
        // What failed, failed elsewhere.
        return None;
    };
    let slice = backend.slice;
    let by_hand = slice.managed_by.is_empty();
    let pod = match (&backend.endpoint.target, backend.pod) {
        (_, Some(pod)) if pod.addresses.contains(&address) => {
            format!("pod {} has ended: its phase is {}", pod.full_name(), pod.phase)
        }
        (_, Some(pod)) => format!("pod {} now has another address", pod.full_name()),
        (Some(target), None) => format!(
            "there is no {} {}/{} any more",
            target.kind.to_lowercase(),
            target.namespace,
            target.name
        ),
        (None, None) => format!("no pod has {address}"),
    };
    Some(
        claim
            .object(asked.service.object())
            .of(hit.clone())
            .remedy(if by_hand {
                Remedy::from("correct or delete the slice").run(
                    ": ",
                    command("kubectl -n {} edit endpointslice {}", &[&slice.namespace, &slice.name]),
                )
            } else {
                Remedy::from(format!("see why {} does not correct it", slice.managed_by)).run(
                    ": ",
                    command(
                        "kubectl -n {} describe endpointslice {}",
                        &[&slice.namespace, &slice.name],
                    ),
                )
            })
            .because(format!(
                "EndpointSlice {}/{} lists {address}:{} as ready{}",
                slice.namespace,
                slice.name,
                backend.port,
                if by_hand {
                    "; nothing keeps that slice (it was made by hand)"
                } else {
                    ""
                }
            ))
            .and(pod)
            .and_if(hit.first().and_then(|id| case.attempt(*id)).map(observations::met)),
    )
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::Cluster;
    use model::missing::Missing;

    /// Somebody listed an address by hand that no pod has.
    fn stale() -> Cluster {
        let mut cluster = Cluster::web();
        cluster.node("y").pod_cidrs = vec!["10.90.2.0/24".to_owned()];
        let slice = cluster.slice("web");
        slice.managed_by.clear();
        slice.endpoints[0].target = None;
        slice.endpoints[0].addresses = vec![scenes::ip("10.90.2.77")];
        cluster
    }

    #[test]
    fn a_slice_made_by_hand_that_leads_nowhere_is_it() {
        let mut cluster = stale();
        cluster.scene.vanishes(3, scenes::X, "up0");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["endpoint-dead"]);
        assert!(judgement.verdicts[0].because[0].contains("made by hand"));
        // It may be that nothing is known of the node that has the range.
        cluster.node("y").pod_cidrs.clear();
        cluster.node("x").pod_cidrs = vec!["10.90.1.0/24".to_owned()];
        cluster.scene.evidence.attempts.clear();
        cluster.scene.evidence.events.clear();
        cluster.sent_on("10.90.2.77");
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["endpoint-dead"]);
        assert!(
            judgement.verdicts[0]
                .remedy
                .contains("kubectl -n shop edit endpointslice web-abcde")
        );
    }

    #[test]
    fn a_pod_that_went_away_is_named() {
        let mut cluster = Cluster::web();
        cluster.inventory().pods.retain(|pod| pod.name != "web-1");
        cluster.without_helpers();
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["endpoint-dead"]);
        assert!(judgement.verdicts[0].because[1].contains("there is no pod shop/web-1 any more"));
    }

    #[test]
    fn what_failed_at_a_living_pod_accuses_no_other_address() {
        let mut cluster = stale();
        let mut live = cluster.slice("web").endpoints[0].clone();
        live.addresses = vec![scenes::ip("10.90.2.2")];
        cluster.slice("web").endpoints.push(live);
        cluster.sent_on("10.90.2.2");
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"endpoint-dead".to_owned()));
    }

    #[test]
    fn an_address_outside_the_cluster_or_one_nobody_was_asked_about_is_not_it() {
        let mut cluster = stale();
        cluster.slice("web").endpoints[0].addresses = vec![scenes::ip("203.0.113.7")];
        cluster.scene.vanishes(3, scenes::X, "up0");
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"endpoint-dead".to_owned()));
        let mut cluster = stale();
        cluster
            .inventory()
            .missing
            .push(Missing::new("the pod that has 10.90.2.77", "forbidden"));
        cluster.scene.vanishes(3, scenes::X, "up0");
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"endpoint-dead".to_owned()));
    }
}
