//! The way of a tunnel's packets from node to node: whether they are lost on it, and what packets outside the tunnel met there.

use crate::case::clocks;
use crate::case::lost_between_nodes;
use crate::case::tunnels::{Crossing, crossings};
use crate::case::{Case, Failure, Tried};
use crate::kernel::tunnel;
use crate::verdict::remedy::Remedy;
use crate::words::count;
use model::evidence::{Evidence, TunnelWayTry};
use model::facts::Link;
use model::report::Direction;
use std::net::IpAddr;

/// The tunnel whose packets left one node and never came in at the other, and what was seen of it, in words.
pub fn lost_between<'a>(case: &Case<'a>) -> Option<(Crossing<'a>, String)> {
    let failed = case.failed();
    let silent = |tried: &&&Tried<'_>| matches!(tried.failure(), Some(Failure::Silent(_)) | None);
    failed.iter().filter(silent).find_map(|tried| {
        let id = tried.attempt.id;
        let answered = case.leg(id, Direction::Answer).is_some_and(|leg| !leg.stops.is_empty());
        let direction = if answered {
            Direction::Answer
        } else {
            Direction::Request
        };
        let leg = case.leg(id, direction).filter(|leg| leg.drops.is_empty())?;
        let last = leg.farthest()?;
        let words = lost_between_nodes::lost(case, id, direction, last)?;
        let mut all = crossings(case).into_iter();
        let crossing = all.find(|crossing| (crossing.netns, crossing.direction) == (last.netns, direction))?;
        let left = |under: &Link| under.index == last.ifindex;
        // The packets of other kinds of tunnels are not seen at the interface below.
        let seen_below = crossing.under.is_some_and(left) || crossing.link.kind == "wireguard";
        seen_below.then_some((crossing, words))
    })
}

/// The way of a tunnel's packets that is worth a try, as they are lost between two nodes: from its sending end to a UDP port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TunnelWay {
    /// Namespace of the sending end.
    pub netns: u32,
    /// Its address.
    pub from: IpAddr,
    /// The address of the far end.
    pub to: IpAddr,
    /// The port.
    pub port: u16,
}

/// That way; `None` where no tunnel's packets are lost, or its kind has no port.
#[must_use]
pub fn tunnel_way_to_try(evidence: &Evidence) -> Option<TunnelWay> {
    let evidence = &*clocks::aligned(evidence);
    let case = Case::new(evidence);
    let (crossing, _) = lost_between(&case)?;
    let outer = crossing.outer?;
    Some(TunnelWay {
        netns: crossing.netns,
        from: outer.src(),
        to: outer.dst(),
        port: tunnel::udp_port(crossing.link)?,
    })
}

/// What was tried outside this tunnel, where all of it could be sent.
pub fn tried<'a>(case: &Case<'a>, crossing: &Crossing<'_>) -> Option<&'a TunnelWayTry> {
    let tried = case.evidence.tunnel_way.as_ref()?;
    let outer = crossing.outer?;
    let same = (tried.from, tried.to) == (outer.src(), outer.dst());
    (same && tried.echoes_sent > 0 && tried.datagrams_sent > 0).then_some(tried)
}

/// `an echo from node n1 to 172.31.90.2 is answered, but none of 3 datagrams to its UDP port 8472 came in there`.
pub fn met(case: &Case<'_>, crossing: &Crossing<'_>, tried: &TunnelWayTry) -> String {
    let TunnelWayTry {
        to,
        port,
        datagrams_sent: sent,
        datagrams_arrived: arrived,
        ..
    } = *tried;
    let answered = tried.echoes_answered > 0;
    let echoes = if answered { "is answered" } else { "is not answered" };
    let but = if answered == (arrived > 0) { "and" } else { "but" };
    let arrivals = if arrived > 0 {
        arrived.to_string()
    } else {
        "none".to_owned()
    };
    format!(
        "tried outside the tunnel: an echo from {} to {to} {echoes}, {but} {arrivals} of {} to its UDP port {port} came in there",
        case.name(crossing.netns),
        count(sent as usize, "datagram")
    )
}

/// What to let pass, and how to tell the port from the whole way between the nodes where it was not tried.
pub fn remedy(case: &Case<'_>, crossing: &Crossing<'_>, tried: Option<&TunnelWayTry>) -> Option<Remedy> {
    let outer = crossing.outer?;
    let (near, far) = (outer.src(), outer.dst());
    let what = match tunnel::udp_port(crossing.link) {
        Some(port) => format!("UDP port {port}"),
        None => format!("{} packets", crossing.link.kind),
    };
    let remedy = format!(
        "let {what} pass between {near} and {far}, both ways: in the security group or the firewall between the nodes"
    );
    Some(match tried {
        Some(tried) if tried.datagrams_arrived > 0 => Remedy::from(format!(
            "small datagrams to {what} pass from {near} to {far}, and the tunnel's do not: look at what between the nodes treats them differently, such as a limit of their size or a filter of their content"
        )),
        Some(tried) if tried.echoes_answered == 0 => Remedy::from(format!(
            "{remedy}; echoes do not pass either: if nothing does, the network between the nodes is to be mended first"
        )),
        Some(_) => Remedy::from(remedy),
        None => Remedy::from(remedy).tell(
            "; if ",
            case.command(crossing.netns, "ping -c 3 {}", &[&far]),
            " is not answered either, the nodes do not reach each other at all",
        ),
    })
}
