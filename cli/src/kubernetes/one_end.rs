//! One end of a cluster that a question is about, resolved by the API: its pods, and the nodes that they are on.

use super::capture_scope::{CaptureScope, ScopeRequest};
use super::cluster::ClusterApi;
use super::named_object::has_network;
use super::resolved_ends::pod_end;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::{NamedEnd, NamedPlace};
use crate::inquiry::object_name::ObjectKind;
use crate::render::note;
use anyhow::Result;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::Intent;
use model::inventory::Pod;
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
