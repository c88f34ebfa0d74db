//! Routes of all tables, both families.

use super::{Fact, Look};
use crate::netlink::{address, attributes, u16_at, u32_at};
use model::facts::{NetnsFacts, NextHop, Route, RouteKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const FACT: Fact = Fact {
    name: "routes",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.routes = look.known("routes", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<Route>> {
    look.route(|route| route.dump(libc::RTM_GETROUTE, &[0; RTMSG_BYTES], |_, body| parse(body)))
}

/// `struct rtmsg`: family, destination length at 1, table at 4, protocol at 5, scope at 6, type at 7, flags at 8.
pub(super) const RTMSG_BYTES: usize = 12;
/// `struct rtnexthop`: length, flags at 2, hops at 3, interface at 4.
const RTNEXTHOP_BYTES: usize = 8;

// linux/rtnetlink.h
const RTNH_F_DEAD: u8 = 1;
const RTNH_F_ONLINK: u8 = 4;
const RTNH_F_LINKDOWN: u8 = 16;
const RTAX_MTU: u16 = 2;

/// One route; other families' routes (multicast routing, MPLS) are none of ours.
pub(super) fn parse(message: &[u8]) -> Option<Route> {
    let body = message.get(RTMSG_BYTES..)?;
    let unspecified = match i32::from(message[0]) {
        libc::AF_INET => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        libc::AF_INET6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return None,
    };
    let mut route = Route {
        table: u32::from(message[4]),
        dst: unspecified,
        prefix: message[1],
        kind: kind(message[7]),
        hops: Vec::new(),
        prefsrc: None,
        metric: 0,
        mtu: None,
        protocol: protocol(message[5]),
    };
    let mut hop = hop(message[8]);
    for (kind, value) in attributes(body) {
        match kind {
            libc::RTA_TABLE => route.table = u32_at(value, 0),
            libc::RTA_DST => route.dst = address(value)?,
            libc::RTA_GATEWAY => hop.via = address(value),
            libc::RTA_VIA => hop.via = via(value),
            libc::RTA_OIF => hop.oif = Some(u32_at(value, 0)),
            libc::RTA_PREFSRC => route.prefsrc = address(value),
            libc::RTA_PRIORITY => route.metric = u32_at(value, 0),
            libc::RTA_METRICS => route.mtu = mtu(value),
            libc::RTA_MULTIPATH => route.hops = multipath(value),
            _ => {}
        }
    }
    if route.hops.is_empty() && (hop.via.is_some() || hop.oif.is_some()) && leads_somewhere(route.kind) {
        route.hops.push(hop);
    }
    Some(route)
}

/// IPv6 gives blackhole routes the loopback device, which says nothing.
fn leads_somewhere(kind: RouteKind) -> bool {
    !matches!(
        kind,
        RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw
    )
}

fn hop(flags: u8) -> NextHop {
    NextHop {
        via: None,
        oif: None,
        onlink: flags & RTNH_F_ONLINK != 0,
        dead: flags & (RTNH_F_DEAD | RTNH_F_LINKDOWN) != 0,
    }
}

fn multipath(mut rest: &[u8]) -> Vec<NextHop> {
    let mut hops = Vec::new();
    while rest.len() >= RTNEXTHOP_BYTES {
        let length = usize::from(u16_at(rest, 0));
        let Some(body) = rest.get(RTNEXTHOP_BYTES..length) else {
            break;
        };
        let mut hop = hop(rest[2]);
        hop.oif = Some(u32_at(rest, 4));
        for (kind, value) in attributes(body) {
            match kind {
                libc::RTA_GATEWAY => hop.via = address(value),
                libc::RTA_VIA => hop.via = via(value),
                _ => {}
            }
        }
        hops.push(hop);
        rest = rest.get((length + 3) & !3..).unwrap_or_default();
    }
    hops
}

/// `struct rtvia`: a gateway of another family than the route's.
fn via(value: &[u8]) -> Option<IpAddr> {
    address(value.get(2..)?)
}

fn mtu(metrics: &[u8]) -> Option<u32> {
    attributes(metrics).find_map(|(kind, value)| (kind == RTAX_MTU).then(|| u32_at(value, 0)))
}

fn kind(number: u8) -> RouteKind {
    match number {
        libc::RTN_UNICAST => RouteKind::Unicast,
        libc::RTN_LOCAL => RouteKind::Local,
        libc::RTN_BROADCAST => RouteKind::Broadcast,
        libc::RTN_ANYCAST => RouteKind::Anycast,
        libc::RTN_MULTICAST => RouteKind::Multicast,
        libc::RTN_BLACKHOLE => RouteKind::Blackhole,
        libc::RTN_UNREACHABLE => RouteKind::Unreachable,
        libc::RTN_PROHIBIT => RouteKind::Prohibit,
        libc::RTN_THROW => RouteKind::Throw,
        _ => RouteKind::Other,
    }
}

/// As iproute2 names them (its `rt_protos`).
fn protocol(number: u8) -> String {
    match number {
        0 => "unspec",
        1 => "redirect",
        2 => "kernel",
        3 => "boot",
        4 => "static",
        8 => "gated",
        9 => "ra",
        11 => "zebra",
        12 => "bird",
        16 => "dhcp",
        18 => "keepalived",
        42 => "babel",
        80 => "cilium",
        186 => "bgp",
        188 => "ospf",
        189 => "rip",
        192 => "eigrp",
        other => return other.to_string(),
    }
    .to_owned()
}
