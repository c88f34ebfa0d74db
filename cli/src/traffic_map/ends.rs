//! Which end an address or a place is: a workload, a service, a node, a namespace of a machine, or something outside.

use crate::numbers::NumbersPlace;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::Evidence;
use model::inventory::{Inventory, Pod, Service};
use model::traffic_map::{MapEnd, MapEndKind};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// The ends that a map may show.
#[derive(Debug, Default)]
pub struct MapEnds {
    /// The ends of the watched places, in their order.
    targets: Vec<MapEnd>,
    by_address: BTreeMap<IpAddr, MapEnd>,
}

impl MapEnds {
    /// The ends of these watched places; the API's objects tell whose other addresses are.
    pub fn new(targets: &[Endpoint], inventory: Option<&Inventory>) -> Self {
        let mut ends = Self {
            targets: targets.iter().map(|target| watched(target, inventory)).collect(),
            ..Self::default()
        };
        for (target, end) in targets.iter().zip(ends.targets.clone()) {
            for address in &target.addresses {
                ends.by_address.entry(*address).or_insert_with(|| end.clone());
            }
        }
        if let Some(inventory) = inventory {
            ends.meet(inventory);
        }
        ends
    }

    /// Adds objects of the API whose addresses nobody has yet.
    pub fn meet(&mut self, inventory: &Inventory) {
        let pods = inventory.pods.iter().filter(|pod| !pod.host_network);
        let of_pods = pods.flat_map(|pod| pod.addresses.iter().map(|address| (*address, of_pod(pod))));
        let services = inventory.services.iter();
        let of_services = services.flat_map(|service| addresses(service).map(|address| (address, of_service(service))));
        let nodes = inventory.nodes.iter();
        let of_nodes = nodes.flat_map(|node| node.addresses.iter().map(|address| (*address, of_node(&node.name))));
        for (address, end) in of_pods.chain(of_services).chain(of_nodes) {
            self.by_address.entry(address).or_insert(end);
        }
    }

    /// Adds the addresses that nodes have of their own.
    pub fn meet_nodes(&mut self, evidence: &Evidence) {
        for node in &evidence.nodes {
            let facts = evidence.host(&node.name).and_then(|netns| netns.before.addresses.ok());
            for own in facts.into_iter().flatten().filter(|own| !own.address.is_loopback()) {
                self.by_address
                    .entry(own.address)
                    .or_insert_with(|| of_node(&node.name));
            }
        }
    }

    /// A place that is watched.
    pub fn target(&self, at: usize) -> MapEnd {
        self.targets.get(at).cloned().unwrap_or_default()
    }

    /// Whoever has this address.
    pub fn at(&self, address: IpAddr) -> MapEnd {
        self.by_address
            .get(&address)
            .cloned()
            .unwrap_or_else(|| outside(address))
    }

    /// Nobody is known to have this address.
    pub fn is_unknown(&self, address: IpAddr) -> bool {
        !self.by_address.contains_key(&address)
    }
}

/// The end that a place of which numbers were read is, as an endpoint.
pub fn endpoint_of(place: &NumbersPlace, addresses: Vec<IpAddr>) -> Endpoint {
    Endpoint {
        asked: place.full_name(),
        kind: if place.is_node {
            EndpointKind::Node
        } else {
            EndpointKind::Netns
        },
        node: place.node.clone(),
        netns: Some(place.netns),
        name: place.full_name(),
        addresses,
        ..Endpoint::default()
    }
}

fn watched(target: &Endpoint, inventory: Option<&Inventory>) -> MapEnd {
    let pod = target
        .name
        .split_once('/')
        .and_then(|(namespace, name)| inventory?.pod(namespace, name));
    let end = match pod {
        Some(pod) if pod.host_network => of_node(&pod.node),
        Some(pod) => of_pod(pod),
        None if target.kind == EndpointKind::Node => of_node(&target.node),
        None => MapEnd {
            id: target.name.clone(),
            kind: MapEndKind::Place,
            name: target.name.clone(),
            ..MapEnd::default()
        },
    };
    MapEnd { watched: true, ..end }
}

/// The workload of a pod, or the pod where nothing keeps it.
pub fn of_pod(pod: &Pod) -> MapEnd {
    let (object, name) = match &pod.workload {
        Some(workload) => (workload.kind.as_str(), workload.name.as_str()),
        None => ("Pod", pod.name.as_str()),
    };
    MapEnd {
        id: format!("{object}/{}/{name}", pod.namespace),
        kind: MapEndKind::Workload,
        object: object.to_owned(),
        namespace: pod.namespace.clone(),
        name: name.to_owned(),
        watched: false,
    }
}

/// A service.
pub fn of_service(service: &Service) -> MapEnd {
    MapEnd {
        id: format!("Service/{}/{}", service.namespace, service.name),
        kind: MapEndKind::Service,
        object: "Service".to_owned(),
        namespace: service.namespace.clone(),
        name: service.name.clone(),
        watched: false,
    }
}

fn of_node(name: &str) -> MapEnd {
    MapEnd {
        id: format!("Node/{name}"),
        kind: MapEndKind::Node,
        object: "Node".to_owned(),
        name: name.to_owned(),
        ..MapEnd::default()
    }
}

fn outside(address: IpAddr) -> MapEnd {
    MapEnd {
        id: address.to_string(),
        kind: MapEndKind::Outside,
        name: address.to_string(),
        ..MapEnd::default()
    }
}

/// All addresses of a service.
fn addresses(service: &Service) -> impl Iterator<Item = IpAddr> {
    let own = [&service.cluster_ips, &service.external_ips, &service.load_balancer_ips];
    own.into_iter().flatten().copied()
}
