//! Which port is meant, by number, by name, or because there is only one. Pure.

use crate::exit::{NotThere, WrongUsage};
use crate::inquiry::attempt_plan::Protocol;
use crate::inquiry::named_end::NamedEnd;
use anyhow::Result;
use model::inventory::{Node, Pod, Service, ServicePort};

/// The kubelet's port where the node does not report it.
const KUBELET: u16 = 10250;

/// A port that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenPort {
    /// Its number; none where there is no port of the name asked for, or where the protocol has none.
    pub port: Option<u16>,
    /// The protocol to try it with.
    pub protocol: Protocol,
    /// What was decided for the asker.
    pub note: Option<String>,
}

impl ChosenPort {
    fn asked(port: Option<u16>, protocol: Protocol) -> Self {
        Self {
            port,
            protocol,
            note: None,
        }
    }
}

/// The port of a pod.
pub fn of_pod(pod: &Pod, target: &NamedEnd, protocol: Option<Protocol>) -> Result<ChosenPort> {
    let full = pod.full_name();
    let declared = pod
        .containers
        .iter()
        .filter(|container| !container.init)
        .flat_map(|container| &container.ports);
    let ports: Vec<Candidate> = declared
        .map(|port| Candidate {
            name: &port.name,
            port: port.port,
            protocol: &port.protocol,
        })
        .collect();
    if let Some(number) = target.port {
        return numbered(&ports, number, protocol, &full);
    }
    if let Some(name) = &target.port_name {
        return match named(&ports, name, protocol) {
            Some(found) => settle(found, protocol, None, &full),
            None => Err(NotThere::error(format!(
                "pod {full} declares no port `{name}`{}",
                listed(&ports)
            ))),
        };
    }
    only(&ports, protocol, "declares", &format!("pod {full}"), target)
}

/// The port of a service: what a service does not have is an answer, not a slip.
pub fn of_service(service: &Service, target: &NamedEnd, protocol: Option<Protocol>) -> Result<ChosenPort> {
    let full = service.full_name();
    let ports: Vec<Candidate> = service.ports.iter().map(Candidate::of).collect();
    if protocol == Some(Protocol::Icmp) {
        return Err(NotThere::error(format!(
            "the address of service {full} answers no echo requests; leave --protocol icmp out, or name a pod behind it"
        )));
    }
    if let Some(number) = target.port {
        return numbered(&ports, number, protocol, &full);
    }
    if let Some(name) = &target.port_name {
        return match named(&ports, name, protocol) {
            Some(found) => settle(found, protocol, None, &full),
            None => Ok(ChosenPort::asked(None, protocol.unwrap_or_default())),
        };
    }
    only(&ports, protocol, "has", &format!("service {full}"), target)
}

/// The port of a node: its kubelet's, where none is named.
pub fn of_node(node: &Node, target: &NamedEnd, protocol: Option<Protocol>) -> Result<ChosenPort> {
    if let Some(name) = &target.port_name {
        return Err(NotThere::error(format!(
            "`{name}` names no port of a node; write its number"
        )));
    }
    match (target.port, protocol) {
        (port, Some(Protocol::Icmp)) => without_port(port, &node.name),
        (Some(port), protocol) => Ok(ChosenPort::asked(Some(port), protocol.unwrap_or_default())),
        (None, Some(Protocol::Udp)) => Err(WrongUsage::error(format!(
            "udp needs a port, and node {} was named without one; write node/{}:53",
            node.name, node.name
        ))),
        (None, _) => {
            let port = node.kubelet_port.unwrap_or(KUBELET);
            Ok(ChosenPort {
                note: Some(format!("no port was named: trying the kubelet's, {port}/tcp")),
                ..ChosenPort::asked(Some(port), Protocol::Tcp)
            })
        }
    }
}

/// The port of what the cluster does not know.
pub fn of_outside(target: &NamedEnd, protocol: Option<Protocol>) -> Result<ChosenPort> {
    let asked = target.asked();
    match (target.port, protocol.unwrap_or_default()) {
        (port, Protocol::Icmp) => without_port(port, &asked),
        (Some(port), protocol) => Ok(ChosenPort::asked(Some(port), protocol)),
        (None, protocol) => Err(WrongUsage::error(format!(
            "{} needs a port, and `{asked}` has none; write `{}`, or use --protocol icmp",
            protocol.name(),
            if asked.contains(':') {
                format!("[{asked}]:443")
            } else {
                format!("{asked}:443")
            }
        ))),
    }
}

