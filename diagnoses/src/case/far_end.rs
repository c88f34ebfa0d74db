//! The far end of an attempt: where its request was handed up, what listens there, which program holds it.

use crate::case::{Case, Failure, Tried};
use crate::kernel::drops::Class;
use crate::kernel::interfaces;
use model::event::{Event, Seen};
use model::facts::{ProcessFacts, Socket};
use model::flow::{Flow, TCP, UDP, protocol_name};
use model::missing::Missing;
use model::report::Direction;
use std::net::IpAddr;

/// Where a request came to its end, and its tuple there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FarEnd {
    /// Namespace.
    pub netns: u32,
    /// The tuple as it arrived.
    pub flow: Flow,
}

/// A process at an end, before and after the window.
pub type Process = (ProcessFacts, Option<ProcessFacts>);

/// Where the request of an attempt came to its end: seen there, else by the address it was sent to.
pub fn far_end(case: &Case<'_>, attempt: u32) -> Option<FarEnd> {
    let leg = case.leg(attempt, Direction::Request);
    if let Some(leg) = leg {
        let received = leg.drops.iter().find(|drop| {
            matches!(
                drop.class,
                Class::NoSocket
                    | Class::ListenOverflow
                    | Class::UnknownConnection
                    | Class::ReceiveBuffer
                    | Class::Checksum
            ) && drop.event.netns != 0
                && is_own(case, attempt, drop.event.flow)
        });
        if let Some(drop) = received {
            return Some(FarEnd {
                netns: drop.event.netns,
                flow: drop.event.flow,
            });
        }
        let owned = leg.stops.iter().rev().find(|stop| {
            case.evidence
                .netns(stop.netns)
                .is_some_and(|netns| is_local(&netns.before, stop.flow.dst()))
        });
        if let Some(stop) = owned {
            return Some(FarEnd {
                netns: stop.netns,
                flow: stop.flow,
            });
        }
    }
    let sent = case.attempt(attempt).map(|tried| tried.attempt.flow).or_else(|| {
        case.evidence
            .watched
            .iter()
            .find(|w| w.attempt == attempt)
            .map(|w| w.flow)
    })?;
    let end = &case.evidence.destination;
    let netns = end.netns.filter(|_| end.addresses.contains(&sent.dst()))?;
    Some(FarEnd { netns, flow: sent })
}

/// The tuple is the attempt's own in one of its forms, and not that of a tunnel's packet around it.
fn is_own(case: &Case<'_>, attempt: u32, flow: Flow) -> bool {
    let akin = |own: &Flow| own.protocol == flow.protocol && (own.saddr == flow.saddr || own.daddr == flow.daddr);
    let sent = case
        .evidence
        .watched
        .iter()
        .filter(|watched| watched.attempt == attempt);
    sent.map(|watched| watched.flow)
        .chain(case.attempt(attempt).map(|tried| tried.attempt.flow))
        .chain(case.trail.forms(attempt))
        .any(|own| akin(&own))
}

/// The address is one of the namespace's own, loopback addresses among them.
fn is_local(facts: &model::facts::NetnsFacts, address: IpAddr) -> bool {
    address.is_loopback() || interfaces::owns(facts, address)
}

/// Every listening socket of the end's port and protocol, whatever address it is bound to.
pub fn listeners<'a>(case: &Case<'a>, end: FarEnd) -> Result<Vec<&'a Socket>, Missing> {
    let sockets = case.after(end.netns, "sockets", |facts| &facts.sockets)?;
    Ok(sockets.iter().filter(|socket| is_listener(socket, end.flow)).collect())
}

fn is_listener(socket: &Socket, flow: Flow) -> bool {
    let listens = match flow.protocol {
        TCP => socket.state == "LISTEN",
        UDP => socket.state == "UNCONN" || (socket.state != "ESTABLISHED" && socket.flow.dport == 0),
        _ => false,
    };
    listens && socket.flow.protocol == flow.protocol && socket.flow.sport == flow.dport
}

/// The socket takes what is sent to this address.
pub fn takes(socket: &Socket, dst: IpAddr) -> bool {
    match socket.flow.src() {
        IpAddr::V4(own) if own.is_unspecified() => dst.is_ipv4(),
        IpAddr::V6(own) if own.is_unspecified() => dst.is_ipv6() || !socket.v6only,
        own => own == dst,
    }
}

/// The listener that takes what arrives there.
pub fn listener<'a>(case: &Case<'a>, end: FarEnd) -> Result<Option<&'a Socket>, Missing> {
    Ok(listeners(case, end)?
        .into_iter()
        .find(|socket| takes(socket, end.flow.dst())))
}

