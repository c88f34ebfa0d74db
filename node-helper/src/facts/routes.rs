//! Routes of all tables, both families.

use super::{Fact, Look};
use crate::system::netlink::{decode, encode};
use anyhow::bail;
use model::facts::{NetnsFacts, NextHop, Route, RouteKind};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{
    RouteAddress, RouteAttribute, RouteFlags, RouteMessage, RouteMetric, RouteNextHop, RouteNextHopFlags, RouteType,
    RouteVia,
};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(super) const FACT: Fact = Fact {
    name: "routes",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.routes = look.known("routes", read(look)),
};

/// A router with more routes than this tells only those that concern the addresses in question.
const ROUTES_MAX: usize = 10_000;

fn read(look: &Look) -> anyhow::Result<Vec<Route>> {
    let all = encode(&RouteMessage::default());
    let mut routes = look.route(|route| route.dump_all(libc::RTM_GETROUTE, &all, parse))?;
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

/// One route; other families' routes (multicast routing, MPLS) are none of ours.
pub(super) fn parse(message: &[u8]) -> anyhow::Result<Option<Route>> {
    let message: RouteMessage = decode("a route", message)?;
    let header = message.header;
    let unspecified = match header.address_family {
        AddressFamily::Inet => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        AddressFamily::Inet6 => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        _ => return Ok(None),
    };
    let mut route = Route {
        table: u32::from(header.table),
        dst: unspecified,
        prefix: header.destination_prefix_length,
        kind: kind(header.kind),
        hops: Vec::new(),
        prefsrc: None,
        metric: 0,
        mtu: None,
        protocol: protocol(u8::from(header.protocol)),
    };
    let mut hop = NextHop {
        onlink: header.flags.contains(RouteFlags::Onlink),
        dead: header.flags.intersects(RouteFlags::Dead | RouteFlags::Linkdown),
        ..NextHop::default()
    };
    for attribute in message.attributes {
        match attribute {
            RouteAttribute::Table(table) => route.table = table,
            RouteAttribute::Destination(address) => route.dst = ip(&address).unwrap_or(unspecified),
            RouteAttribute::PrefSource(address) => route.prefsrc = ip(&address),
            RouteAttribute::Priority(metric) => route.metric = metric,
            RouteAttribute::Metrics(metrics) => route.mtu = mtu(&metrics),
            RouteAttribute::MultiPath(hops) => route.hops = hops.iter().map(next_hop).collect(),
            way => take(&mut hop, &way),
        }
    }
    if route.hops.is_empty() && (hop.via.is_some() || hop.oif.is_some()) && leads_somewhere(route.kind) {
        route.hops.push(hop);
    }
    Ok(Some(route))
}

/// IPv6 gives blackhole routes the loopback device, which says nothing.
fn leads_somewhere(kind: RouteKind) -> bool {
    !matches!(
        kind,
        RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit | RouteKind::Throw
    )
}

fn next_hop(one: &RouteNextHop) -> NextHop {
    let mut hop = NextHop {
        via: None,
        oif: Some(one.interface_index),
        onlink: one.flags.contains(RouteNextHopFlags::Onlink),
        dead: one
            .flags
            .intersects(RouteNextHopFlags::Dead | RouteNextHopFlags::Linkdown),
    };
    one.attributes.iter().for_each(|attribute| take(&mut hop, attribute));
    hop
}

/// What an attribute says about the way.
fn take(hop: &mut NextHop, attribute: &RouteAttribute) {
    match attribute {
        RouteAttribute::Gateway(address) => hop.via = ip(address),
        RouteAttribute::Oif(oif) => hop.oif = Some(*oif),
        // A gateway of another family than the route's.
        RouteAttribute::Via(RouteVia::Inet(v4)) => hop.via = Some(IpAddr::V4(*v4)),
        RouteAttribute::Via(RouteVia::Inet6(v6)) => hop.via = Some(IpAddr::V6(*v6)),
        _ => {}
    }
}

fn ip(address: &RouteAddress) -> Option<IpAddr> {
    match address {
        RouteAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        RouteAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        _ => None,
    }
}

fn mtu(metrics: &[RouteMetric]) -> Option<u32> {
    metrics.iter().find_map(|metric| match metric {
        RouteMetric::Mtu(mtu) => Some(*mtu),
        _ => None,
    })
}

fn kind(kind: RouteType) -> RouteKind {
    match kind {
        RouteType::Unicast => RouteKind::Unicast,
        RouteType::Local => RouteKind::Local,
        RouteType::Broadcast => RouteKind::Broadcast,
        RouteType::Anycast => RouteKind::Anycast,
        RouteType::Multicast => RouteKind::Multicast,
        RouteType::BlackHole => RouteKind::Blackhole,
        RouteType::Unreachable => RouteKind::Unreachable,
        RouteType::Prohibit => RouteKind::Prohibit,
        RouteType::Throw => RouteKind::Throw,
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
    use super::{covers, parse};
    use crate::system::netlink::attribute;
    use model::facts::{Route, RouteKind};

    /// `struct rtmsg`.
    const RTMSG_BYTES: usize = 12;

    /// The start of a message of the main table: family, prefix length, type.
    fn message(family: i32, prefix: u8, kind: u8) -> Vec<u8> {
        let mut message = vec![0; RTMSG_BYTES];
        (message[0], message[1], message[4], message[7]) = (family as u8, prefix, 254, kind);
        message
    }

    fn prefix(dst: &str, prefix: u8) -> Route {
        let mut route = parse(&message(libc::AF_INET, prefix, libc::RTN_UNICAST))
            .unwrap()
            .unwrap();
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
        let route = parse(&message).unwrap().unwrap();
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
        let route = parse(&message).unwrap().unwrap();
        assert_eq!((route.kind, route.hops.len()), (RouteKind::Blackhole, 0));
    }

    #[test]
    fn tables_beyond_the_first_256_are_told_whole() {
        let mut message = message(libc::AF_INET, 24, libc::RTN_UNICAST);
        message[4] = 252;
        attribute(&mut message, libc::RTA_TABLE, &4097_u32.to_ne_bytes());
        assert_eq!(parse(&message).unwrap().unwrap().table, 4097);
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
