//! The services that a question is about, as the cluster's API told them: which was asked for, who stands behind it.

use crate::case::Case;
use crate::kubernetes::selector;
use model::evidence::Intent;
use model::inventory::{EndpointSlice, Inventory, Pod, Service, ServicePort, SliceEndpoint};
use std::net::IpAddr;

/// A service that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct AskedService<'a> {
    /// All that was read.
    pub inventory: &'a Inventory,
    /// The service.
    pub service: &'a Service,
    /// Its port of that number and protocol; `None` where it has none.
    pub port: Option<&'a ServicePort>,
    /// It was asked for by a node's address.
    pub by_node: bool,
}

/// An address that a service's slices list for one of its ports.
#[derive(Clone, Copy, Debug)]
pub struct Backend<'a> {
    /// The address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The slice.
    pub slice: &'a EndpointSlice,
    /// What the slice says of it.
    pub endpoint: &'a SliceEndpoint,
    /// The pod behind it, where it was read.
    pub pod: Option<&'a Pod>,
}

/// The services that the question is about: the one that was named, those whose addresses were asked, for a lookup those of
/// the name servers.
pub fn services<'a>(case: &Case<'a>) -> Vec<AskedService<'a>> {
    let evidence = case.evidence;
    let Some(inventory) = case.inventory() else {
        return Vec::new();
    };
    let dns = evidence.intent == Intent::Dns;
    let mut addresses = case.targets();
    match evidence.source.resolv.ok().filter(|_| dns) {
        Some(resolv) => addresses.extend(resolv.nameservers.iter().take(3)),
        None => addresses.extend(&evidence.destination.addresses),
    }
    let by_node = inventory
        .nodes
        .iter()
        .any(|node| node.addresses.iter().any(|own| addresses.contains(own)));
    let named = evidence
        .destination
        .object
        .as_ref()
        .filter(|object| object.kind == "Service");
    let is_asked = |service: &&Service| match named {
        Some(object) if !dns => (&object.namespace, &object.name) == (&service.namespace, &service.name),
        _ => addresses.iter().any(|address| has_address(service, *address)),
    };
    let number = evidence.destination.port.or_else(|| dns.then_some(53));
    let protocol = match evidence.protocol.as_str() {
        "" if dns => "udp",
        "" => "tcp",
        _ if dns => "udp",
        named => named,
    };
    let is_port = |port: &&ServicePort| {
        let own = if by_node { port.node_port } else { Some(port.port) };
        number.is_some() && own == number && port.protocol.eq_ignore_ascii_case(protocol)
    };
    let found = inventory.services.iter().filter(is_asked);
    found
        .map(|service| AskedService {
            inventory,
            service,
            port: service.ports.iter().find(is_port),
            by_node,
        })
        .collect()
}

/// It is one of the service's addresses.
fn has_address(service: &Service, address: IpAddr) -> bool {
    service.cluster_ips.contains(&address)
        || service.external_ips.contains(&address)
        || service.load_balancer_ips.contains(&address)
}

impl<'a> AskedService<'a> {
    /// Every address that the slices list for the port.
    pub fn backends(&self) -> Vec<Backend<'a>> {
        let Some(wanted) = self.port else {
            return Vec::new();
        };
        let mut backends = Vec::new();
        for slice in self.inventory.slices_of(self.service) {
            let of_port = |own: &&model::inventory::ContainerPort| {
                own.name == wanted.name && own.protocol.eq_ignore_ascii_case(&wanted.protocol)
            };
            let Some(port) = slice.ports.iter().find(of_port) else {
                continue;
            };
            for endpoint in &slice.endpoints {
                let pod = self.pod_behind(slice, endpoint);
                backends.extend(endpoint.addresses.iter().map(|address| Backend {
                    address: *address,
                    port: port.port,
                    slice,
                    endpoint,
                    pod,
                }));
            }
        }
        backends
    }

    fn pod_behind(&self, slice: &EndpointSlice, endpoint: &SliceEndpoint) -> Option<&'a Pod> {
        let named = endpoint.target.as_ref().filter(|target| target.kind == "Pod");
        match named {
            Some(target) => {
                let namespace = if target.namespace.is_empty() {
                    &slice.namespace
                } else {
                    &target.namespace
                };
                self.inventory.pod(namespace, &target.name)
            }
            None => endpoint
                .addresses
                .iter()
                .find_map(|address| self.inventory.pods_at(*address).next()),
        }
    }

    /// Those that get connections: the ready ones, and where there is none, those that still serve while they end.
    pub fn usable(&self) -> Vec<Backend<'a>> {
        let all = self.backends();
        let ready = |backend: &&Backend<'_>| backend.endpoint.ready || self.service.publish_not_ready;
        let usable: Vec<Backend<'a>> = all.iter().filter(ready).copied().collect();
        if !usable.is_empty() {
            return usable;
        }
        let ending = |backend: &Backend<'_>| backend.endpoint.serving && backend.endpoint.terminating;
        all.into_iter().filter(ending).collect()
    }

    /// The pods that its selector selects; none where it has no selector.
    pub fn selected(&self) -> Vec<&'a Pod> {
        let pods = self.inventory.pods.iter();
        pods.filter(|pod| selector::service_selects(self.service, pod))
            .collect()
    }

    /// `service shop/web`, with its port where that is asked for.
    pub fn words(&self) -> String {
        format!("service {}", self.service.full_name())
    }
}

/// The attempts that failed and came, as far as was seen, to this address; those whose address was never translated came to none.
pub fn failed_at(case: &Case<'_>, address: IpAddr) -> Vec<u32> {
    let came_there = |id: &u32| case.trail.forms(*id).last().is_some_and(|form| form.dst() == address);
    let mut ids: Vec<u32> = case.failed_ids().into_iter().filter(came_there).collect();
    ids.dedup();
    ids
}
