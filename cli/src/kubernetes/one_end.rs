//! One end of a cluster that a question is about, resolved by the API: its pods, and the nodes that they are on.

use super::capture_scope::{CaptureScope, ScopeRequest};
use super::cluster::ClusterApi;
use super::ends_inventory::EndsInventory;
use super::named_object::{BareName, NamedObject, has_network};
use super::resolved_ends::{pod_end, service_end};
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::{NamedEnd, NamedPlace};
use crate::inquiry::object_name::ObjectKind;
use crate::render::note;
use anyhow::Result;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::Intent;
use model::inventory::{Container, Pod};
use model::missing::Known;
use model::object_ref::ObjectRef;
use model::owner::Owner;

/// Asks the API which pods are meant, and where they are. What the target is decides the intent that was left out.
pub async fn resolve(
    cluster: &ClusterApi,
    target: &NamedEnd,
    text: &str,
    intent: Option<Intent>,
    max_nodes: usize,
) -> Result<(Intent, KnownEnds)> {
    let intent = intent.unwrap_or_else(|| fitting(target));
    if matches!(intent, Intent::Pod | Intent::Service)
        && let Some(ends) = without_packets(cluster, target, intent).await?
    {
        return Ok((intent, ends));
    }
    let (scope, source) = match intent {
        Intent::Namespace => namespace(cluster, text, max_nodes).await?,
        Intent::Node => node(cluster, target, text, max_nodes).await?,
        _ => pods(cluster, target, text, intent, max_nodes).await?,
    };
    for line in &scope.notes {
        note(line);
    }
    let backends: Vec<Endpoint> = match intent {
        Intent::Node => {
            let own = |pod: &&Pod| scope.nodes.contains_key(&pod.node) && has_network(pod) && !pod.host_network;
            scope.inventory.pods.iter().filter(own).map(pod_of).collect()
        }
        _ => scope.nodes.values().flatten().map(pod_of).collect(),
    };
    let source = match backends.as_slice() {
        [only] if intent == Intent::Pod => only.clone(),
        _ => source,
    };
    Ok((
        intent,
        KnownEnds {
            source,
            backends,
            nodes: scope.nodes.into_keys().collect(),
            inventory: Known::Known(scope.inventory),
            ..KnownEnds::default()
        },
    ))
}

/// A pod that does not run, or a service without an endpoint: there are no packets to look at, and the API alone tells why. `None`
/// for what can be watched.
async fn without_packets(cluster: &ClusterApi, target: &NamedEnd, intent: Intent) -> Result<Option<KnownEnds>> {
    if let NamedPlace::Object(object) = &target.place
        && object
            .kind
            .is_some_and(|kind| !matches!(kind, ObjectKind::Pod | ObjectKind::Service))
    {
        // All pods of a workload are meant, and those that run can be watched.
        return Ok(None);
    }
    let bare = if intent == Intent::Service {
        BareName::Service
    } else {
        BareName::PodElseService
    };
    let found = cluster.find(&target.place, bare).await?;
    let (end, nodes) = match &found {
        // What has done its work is well.
        NamedObject::Pod { pod, .. } if !runs(pod) && pod.phase != "Succeeded" => {
            let node = Some(pod.node.clone()).filter(|node| !node.is_empty());
            (pod_end(pod, target.asked()), Vec::from_iter(node))
        }
        NamedObject::Service {
            service,
            slices: Ok(slices),
        } if service.external_name.is_none() => {
            let endpoints = &mut slices.iter().flat_map(|slice| &slice.endpoints);
            if endpoints.any(|endpoint| endpoint.ready || endpoint.serving) {
                return Ok(None);
            }
            (service_end(service, target.asked(), Vec::new()), Vec::new())
        }
        _ => return Ok(None),
    };
    let groups = cluster.groups().await;
    let nobody = NamedObject::Name(String::new());
    let read = EndsInventory::read(cluster, true, &nobody, &found, &nodes, groups).await;
    Ok(Some(KnownEnds {
        source: end,
        inventory: Known::Known(read.inventory),
        ..KnownEnds::default()
    }))
}

/// One of its programs runs, or may: the kubelet has not told of it.
fn runs(pod: &Pod) -> bool {
    let runs = |container: &Container| !matches!(container.state.as_str(), "waiting" | "terminated");
    has_network(pod) && (pod.containers.is_empty() || pod.containers.iter().any(runs))
}

/// What a target's own words say it is.
fn fitting(target: &NamedEnd) -> Intent {
    match &target.place {
        NamedPlace::Object(object) if object.kind == Some(ObjectKind::Node) => Intent::Node,
        NamedPlace::Object(object) if object.kind == Some(ObjectKind::Service) => Intent::Service,
        _ => Intent::Pod,
    }
}

async fn pods(
    cluster: &ClusterApi,
    target: &NamedEnd,
    text: &str,
    intent: Intent,
    max_nodes: usize,
) -> Result<(CaptureScope, Endpoint)> {
    let bare = matches!(&target.place, NamedPlace::Object(object) if object.kind.is_none());
    let words = if intent == Intent::Service && bare {
        format!("svc/{text}")
    } else {
        text.to_owned()
    };
    let scope = cluster
        .scope(&ScopeRequest {
            targets: vec![words],
            max_nodes,
            ..ScopeRequest::default()
        })
        .await?;
    let kind = if intent == Intent::Service {
        "Service"
    } else {
        "Workload"
    };
    Ok((scope, several(text, EndpointKind::Service, kind)))
}

async fn node(
    cluster: &ClusterApi,
    target: &NamedEnd,
    text: &str,
    max_nodes: usize,
) -> Result<(CaptureScope, Endpoint)> {
    let name = match &target.place {
        NamedPlace::Object(object) => object.name.clone(),
        _ => text.to_owned(),
    };
    let scope = cluster
        .scope(&ScopeRequest {
            nodes: vec![name.clone()],
            max_nodes,
            ..ScopeRequest::default()
        })
        .await?;
    let addresses = scope
        .inventory
        .node(&name)
        .map(|node| node.addresses.clone())
        .unwrap_or_default();
    let end = Endpoint {
        node: name.clone(),
        addresses,
        owner: Owner::Host,
        ..several(&name, EndpointKind::Node, "Node")
    };
    Ok((scope, end))
}

async fn namespace(cluster: &ClusterApi, name: &str, max_nodes: usize) -> Result<(CaptureScope, Endpoint)> {
    let name = name
        .strip_prefix("namespace/")
        .or(name.strip_prefix("ns/"))
        .unwrap_or(name);
    let name = if name.is_empty() { &cluster.namespace } else { name };
    let there = ClusterApi {
        namespace: name.to_owned(),
        ..cluster.clone()
    };
    let scope = there
        .scope(&ScopeRequest {
            max_nodes,
            ..ScopeRequest::default()
        })
        .await?;
    Ok((scope, several(name, EndpointKind::Service, "Namespace")))
}

/// What stands for several pods.
fn several(name: &str, kind: EndpointKind, object: &str) -> Endpoint {
    Endpoint {
        asked: name.to_owned(),
        kind,
        name: name.to_owned(),
        object: Some(ObjectRef {
            kind: object.to_owned(),
            namespace: String::new(),
            name: name.to_owned(),
        }),
        ..Endpoint::default()
    }
}

fn pod_of(pod: &Pod) -> Endpoint {
    pod_end(pod, pod.full_name())
}
