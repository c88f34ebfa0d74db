//! Routes of all tables, both families.

use super::{Fact, Look};
use crate::netlink::{address, attributes, u16_at, u32_at};
use anyhow::bail;
use model::facts::{NetnsFacts, NextHop, Route, RouteKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const FACT: Fact = Fact {
    name: "routes",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.routes = look.known("routes", read(look)),
};

/// A router with more routes than this tells only those that concern the addresses in question.
const ROUTES_MAX: usize = 10_000;

fn read(look: &Look) -> anyhow::Result<Vec<Route>> {
    let mut routes = look.route(|route| route.dump(libc::RTM_GETROUTE, &[0; RTMSG_BYTES], |_, body| parse(body)))?;
    if routes.len() > ROUTES_MAX {
        let (count, asked) = (routes.len(), look.addresses());
        routes.retain(|route| route.prefix == 0 || asked.iter().any(|address| covers(route, *address)));
        if asked.is_empty() || routes.len() > ROUTES_MAX {
            bail!("there are {count}, more than can be carried; name the two ends, so that only theirs are read");
        }
    }
    Ok(routes)
}

fn covers(route: &Route, address: IpAddr) -> bool {
    let bits = |address: IpAddr, prefix: u8| match address {
        IpAddr::V4(v4) => (v4.to_bits() as u128).checked_shr(32 - u32::from(prefix.min(32))),
        IpAddr::V6(v6) => v6.to_bits().checked_shr(128 - u32::from(prefix.min(128))),
    };
    route.dst.is_ipv4() == address.is_ipv4()
        && bits(route.dst, route.prefix).unwrap_or(0) == bits(address, route.prefix).unwrap_or(0)
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

#[cfg(test)]
mod tests {
    use super::{RTMSG_BYTES, covers, parse};
    use crate::netlink::attribute;
    use model::facts::{Route, RouteKind};

    /// The start of a message of the main table: family, prefix length, type.
    fn message(family: i32, prefix: u8, kind: u8) -> Vec<u8> {
        let mut message = vec![0; RTMSG_BYTES];
        (message[0], message[1], message[4], message[7]) = (family as u8, prefix, 254, kind);
        message
    }

    fn prefix(dst: &str, prefix: u8) -> Route {
        let mut route = parse(&message(libc::AF_INET, prefix, libc::RTN_UNICAST)).unwrap();
        route.dst = dst.parse().unwrap();
        route
    }

    #[test]
    fn every_hop_of_a_multipath_route_is_told() {
        let mut hops = Vec::new();
        for (last, flags) in [(1_u8, 0_u8), (2, 1)] {
            let mut gateway = Vec::new();
            attribute(&mut gateway, libc::RTA_GATEWAY, &[10, 0, 0, last]);
            hops.extend((8 + gateway.len() as u16).to_ne_bytes());
            hops.extend([flags, 0]);
            hops.extend(u32::from(last).to_ne_bytes());
            hops.extend(gateway);
        }
        let mut message = message(libc::AF_INET, 0, libc::RTN_UNICAST);
        attribute(&mut message, libc::RTA_MULTIPATH, &hops);
        let route = parse(&message).unwrap();
        let told: Vec<_> = route
            .hops
            .iter()
            .map(|hop| (hop.via.unwrap().to_string(), hop.oif, hop.dead))
            .collect();
        assert_eq!(
            told,
            [
                ("10.0.0.1".to_owned(), Some(1), false),
                ("10.0.0.2".to_owned(), Some(2), true)
            ]
        );
    }

    #[test]
    fn a_route_that_leads_nowhere_has_no_hop_even_where_ipv6_names_a_device() {
        let mut message = message(libc::AF_INET6, 64, libc::RTN_BLACKHOLE);
        attribute(&mut message, libc::RTA_OIF, &1_u32.to_ne_bytes());
        let route = parse(&message).unwrap();
        assert_eq!((route.kind, route.hops.len()), (RouteKind::Blackhole, 0));
    }

    #[test]
    fn tables_beyond_the_first_256_are_told_whole() {
        let mut message = message(libc::AF_INET, 24, libc::RTN_UNICAST);
        message[4] = 252;
        attribute(&mut message, libc::RTA_TABLE, &4097_u32.to_ne_bytes());
        assert_eq!(parse(&message).unwrap().table, 4097);
    }

    #[test]
    fn a_prefix_covers_its_addresses() {
        let address = |text: &str| text.parse().unwrap();
        assert!(covers(&prefix("10.0.0.0", 8), address("10.9.9.9")));
        assert!(!covers(&prefix("10.0.0.0", 8), address("11.0.0.1")));
        assert!(covers(&prefix("10.0.0.7", 32), address("10.0.0.7")));
        assert!(covers(&prefix("0.0.0.0", 0), address("192.0.2.1")));
        assert!(!covers(&prefix("0.0.0.0", 0), address("fd00::1")));
    }
}
