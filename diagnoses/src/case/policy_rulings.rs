//! What network policies say of the attempts of a run, or, where nothing was sent, of the question.

use crate::case::attribution::is_icmp;
use crate::case::services::{AskedService, services};
use crate::case::{Case, Tried};
use crate::kubernetes::agents::Agent;
use crate::kubernetes::pods::pod_of;
use crate::kubernetes::policy::{Connection, Party, PolicyReader, Ruling, judges_by_identity, ruling_by};
use model::flow::{Flow, protocol_name};
use model::inventory::Inventory;
use model::report::Direction;
use std::net::IpAddr;

/// What they say of an attempt: of the endpoint it came to where that was seen, else of all it may come to; and of the source as
/// it was where the request was dropped, else where it was seen last. `None` without a cluster.
pub fn of_attempt<'a>(case: &Case<'a>, tried: &Tried<'a>) -> Option<Ruling<'a>> {
    read_by(PolicyReader::Served, case, tried)
}

/// What an agent has to make of an attempt, by the kinds of policies that it knows.
pub fn by_agent<'a>(case: &Case<'a>, tried: &Tried<'a>, agent: &'static Agent) -> Option<Ruling<'a>> {
    read_by(PolicyReader::Agent(agent), case, tried)
}

fn read_by<'a>(reader: PolicyReader, case: &Case<'a>, tried: &Tried<'a>) -> Option<Ruling<'a>> {
    let flow = tried.attempt.flow;
    let inventory = case.inventory()?;
    let came_to = dropped_as(case, tried.attempt.id).or_else(|| case.trail.forms(tried.attempt.id).last().copied());
    let opener = Opener {
        source: source(case, inventory, flow.src()),
        seen_as: came_to
            .filter(|form| form.src() != flow.src())
            .map(|form| translated_source(case, inventory, form.src())),
    };
    let ends = ends(case, flow, came_to);
    let protocol = protocol(flow.protocol)?;
    let ruled = |opener: Opener<'a>| together(ends.iter().map(|end| end.ruling(reader, inventory, opener, protocol)));
    let as_seen = ruled(opener);
    if opener.seen_as.is_none() || !judges_by_identity(reader, inventory) {
        return Some(as_seen);
    }
    let as_sent = ruled(Opener {
        seen_as: None,
        ..opener
    });
    let alike = core::mem::discriminant(&as_seen) == core::mem::discriminant(&as_sent);
    Some(if alike {
        as_seen
    } else {
        let why = "Cilium judges a source by its identity: the source's own where the packet still carries it, or that of the address it was translated to";
        Ruling::Unknown(why.to_owned())
    })
}

/// The tuple that the place had before it which dropped the request.
fn dropped_as(case: &Case<'_>, attempt: u32) -> Option<Flow> {
    let request = case.leg(attempt, Direction::Request)?;
    let event = request.drops.first()?.event;
    // What is lost inside of a tunnel's packet has its own tuple within.
    Some(event.quoted.filter(|_| !is_icmp(event)).unwrap_or(event.flow))
}

/// Whoever has the address that the source was translated to: most often a node, which has more addresses than the API tells.
fn translated_source<'a>(case: &Case<'a>, inventory: &'a Inventory, address: IpAddr) -> Party<'a> {
    let party = Party::at(inventory, address);
    if party.pod.is_some() || !party.node.is_empty() {
        return party;
    }
    let hosts = case.evidence.nodes.iter().filter(|node| node.host_netns != 0);
    let owners = case.owners(address);
    let owns = |netns: u32| owners.iter().any(|(owner, _)| *owner == netns);
    let mut owning = hosts.filter(|node| owns(node.host_netns));
    match (owning.next(), owning.next()) {
        (Some(node), None) => Party {
            node: &node.name,
            ..party
        },
        _ => party,
    }
}

/// Who opens a connection, and as whom it comes.
#[derive(Clone, Copy)]
struct Opener<'a> {
    source: Party<'a>,
    seen_as: Option<Party<'a>>,
}

