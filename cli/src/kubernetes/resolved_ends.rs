//! Both ends of a question, resolved by the API: what they are, what lies behind them, and which nodes matter.

use super::chosen_port::{self, ChosenPort};
use super::cluster::ClusterApi;
use super::ends_inventory::EndsInventory;
use super::named_object::{BareName, NamedObject, has_network};
use super::service_backends;
use crate::exit::{NotThere, WrongUsage};
use crate::inquiry::attempt_plan::Protocol;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::NamedEnd;
use crate::inquiry::question::{Via, intent_name};
use anyhow::Result;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::Intent;
use model::inventory::{Node, Pod, Service};
use model::missing::Known;
use model::object_ref::ObjectRef;
use model::owner::Owner;
use std::net::IpAddr;

/// The namespace and name of the cluster's DNS, by convention of every distribution.
const DNS: (&str, &str) = ("kube-system", "kube-dns");
/// Labels by which it is found where it has another name.
const DNS_LABELS: &str = "k8s-app=kube-dns";
/// Port of DNS.
const DNS_PORT: u16 = 53;

/// What the user asked of a cluster.
#[derive(Clone, Debug)]
pub struct EndsQuery<'a> {
    /// What for; follows from what the ends are where it was not given.
    pub intent: Option<Intent>,
    /// The end that sends.
    pub source: &'a NamedEnd,
    /// The end that should answer; for a lookup its name.
    pub destination: &'a NamedEnd,
    /// What to send, where that was given.
    pub protocol: Option<Protocol>,
    /// By which address of a service.
    pub via: Via,
    /// Nothing is to be started on nodes.
    pub api_only: bool,
}

/// What it comes to.
#[derive(Clone, Debug)]
pub struct ResolvedEnds {
    /// Both ends.
    pub ends: KnownEnds,
    /// What for.
    pub intent: Intent,
    /// What to send.
    pub protocol: Protocol,
    /// What was decided for the asker.
    pub notes: Vec<String>,
}

/// Asks the API for all that the question touches.
pub async fn resolve(cluster: &ClusterApi, asked: &EndsQuery<'_>) -> Result<ResolvedEnds> {
    let (bare_source, bare_destination) = bare(asked.intent);
    let lookup = asked.intent == Some(Intent::Dns);
    let destination = async {
        if lookup {
            Ok(dns(cluster).await)
        } else {
            cluster.find(&asked.destination.place, bare_destination).await
        }
    };
    let (source, destination, groups) = tokio::join!(
        cluster.find(&asked.source.place, bare_source),
        destination,
        cluster.groups()
    );
    let (source, destination) = (source?, destination?);
    let mut notes: Vec<String> = [&source, &destination].into_iter().filter_map(chosen).collect();
    let intent = fitting(asked.intent, &source, &destination);
    if asked.intent != Some(intent) {
        notes.push(explain_intent(asked.intent, intent, &destination));
    }
    let port = if lookup {
        ChosenPort {
            port: Some(DNS_PORT),
            protocol: Protocol::Udp,
            note: None,
        }
    } else {
        ports(&destination, asked)?
    };
    notes.extend(port.note.clone());

    let end = source_end(&source, asked.source)?;
    let backends = match &destination {
        NamedObject::Service {
            service,
            slices: Ok(slices),
        } => service_backends::backends(service, slices, &port, &end.node, asked.via),
        _ => Vec::new(),
    };
    let worth = service_backends::nodes(&end.node, node_of(&destination), &backends);
    let mut gathered = EndsInventory::read(cluster, asked.api_only, &source, &destination, &worth.chosen, groups).await;
    gathered.inventory.missing.extend(worth.left_out);
    let mut far = destination_end(&destination, asked, &port, &end, &gathered)?;
    // By another address a service may have another port.
    far.port = far.port.or(port.port);
    far.port_name.clone_from(&asked.destination.port_name);
    let backends = backends
        .into_iter()
        .map(|backend| service_backends::owned(backend, &gathered.inventory))
        .collect();
    let sendable = can_send(&source, &destination, &port, asked, lookup);
    let watched = if asked.api_only || !sendable {
        Vec::new()
    } else {
        gathered.watchable(worth.chosen)
    };
    Ok(ResolvedEnds {
        ends: KnownEnds {
            source: end,
            destination: far,
            backends,
            nodes: watched,
            inventory: Known::Known(gathered.inventory),
            settled: Some((intent, port.protocol)),
        },
        intent,
        protocol: port.protocol,
        notes,
    })
}

