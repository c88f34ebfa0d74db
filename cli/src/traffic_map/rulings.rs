//! What policies say about an edge: of every pair of pods that is behind it, and brought together.

use diagnoses::kubernetes::pods::target_numbers;
use diagnoses::kubernetes::policy::{Connection, Party, Ruling, ruling};
use diagnoses::kubernetes::selector::service_selects;
use model::inventory::{Inventory, Pod, Service};
use model::traffic_map::EdgeRuling;
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Pairs that are asked about, at most: a workload's pods have the same labels, and policies choose by them.
const PAIRS_MAX: usize = 64;

/// What policies say, and which deny.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeRulings {
    asked: BTreeSet<(IpAddr, IpAddr, u16, String)>,
    allowed: bool,
    denied: bool,
    unknown: bool,
    /// Policies that deny it.
    pub denied_by: BTreeSet<String>,
}

impl EdgeRulings {
    /// Asks about a connection as its client made it.
    pub fn ask(&mut self, inventory: &Inventory, client: IpAddr, server: IpAddr, port: u16, protocol: &str) {
        let pair = (client, server, port, protocol.to_owned());
        if self.asked.len() >= PAIRS_MAX || !self.asked.insert(pair) {
            return;
        }
        let from = Party::at(inventory, client);
        match inventory
            .services
            .iter()
            .find(|service| service.cluster_ips.contains(&server))
        {
            Some(service) => {
                for (pod, number) in behind(inventory, service, port, protocol).into_iter().take(PAIRS_MAX) {
                    if let Some(address) = pod.addresses.first() {
                        let to = Party::pod(pod, *address);
                        self.take(inventory, from, to, (number, protocol), Some(server));
                    }
                }
            }
            None => self.take(inventory, from, Party::at(inventory, server), (port, protocol), None),
        }
    }

    /// It is known already that policies allow it.
    pub fn permit(&mut self) {
        self.allowed = true;
    }

    fn take<'a>(
        &mut self,
        inventory: &'a Inventory,
        from: Party<'a>,
        to: Party<'a>,
        (port, protocol): (u16, &'a str),
        service: Option<IpAddr>,
    ) {
        if from.pod.is_none() && to.pod.is_none() {
            return;
        }
        let connection = Connection {
            from,
            seen_as: None,
            to,
            protocol,
            port,
            service,
        };
        match ruling(inventory, &connection) {
            Ruling::Allowed { .. } => self.allowed = true,
            Ruling::Denied(denials) => {
                self.denied = true;
                let policies = denials.iter().flat_map(|denial| &denial.policies);
                self.denied_by
                    .extend(policies.map(|policy| match policy.namespace.as_str() {
                        "" => policy.name.clone(),
                        namespace => format!("{namespace}/{}", policy.name),
                    }));
            }
            Ruling::Unknown(_) => self.unknown = true,
        }
    }

    /// All together.
    pub fn together(&self) -> EdgeRuling {
        match (self.allowed, self.denied, self.unknown) {
            (true, false, false) => EdgeRuling::Allowed,
            (false, true, false) => EdgeRuling::Denied,
            (true, true, _) => EdgeRuling::Mixed,
            _ => EdgeRuling::Unknown,
        }
    }
}

/// The pods that a service selects, each with the port it has there.
pub fn behind<'a>(inventory: &'a Inventory, service: &'a Service, port: u16, protocol: &str) -> Vec<(&'a Pod, u16)> {
    let mut ports = service.ports.iter();
    let Some(port) = ports.find(|own| own.port == port && own.protocol.eq_ignore_ascii_case(protocol)) else {
        return Vec::new();
    };
    let pods = selected(inventory, service);
    pods.flat_map(|pod| target_numbers(pod, port).into_iter().map(move |number| (pod, number)))
        .collect()
}

/// The pods that a service selects.
pub fn selected<'a>(inventory: &'a Inventory, service: &'a Service) -> impl Iterator<Item = &'a Pod> {
    inventory.pods.iter().filter(|pod| service_selects(service, pod))
}
