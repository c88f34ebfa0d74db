//! What stands behind a service: which of its addresses is tried, which endpoints that leads to, and on which nodes helpers are
//! worth starting. Pure.

use super::chosen_port::ChosenPort;
use crate::exit::NotThere;
use crate::inquiry::question::Via;
use anyhow::Result;
use model::endpoint::{Endpoint, EndpointKind};
use model::inventory::{EndpointSlice, Inventory, Node, Service, ServicePort, SliceEndpoint};
use model::missing::Missing;
use model::owner::Owner;
use std::net::IpAddr;

/// Nodes that one run looks at, at most.
const NODES_MAX: usize = 4;
/// Endpoints of a service that are watched for, at most.
const BACKENDS_MAX: usize = 64;

/// The service's port that is tried.
fn port_of<'a>(service: &'a Service, chosen: &ChosenPort) -> Option<&'a ServicePort> {
    service
        .ports
        .iter()
        .find(|port| Some(port.port) == chosen.port && port.protocol.eq_ignore_ascii_case(chosen.protocol.name()))
}

/// The addresses to try, and the port there.
pub fn addresses(
    service: &Service,
    slices: &[EndpointSlice],
    chosen: &ChosenPort,
    via: Via,
    own: Option<&Node>,
) -> Result<(Vec<IpAddr>, Option<u16>)> {
    let lacks = |what: &str, has: &str| {
        let full = service.full_name();
        Err(NotThere::error(format!(
            "service {full} has no {what}: its type is {}; {has}",
            service.kind
        )))
    };
    match via {
        Via::ClusterIp if service.headless => {
            let mut found: Vec<IpAddr> = live(slices)
                .into_iter()
                .filter_map(|(_, endpoint)| endpoint.addresses.first().copied())
                .collect();
            found.truncate(BACKENDS_MAX);
            Ok((found, chosen.port))
        }
        Via::ClusterIp => Ok((service.cluster_ips.clone(), chosen.port)),
        Via::NodePort => match (port_of(service, chosen).and_then(|port| port.node_port), own) {
            (None, _) => lacks("node port", "leave --via nodeport out"),
            (Some(port), Some(own)) => Ok((own.addresses.clone(), Some(port))),
            (Some(port), None) => Ok((Vec::new(), Some(port))),
        },
        Via::External if service.external_ips.is_empty() => lacks("external IP", "leave --via external out"),
        Via::External => Ok((service.external_ips.clone(), chosen.port)),
        Via::LoadBalancer if service.load_balancer_ips.is_empty() => lacks(
            "load balancer with an address",
            "leave --via lb out, or see `kubectl describe service` for why none was given",
        ),
        Via::LoadBalancer => Ok((service.load_balancer_ips.clone(), chosen.port)),
    }
}

/// Endpoints that get traffic: ready ones, else those that still serve while they end (KEP-1669).
fn live(slices: &[EndpointSlice]) -> Vec<(&EndpointSlice, &SliceEndpoint)> {
    let all = || {
        slices
            .iter()
            .flat_map(|slice| slice.endpoints.iter().map(move |endpoint| (slice, endpoint)))
    };
    let ready: Vec<_> = all().filter(|(_, endpoint)| endpoint.ready).collect();
    if ready.is_empty() {
        all()
            .filter(|(_, endpoint)| endpoint.serving && endpoint.terminating)
            .collect()
    } else {
        ready
    }
}