fn without_port(port: Option<u16>, asked: &str) -> Result<ChosenPort> {
    match port {
        Some(port) => Err(WrongUsage::error(format!(
            "icmp has no ports, and port {port} of {asked} was named; leave it out"
        ))),
        None => Ok(ChosenPort::asked(None, Protocol::Icmp)),
    }
}

#[derive(Clone, Copy)]
struct Candidate<'a> {
    name: &'a str,
    port: u16,
    protocol: &'a str,
}

impl<'a> Candidate<'a> {
    fn of(port: &'a ServicePort) -> Self {
        Self {
            name: &port.name,
            port: port.port,
            protocol: &port.protocol,
        }
    }

    fn is(&self, protocol: Protocol) -> bool {
        self.protocol.eq_ignore_ascii_case(protocol.name())
    }
}

fn numbered(ports: &[Candidate], number: u16, protocol: Option<Protocol>, full: &str) -> Result<ChosenPort> {
    if protocol == Some(Protocol::Icmp) {
        return without_port(Some(number), full);
    }
    let of_number: Vec<&Candidate> = ports.iter().filter(|port| port.port == number).collect();
    match (protocol, of_number.as_slice()) {
        // Only where it is declared otherwise is it not TCP.
        (None, [first, ..]) if !of_number.iter().any(|port| port.is(Protocol::Tcp)) => {
            settle(**first, None, None, full)
        }
        _ => Ok(ChosenPort::asked(Some(number), protocol.unwrap_or_default())),
    }
}

fn named<'a>(ports: &[Candidate<'a>], name: &str, protocol: Option<Protocol>) -> Option<Candidate<'a>> {
    let of_name = || ports.iter().filter(|port| port.name == name);
    of_name()
        .find(|port| protocol.is_none_or(|protocol| port.is(protocol)))
        .or_else(|| of_name().next())
        .copied()
}

fn only(
    ports: &[Candidate],
    protocol: Option<Protocol>,
    has: &str,
    what: &str,
    target: &NamedEnd,
) -> Result<ChosenPort> {
    if protocol == Some(Protocol::Icmp) {
        return Ok(ChosenPort::asked(None, Protocol::Icmp));
    }
    let fitting: Vec<&Candidate> = ports
        .iter()
        .filter(|port| protocol.is_none_or(|protocol| port.is(protocol)))
        .collect();
    match fitting[..] {
        [port] => {
            let note = format!(
                "no port was named: trying the only one {what} {has}, {}/{}",
                port.port,
                port.protocol.to_lowercase()
            );
            settle(*port, protocol, Some(note), what)
        }
        [] => Err(NotThere::error(format!(
            "no port was named, and {what} {has} none; write `{}:80`, or use --protocol icmp",
            target.asked()
        ))),
        _ => Err(NotThere::error(format!(
            "no port was named, and {what} {has} several{}; write `{}:{}`",
            listed(ports),
            target.asked(),
            fitting[0].port
        ))),
    }
}

fn settle(port: Candidate, asked: Option<Protocol>, note: Option<String>, full: &str) -> Result<ChosenPort> {
    let protocol = match (asked, port.protocol) {
        (Some(asked), _) => asked,
        (None, "UDP") => Protocol::Udp,
        (None, "TCP") => Protocol::Tcp,
        (None, other) => {
            return Err(NotThere::error(format!(
                "port {} of {full} is {}, which cannot be tried; name another port, or use --protocol icmp",
                port.port,
                other.to_lowercase()
            )));
        }
    };
    Ok(ChosenPort {
        port: Some(port.port),
        protocol,
        note,
    })
}

fn listed(ports: &[Candidate]) -> String {
    let shown: Vec<String> = ports
        .iter()
        .map(|port| {
            let name = if port.name.is_empty() {
                String::new()
            } else {
                format!("{} ", port.name)
            };
            format!("{name}{}/{}", port.port, port.protocol.to_lowercase())
        })
        .collect();
    if shown.is_empty() {
        "; it declares none".to_owned()
    } else {
        format!(" ({})", shown.join(", "))
    }
}
