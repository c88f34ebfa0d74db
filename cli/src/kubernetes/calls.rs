//! Calls to the API: one object where one will do, field selectors, pages. Each answers with plain structs or says why not.

use super::cluster::ClusterApi;
use super::list::{self, ListRead};
use super::plain_objects;
use super::refusal::Refusal;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{APIGroupList, APIResourceList};
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::core::PartialObjectMeta;
use model::inventory::{EndpointSlice, Namespace, NetworkPolicy, Node, Pod, PodWarning, Service};
use model::object_ref::ObjectRef;
use model::policy_objects::PolicyObject;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Names that are read to find one like a name that matches nothing.
const NAMES: u32 = 500;
/// Objects of one kind of foreign policy that are named.
const FOREIGN: u32 = 50;
/// Where kubelets renew their Leases.
const LEASES: &str = "kube-node-lease";
/// Events about one pod that are kept while they are read.
const EVENTS_KEPT: usize = 50;
/// Pods that have ended for good have no packets, and a namespace may hold any number of them.
const NOT_ENDED: &str = "status.phase!=Succeeded,status.phase!=Failed";

/// The groups of kinds that a server has, and its clock.
#[derive(Clone, Debug, Default)]
pub struct ApiGroups {
    /// Name and versions of each group, the preferred version first.
    pub groups: Vec<(String, Vec<String>)>,
    /// When it answered, by its own clock.
    pub now: Option<Timestamp>,
}

impl ApiGroups {
    /// The versions of a group, if the server has it.
    #[must_use]
    pub fn versions(&self, group: &str) -> Option<&[String]> {
        let found = self.groups.iter().find(|(name, _)| name == group)?;
        Some(&found.1)
    }
}

