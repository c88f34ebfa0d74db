//! Whether one rule of a policy fits a connection: yes, no and why not, or that it cannot be told.

use super::ports::{named, protocol};
use super::{Connection, Party, words};
use crate::kubernetes::selector::{self, Labels};
use ipnet::IpNet;
use model::inventory::{Inventory, IpBlock, LabelSelector, NetworkPolicy, PolicyPeer, PolicyPort, PolicyRule, Port};
use std::net::IpAddr;

/// The label with its name that every namespace has.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyFit {
    /// It fits.
    Yes,
    /// It does not, in words.
    No(String),
    /// It cannot be told, for this reason.
    Maybe(String),
}

/// Peers and ports of a rule fit.
pub fn rule(
    inventory: &Inventory,
    policy: &NetworkPolicy,
    rule: &PolicyRule,
    other: Party<'_>,
    connection: &Connection<'_>,
) -> PolicyFit {
    let peers = peers(inventory, policy, rule, other, connection);
    if let PolicyFit::No(_) = peers {
        return peers;
    }
    match (peers, any_port(&rule.ports, connection)) {
        (_, PolicyFit::No(miss)) => PolicyFit::No(miss),
        (PolicyFit::Maybe(why), _) | (_, PolicyFit::Maybe(why)) => PolicyFit::Maybe(why),
        _ => PolicyFit::Yes,
    }
}

fn peers(
    inventory: &Inventory,
    policy: &NetworkPolicy,
    rule: &PolicyRule,
    other: Party<'_>,
    connection: &Connection<'_>,
) -> PolicyFit {
    if rule.peers.is_empty() {
        return PolicyFit::Yes;
    }
    let mut doubt = None;
    for allowed in &rule.peers {
        match peer(inventory, policy, allowed, other, connection) {
            PolicyFit::Yes => return PolicyFit::Yes,
            PolicyFit::Maybe(why) => doubt = doubt.or(Some(why)),
            PolicyFit::No(_) => {}
        }
    }
    match doubt {
        Some(why) => PolicyFit::Maybe(why),
        None => PolicyFit::No(words::only_peers(policy, rule, other)),
    }
}

fn peer(
    inventory: &Inventory,
    policy: &NetworkPolicy,
    allowed: &PolicyPeer,
    other: Party<'_>,
    connection: &Connection<'_>,
) -> PolicyFit {
    if let Some(block) = &allowed.ip_block {
        return addresses(block, other, connection);
    }
    if allowed.pod_selector.is_none() && allowed.namespace_selector.is_none() {
        return PolicyFit::No(String::new());
    }
    let Some(pod) = other.pod else {
        return unnamed(inventory, other).map_or_else(|| PolicyFit::No(String::new()), PolicyFit::Maybe);
    };
    let of_pod = allowed
        .pod_selector
        .as_ref()
        .is_none_or(|wanted| selector::selects(wanted, &pod.labels));
    if !of_pod {
        return PolicyFit::No(String::new());
    }
    let fit = match &allowed.namespace_selector {
        Some(wanted) => namespace(inventory, wanted, &pod.namespace),
        None if pod.namespace == policy.namespace => PolicyFit::Yes,
        None => PolicyFit::No(String::new()),
    };
    if fit == PolicyFit::Yes && pod.host_network {
        return PolicyFit::Maybe(format!(
            "{} is on its node's network, and implementations differ on whether selectors mean such pods",
            pod.full_name()
        ));
    }
    fit
}

/// It has a pod's address, and nobody knows which pod's.
pub fn unnamed(inventory: &Inventory, other: Party<'_>) -> Option<String> {
    let mut cidrs = inventory.nodes.iter().flat_map(|node| &node.pod_cidrs);
    let of_pods = |cidr: &String| prefix(cidr).is_some_and(|net| net.contains(&other.address));
    (other.pod.is_none() && other.node.is_empty() && cidrs.any(of_pods))
        .then(|| format!("which pod has {} is not known", other.address))
}

/// The namespace is one of those selected.
pub fn namespace(inventory: &Inventory, wanted: &LabelSelector, name: &str) -> PolicyFit {
    if selector::is_empty(wanted) {
        return PolicyFit::Yes;
    }
    let known = inventory
        .namespaces
        .get()
        .map(|all| all.iter().find(|one| one.name == name));
    let mut labels = Labels::from([(NAMESPACE_NAME.to_owned(), name.to_owned())]);
    let lack = match known {
        Ok(Some(found)) => {
            labels.extend(found.labels.clone());
            None
        }
        Ok(None) => Some("they were not read".to_owned()),
        Err(lack) => Some(lack.why.clone()),
    };
    match lack {
        Some(why) if selector::keys(wanted).any(|key| key != NAMESPACE_NAME) => {
            PolicyFit::Maybe(format!("labels of namespace {name}: {why}"))
        }
        _ if selector::selects(wanted, &labels) => PolicyFit::Yes,
        _ => PolicyFit::No(String::new()),
    }
}

/// The address is in the block. Where a service stands between, its address may be what is held against it.
pub fn addresses(block: &IpBlock, other: Party<'_>, connection: &Connection<'_>) -> PolicyFit {
    let fits = in_block(block, other.address);
    let seen_from_here = connection.service.filter(|_| other.address == connection.to.address);
    match seen_from_here {
        Some(service) if in_block(block, service) != fits => PolicyFit::Maybe(format!(
            "{} and {service}, the service's address, are not both in {}, and implementations differ on which is meant",
            other.address, block.cidr
        )),
        _ if fits => PolicyFit::Yes,
        _ => PolicyFit::No(String::new()),
    }
}

fn in_block(block: &IpBlock, address: IpAddr) -> bool {
    let within = |cidr: &String| prefix(cidr).is_some_and(|net| net.contains(&address));
    within(&block.cidr) && !block.except.iter().any(within)
}

/// A prefix as the API takes it; a bare address is none.
fn prefix(cidr: &str) -> Option<IpNet> {
    cidr.parse().ok()
}

/// Any of them fits; none at all means every port of every protocol.
fn any_port(ports: &[PolicyPort], connection: &Connection<'_>) -> PolicyFit {
    if ports.is_empty() {
        return PolicyFit::Yes;
    }
    let mut doubt = None;
    for allowed in ports {
        match port(allowed, connection) {
            PolicyFit::Yes => return PolicyFit::Yes,
            PolicyFit::Maybe(why) => doubt = doubt.or(Some(why)),
            PolicyFit::No(_) => {}
        }
    }
    doubt.map_or_else(|| PolicyFit::No(words::only_ports(ports, connection)), PolicyFit::Maybe)
}

fn port(allowed: &PolicyPort, connection: &Connection<'_>) -> PolicyFit {
    let no = || PolicyFit::No(String::new());
    if !protocol(allowed).eq_ignore_ascii_case(connection.protocol) {
        return no();
    }
    let fits = match (&allowed.port, allowed.end_port) {
        (None, _) => true,
        (Some(Port::Number(first)), Some(last)) => (*first..=last).contains(&connection.port),
        (Some(Port::Number(number)), None) => *number == connection.port,
        (Some(Port::Name(name)), _) => match connection.to.pod {
            Some(pod) if pod.host_network => {
                return PolicyFit::Maybe(format!(
                    "port {name} is one of {}, which is on its node's network",
                    pod.full_name()
                ));
            }
            Some(pod) => named(pod, name, protocol(allowed)).any(|port| port == connection.port),
            None => false,
        },
    };
    if fits { PolicyFit::Yes } else { no() }
}
