//! Facts of the scene: interfaces, addresses, routes, neighbours, rules, and namespaces made of them.

use super::ip;
use model::facts::{
    Address, Chain, CiliumMetrics, Conntrack, Link, Neighbour, Netfilter, NetfilterRule, NetnsFacts, NextHop, Peer,
    Route, RouteKind, RoutingRule,
};
use model::missing::Known;
use std::collections::BTreeMap;

/// A chain of iptables with one rule, and nothing else.
pub fn one_rule(table: &str, chain: &str, rule: NetfilterRule) -> Netfilter {
    Netfilter {
        chains: vec![Chain {
            backend: "iptables-legacy".to_owned(),
            family: "ip".to_owned(),
            table: table.to_owned(),
            name: chain.to_owned(),
            hook: Some(chain.to_lowercase()),
            policy: Some("ACCEPT".to_owned()),
            rules: vec![NetfilterRule { handle: 1, ..rule }],
            ..Chain::default()
        }],
        ..Netfilter::default()
    }
}

/// An interface in good order.
pub fn link(index: u32, name: &str, kind: &str) -> Link {
    Link {
        index,
        name: name.to_owned(),
        kind: kind.to_owned(),
        up: true,
        carrier: true,
        operstate: "UP".to_owned(),
        mtu: 1500,
        mac: format!("02:00:00:00:00:{index:02x}"),
        ..Link::default()
    }
}

/// A rule of routing policy that leads everything to a table.
pub fn rule(family: u8, priority: u32, table: u32) -> RoutingRule {
    RoutingRule {
        family,
        priority,
        src: None,
        dst: None,
        iif: None,
        oif: None,
        fwmark: None,
        table: Some(table),
        action: "lookup".to_owned(),
        protocol: None,
        sport: None,
        dport: None,
        uids: None,
        suppress_prefixlength: None,
        invert: false,
        opaque: false,
    }
}

/// The route of a table in which every IPv4 address is local, as transparent proxies have it.
pub fn all_local(table: u32) -> Route {
    Route {
        table,
        kind: RouteKind::Local,
        ..route("0.0.0.0", 0, None, 1)
    }
}

/// A unicast route of the main table.
pub fn route(dst: &str, prefix: u8, via: Option<&str>, oif: u32) -> Route {
    Route {
        table: 254,
        dst: ip(dst),
        prefix,
        kind: RouteKind::Unicast,
        hops: vec![NextHop {
            via: via.map(ip),
            oif: Some(oif),
            ..NextHop::default()
        }],
        prefsrc: None,
        metric: 0,
        mtu: None,
        protocol: "boot".to_owned(),
    }
}

/// A route to an own address.
pub fn local(dst: &str, oif: u32) -> Route {
    Route {
        table: 255,
        kind: RouteKind::Local,
        protocol: "kernel".to_owned(),
        ..route(dst, if dst.contains(':') { 128 } else { 32 }, None, oif)
    }
}

/// An own address.
pub fn address(ifindex: u32, text: &str, prefix: u8) -> Address {
    Address {
        ifindex,
        address: ip(text),
        prefix,
        tentative: false,
        dad_failed: false,
        link_scope: false,
    }
}

/// A resolved neighbour.
pub fn neighbour(ifindex: u32, text: &str, mac: &str, state: &str) -> Neighbour {
    Neighbour {
        ifindex,
        address: ip(text),
        mac: mac.to_owned(),
        state: state.to_owned(),
        proxy: false,
    }
}

/// A namespace with these interfaces and nothing to blame.
pub fn plain(links: Vec<Link>) -> NetnsFacts {
    let rules = [
        (4, 0, 255),
        (4, 32766, 254),
        (4, 32767, 253),
        (6, 0, 255),
        (6, 32766, 254),
    ];
    NetnsFacts {
        links: Known::Known(links),
        rules: Known::Known(
            rules
                .into_iter()
                .map(|(family, priority, table)| rule(family, priority, table))
                .collect(),
        ),
        neighbours: Known::Known(Vec::new()),
        fdb: Known::Known(Vec::new()),
        sysctls: Known::Known(BTreeMap::new()),
        sockets: Known::Known(Vec::new()),
        socket_counts: Known::Known(BTreeMap::new()),
        counters: Known::Known(BTreeMap::new()),
        conntrack: Known::Known(Conntrack {
            max: 262_144,
            ..Conntrack::default()
        }),
        netfilter: Known::Known(Netfilter::default()),
        queues: Known::Known(Vec::new()),
        bpf: Known::Known(Vec::new()),
        cilium_metrics: Known::Known(CiliumMetrics::default()),
        xfrm: Known::Known(Vec::new()),
        lookups: Known::Known(Vec::new()),
        ..NetnsFacts::default()
    }
}