impl ClusterApi {
    /// A pod, if there is one of this name.
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Pod>, Refusal> {
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), namespace);
        Ok(self.ask(|| api.get_opt(name)).await?.map(plain_objects::pod))
    }

    /// Pods of a namespace, those with these labels where a selector is given.
    pub async fn pods(&self, namespace: &str, labels: Option<&str>) -> Result<Vec<Pod>, Refusal> {
        let params = ListParams {
            label_selector: labels.map(str::to_owned),
            ..ListParams::default()
        };
        self.list::<core::Pod, _, _>(Some(namespace), params, plain_objects::pod)
            .await
    }

    /// Pods of a namespace that have not ended, on one node where one is given, until `take` has enough.
    pub async fn live_pods<S: Default>(
        &self,
        namespace: &str,
        labels: Option<&str>,
        node: Option<&str>,
        take: impl Fn(&mut S, Pod) -> ControlFlow<()>,
    ) -> Result<ListRead<S>, Refusal> {
        let on_node = node.map_or_else(String::new, |node| format!(",spec.nodeName={node}"));
        let params = ListParams {
            label_selector: labels.map(str::to_owned),
            ..ListParams::default().fields(&format!("{NOT_ENDED}{on_node}"))
        };
        self.fold::<core::Pod, _, _>(Some(namespace), params, |kept, pod| take(kept, plain_objects::pod(pod)))
            .await
    }

    /// The pods of a node; the API server keeps an index of them.
    pub async fn pods_on(&self, node: &str) -> Result<Vec<Pod>, Refusal> {
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        self.list::<core::Pod, _, _>(None, params, plain_objects::pod).await
    }

    /// The pods that have this address.
    pub async fn pods_at(&self, address: IpAddr) -> Result<Vec<Pod>, Refusal> {
        let params = ListParams::default().fields(&format!("status.podIP={address}"));
        self.list::<core::Pod, _, _>(None, params, plain_objects::pod).await
    }

    /// What events of type `Warning` say about a pod, the newest first, each reason once.
    pub async fn warnings(&self, pod: &Pod) -> Result<Vec<PodWarning>, Refusal> {
        // By its identity: whoever may write events may write any about a pod of that name.
        let wanted = format!("involvedObject.uid={},type=Warning", pod.uid);
        let params = ListParams::default().fields(&wanted);
        let kept = |newest: &mut Vec<core::Event>, event| {
            newest.push(event);
            if newest.len() > 2 * EVENTS_KEPT {
                plain_objects::newest_first(newest);
                newest.truncate(EVENTS_KEPT);
            }
            ControlFlow::Continue(())
        };
        let listed = self.fold::<core::Event, _, Vec<core::Event>>(Some(&pod.namespace), params, kept);
        Ok(plain_objects::warnings(listed.await?.kept))
    }

    /// A service, if there is one of this name.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Option<Service>, Refusal> {
        let api: Api<core::Service> = Api::namespaced(self.client.clone(), namespace);
        Ok(self.ask(|| api.get_opt(name)).await?.map(plain_objects::service))
    }

    /// The services of a namespace, those with these labels where a selector is given.
    pub async fn services(&self, namespace: &str, labels: Option<&str>) -> Result<Vec<Service>, Refusal> {
        let params = ListParams {
            label_selector: labels.map(str::to_owned),
            ..ListParams::default()
        };
        self.list::<core::Service, _, _>(Some(namespace), params, plain_objects::service)
            .await
    }

    /// The service that has this address.
    pub async fn service_at(&self, address: IpAddr) -> Result<Option<Service>, Refusal> {
        let params = ListParams::default().fields(&format!("spec.clusterIP={address}"));
        let found = self.list::<core::Service, _, _>(None, params, plain_objects::service);
        Ok(found.await?.into_iter().next())
    }

    /// The slices of a service.
    pub async fn slices(&self, namespace: &str, service: &str) -> Result<Vec<EndpointSlice>, Refusal> {
        let params = ListParams::default().labels(&format!("{}={service}", plain_objects::SERVICE_NAME));
        self.list::<discovery::EndpointSlice, _, _>(Some(namespace), params, plain_objects::slice)
            .await
    }

    /// The policies of a namespace.
    pub async fn policies(&self, namespace: &str) -> Result<Vec<NetworkPolicy>, Refusal> {
        let params = ListParams::default();
        self.list::<networking::NetworkPolicy, _, _>(Some(namespace), params, plain_objects::policy)
            .await
    }

    /// A namespace with its labels, if there is one of this name.
    pub async fn namespace(&self, name: &str) -> Result<Option<Namespace>, Refusal> {
        let api: Api<core::Namespace> = Api::all(self.client.clone());
        let found = self.ask(|| api.get_metadata_opt(name)).await?;
        Ok(found.map(|found| Namespace {
            name: name.to_owned(),
            labels: found.metadata.labels.unwrap_or_default(),
        }))
    }

    /// A node, if there is one of this name.
    pub async fn node(&self, name: &str) -> Result<Option<Node>, Refusal> {
        let api: Api<core::Node> = Api::all(self.client.clone());
        Ok(self.ask(|| api.get_opt(name)).await?.map(plain_objects::node))
    }

    /// All nodes.
    pub async fn every_node(&self) -> Result<Vec<Node>, Refusal> {
        self.list::<core::Node, _, _>(None, ListParams::default(), plain_objects::node)
            .await
    }

    /// When the kubelet of each node last renewed its Lease.
    pub async fn every_renewal(&self) -> Result<BTreeMap<String, Timestamp>, Refusal> {
        #[derive(Deserialize)]
        struct Renewal {
            metadata: Named,
            spec: Option<LeaseSpec>,
        }
        #[derive(Deserialize)]
        struct Named {
            name: String,
        }
        let renewed = |lease: Renewal| Some((lease.metadata.name, lease.spec?.renew_time?.0));
        let listed = self.list::<Lease, _, _>(Some(LEASES), ListParams::default(), renewed);
        Ok(listed.await?.into_iter().flatten().collect())
    }

    /// When a node's kubelet last renewed its Lease.
    pub async fn renewed(&self, node: &str) -> Result<Option<Timestamp>, Refusal> {
        let api: Api<Lease> = Api::namespaced(self.client.clone(), LEASES);
        let lease = self.ask(|| api.get_opt(node)).await?;
        Ok(lease.and_then(|lease| lease.spec?.renew_time).map(|renewed| renewed.0))
    }

    /// The labels that a workload (`Deployment`, `Job`, ...) selects its pods by, if there is one of this name.
    pub async fn selector_of(
        &self,
        resource: &ApiResource,
        namespace: &str,
        name: &str,
    ) -> Result<Option<String>, Refusal> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, resource);
        let found = self.ask(|| api.get_opt(name)).await?;
        Ok(found.map(|found| selector_text(found.data.pointer("/spec/selector"))))
    }

    /// Names of the objects of a kind; of the first ones, where there are very many.
    pub async fn names(&self, resource: &ApiResource, namespace: Option<&str>) -> Result<Vec<String>, Refusal> {
        Ok(self
            .named(resource, namespace, NAMES)
            .await?
            .into_iter()
            .map(|object| object.name)
            .collect())
    }

    /// Policies of a kind that is evaluated, and what they refer to.
    pub async fn policy_objects(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
    ) -> Result<Vec<PolicyObject>, Refusal> {
        #[derive(Deserialize)]
        struct Written {
            metadata: About,
            #[serde(default)]
            spec: Value,
            specs: Option<Vec<Value>>,
        }
        #[derive(Deserialize)]
        struct About {
            name: String,
            #[serde(default)]
            namespace: String,
            #[serde(default)]
            labels: BTreeMap<String, String>,
        }
        let plain = |written: Written| PolicyObject {
            api_version: resource.api_version.clone(),
            object: ObjectRef {
                kind: resource.kind.clone(),
                namespace: written.metadata.namespace,
                name: written.metadata.name,
            },
            labels: written.metadata.labels,
            spec: written.spec,
            specs: written.specs.unwrap_or_default(),
        };
        self.list_of(resource, namespace, plain).await
    }

    /// Objects of a kind that is not evaluated here.
    pub async fn foreign(&self, resource: &ApiResource, namespace: Option<&str>) -> Result<Vec<ObjectRef>, Refusal> {
        self.named(resource, namespace, FOREIGN).await
    }

    async fn named(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ObjectRef>, Refusal> {
        let api: Api<DynamicObject> = match namespace {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        };
        let params = ListParams::default().limit(limit);
        let list = self.ask(|| api.list_metadata(&params)).await?;
        let object = |object: PartialObjectMeta<DynamicObject>| ObjectRef {
            kind: resource.kind.clone(),
            namespace: object.metadata.namespace.unwrap_or_default(),
            name: object.metadata.name.unwrap_or_default(),
        };
        Ok(list.items.into_iter().map(object).collect())
    }

    /// How the kinds of a group and version are called in paths.
    pub async fn plurals(&self, group: &str, version: &str) -> Result<Vec<String>, Refusal> {
        let api_version = format!("{group}/{version}");
        let listed: APIResourceList = self.ask(|| self.client.list_api_group_resources(&api_version)).await?;
        Ok(listed.resources.into_iter().map(|resource| resource.name).collect())
    }

    /// The groups of kinds that there are, with the server's clock.
    pub async fn groups(&self) -> Result<ApiGroups, Refusal> {
        let answer = self.ask(|| async {
            let request = http::Request::get("/apis").body(Vec::new());
            let answered = list::answer(&self.client, request.map_err(kube::Error::HttpError)?).await?;
            let groups = serde_json::from_slice(&answered.body).map_err(kube::Error::SerdeError)?;
            Ok((groups, answered.now))
        });
        let (body, now): (APIGroupList, _) = answer.await?;
        let versions = |group: &k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup| {
            let mut versions: Vec<String> = Vec::new();
            for version in group.preferred_version.iter().chain(&group.versions) {
                if !versions.contains(&version.version) {
                    versions.push(version.version.clone());
                }
            }
            versions
        };
        Ok(ApiGroups {
            groups: body
                .groups
                .iter()
                .map(|group| (group.name.clone(), versions(group)))
                .collect(),
            now,
        })
    }
}