/// What bare names are, by what is asked.
fn bare(intent: Option<Intent>) -> (BareName, BareName) {
    match intent {
        Some(Intent::NodeToPod) => (BareName::Node, BareName::PodElseService),
        Some(Intent::PodToService) => (BareName::Pod, BareName::Service),
        Some(Intent::PodToNode) => (BareName::Pod, BareName::Node),
        _ => (BareName::Pod, BareName::PodElseService),
    }
}

/// The cluster's DNS service.
async fn dns(cluster: &ClusterApi) -> NamedObject {
    let (namespace, name) = DNS;
    let (service, slices) = tokio::join!(cluster.service(namespace, name), cluster.slices(namespace, name));
    if let Ok(Some(service)) = service {
        return NamedObject::Service { service, slices };
    }
    let others = cluster.services(namespace, Some(DNS_LABELS)).await;
    if let Some(service) = others.unwrap_or_default().into_iter().next() {
        let slices = cluster.slices(&service.namespace, &service.name).await;
        return NamedObject::Service { service, slices };
    }
    NamedObject::Name(format!("{namespace}/{name}"))
}

/// The intent that fits what was found.
fn fitting(asked: Option<Intent>, source: &NamedObject, destination: &NamedObject) -> Intent {
    match (asked, destination) {
        (Some(Intent::Dns), _) => Intent::Dns,
        (_, NamedObject::Service { .. } | NamedObject::NoService { .. }) => Intent::PodToService,
        (_, NamedObject::Node(_)) => Intent::PodToNode,
        (_, NamedObject::Pod { .. }) if matches!(source, NamedObject::Node(_)) => Intent::NodeToPod,
        (_, NamedObject::Pod { .. }) => Intent::PodToPod,
        (_, NamedObject::Address(_) | NamedObject::Name(_)) => Intent::PodToExternal,
    }
}

fn explain_intent(asked: Option<Intent>, intent: Intent, destination: &NamedObject) -> String {
    let what = match destination {
        NamedObject::Pod { pod, .. } => format!("{} is a pod", pod.full_name()),
        NamedObject::Service { service, .. } => format!("{} is a service", service.full_name()),
        NamedObject::NoService { object, .. } => format!("{}/{} would be a service", object.namespace, object.name),
        NamedObject::Node(node) => format!("{} is a node", node.name),
        NamedObject::Address(address) => format!("{address} belongs to nothing in the cluster"),
        NamedObject::Name(name) => format!("{name} is a name outside the cluster"),
    };
    let instead = asked.map_or_else(String::new, |asked| format!(", not as {}", intent_name(asked)));
    format!("{what}: looking at it as {}{instead}", intent_name(intent))
}

fn chosen(thing: &NamedObject) -> Option<String> {
    match thing {
        NamedObject::Pod { chosen, .. } => chosen.clone(),
        _ => None,
    }
}

fn ports(destination: &NamedObject, asked: &EndsQuery) -> Result<ChosenPort> {
    match destination {
        NamedObject::Pod { pod, .. } => chosen_port::of_pod(pod, asked.destination, asked.protocol),
        NamedObject::Service { service, .. } => chosen_port::of_service(service, asked.destination, asked.protocol),
        NamedObject::Node(node) => chosen_port::of_node(node, asked.destination, asked.protocol),
        NamedObject::NoService { .. } => Ok(ChosenPort {
            port: asked.destination.port,
            protocol: asked.protocol.unwrap_or_default(),
            note: None,
        }),
        NamedObject::Address(_) | NamedObject::Name(_) => chosen_port::of_outside(asked.destination, asked.protocol),
    }
}

/// The node of an end; empty where it is on none.
fn node_of(thing: &NamedObject) -> &str {
    match thing {
        NamedObject::Pod { pod, .. } => &pod.node,
        NamedObject::Node(node) => &node.name,
        _ => "",
    }
}

