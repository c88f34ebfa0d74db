//! Policies of other kinds than `NetworkPolicy`: they exist, and nobody here evaluates them.

use super::calls::ApiGroups;
use super::cluster::ClusterApi;
use super::refusal::RefusalKind;
use kube::api::{ApiResource, GroupVersionKind};
use model::inventory::ObjectRef;
use model::missing::Missing;
use std::collections::BTreeSet;

/// Group, kind, plural, and whether its objects live in namespaces.
pub(super) const KINDS: [(&str, &str, &str, bool); 11] = [
    ("cilium.io", "CiliumNetworkPolicy", "ciliumnetworkpolicies", true),
    (
        "cilium.io",
        "CiliumClusterwideNetworkPolicy",
        "ciliumclusterwidenetworkpolicies",
        false,
    ),
    ("projectcalico.org", "NetworkPolicy", "networkpolicies", true),
    (
        "projectcalico.org",
        "GlobalNetworkPolicy",
        "globalnetworkpolicies",
        false,
    ),
    ("crd.projectcalico.org", "NetworkPolicy", "networkpolicies", true),
    (
        "crd.projectcalico.org",
        "GlobalNetworkPolicy",
        "globalnetworkpolicies",
        false,
    ),
    (
        "policy.networking.k8s.io",
        "AdminNetworkPolicy",
        "adminnetworkpolicies",
        false,
    ),
    (
        "policy.networking.k8s.io",
        "BaselineAdminNetworkPolicy",
        "baselineadminnetworkpolicies",
        false,
    ),
    (
        "policy.networking.k8s.io",
        "ClusterNetworkPolicy",
        "clusternetworkpolicies",
        false,
    ),
    ("crd.antrea.io", "NetworkPolicy", "networkpolicies", true),
    ("crd.antrea.io", "ClusterNetworkPolicy", "clusternetworkpolicies", false),
];

/// Those of these namespaces and of the whole cluster, and what could not be read. Kinds the cluster does not have cost no call.
pub async fn policies(
    cluster: &ClusterApi,
    groups: &ApiGroups,
    namespaces: &BTreeSet<String>,
) -> (Vec<ObjectRef>, Vec<Missing>) {
    let has = |wanted: &str| groups.groups.iter().any(|(group, _)| group == wanted);
    let mut asks = Vec::new();
    for (group, kind, plural, namespaced) in KINDS {
        let Some((_, version)) = groups.groups.iter().find(|(known, _)| known == group) else {
            continue;
        };
        // Calico's API server shows the objects of its CRDs.
        if group == "crd.projectcalico.org" && has("projectcalico.org") {
            continue;
        }
        let resource = ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, version, kind), plural);
        if namespaced {
            asks.extend(
                namespaces
                    .iter()
                    .map(|namespace| (resource.clone(), Some(namespace.as_str()))),
            );
        } else {
            asks.push((resource, None));
        }
    }
    let answers = asks.into_iter().map(|(resource, namespace)| async move {
        let answer = cluster.foreign(&resource, namespace).await;
        (resource, namespace, answer)
    });
    let (mut found, mut missing) = (Vec::new(), Vec::new());
    for (resource, namespace, answer) in futures_util::future::join_all(answers).await {
        let kind = if resource.kind.starts_with("Cilium") || resource.kind.contains("Admin") {
            resource.kind
        } else {
            format!("{}.{}", resource.kind, resource.group)
        };
        match answer {
            Ok(objects) => found.extend(objects.into_iter().map(|object| ObjectRef {
                kind: kind.clone(),
                ..object
            })),
            Err(refused) if refused.kind == RefusalKind::NotFound => {}
            Err(refused) => {
                let of = namespace.map_or_else(String::new, |namespace| format!(" of namespace {namespace}"));
                missing.push(refused.missing(format!("{kind} objects{of}")));
            }
        }
    }
    (found, missing)
}
