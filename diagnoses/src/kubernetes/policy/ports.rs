//! What the ports of a policy's rule mean: their protocol, and the numbers behind their names.

use model::inventory::{Pod, PolicyPort};

/// Policies define what they mean for this protocol.
pub fn defined(protocol: &str) -> bool {
    ["tcp", "udp", "sctp"]
        .iter()
        .any(|one| protocol.eq_ignore_ascii_case(one))
}

/// A port's protocol; TCP where none is given.
pub fn protocol(allowed: &PolicyPort) -> &str {
    if allowed.protocol.is_empty() {
        "TCP"
    } else {
        &allowed.protocol
    }
}

/// The numbers that a pod's containers give a port name.
pub fn named<'a>(pod: &'a Pod, name: &'a str, protocol: &'a str) -> impl Iterator<Item = u16> + 'a {
    pod.containers
        .iter()
        .flat_map(|container| &container.ports)
        .filter(move |port| {
            port.name == name && (port.protocol.is_empty() || port.protocol.eq_ignore_ascii_case(protocol))
        })
        .map(|port| port.port)
}
