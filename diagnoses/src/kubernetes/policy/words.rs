//! Policies in words: what they let in or out, and why that is not this connection.

use super::ports::{named, protocol};
use super::{Connection, Party, Side};
use crate::kubernetes::selector;
use model::inventory::{IpBlock, NetworkPolicy, PolicyPeer, PolicyPort, PolicyRule, Port};

/// Why a policy that selects the pod does not allow the connection.
pub fn denial(policy: &NetworkPolicy, side: Side, misses: &[String]) -> String {
    let name = format!("{}/{}", policy.namespace, policy.name);
    let verb = match side {
        Side::Ingress => "lets in",
        Side::Egress => "lets out",
    };
    if misses.is_empty() {
        return format!("{name} {verb} nothing");
    }
    let mut misses = misses.to_vec();
    misses.dedup();
    format!("{name} {verb} {}", misses.join("; and "))
}

/// What a rule's peers are, and what the other end is instead.
pub fn only_peers(policy: &NetworkPolicy, rule: &PolicyRule, other: Party<'_>) -> String {
    let peers: Vec<String> = rule.peers.iter().map(|allowed| peer(policy, allowed)).collect();
    let own = match other.pod {
        Some(pod) if pod.labels.is_empty() => format!("{} has no labels", pod.full_name()),
        Some(pod) => format!("{} has {}", pod.full_name(), selector::label_words(&pod.labels)),
        None if !other.node.is_empty() => format!("{} is node {}", other.address, other.node),
        None => format!("{} is no pod", other.address),
    };
    let by_address = rule.peers.iter().all(|allowed| allowed.ip_block.is_some());
    match other.pod {
        Some(pod) if by_address => format!("only {}; {} is {}", peers.join(" or "), pod.full_name(), other.address),
        None if by_address => format!("only {}, which {} is not in", peers.join(" or "), other.address),
        _ => format!("only {}; {own}", peers.join(" or ")),
    }
}

fn peer(policy: &NetworkPolicy, allowed: &PolicyPeer) -> String {
    if let Some(block) = &allowed.ip_block {
        return addresses(block);
    }
    let pods = match allowed
        .pod_selector
        .as_ref()
        .filter(|wanted| !selector::is_empty(wanted))
    {
        Some(wanted) => format!("pods with {}", selector::words(wanted)),
        None => "pods".to_owned(),
    };
    match &allowed.namespace_selector {
        Some(wanted) if selector::is_empty(wanted) => format!("{pods} of any namespace"),
        Some(wanted) => format!("{pods} of namespaces with {}", selector::words(wanted)),
        None => format!("{pods} of namespace {}", policy.namespace),
    }
}

fn addresses(block: &IpBlock) -> String {
    if block.except.is_empty() {
        block.cidr.clone()
    } else {
        format!("{} except {}", block.cidr, block.except.join(", "))
    }
}

/// What a rule's ports are, and what was asked for instead.
pub fn only_ports(ports: &[PolicyPort], connection: &Connection<'_>) -> String {
    let ports: Vec<String> = ports.iter().map(|allowed| port(allowed, connection)).collect();
    format!(
        "only ports {}, not {}/{}",
        ports.join(", "),
        connection.port,
        connection.protocol.to_ascii_uppercase()
    )
}

fn port(allowed: &PolicyPort, connection: &Connection<'_>) -> String {
    let protocol = protocol(allowed);
    match (&allowed.port, allowed.end_port) {
        (None, _) => format!("all of {protocol}"),
        (Some(Port::Number(first)), Some(last)) => format!("{first}-{last}/{protocol}"),
        (Some(Port::Number(number)), None) => format!("{number}/{protocol}"),
        (Some(Port::Name(name)), _) => {
            let number = connection.to.pod.and_then(|pod| named(pod, name, protocol).next());
            number.map_or_else(
                || format!("{name}/{protocol} (which no container of the target names)"),
                |number| format!("{name}/{protocol} ({number})"),
            )
        }
    }
}
