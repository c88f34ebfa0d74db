//! Policies of other kinds than `NetworkPolicy`, with what they refer to: which kinds are read, and in which versions.
//!
//! Kinds that are evaluated are read whole. Of the others, and of versions that nobody here knows, the names are read, so that it can
//! be said that they were not evaluated.

use super::calls::ApiGroups;
use super::cluster::ClusterApi;
use super::refusal::{Refusal, RefusalKind};
use futures_util::future::{join_all, try_join_all};
use kube::api::{ApiResource, GroupVersionKind};
use model::inventory::{Inventory, NetworkPolicy};
use model::missing::Missing;
use model::object_ref::ObjectRef;
use model::policy_objects::{PolicyObject, PolicyObjects};
use std::collections::{BTreeMap, BTreeSet};

/// Where objects of a kind are looked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Where {
    /// In the namespaces of either end.
    Ends,
    /// In the whole cluster.
    Cluster,
}

/// A kind.
#[derive(Clone, Copy, Debug)]
pub struct PolicyKind {
    /// Its API group.
    pub group: &'static str,
    kind: &'static str,
    /// As the API calls its objects in a path.
    pub plural: &'static str,
    place: Where,
    /// The versions that are evaluated; none where nobody evaluates it.
    versions: &'static [&'static str],
    /// What it is read for.
    pub why: &'static str,
    /// Its objects are policies, and not what policies refer to.
    is_policy: bool,
}

const CILIUM: &str = "cilium.io";
const CALICO: &str = "projectcalico.org";
const CALICO_STORED: &str = "crd.projectcalico.org";
const ADMINS: &str = "policy.networking.k8s.io";
const ANTREA: &str = "crd.antrea.io";

const fn policy(
    group: &'static str,
    (kind, plural): (&'static str, &'static str),
    place: Where,
    versions: &'static [&'static str],
) -> PolicyKind {
    let why = if versions.is_empty() {
        "naming policies that are not evaluated"
    } else {
        "what policies of this kind allow"
    };
    PolicyKind {
        group,
        kind,
        plural,
        place,
        versions,
        why,
        is_policy: true,
    }
}

/// What policies of Calico refer to.
const fn referred(
    group: &'static str,
    (kind, plural): (&'static str, &'static str),
    versions: &'static [&'static str],
    why: &'static str,
) -> PolicyKind {
    PolicyKind {
        group,
        kind,
        plural,
        place: Where::Cluster,
        versions,
        why,
        is_policy: false,
    }
}

const NETWORK_POLICY: (&str, &str) = ("NetworkPolicy", "networkpolicies");
const GLOBAL: (&str, &str) = ("GlobalNetworkPolicy", "globalnetworkpolicies");
const CLUSTER_WIDE: (&str, &str) = ("ClusterNetworkPolicy", "clusternetworkpolicies");
const TIER: (&str, &str) = ("Tier", "tiers");
const SET: (&str, &str) = ("NetworkSet", "networksets");
const GLOBAL_SET: (&str, &str) = ("GlobalNetworkSet", "globalnetworksets");
const HOST_ENDPOINT: (&str, &str) = ("HostEndpoint", "hostendpoints");
const ORDER: &str = "the order of Calico's policies";
const MEANT: &str = "whom selectors of Calico's policies mean";