/// What they say of the question itself, before anything is sent.
pub fn of_question<'a>(case: &Case<'a>) -> Option<Ruling<'a>> {
    let evidence = case.evidence;
    let inventory = case.inventory()?;
    let own = evidence.source.addresses.first()?;
    let protocol = match evidence.protocol.as_str() {
        "udp" => "udp",
        "icmp" => "icmp",
        _ if evidence.intent == model::evidence::Intent::Dns => "udp",
        _ => "tcp",
    };
    let number = if protocol == "udp" {
        model::flow::UDP
    } else {
        model::flow::TCP
    };
    let family = |address: &&IpAddr| address.is_ipv4() == own.is_ipv4();
    let target = evidence.destination.addresses.iter().find(family)?;
    let port = evidence.destination.port.unwrap_or_default();
    let flow = Flow::new(number, (*own, 0).into(), (*target, port).into());
    let opener = Opener {
        source: source(case, inventory, *own),
        seen_as: None,
    };
    let ends = ends(case, flow, None);
    Some(together(ends.into_iter().map(|end| {
        end.ruling(PolicyReader::Served, inventory, opener, protocol)
    })))
}

fn protocol(number: u8) -> Option<&'static str> {
    match &*protocol_name(number) {
        "tcp" => Some("tcp"),
        "udp" => Some("udp"),
        "icmp" | "icmpv6" => Some("icmp"),
        _ => None,
    }
}

fn source<'a>(case: &Case<'a>, inventory: &'a Inventory, address: IpAddr) -> Party<'a> {
    match pod_of(case.evidence, &case.evidence.source) {
        Some(pod) => Party::pod(pod, address),
        None => Party::at(inventory, address),
    }
}

/// Where a connection may end.
struct PossibleEnd {
    address: IpAddr,
    port: u16,
    service: Option<IpAddr>,
}

impl PossibleEnd {
    fn ruling<'a>(
        &self,
        reader: PolicyReader,
        inventory: &'a Inventory,
        opener: Opener<'a>,
        protocol: &'a str,
    ) -> Ruling<'a> {
        ruling_by(
            reader,
            inventory,
            &Connection {
                from: opener.source,
                seen_as: opener.seen_as,
                to: Party::at(inventory, self.address),
                protocol,
                port: self.port,
                service: self.service,
            },
        )
    }
}

/// The ends that a tuple may come to: itself, or what stands behind the service it was sent to.
fn ends(case: &Case<'_>, sent: Flow, came_to: Option<Flow>) -> Vec<PossibleEnd> {
    let translated = came_to.filter(|flow| flow.dst() != sent.dst());
    let end = |flow: Flow, service| PossibleEnd {
        address: flow.dst(),
        port: flow.dport,
        service,
    };
    if let Some(flow) = translated {
        return vec![end(flow, Some(sent.dst()))];
    }
    let behind: Vec<PossibleEnd> = services(case)
        .iter()
        .filter(|asked| !asked.service.headless)
        .flat_map(AskedService::usable)
        .filter(|backend| backend.address.is_ipv4() == sent.dst().is_ipv4())
        .map(|backend| PossibleEnd {
            address: backend.address,
            port: backend.port,
            service: Some(sent.dst()),
        })
        .collect();
    if behind.is_empty() {
        vec![end(sent, None)]
    } else {
        behind
    }
}

/// The ruling of several ends together: denied where each is denied.
fn together<'a>(rulings: impl Iterator<Item = Ruling<'a>>) -> Ruling<'a> {
    let mut denied = None;
    let (mut allowed, mut doubt) = (false, None);
    let mut open_ends = Vec::new();
    for one in rulings {
        match one {
            Ruling::Allowed { open } => {
                allowed = true;
                open_ends.extend(open);
            }
            Ruling::Unknown(why) => doubt = Some(why),
            Ruling::Denied(_) => denied = denied.or(Some(one)),
        }
    }
    match (denied, allowed, doubt) {
        (Some(denied), false, None) => denied,
        (Some(_), true, _) => {
            Ruling::Unknown("some of the service's endpoints are forbidden and some are not".to_owned())
        }
        (_, _, Some(why)) => Ruling::Unknown(why),
        (None, ..) => Ruling::Allowed { open: open_ends },
    }
}