fn source_end(source: &NamedObject, target: &NamedEnd) -> Result<Endpoint> {
    match source {
        NamedObject::Pod { pod, .. } => Ok(pod_end(pod, target.asked())),
        NamedObject::Node(node) => Ok(node_end(node, target)),
        NamedObject::Service { .. } | NamedObject::NoService { .. } => Err(NotThere::error(format!(
            "{} is a service, which sends nothing; name a pod behind it",
            target.asked()
        ))),
        NamedObject::Address(_) | NamedObject::Name(_) => Err(WrongUsage::error(format!(
            "{} is no place to send from; name a pod, a workload (deploy/NAME) or a node (node/NAME)",
            target.asked()
        ))),
    }
}

/// The end that should answer, once the nodes are known.
fn destination_end(
    thing: &NamedObject,
    asked: &EndsQuery,
    port: &ChosenPort,
    source: &Endpoint,
    gathered: &EndsInventory,
) -> Result<Endpoint> {
    let target = asked.destination;
    match thing {
        NamedObject::Pod { pod, .. } => Ok(pod_end(pod, target.asked())),
        NamedObject::Node(node) => Ok(node_end(node, target)),
        NamedObject::Service { service, slices } => {
            let own = gathered.inventory.node(&source.node);
            let slices = slices.as_deref().unwrap_or_default();
            let (addresses, via) = service_backends::addresses(service, slices, port, asked.via, own)?;
            if let Some(name) = &service.external_name {
                return Ok(Endpoint {
                    kind: EndpointKind::Name,
                    name: name.clone(),
                    ..service_end(service, target.asked(), Vec::new())
                });
            }
            let mut end = service_end(service, target.asked(), addresses);
            end.port = via;
            Ok(end)
        }
        NamedObject::NoService { object, .. } => Ok(Endpoint {
            asked: target.asked(),
            kind: EndpointKind::Service,
            name: format!("{}/{}", object.namespace, object.name),
            object: Some(object.clone()),
            ..Endpoint::default()
        }),
        NamedObject::Address(address) => Ok(Endpoint {
            asked: target.asked(),
            kind: EndpointKind::Address,
            name: address.to_string(),
            addresses: vec![*address],
            ..Endpoint::default()
        }),
        NamedObject::Name(name) if asked.intent == Some(Intent::Dns) => Ok(Endpoint {
            asked: name.clone(),
            ..Endpoint::default()
        }),
        NamedObject::Name(name) => Ok(Endpoint {
            asked: name.clone(),
            kind: EndpointKind::Name,
            name: name.clone(),
            ..Endpoint::default()
        }),
    }
}

/// A pod as an end, under the words by which it was asked for.
pub fn pod_end(pod: &Pod, asked: String) -> Endpoint {
    let live = has_network(pod);
    Endpoint {
        asked,
        kind: EndpointKind::Pod,
        node: if live { pod.node.clone() } else { String::new() },
        name: pod.full_name(),
        // The address of a pod that has ended may be another's by now.
        addresses: if live { pod.addresses.clone() } else { Vec::new() },
        owner: Owner::Pod {
            uid: pod.uid.clone(),
            container: None,
        },
        object: Some(pod.object()),
        ..Endpoint::default()
    }
}

fn node_end(node: &Node, target: &NamedEnd) -> Endpoint {
    Endpoint {
        asked: target.asked(),
        kind: EndpointKind::Node,
        node: node.name.clone(),
        name: node.name.clone(),
        addresses: node.addresses.clone(),
        owner: Owner::Host,
        object: Some(ObjectRef {
            kind: "Node".into(),
            namespace: String::new(),
            name: node.name.clone(),
        }),
        ..Endpoint::default()
    }
}

/// A service as an end, under the words by which it was asked for.
pub fn service_end(service: &Service, asked: String, addresses: Vec<IpAddr>) -> Endpoint {
    Endpoint {
        asked,
        kind: EndpointKind::Service,
        name: service.full_name(),
        addresses,
        object: Some(service.object()),
        ..Endpoint::default()
    }
}

/// Something can be sent: there is a place to send from, and an address to send to.
fn can_send(
    source: &NamedObject,
    destination: &NamedObject,
    port: &ChosenPort,
    asked: &EndsQuery,
    lookup: bool,
) -> bool {
    let from = match source {
        NamedObject::Pod { pod, .. } => has_network(pod),
        _ => true,
    };
    let to = match destination {
        _ if lookup => true,
        NamedObject::Pod { pod, .. } => has_network(pod),
        NamedObject::NoService { .. } => false,
        NamedObject::Service { .. } => port.port.is_some() || asked.destination.port_name.is_none(),
        _ => true,
    };
    from && to
}