/// All of them.
pub const KINDS: [PolicyKind; 19] = [
    policy(
        CILIUM,
        ("CiliumNetworkPolicy", "ciliumnetworkpolicies"),
        Where::Ends,
        &["v2"],
    ),
    policy(
        CILIUM,
        ("CiliumClusterwideNetworkPolicy", "ciliumclusterwidenetworkpolicies"),
        Where::Cluster,
        &["v2"],
    ),
    policy(CALICO, NETWORK_POLICY, Where::Ends, &["v3"]),
    policy(CALICO, GLOBAL, Where::Cluster, &["v3"]),
    referred(CALICO, TIER, &["v3"], ORDER),
    referred(CALICO, SET, &["v3"], MEANT),
    referred(CALICO, GLOBAL_SET, &["v3"], MEANT),
    referred(CALICO, HOST_ENDPOINT, &["v3"], MEANT),
    policy(CALICO_STORED, NETWORK_POLICY, Where::Ends, &["v1"]),
    policy(CALICO_STORED, GLOBAL, Where::Cluster, &["v1"]),
    referred(CALICO_STORED, TIER, &["v1"], ORDER),
    referred(CALICO_STORED, SET, &["v1"], MEANT),
    referred(CALICO_STORED, GLOBAL_SET, &["v1"], MEANT),
    referred(CALICO_STORED, HOST_ENDPOINT, &["v1"], MEANT),
    policy(
        ADMINS,
        ("AdminNetworkPolicy", "adminnetworkpolicies"),
        Where::Cluster,
        &["v1alpha1"],
    ),
    policy(
        ADMINS,
        ("BaselineAdminNetworkPolicy", "baselineadminnetworkpolicies"),
        Where::Cluster,
        &["v1alpha1"],
    ),
    policy(ADMINS, CLUSTER_WIDE, Where::Cluster, &["v1alpha2"]),
    policy(ANTREA, NETWORK_POLICY, Where::Ends, &[]),
    policy(ANTREA, CLUSTER_WIDE, Where::Cluster, &[]),
];

impl PolicyKind {
    /// As the API calls it in this version.
    fn resource(&self, version: &str) -> ApiResource {
        ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(self.group, version, self.kind), self.plural)
    }

    /// As it is called here: with its group where several groups have a kind of this name.
    fn name(&self) -> String {
        let same = KINDS.iter().filter(|other| other.kind == self.kind).count();
        let is_of_kubernetes = self.group == ADMINS || self.group == CILIUM;
        if (same == 1 && self.kind != NETWORK_POLICY.0) || is_of_kubernetes {
            self.kind.to_owned()
        } else {
            format!("{}.{}", self.kind, self.group)
        }
    }

    /// Which of these versions is read, and whether it is evaluated.
    fn version<'a>(&self, served: &'a [String]) -> Option<(&'a str, bool)> {
        let known = served.iter().find(|version| self.versions.contains(&version.as_str()));
        match known {
            Some(version) => Some((version, true)),
            None => served.first().map(|version| (version.as_str(), false)),
        }
    }
}

/// What was read.
#[derive(Debug, Default)]
pub struct OtherPolicies {
    /// Policies of kinds that are evaluated.
    pub objects: PolicyObjects,
    /// Policies of other kinds, by name only.
    pub unevaluated: Vec<ObjectRef>,
}

impl OtherPolicies {
    /// Puts all policies that were read into an inventory: these, and the `NetworkPolicies` of each namespace.
    pub fn keep(self, policies: Vec<Result<Vec<NetworkPolicy>, Refusal>>, inventory: &mut Inventory) {
        let mut unread = std::mem::take(&mut inventory.policy_objects.unread);
        unread.extend(self.objects.unread);
        inventory.policy_objects = PolicyObjects { unread, ..self.objects };
        inventory.other_policies = self.unevaluated;
        inventory.policies = policies
            .into_iter()
            .collect::<Result<Vec<_>, Refusal>>()
            .map(|lists| lists.concat())
            .map_err(|refused| refused.missing("network policies"))
            .into();
    }
}

/// One answer of the API.
enum Answer {
    Whole(Result<Vec<PolicyObject>, Refusal>),
    Names(Result<Vec<ObjectRef>, Refusal>),
}

