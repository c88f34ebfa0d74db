//! Calls to the API: one object where one will do, field selectors, pages. Each answers with plain structs or says why not.

use super::connect::Cluster;
use super::inventory;
use super::refused::{Kind, Refused};
use super::rights::Right;
use k8s_openapi::api::authorization::v1 as authorization;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroupList;
use k8s_openapi::jiff::{Timestamp, fmt::rfc2822};
use kube::api::{ApiResource, DynamicObject, ListParams, PostParams};
use kube::core::PartialObjectMeta;
use kube::{Api, Resource};
use model::inventory::{EndpointSlice, Namespace, NetworkPolicy, Node, ObjectRef, Pod, Service};
use serde::de::DeserializeOwned;
use std::fmt::Debug;
use std::net::IpAddr;

/// Objects of one page of a list.
const PAGE: u32 = 500;
/// Names that are read to find one like a name that matches nothing.
const NAMES: u32 = 500;
/// Objects of one kind of foreign policy that are named.
const FOREIGN: u32 = 50;
/// Where kubelets renew their Leases.
const LEASES: &str = "kube-node-lease";

/// The groups of kinds that a server has, and its clock.
#[derive(Clone, Debug, Default)]
pub struct Groups {
    /// Name and preferred version of each group.
    pub groups: Vec<(String, String)>,
    /// When it answered, by its own clock.
    pub now: Option<Timestamp>,
}