/// The same listener as it was before the window.
pub fn listener_before<'a>(case: &Case<'a>, end: FarEnd) -> Option<&'a Socket> {
    let sockets = case.before(end.netns, "sockets", |facts| &facts.sockets).ok()?;
    sockets
        .iter()
        .find(|socket| is_listener(socket, end.flow) && takes(socket, end.flow.dst()))
}

/// The processes that hold a socket of a namespace: of its node, since two nodes count processes alike.
pub fn holders<'a>(case: &Case<'a>, netns: u32, socket: &Socket) -> Vec<&'a Process> {
    let node = case.node(netns);
    let here = |process: &ProcessFacts| process.node.is_empty() || node.is_empty() || process.node == node;
    case.evidence
        .processes
        .iter()
        .filter(|(before, _)| socket.pids.contains(&before.pid) && here(before))
        .collect()
}

/// The latest look at a process.
pub fn latest((before, after): &Process) -> &ProcessFacts {
    after.as_ref().unwrap_or(before)
}

/// `python3 (pid 42)`.
pub fn process_words(process: &ProcessFacts) -> String {
    let name = if process.name.is_empty() {
        "a process"
    } else {
        &process.name
    };
    format!("{name} (pid {})", process.pid)
}

/// `10.90.2.2:80/tcp`.
pub fn target_words(flow: Flow) -> String {
    let address = std::net::SocketAddr::new(flow.dst(), flow.dport);
    format!("{address}/{}", protocol_name(flow.protocol))
}

/// Resets that were sent for an attempt's packets, by whichever end.
pub fn resets_sent<'a>(case: &Case<'a>, attempt: u32) -> Vec<&'a Event> {
    case.about(attempt)
        .filter(|event| matches!(event.seen, Seen::ResetSent { .. }))
        .collect()
}

/// Packets of the attempt's answers, at whatever hook.
pub fn answer_packets<'a>(case: &Case<'a>, attempt: u32) -> impl Iterator<Item = &'a Event> {
    let forms: Vec<Flow> = case.trail.forms(attempt).into_iter().map(Flow::reversed).collect();
    case.evidence
        .events
        .iter()
        .filter(move |event| matches!(event.seen, Seen::Hop { .. }) && forms.contains(&event.flow))
}

/// Attempts whose request was turned away by the target's own kernel for want of a socket.
pub fn refused(case: &Case<'_>) -> Vec<(u32, FarEnd)> {
    let mut found: Vec<(u32, FarEnd)> = Vec::new();
    let mut add = |id: u32| {
        if let Some(end) = far_end(case, id)
            && !found.iter().any(|(known, _)| *known == id)
        {
            found.push((id, end));
        }
    };
    for drop in case.drops(Class::NoSocket) {
        let early = case.attempt(drop.attempt).is_none_or(|tried| !tried.connected());
        if drop.direction == Direction::Request && early && is_own(case, drop.attempt, drop.event.flow) {
            add(drop.attempt);
        }
    }
    for tried in case.failed() {
        let id = tried.attempt.id;
        let told = resets_sent(case, id).iter().any(|event| {
            let no_socket =
                matches!(&event.seen, Seen::ResetSent { reason: Some(reason), .. } if reason == "NO_SOCKET");
            no_socket && far_end(case, id).is_some_and(|end| end.netns == event.netns)
        });
        if (told && !tried.connected()) || closed_for_sure(case, tried) {
            add(id);
        }
    }
    found
}

/// Refused, its request arrived, the target's sockets were read and none is of that port, and no rule on the way answers.
fn closed_for_sure(case: &Case<'_>, tried: &Tried<'_>) -> bool {
    let id = tried.attempt.id;
    let Some(end) = far_end(case, id) else {
        return false;
    };
    let arrived = case
        .leg(id, Direction::Request)
        .is_some_and(|leg| leg.reached(end.netns) && leg.drops.is_empty());
    tried.failure() == Some(Failure::Refused)
        && arrived
        && !case.watched_by("tcpreset")
        && listeners(case, end).is_ok_and(|found| found.is_empty())
}

/// Connects that got no answer although their SYN reached its end without being dropped; none where either may not have been told.
pub fn unanswered(case: &Case<'_>) -> Vec<(u32, FarEnd)> {
    if !case.saw_all_by(&["path", "drop"]) {
        return Vec::new();
    }
    case.failed()
        .into_iter()
        .filter(|tried| tried.attempt.flow.protocol == TCP && !tried.connected())
        .filter(|tried| matches!(tried.failure(), Some(Failure::Silent(_)) | None))
        .filter_map(|tried| {
            let id = tried.attempt.id;
            let end = far_end(case, id)?;
            let request = case.leg(id, Direction::Request)?;
            let answered = case.leg(id, Direction::Answer).is_some_and(|leg| !leg.stops.is_empty());
            (request.reached(end.netns) && request.drops.is_empty() && !answered).then_some((id, end))
        })
        .collect()
}
