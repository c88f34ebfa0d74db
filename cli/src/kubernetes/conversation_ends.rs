//! Both ends of a conversation that a pod was seen to have, resolved by the API: its peer is known by an address alone.

use super::cluster::ClusterApi;
use super::named_object::{BareName, NamedObject};
use super::resolved_ends::{EndsQuery, resolve};
use crate::inquiry::attempt_plan::Protocol;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::{NamedEnd, NamedPlace};
use crate::inquiry::object_name::{ObjectKind, ObjectName};
use crate::inquiry::question::Via;
use anyhow::Result;
use diagnoses::conversations::{Key, TargetRole};
use model::endpoint::{Endpoint, EndpointKind};
use model::flow::UDP;
use model::object_ref::ObjectRef;
use std::net::IpAddr;

/// Asks the API for all that the conversation touches.
pub async fn of(cluster: &ClusterApi, target: &Endpoint, key: &Key) -> Result<KnownEnds> {
    let protocol = if key.protocol == UDP {
        Protocol::Udp
    } else {
        Protocol::Tcp
    };
    let own = named(target);
    match key.role {
        TargetRole::Client => {
            let to = NamedEnd {
                place: NamedPlace::Address(key.server),
                port: Some(key.port),
                port_name: None,
            };
            between(cluster, &own, &to, protocol).await
        }
        TargetRole::Server => {
            let to = NamedEnd {
                port: Some(key.port),
                ..own.clone()
            };
            if let Some(from) = client(cluster, key.client).await {
                return between(cluster, &from, &to, protocol).await;
            }
            let mut ends = between(cluster, &own, &to, protocol).await?;
            ends.source = outside(key.client);
            Ok(ends)
        }
    }
}

async fn between(cluster: &ClusterApi, from: &NamedEnd, to: &NamedEnd, protocol: Protocol) -> Result<KnownEnds> {
    let asked = EndsQuery {
        intent: None,
        source: from,
        destination: to,
        protocol: Some(protocol),
        via: Via::default(),
        api_only: false,
    };
    Ok(resolve(cluster, &asked).await?.ends)
}

/// The client of this address, where it is a pod or a node.
async fn client(cluster: &ClusterApi, address: IpAddr) -> Option<NamedEnd> {
    let object = match cluster.find(&NamedPlace::Address(address), BareName::Pod).await.ok()? {
        NamedObject::Pod { pod, .. } => pod.object(),
        NamedObject::Node(node) => ObjectRef {
            kind: "Node".to_owned(),
            namespace: String::new(),
            name: node.name,
        },
        _ => return None,
    };
    Some(object_end(&object))
}

/// A pod or a node by its own name.
fn named(target: &Endpoint) -> NamedEnd {
    match &target.object {
        Some(object) => object_end(object),
        None => NamedEnd {
            place: NamedPlace::Name(target.asked.clone()),
            port: None,
            port_name: None,
        },
    }
}

fn object_end(object: &ObjectRef) -> NamedEnd {
    let is_node = object.kind == "Node";
    NamedEnd {
        place: NamedPlace::Object(ObjectName {
            kind: Some(if is_node { ObjectKind::Node } else { ObjectKind::Pod }),
            namespace: (!is_node).then(|| object.namespace.clone()),
            name: object.name.clone(),
        }),
        port: None,
        port_name: None,
    }
}

/// What is known by its address alone.
fn outside(address: IpAddr) -> Endpoint {
    Endpoint {
        asked: address.to_string(),
        kind: EndpointKind::Address,
        name: address.to_string(),
        addresses: vec![address],
        ..Endpoint::default()
    }
}