impl Cluster {
    /// A pod, if there is one of this name.
    pub async fn pod(&self, namespace: &str, name: &str) -> Result<Option<Pod>, Refused> {
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), namespace);
        Ok(self.ask(|| api.get_opt(name)).await?.map(inventory::pod))
    }

    /// Pods of a namespace, those with these labels where a selector is given.
    pub async fn pods(&self, namespace: &str, labels: Option<&str>) -> Result<Vec<Pod>, Refused> {
        let api: Api<core::Pod> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams {
            label_selector: labels.map(str::to_owned),
            ..ListParams::default()
        };
        Ok(self.list(&api, params).await?.into_iter().map(inventory::pod).collect())
    }

    /// The pods of a node; the API server keeps an index of them.
    pub async fn pods_on(&self, node: &str) -> Result<Vec<Pod>, Refused> {
        let api: Api<core::Pod> = Api::all(self.client.clone());
        let params = ListParams::default().fields(&format!("spec.nodeName={node}"));
        Ok(self.list(&api, params).await?.into_iter().map(inventory::pod).collect())
    }

    /// The pods that have this address.
    pub async fn pods_at(&self, address: IpAddr) -> Result<Vec<Pod>, Refused> {
        let api: Api<core::Pod> = Api::all(self.client.clone());
        let params = ListParams::default().fields(&format!("status.podIP={address}"));
        Ok(self.list(&api, params).await?.into_iter().map(inventory::pod).collect())
    }

    /// A service, if there is one of this name.
    pub async fn service(&self, namespace: &str, name: &str) -> Result<Option<Service>, Refused> {
        let api: Api<core::Service> = Api::namespaced(self.client.clone(), namespace);
        Ok(self.ask(|| api.get_opt(name)).await?.map(inventory::service))
    }

    /// The services of a namespace, those with these labels where a selector is given.
    pub async fn services(&self, namespace: &str, labels: Option<&str>) -> Result<Vec<Service>, Refused> {
        let api: Api<core::Service> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams {
            label_selector: labels.map(str::to_owned),
            ..ListParams::default()
        };
        Ok(self
            .list(&api, params)
            .await?
            .into_iter()
            .map(inventory::service)
            .collect())
    }

    /// The service that has this address.
    pub async fn service_at(&self, address: IpAddr) -> Result<Option<Service>, Refused> {
        let api: Api<core::Service> = Api::all(self.client.clone());
        let params = ListParams::default().fields(&format!("spec.clusterIP={address}"));
        Ok(self
            .list(&api, params)
            .await?
            .into_iter()
            .next()
            .map(inventory::service))
    }

    /// The slices of a service.
    pub async fn slices(&self, namespace: &str, service: &str) -> Result<Vec<EndpointSlice>, Refused> {
        let api: Api<discovery::EndpointSlice> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default().labels(&format!("{}={service}", inventory::SERVICE_NAME));
        Ok(self
            .list(&api, params)
            .await?
            .into_iter()
            .map(inventory::slice)
            .collect())
    }

    /// The policies of a namespace.
    pub async fn policies(&self, namespace: &str) -> Result<Vec<NetworkPolicy>, Refused> {
        let api: Api<networking::NetworkPolicy> = Api::namespaced(self.client.clone(), namespace);
        let params = ListParams::default();
        Ok(self
            .list(&api, params)
            .await?
            .into_iter()
            .map(inventory::policy)
            .collect())
    }

    /// A namespace with its labels, if there is one of this name.
    pub async fn namespace(&self, name: &str) -> Result<Option<Namespace>, Refused> {
        let api: Api<core::Namespace> = Api::all(self.client.clone());
        let found = self.ask(|| api.get_metadata_opt(name)).await?;
        Ok(found.map(|found| Namespace {
            name: name.to_owned(),
            labels: found.metadata.labels.unwrap_or_default(),
        }))
    }

    /// A node, if there is one of this name.
    pub async fn node(&self, name: &str) -> Result<Option<Node>, Refused> {
        let api: Api<core::Node> = Api::all(self.client.clone());
        Ok(self.ask(|| api.get_opt(name)).await?.map(inventory::node))
    }

    /// Whether the user may do this, by the API server's own word.
    pub async fn may(&self, right: &Right, verb: &str, namespace: Option<&str>) -> Result<bool, Refused> {
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

    /// All nodes.
    pub async fn every_node(&self) -> Result<Vec<Node>, Refused> {
        let api: Api<core::Node> = Api::all(self.client.clone());
        let params = ListParams::default();
        Ok(self
            .list(&api, params)
            .await?
            .into_iter()
            .map(inventory::node)
            .collect())
    }

    /// When a node's kubelet was last heard of.
    pub async fn renewed(&self, node: &str) -> Result<Option<Timestamp>, Refused> {
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
    ) -> Result<Option<String>, Refused> {
        let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), namespace, resource);
        let found = self.ask(|| api.get_opt(name)).await?;
        Ok(found.map(|found| selector_text(found.data.pointer("/spec/selector"))))
    }

    /// Names of the objects of a kind; of the first ones, where there are very many.
    pub async fn names(&self, resource: &ApiResource, namespace: Option<&str>) -> Result<Vec<String>, Refused> {
        Ok(self
            .named(resource, namespace, NAMES)
            .await?
            .into_iter()
            .map(|object| object.name)
            .collect())
    }

    /// Objects of a kind that is not evaluated here.
    pub async fn foreign(&self, resource: &ApiResource, namespace: Option<&str>) -> Result<Vec<ObjectRef>, Refused> {
        self.named(resource, namespace, FOREIGN).await
    }

    async fn named(
        &self,
        resource: &ApiResource,
        namespace: Option<&str>,
        limit: u32,
    ) -> Result<Vec<ObjectRef>, Refused> {
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

    /// The groups of kinds that there are, with the server's clock.
    pub async fn groups(&self) -> Result<Groups, Refused> {
        let (body, now) = self
            .ask(|| async {
                let request = http::Request::get("/apis").body(kube::client::Body::empty());
                let answer = self.client.send(request.map_err(kube::Error::HttpError)?).await?;
                let date = answer.headers().get(http::header::DATE);
                let now = date.and_then(|date| rfc2822::parse(date.to_str().ok()?).ok());
                let code = answer.status();
                let body = answer.into_body().collect_bytes().await?;
                if code.is_success() {
                    let list: APIGroupList = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
                    Ok((list, now.map(|now| now.timestamp())))
                } else {
                    let text = String::from_utf8_lossy(&body).into_owned();
                    let status = serde_json::from_str(&text)
                        .unwrap_or_else(|_| kube::core::Status::failure(&text, NO_STATUS).with_code(code.as_u16()));
                    Err(kube::Error::Api(Box::new(status)))
                }
            })
            .await?;
        let version = |group: &k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup| {
            let preferred = group.preferred_version.as_ref().or_else(|| group.versions.first());
            preferred.map(|version| version.version.clone()).unwrap_or_default()
        };
        Ok(Groups {
            groups: body
                .groups
                .iter()
                .map(|group| (group.name.clone(), version(group)))
                .collect(),
            now,
        })
    }

    /// A whole list, page by page. A list that changes too fast for its pages is begun anew once.
    async fn list<K>(&self, api: &Api<K>, params: ListParams) -> Result<Vec<K>, Refused>
    where
        K: Resource + Clone + DeserializeOwned + Debug,
    {
        let mut begun_anew = false;
        let mut params = params.limit(PAGE);
        let mut items = Vec::new();
        loop {
            match self.ask(|| api.list(&params)).await {
                Ok(page) => {
                    items.extend(page.items);
                    match page.metadata.continue_.filter(|token| !token.is_empty()) {
                        Some(token) => params.continue_token = Some(token),
                        None => return Ok(items),
                    }
                }
                Err(refused) if refused.kind == Kind::Gone && !begun_anew => {
                    begun_anew = true;
                    items.clear();
                    params.continue_token = None;
                }
                Err(refused) => return Err(refused),
            }
        }
    }
}

/// kube's own reason for an answer that is no `Status`.
pub const NO_STATUS: &str = "Failed to parse error data";

/// A `LabelSelector` as the API takes it in a query.
fn selector_text(selector: Option<&serde_json::Value>) -> String {
    let Some(selector) = selector else { return String::new() };
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
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