/// What the service's address may be translated to.
pub fn backends(
    service: &Service,
    slices: &[EndpointSlice],
    chosen: &ChosenPort,
    source_node: &str,
    via: Via,
) -> Vec<Endpoint> {
    let Some(wanted) = port_of(service, chosen) else {
        return Vec::new();
    };
    let policy = if via == Via::ClusterIp {
        &service.internal_traffic_policy
    } else {
        &service.external_traffic_policy
    };
    // Pods reach an external address of their own cluster as they reach the cluster IP; a node port is on the source's node.
    let local_only = policy == "Local" && via == Via::ClusterIp && !service.headless;
    let mut found: Vec<Endpoint> = Vec::new();
    for (slice, endpoint) in live(slices) {
        if local_only && endpoint.node != source_node {
            continue;
        }
        let port = slice
            .ports
            .iter()
            .find(|port| port.name == wanted.name && port.protocol == wanted.protocol);
        let (Some(port), false) = (port, endpoint.addresses.is_empty()) else {
            continue;
        };
        let same = |other: &Endpoint| {
            other.object.is_some() && other.object == endpoint.target && other.port == Some(port.port)
        };
        match found.iter_mut().find(|other| same(other)) {
            // A pod of two families stands in two slices.
            Some(other) => other.addresses.extend(&endpoint.addresses),
            None => found.push(Endpoint {
                asked: endpoint.addresses[0].to_string(),
                kind: EndpointKind::Address,
                node: endpoint.node.clone(),
                name: endpoint.target.as_ref().map_or_else(
                    || endpoint.addresses[0].to_string(),
                    |target| format!("{}/{}", target.namespace, target.name),
                ),
                addresses: endpoint.addresses.clone(),
                port: Some(port.port),
                object: endpoint.target.clone(),
                ..Endpoint::default()
            }),
        }
    }
    found.truncate(BACKENDS_MAX);
    found
}

/// With the pod that it is, where its pod is known.
#[must_use]
pub fn owned(mut backend: Endpoint, inventory: &Inventory) -> Endpoint {
    let named = backend.object.as_ref().filter(|object| object.kind == "Pod");
    let pod = match named {
        Some(object) => inventory.pod(&object.namespace, &object.name),
        None => backend
            .addresses
            .first()
            .and_then(|address| inventory.pods_at(*address).next()),
    };
    // A slice may name a pod whose address is another's by now.
    if let Some(pod) = pod.filter(|pod| backend.addresses.iter().any(|address| pod.addresses.contains(address))) {
        backend.kind = EndpointKind::Pod;
        backend.name = pod.full_name();
        backend.node.clone_from(&pod.node);
        backend.owner = Owner::Pod {
            uid: pod.uid.clone(),
            container: None,
        };
        backend.object = Some(pod.object());
    }
    backend
}

/// Nodes worth a look.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct NodeChoice {
    /// Those, the source's first.
    pub chosen: Vec<String>,
    /// What is not looked at, and why.
    pub left_out: Vec<Missing>,
}

/// The source's node, the destination's, and those with most endpoints.
#[must_use]
pub fn nodes(source: &str, destination: &str, backends: &[Endpoint]) -> NodeChoice {
    let mut chosen: Vec<String> = Vec::new();
    for node in [source, destination] {
        if !node.is_empty() && !chosen.iter().any(|known| known == node) {
            chosen.push(node.to_owned());
        }
    }
    let mut behind: Vec<(usize, &str)> = Vec::new();
    for node in backends
        .iter()
        .map(|backend| backend.node.as_str())
        .filter(|node| !node.is_empty())
    {
        match behind.iter_mut().find(|(_, known)| *known == node) {
            Some((count, _)) => *count += 1,
            None => behind.push((1, node)),
        }
    }
    behind.retain(|(_, node)| !chosen.iter().any(|known| known == node));
    behind.sort_by(|(one, a), (other, b)| other.cmp(one).then(a.cmp(b)));
    let room = NODES_MAX.saturating_sub(chosen.len());
    let left_out: Vec<&(usize, &str)> = behind.iter().skip(room).collect();
    let missing = (!left_out.is_empty()).then(|| {
        let endpoints: usize = left_out.iter().map(|(count, _)| count).sum();
        Missing::new(
            format!("{} more nodes with {endpoints} endpoints", left_out.len()),
            format!("one run looks at no more than {NODES_MAX} nodes"),
        )
        .remedy("name one of these pods as the destination")
    });
    chosen.extend(behind.iter().take(room).map(|(_, node)| (*node).to_owned()));
    NodeChoice {
        chosen,
        left_out: missing.into_iter().collect(),
    }
}
