//! What a user of a cluster must be allowed to do: asked for by `doctor`, granted by `deploy/rbac`. One list, so that the two agree.

use super::cluster::ClusterApi;
use super::other_policies;
use super::refusal::Refusal;
use k8s_openapi::api::authorization::v1 as authorization;
use kube::Api;
use kube::api::PostParams;
use std::fmt;

/// Where a right is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RightScope {
    /// In the namespace of helpers.
    Helpers,
    /// In every namespace, and for objects of the cluster.
    Cluster,
}

/// Verbs on one kind of objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Right {
    /// API group; empty for the core.
    pub group: &'static str,
    /// Its plural, with a subresource behind a slash.
    pub resource: &'static str,
    /// What is done with them.
    pub verbs: &'static [&'static str],
    /// Where.
    pub scope: RightScope,
    /// What for.
    pub why: &'static str,
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            group,
            resource,
            verbs,
            scope: _,
            why: _,
        } = self;
        let dot = if group.is_empty() { "" } else { "." };
        write!(f, "{} {resource}{dot}{group}", verbs.join(", "))
    }
}

const fn right(
    scope: RightScope,
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Right {
    Right {
        group,
        resource,
        verbs,
        scope,
        why,
    }
}

const fn helpers(
    group: &'static str,
    resource: &'static str,
    verbs: &'static [&'static str],
    why: &'static str,
) -> Right {
    right(RightScope::Helpers, group, resource, verbs, why)
}

const fn read(group: &'static str, resource: &'static str, verbs: &'static [&'static str], why: &'static str) -> Right {
    right(RightScope::Cluster, group, resource, verbs, why)
}

const RIGHTS: [Right; 17] = [
    helpers(
        "batch",
        "jobs",
        &["create", "delete", "deletecollection", "list"],
        "starting helpers, taking them away, sweeping what earlier runs left",
    ),
    helpers("", "pods", &["watch"], "seeing a helper start"),
    helpers(
        "",
        "pods/attach",
        &["create", "get"],
        "speaking with it (get until 1.34, create from 1.35 on)",
    ),
    helpers("", "events", &["list"], "why one does not start"),
    read("", "pods", &["get", "list"], "both ends, and whose an address is"),
    read(
        "",
        "services",
        &["get", "list"],
        "services by name and address, the cluster's DNS",
    ),
    read(
        "",
        "namespaces",
        &["get", "list"],
        "labels that policies select by, what admission allows, near names",
    ),
    read("", "nodes", &["get", "list"], "readiness, addresses, architecture"),
    read("", "events", &["list"], "why a pod does not run"),
    read(
        "coordination.k8s.io",
        "leases",
        &["get", "list"],
        "when a kubelet was last heard of",
    ),
    read(
        "discovery.k8s.io",
        "endpointslices",
        &["list"],
        "what is behind a service",
    ),
    read("networking.k8s.io", "networkpolicies", &["list"], "what policies allow"),
    read("apps", "deployments", &["get", "list"], WORKLOAD),
    read("apps", "statefulsets", &["get", "list"], WORKLOAD),
    read("apps", "daemonsets", &["get", "list"], WORKLOAD),
    read("apps", "replicasets", &["get", "list"], WORKLOAD),
    read("batch", "jobs", &["get", "list"], WORKLOAD),
];

const WORKLOAD: &str = "a pod of a workload by the workload's name";

/// Calico's API server shows policies to those who may read their tiers.
const IN_TIERS: [Right; 3] = [
    in_tiers("tiers", &["get"]),
    in_tiers("tier.networkpolicies", &["list"]),
    in_tiers("tier.globalnetworkpolicies", &["list"]),
];

const fn in_tiers(resource: &'static str, verbs: &'static [&'static str]) -> Right {
    read(
        "projectcalico.org",
        resource,
        verbs,
        "policies of each tier, by Calico's own API server",
    )
}

/// All of them, policies of other kinds included.
pub fn all() -> Vec<Right> {
    let kinds = other_policies::KINDS
        .iter()
        .map(|kind| read(kind.group, kind.plural, &["list"], kind.why));
    RIGHTS.iter().cloned().chain(kinds).chain(IN_TIERS).collect()
}

impl ClusterApi {
    /// Whether the user may do this, by the API server's own word.
    pub async fn may(&self, right: &Right, verb: &str, namespace: Option<&str>) -> Result<bool, Refusal> {
        let api: Api<authorization::SelfSubjectAccessReview> = Api::all(self.client.clone());
        let (resource, subresource) = match right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource)),
            None => (right.resource, None),
        };
        let review = authorization::SelfSubjectAccessReview {
            spec: authorization::SelfSubjectAccessReviewSpec {
                resource_attributes: Some(authorization::ResourceAttributes {
                    group: Some(right.group.to_owned()),
                    resource: Some(resource.to_owned()),
                    subresource: subresource.map(str::to_owned),
                    verb: Some(verb.to_owned()),
                    namespace: namespace.map(str::to_owned),
                    ..authorization::ResourceAttributes::default()
                }),
                ..authorization::SelfSubjectAccessReviewSpec::default()
            },
            ..authorization::SelfSubjectAccessReview::default()
        };
        let ask = PostParams::default();
        let answer = self.ask(|| api.create(&ask, &review)).await?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    }
}

#[cfg(test)]
mod tests {
    use super::{Right, RightScope, all};
    use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule, Role};
    use kube::core::ObjectMeta;
    use std::path::Path;

    fn rules(scope: RightScope) -> Vec<PolicyRule> {
        let rule = |right: Right| PolicyRule {
            api_groups: Some(vec![right.group.to_owned()]),
            resources: Some(vec![right.resource.to_owned()]),
            verbs: right.verbs.iter().map(|verb| (*verb).to_owned()).collect(),
            ..PolicyRule::default()
        };
        all()
            .into_iter()
            .filter(|right| right.scope == scope)
            .map(rule)
            .collect()
    }

    /// A checked-in manifest is what follows from the list; `UPDATE=1` writes it.
    fn same(file: &str, head: &str, object: &impl serde::Serialize) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rbac").join(file);
        let text = format!("{head}{}", serde_yaml::to_string(object).unwrap());
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(
            std::fs::read_to_string(&path).unwrap_or_default(),
            text,
            "UPDATE=1 writes {file}"
        );
    }

    #[test]
    fn the_roles_in_deploy_grant_what_is_needed_and_nothing_else() {
        let metadata = |name: &str| ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        };
        same(
            "helpers.yaml",
            "# In the namespace where helpers run; whoever may create or exec pods there is root on the nodes, so give helpers one of\n# their own:\n#   kubectl create namespace skoop\n#   kubectl label namespace skoop pod-security.kubernetes.io/enforce=privileged\n# and name it with --helper-namespace skoop.\n#   kubectl apply -n NAMESPACE -f deploy/rbac/helpers.yaml\n#   kubectl create rolebinding skoop-helpers -n NAMESPACE --role=skoop-helpers --user=USER\n",
            &Role {
                metadata: metadata("skoop-helpers"),
                rules: Some(rules(RightScope::Helpers)),
            },
        );
        same(
            "reader.yaml",
            "# What is read of the cluster:\n#   kubectl apply -f deploy/rbac/reader.yaml\n#   kubectl create clusterrolebinding skoop-reader --clusterrole=skoop-reader --user=USER\n# For single namespaces bind it there (rolebinding --clusterrole=skoop-reader); nodes are then told as not permitted.\n",
            &ClusterRole {
                metadata: metadata("skoop-reader"),
                rules: Some(rules(RightScope::Cluster)),
                ..ClusterRole::default()
            },
        );
    }
}
