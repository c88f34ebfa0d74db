//! What policies expressly permit: between which workloads, to which of the ports that are declared.

use super::ends::of_pod;
use super::rulings::EdgeRulings;
use diagnoses::kubernetes::pods::target_numbers;
use diagnoses::kubernetes::policy::{Side, selecting};
use diagnoses::kubernetes::selector::service_selects;
use model::endpoint::Endpoint;
use model::inventory::{Inventory, NetworkPolicy, Pod};
use model::missing::Missing;
use model::traffic_map::{EdgeRuling, MapEnd};
use std::collections::{BTreeMap, BTreeSet};

/// Workloads that are asked about, at most: each may reach each.
const WORKLOADS_MAX: usize = 64;

/// Who may reach whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PermittedEdge {
    /// Who asks.
    pub source: MapEnd,
    /// Who answers.
    pub destination: MapEnd,
    /// On which port.
    pub port: u16,
    /// `tcp`, `udp`...
    pub protocol: String,
}

/// Between the workloads of the places that are watched. Where no `NetworkPolicy` selects a pod for what comes in, nobody permits
/// anything expressly. The pods of a workload have the same labels, so one of them is asked about.
pub fn permitted(inventory: &Inventory, targets: &[Endpoint]) -> (Vec<PermittedEdge>, Option<Missing>) {
    let own = targets.iter().filter_map(|target| target.name.split_once('/'));
    let pods = own.filter_map(|(namespace, name)| inventory.pod(namespace, name));
    let mut workloads: BTreeMap<MapEnd, &Pod> = BTreeMap::new();
    for pod in pods.filter(|pod| !pod.host_network && !pod.addresses.is_empty()) {
        workloads.entry(of_pod(pod)).or_insert(pod);
    }
    let left_out = workloads.len().saturating_sub(WORKLOADS_MAX);
    let lack = (left_out > 0).then(|| {
        let what = format!("what policies permit between {left_out} more workloads");
        Missing::new(what, format!("no more than {WORKLOADS_MAX} are asked about")).remedy("name fewer targets")
    });
    let policies: &[NetworkPolicy] = inventory.policies.ok().map_or(&[], Vec::as_slice);
    let asked: Vec<(&MapEnd, &Pod)> = workloads
        .iter()
        .take(WORKLOADS_MAX)
        .map(|(end, pod)| (end, *pod))
        .collect();
    let mut edges = Vec::new();
    for (destination, server) in &asked {
        if selecting(policies, Side::Ingress, server).is_empty() {
            continue;
        }
        for (port, protocol) in ports(inventory, server) {
            for (source, client) in asked.iter().filter(|(source, _)| source != destination) {
                let mut rulings = EdgeRulings::default();
                rulings.ask(inventory, client.addresses[0], server.addresses[0], port, &protocol);
                if rulings.together() == EdgeRuling::Allowed {
                    edges.push(PermittedEdge {
                        source: (*source).clone(),
                        destination: (*destination).clone(),
                        port,
                        protocol: protocol.clone(),
                    });
                }
            }
        }
    }
    (edges, lack)
}

/// The ports of a pod that its containers declare, or that services lead to.
fn ports(inventory: &Inventory, pod: &Pod) -> BTreeSet<(u16, String)> {
    let declared = pod.containers.iter().flat_map(|container| &container.ports);
    let declared = declared.map(|own| (own.port, own.protocol.to_lowercase()));
    let services = inventory
        .services
        .iter()
        .filter(|service| service_selects(service, pod));
    let led_to = services.flat_map(|service| &service.ports).flat_map(|port| {
        let numbers = target_numbers(pod, port);
        numbers.into_iter().map(|number| (number, port.protocol.to_lowercase()))
    });
    declared.chain(led_to).collect()
}