/// The loopback interface.
pub fn loopback() -> Link {
    Link {
        loopback: true,
        mtu: 65_536,
        operstate: "UNKNOWN".to_owned(),
        ..link(1, "lo", "")
    }
}

/// A pod as the lab builds it.
pub fn pod(v4: &str, v6: &str, gateway4: &str, gateway6: &str, peer: (u32, u32)) -> NetnsFacts {
    let mut eth0 = link(2, "eth0", "veth");
    eth0.peer = Some(Peer {
        netns: Some(peer.0),
        ifindex: peer.1,
    });
    let subnet4 = format!("{}.0", v4.rsplit_once('.').unwrap().0);
    let subnet6 = format!("{}::", v6.split_once("::").unwrap().0);
    NetnsFacts {
        addresses: Known::Known(vec![address(2, v4, 24), address(2, v6, 64)]),
        routes: Known::Known(vec![
            local(v4, 2),
            local(v6, 2),
            route("0.0.0.0", 0, Some(gateway4), 2),
            route(&subnet4, 24, None, 2),
            route("::", 0, Some(gateway6), 2),
            route(&subnet6, 64, None, 2),
        ]),
        ..plain(vec![loopback(), eth0])
    }
}

/// A node as the lab builds it.
pub fn node(own: &str, other: &str, pods: &[(&str, u32)], far: u32) -> NetnsFacts {
    let mut up0 = link(2, "up0", "veth");
    up0.peer = Some(Peer {
        netns: Some(far),
        ifindex: 2,
    });
    let bridge = link(9, "cbr0", "bridge");
    let mut links = vec![loopback(), up0, bridge];
    for (offset, (name, pod)) in (0..).zip(pods) {
        let mut port = link(3 + offset, name, "veth");
        port.master = Some(9);
        port.peer = Some(Peer {
            netns: Some(*pod),
            ifindex: 2,
        });
        port.bridge_port = Some(model::facts::BridgePort {
            state: 3,
            learning: true,
            flood: true,
            ..model::facts::BridgePort::default()
        });
        links.push(port);
    }
    let (gateway4, gateway6) = (format!("10.90.{own}.1"), format!("fd90:{own}::1"));
    let (up4, up6) = (format!("172.31.90.{own}"), format!("fd90:31::{own}"));
    let (far4, far6) = (format!("172.31.90.{other}"), format!("fd90:31::{other}"));
    let mut facts = NetnsFacts {
        addresses: Known::Known(vec![
            address(9, &gateway4, 24),
            address(9, &gateway6, 64),
            address(2, &up4, 24),
            address(2, &up6, 64),
        ]),
        routes: Known::Known(vec![
            local(&gateway4, 9),
            local(&gateway6, 9),
            local(&up4, 2),
            local(&up6, 2),
            route(&format!("10.90.{own}.0"), 24, None, 9),
            route(&format!("fd90:{own}::"), 64, None, 9),
            route("172.31.90.0", 24, None, 2),
            route("fd90:31::", 64, None, 2),
            route(&format!("10.90.{other}.0"), 24, Some(&far4), 2),
            route(&format!("fd90:{other}::"), 64, Some(&far6), 2),
        ]),
        ..plain(links)
    };
    if let Known::Known(sysctls) = &mut facts.sysctls {
        sysctls.insert("net.ipv4.ip_forward".to_owned(), "1".to_owned());
        sysctls.insert("net.ipv6.conf.all.forwarding".to_owned(), "1".to_owned());
    }
    facts
}