/// Those of these namespaces and of the whole cluster. Kinds of groups that the cluster does not serve cost no call.
pub async fn policies(cluster: &ClusterApi, groups: &ApiGroups, namespaces: &BTreeSet<String>) -> OtherPolicies {
    let mut read = OtherPolicies::default();
    let mut asks = Vec::new();
    for kind in &KINDS {
        let Some(served) = groups.versions(kind.group) else {
            continue;
        };
        if !read.objects.serves(kind.group) {
            read.objects.groups.push(kind.group.to_owned());
        }
        // Calico's API server shows the objects of its CRDs.
        if kind.group == CALICO_STORED && groups.versions(CALICO).is_some() {
            continue;
        }
        let Some((version, evaluated)) = kind.version(served) else {
            continue;
        };
        match kind.place {
            Where::Cluster => asks.push((kind, version, evaluated, None)),
            Where::Ends => {
                let each = namespaces
                    .iter()
                    .map(|one| (kind, version, evaluated, Some(one.as_str())));
                asks.extend(each);
            }
        }
    }
    let answers = asks
        .into_iter()
        .map(|(kind, version, evaluated, namespace)| async move {
            let resource = kind.resource(version);
            let answer = if evaluated {
                Answer::Whole(cluster.policy_objects(&resource, namespace).await)
            } else {
                Answer::Names(cluster.foreign(&resource, namespace).await)
            };
            (kind.name(), namespace, answer)
        });
    for (kind, namespace, answer) in join_all(answers).await {
        let named = |object: ObjectRef| ObjectRef {
            kind: kind.clone(),
            ..object
        };
        let refused = match answer {
            Answer::Whole(Ok(objects)) => {
                read.objects
                    .objects
                    .extend(objects.into_iter().map(|object| PolicyObject {
                        object: named(object.object),
                        ..object
                    }));
                continue;
            }
            Answer::Names(Ok(objects)) => {
                read.unevaluated.extend(objects.into_iter().map(named));
                continue;
            }
            Answer::Whole(Err(refused)) | Answer::Names(Err(refused)) => refused,
        };
        // The server has the group, and an older release of its kinds may lack this one: Calico before 3.30 has no `Tier`.
        if !matches!(refused.kind, RefusalKind::NotFound | RefusalKind::NoSuchPath) {
            let of = namespace.map_or_else(String::new, |namespace| format!(" of namespace {namespace}"));
            read.objects.unread.push(refused.missing(format!("{kind} objects{of}")));
        }
    }
    read
}

/// A kind of policies that a cluster has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServedKind {
    /// As it is called here.
    pub name: String,
    /// The version that is read.
    pub version: String,
    /// Its policies are evaluated.
    pub evaluated: bool,
}

/// Those that this cluster has: one call for each group and version.
pub async fn served(cluster: &ClusterApi, groups: &ApiGroups) -> Result<Vec<ServedKind>, Refusal> {
    let has = |group: &str| groups.versions(group);
    let kinds: Vec<(&PolicyKind, &str, bool)> = KINDS
        .iter()
        .filter(|kind| kind.is_policy && !(kind.group == CALICO_STORED && has(CALICO).is_some()))
        .filter_map(|kind| {
            let (version, evaluated) = kind.version(has(kind.group)?)?;
            Some((kind, version, evaluated))
        })
        .collect();
    let asked: BTreeSet<(&str, &str)> = kinds.iter().map(|(kind, version, _)| (kind.group, *version)).collect();
    let asks = asked.into_iter().map(|(group, version)| async move {
        let plurals = cluster.plurals(group, version).await?;
        Ok::<_, Refusal>(((group, version), plurals))
    });
    let plurals: BTreeMap<(&str, &str), Vec<String>> = try_join_all(asks).await?.into_iter().collect();
    let there = kinds.into_iter().filter(|(kind, version, _)| {
        let of_version = plurals.get(&(kind.group, *version));
        of_version.is_some_and(|all| all.iter().any(|plural| plural == kind.plural))
    });
    let served = there.map(|(kind, version, evaluated)| ServedKind {
        name: kind.name(),
        version: version.to_owned(),
        evaluated,
    });
    Ok(served.collect())
}

/// Why nothing is known of them, where the groups of the cluster could not be read.
pub fn unread(refused: &Refusal) -> Missing {
    refused.missing("kinds of policies other than NetworkPolicy")
}