/// A `LabelSelector` as the API takes it in a query.
pub(super) fn selector_text(selector: Option<&Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut parts: Vec<String> = Vec::new();
    if let Some(labels) = selector.get("matchLabels").and_then(|labels| labels.as_object()) {
        parts.extend(labels.iter().map(|(key, value)| format!("{key}={}", text(value))));
    }
    let expressions = selector.get("matchExpressions").and_then(|list| list.as_array());
    for expression in expressions.into_iter().flatten() {
        let key = expression.get("key").map(text).unwrap_or_default();
        let values = expression.get("values").and_then(|values| values.as_array());
        let values: Vec<String> = values.into_iter().flatten().map(text).collect();
        parts.push(
            match expression.get("operator").and_then(|operator| operator.as_str()) {
                Some("In") => format!("{key} in ({})", values.join(",")),
                Some("NotIn") => format!("{key} notin ({})", values.join(",")),
                Some("DoesNotExist") => format!("!{key}"),
                _ => key,
            },
        );
    }
    parts.join(",")
}

#[cfg(test)]
mod tests {
    use super::selector_text;
    use serde_json::json;

    #[test]
    fn a_workloads_selector_is_written_as_a_query_has_it() {
        let selector = json!({
            "matchLabels": {"app": "web"},
            "matchExpressions": [
                {"key": "tier", "operator": "In", "values": ["a", "b"]},
                {"key": "old", "operator": "DoesNotExist"},
                {"key": "job", "operator": "Exists"},
            ],
        });
        assert_eq!(selector_text(Some(&selector)), "app=web,tier in (a,b),!old,job");
    }
}
