//! Whether the ports of a rule fit a connection.

use super::Fit;
use crate::kubernetes::policy::{Connection, words};
use model::inventory::{Pod, PolicyPort, Port};

/// Policies define what they mean for this protocol.
pub fn defined(protocol: &str) -> bool {
    ["tcp", "udp", "sctp"]
        .iter()
        .any(|one| protocol.eq_ignore_ascii_case(one))
}

/// Any of them fits; none at all means every port of every protocol.
pub fn any(ports: &[PolicyPort], connection: &Connection<'_>) -> Fit {
    if ports.is_empty() {
        return Fit::Yes;
    }
    let mut doubt = None;
    for allowed in ports {
        match one(allowed, connection) {
            Fit::Yes => return Fit::Yes,
            Fit::Maybe(why) => doubt = doubt.or(Some(why)),
            Fit::No(_) => {}
        }
    }
    doubt.map_or_else(|| Fit::No(words::only_ports(ports, connection)), Fit::Maybe)
}

fn one(allowed: &PolicyPort, connection: &Connection<'_>) -> Fit {
    let no = || Fit::No(String::new());
    if !protocol(allowed).eq_ignore_ascii_case(connection.protocol) {
        return no();
    }
    let fits = match (&allowed.port, allowed.end_port) {
        (None, _) => true,
        (Some(Port::Number(first)), Some(last)) => (*first..=last).contains(&connection.port),
        (Some(Port::Number(number)), None) => *number == connection.port,
        (Some(Port::Name(name)), _) => match connection.to.pod {
            Some(pod) if pod.host_network => {
                return Fit::Maybe(format!(
                    "port {name} is one of {}, which is on its node's network",
                    pod.full_name()
                ));
            }
            Some(pod) => named(pod, name, protocol(allowed)).any(|port| port == connection.port),
            None => false,
        },
    };
    if fits { Fit::Yes } else { no() }
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
