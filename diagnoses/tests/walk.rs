//! The walk over described topologies: what is read next, and which way is expected.
#![expect(
    clippy::unwrap_used,
    reason = "a description that cannot be read is the test's own fault"
)]

use core::net::IpAddr;
use diagnoses::kernel::walk::HopKind::{Bridge, Route as Routed, Tunnel};
use diagnoses::kernel::walk::{WalkEnd, next, path};
use model::endpoint::Endpoint;
use model::evidence::{Evidence, NetnsEvidence};
use model::facts::{
    Action, Address, Chain, FdbEntry, Link, Match, Neighbour, Netfilter, NetfilterRule, NetnsFacts, NextHop, Peer,
    Route, RouteKind, Vxlan,
};
use model::missing::Known;
use model::report::Direction::{Answer, Request};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// A namespace under construction.
struct Ns {
    id: u32,
    links: Vec<Link>,
    addresses: Vec<Address>,
    routes: Vec<Route>,
    neighbours: Vec<Neighbour>,
    fdb: Vec<FdbEntry>,
    chains: Vec<Chain>,
}

impl Ns {
    fn new(id: u32) -> Self {
        Self {
            id,
            links: vec![],
            addresses: vec![],
            routes: vec![],
            neighbours: vec![],
            fdb: vec![],
            chains: vec![],
        }
    }

    fn link(mut self, index: u32, name: &str, kind: &str, peer: Option<(u32, u32)>, master: Option<u32>) -> Self {
        self.links.push(Link {
            index,
            name: name.to_owned(),
            kind: kind.to_owned(),
            up: true,
            carrier: true,
            mac: format!("02:00:00:00:{:02x}:{index:02x}", self.id),
            peer: peer.map(|(netns, ifindex)| Peer {
                netns: Some(netns),
                ifindex,
            }),
            master,
            ..Link::default()
        });
        self
    }

    fn address(mut self, ifindex: u32, text: &str) -> Self {
        let (address, prefix) = text.split_once('/').unwrap();
        let (address, prefix) = (ip(address), prefix.parse().unwrap());
        let full = if address.is_ipv4() { 32 } else { 128 };
        self.addresses.push(Address {
            ifindex,
            address,
            prefix,
            tentative: false,
            dad_failed: false,
            link_scope: false,
        });
        self.routes
            .push(route(255, address, full, RouteKind::Local, None, ifindex));
        self.route(&format!("{address}/{prefix}"), None, ifindex)
    }

    fn route(mut self, dst: &str, via: Option<&str>, oif: u32) -> Self {
        let (dst, prefix) = dst.split_once('/').unwrap();
        self.routes.push(route(
            254,
            ip(dst),
            prefix.parse().unwrap(),
            RouteKind::Unicast,
            via.map(ip),
            oif,
        ));
        self
    }

    /// A translating rule, in the nat chain of a hook.
    fn nat(mut self, hook: &str, matches: Vec<Match>, kind: &str, to: &str) -> Self {
        let rule = NetfilterRule {
            matches,
            action: Action::Nat {
                kind: kind.to_owned(),
                to: to.to_owned(),
            },
            ..NetfilterRule::default()
        };
        match self.chains.iter_mut().find(|chain| chain.hook.as_deref() == Some(hook)) {
            Some(chain) => chain.rules.push(rule),
            None => self.chains.push(Chain {
                backend: "iptables-legacy".to_owned(),
                family: "ip".to_owned(),
                table: "nat".to_owned(),
                name: hook.to_uppercase(),
                hook: Some(hook.to_owned()),
                policy: Some("ACCEPT".to_owned()),
                rules: vec![rule],
                ..Chain::default()
            }),
        }
        self
    }

    fn evidence(self) -> NetnsEvidence {
        NetnsEvidence {
            id: self.id,
            name: format!("n{}", self.id),
            before: NetnsFacts {
                netns: self.id,
                links: Known::Known(self.links),
                addresses: Known::Known(self.addresses),
                routes: Known::Known(self.routes),
                neighbours: Known::Known(self.neighbours),
                fdb: Known::Known(self.fdb),
                netfilter: Known::Known(Netfilter {
                    chains: self.chains,
                    ..Netfilter::default()
                }),
                ..NetnsFacts::default()
            },
            ..NetnsEvidence::default()
        }
    }
}

fn route(table: u32, dst: IpAddr, prefix: u8, kind: RouteKind, via: Option<IpAddr>, oif: u32) -> Route {
    Route {
        table,
        dst,
        prefix,
        kind,
        hops: vec![NextHop {
            via,
            oif: Some(oif),
            ..NextHop::default()
        }],
        prefsrc: None,
        metric: 0,
        mtu: None,
        protocol: "kernel".to_owned(),
    }
}

const A: u32 = 1;
const B: u32 = 2;
const C: u32 = 3;
const X: u32 = 10;
const Y: u32 = 11;

fn a() -> Ns {
    Ns::new(A)
        .link(2, "eth0", "veth", Some((X, 3)), None)
        .address(2, "10.90.1.2/24")
        .address(2, "fd90:1::2/64")
        .route("0.0.0.0/0", Some("10.90.1.1"), 2)
        .route("::/0", Some("fd90:1::1"), 2)
}

fn c() -> Ns {
    Ns::new(C)
        .link(2, "eth0", "veth", Some((Y, 3)), None)
        .address(2, "10.90.2.2/24")
        .address(2, "fd90:2::2/64")
        .route("0.0.0.0/0", Some("10.90.2.1"), 2)
        .route("::/0", Some("fd90:2::1"), 2)
}

fn x() -> Ns {
    Ns::new(X)
        .link(2, "cbr0", "bridge", None, None)
        .link(3, "vetha", "veth", Some((A, 2)), Some(2))
        .link(4, "vethb", "veth", Some((B, 2)), Some(2))
        .link(5, "up0", "veth", Some((Y, 5)), None)
        .address(2, "10.90.1.1/24")
        .address(2, "fd90:1::1/64")
        .address(5, "172.31.90.1/24")
        .address(5, "fd90:31::1/64")
        .route("10.90.2.0/24", Some("172.31.90.2"), 5)
        .route("fd90:2::/64", Some("fd90:31::2"), 5)
}

fn y() -> Ns {
    Ns::new(Y)
        .link(2, "cbr0", "bridge", None, None)
        .link(3, "vethc", "veth", Some((C, 2)), Some(2))
        .link(5, "up0", "veth", Some((X, 5)), None)
        .address(2, "10.90.2.1/24")
        .address(2, "fd90:2::1/64")
        .address(5, "172.31.90.2/24")
        .address(5, "fd90:31::2/64")
        .route("10.90.1.0/24", Some("172.31.90.1"), 5)
        .route("fd90:1::/64", Some("fd90:31::1"), 5)
}

fn b() -> Ns {
    Ns::new(B)
        .link(2, "eth0", "veth", Some((X, 4)), None)
        .address(2, "10.90.1.3/24")
        .route("0.0.0.0/0", Some("10.90.1.1"), 2)
}

fn question(from: u32, source: &[&str], to: Option<u32>, target: &[&str]) -> Evidence {
    Evidence {
        source: Endpoint {
            netns: Some(from),
            addresses: source.iter().map(|text| ip(text)).collect(),
            ..Endpoint::default()
        },
        destination: Endpoint {
            netns: to,
            addresses: target.iter().map(|text| ip(text)).collect(),
            port: Some(80),
            ..Endpoint::default()
        },
        protocol: "tcp".to_owned(),
        ..Evidence::default()
    }
}

/// Asks, reads, asks again until nothing is new, as the gatherer does; gives the order in which was read.
fn gather(evidence: &mut Evidence, mut world: Vec<Ns>) -> Vec<u32> {
    let mut order = vec![];
    for _round in 0..20 {
        let wanted = next(evidence);
        if wanted.is_empty() {
            return order;
        }
        for id in wanted {
            let place = world.iter().position(|ns| ns.id == id).expect("only what is there");
            evidence.netns.push(world.remove(place).evidence());
            order.push(id);
        }
    }
    panic!("the walk never settles");
}

#[test]
fn two_nodes_are_found_by_routes_and_veth_peers() {
    for (source, target) in [("10.90.1.2", "10.90.2.2"), ("fd90:1::2", "fd90:2::2")] {
        let mut evidence = question(A, &[source], Some(C), &[target]);
        let order = gather(&mut evidence, vec![a(), b(), c(), x(), y()]);
        assert_eq!(order, [A, C, X, Y], "b is not on the way");
        let hops = path(&evidence);
        let way: Vec<_> = hops
            .iter()
            .map(|hop| (hop.direction, hop.netns, hop.kind, hop.arrives, hop.leaves))
            .collect();
        assert_eq!(
            way,
            [
                (Request, A, Routed, None, Some(2)),
                (Request, X, Routed, Some(2), Some(5)),
                (Request, Y, Routed, Some(5), Some(2)),
                (Request, Y, Bridge, None, Some(3)),
                (Request, C, Routed, Some(2), None),
                (Answer, C, Routed, None, Some(2)),
                (Answer, Y, Routed, Some(2), Some(5)),
                (Answer, X, Routed, Some(5), Some(2)),
                (Answer, X, Bridge, None, Some(3)),
                (Answer, A, Routed, Some(2), None),
            ]
        );
        assert_eq!(hops[4].end, Some(WalkEnd::Local));
        assert_eq!(hops[9].end, Some(WalkEnd::Local));
        assert!(
            hops.iter()
                .enumerate()
                .all(|(i, hop)| hop.end.is_none() || i == 4 || i == 9)
        );
    }
}

#[test]
fn a_neighbour_on_the_same_bridge_is_reached_without_routing_there() {
    let mut evidence = question(A, &["10.90.1.2"], Some(B), &["10.90.1.3"]);
    assert_eq!(gather(&mut evidence, vec![a(), b(), x(), y(), c()]), [A, B, X]);
    let hops = path(&evidence);
    assert_eq!(
        (hops[1].netns, hops[1].kind, hops[1].arrives, hops[1].leaves),
        (X, Bridge, Some(3), Some(4))
    );
    assert_eq!(hops[2].end, Some(WalkEnd::Local));
}

#[test]
fn a_veth_that_is_not_plugged_in_ends_the_walk_at_the_bridge() {
    let mut x = x();
    x.links[2].master = None;
    let mut evidence = question(A, &["10.90.1.2"], Some(B), &["10.90.1.3"]);
    gather(&mut evidence, vec![a(), b(), x, y(), c()]);
    let request: Vec<_> = path(&evidence)
        .into_iter()
        .filter(|hop| hop.direction == Request)
        .collect();
    assert_eq!(request.last().unwrap().netns, X);
    assert_eq!(request.last().unwrap().end, Some(WalkEnd::NoPort));
}

#[test]
fn an_address_that_lives_nowhere_ends_where_it_should_have_lived() {
    let mut evidence = question(A, &["10.90.1.2"], None, &["10.90.2.77"]);
    let order = gather(&mut evidence, vec![a(), b(), x(), y(), c()]);
    assert_eq!(order, [A, X, Y, C], "the ports of the last bridge are looked behind");
    let last = path(&evidence).pop().unwrap();
    assert_eq!((last.netns, last.end), (Y, Some(WalkEnd::NoPort)));
}

#[test]
fn a_missing_route_ends_the_request_and_the_way_back_is_walked_all_the_same() {
    let mut x = x();
    x.routes.retain(|route| route.dst != ip("10.90.2.0"));
    let mut evidence = question(A, &["10.90.1.2"], Some(C), &["10.90.2.2"]);
    assert_eq!(gather(&mut evidence, vec![a(), b(), x, y(), c()]), [A, C, X, Y]);
    let hops = path(&evidence);
    let end = hops
        .iter()
        .find(|hop| hop.direction == Request && hop.end.is_some())
        .unwrap();
    assert_eq!((end.netns, &end.end), (X, &Some(WalkEnd::NoRoute)));
}

#[test]
fn two_nodes_that_send_it_to_each_other_are_a_loop() {
    let x = x().route("10.96.0.0/16", Some("172.31.90.2"), 5);
    let y = y().route("10.96.0.0/16", Some("172.31.90.1"), 5);
    let mut evidence = question(A, &["10.90.1.2"], None, &["10.96.0.10"]);
    gather(&mut evidence, vec![a(), b(), x, y, c()]);
    assert!(path(&evidence).iter().any(|hop| hop.end == Some(WalkEnd::Loop)));
}

#[test]
fn a_tunnel_is_crossed_by_neighbour_forwarding_entry_and_underlay() {
    let vxlan = |mut ns: Ns, own: &str, far: &str, outer: &str, near: &str| {
        ns.routes.retain(|route| route.hops[0].via != Some(ip(outer)));
        let mut ns = ns.link(7, "vx0", "vxlan", None, None);
        ns.links.last_mut().unwrap().vxlan = Some(Vxlan {
            vni: 42,
            port: 8472,
            local: Some(ip(near)),
            ..Vxlan::default()
        });
        ns.neighbours.push(Neighbour {
            ifindex: 7,
            address: ip(far),
            mac: "02:aa".to_owned(),
            state: "PERMANENT".to_owned(),
            proxy: false,
        });
        ns.fdb.push(FdbEntry {
            ifindex: 7,
            mac: "02:aa".to_owned(),
            dst: Some(ip(outer)),
            master: None,
            state: "permanent".to_owned(),
        });
        let block = far.rsplit_once('.').unwrap().0.to_owned() + ".0/24";
        ns.address(7, &format!("{own}/32")).route(&block, Some(far), 7)
    };
    let x = vxlan(x(), "10.90.1.0", "10.90.2.0", "172.31.90.2", "172.31.90.1");
    let y = vxlan(y(), "10.90.2.0", "10.90.1.0", "172.31.90.1", "172.31.90.2");
    let mut evidence = question(A, &["10.90.1.2"], Some(C), &["10.90.2.2"]);
    assert_eq!(gather(&mut evidence, vec![a(), b(), x, y, c()]), [A, C, X, Y]);
    let hops = path(&evidence);
    let request: Vec<_> = hops
        .iter()
        .filter(|hop| hop.direction == Request)
        .map(|hop| (hop.netns, hop.kind))
        .collect();
    assert_eq!(
        request,
        [
            (A, Routed),
            (X, Routed),
            (X, Tunnel),
            (X, Routed),
            (Y, Routed),
            (Y, Routed),
            (Y, Bridge),
            (C, Routed)
        ]
    );
    assert_eq!(hops.last().unwrap().end, Some(WalkEnd::Local));
}

#[test]
fn the_entry_of_a_tunnel_that_is_gone_ends_the_walk_there() {
    let mut x = x()
        .link(7, "vx0", "vxlan", None, None)
        .route("10.97.0.0/24", Some("10.97.0.0"), 7);
    x.links.last_mut().unwrap().vxlan = Some(Vxlan::default());
    let mut evidence = question(A, &["10.90.1.2"], None, &["10.97.0.5"]);
    gather(&mut evidence, vec![a(), b(), x, y(), c()]);
    assert_eq!(path(&evidence).pop().unwrap().end, Some(WalkEnd::NoTunnelEntry));
}

#[test]
fn a_routed_veth_with_an_onlink_gateway_is_crossed() {
    let routed = |pod: u32, node: u32, own: &str| {
        Ns::new(pod)
            .link(2, "eth0", "veth", Some((node, 3)), None)
            .address(2, &format!("{own}/32"))
            .route("169.254.1.1/32", None, 2)
            .route("0.0.0.0/0", Some("169.254.1.1"), 2)
    };
    let node = |id: u32, pod: u32, own: &str, far: (u32, &str), other: &str, up: &str| {
        Ns::new(id)
            .link(3, "cali1", "veth", Some((pod, 2)), None)
            .link(5, "up0", "veth", Some((far.0, 5)), None)
            .address(5, up)
            .route(&format!("{own}/32"), None, 3)
            .route(&format!("{other}/32"), Some(far.1), 5)
    };
    let world = vec![
        routed(A, X, "10.90.1.2"),
        routed(C, Y, "10.90.2.2"),
        node(X, A, "10.90.1.2", (Y, "172.31.90.2"), "10.90.2.2", "172.31.90.1/24"),
        node(Y, C, "10.90.2.2", (X, "172.31.90.1"), "10.90.1.2", "172.31.90.2/24"),
    ];
    let mut evidence = question(A, &["10.90.1.2"], Some(C), &["10.90.2.2"]);
    assert_eq!(gather(&mut evidence, world), [A, C, X, Y]);
    let request: Vec<_> = path(&evidence)
        .into_iter()
        .filter(|hop| hop.direction == Request)
        .map(|hop| hop.netns)
        .collect();
    assert_eq!(request, [A, X, Y, C]);
}

#[test]
fn a_macvlan_pod_reaches_its_sibling() {
    let pod = |id: u32, own: &str| {
        Ns::new(id)
            .link(2, "mv0", "macvlan", Some((X, 5)), None)
            .address(2, own)
    };
    let mut evidence = question(A, &["172.31.90.10"], Some(B), &["172.31.90.11"]);
    let order = gather(
        &mut evidence,
        vec![pod(A, "172.31.90.10/24"), pod(B, "172.31.90.11/24"), x(), y(), c()],
    );
    assert_eq!(order, [A, B]);
    assert_eq!(path(&evidence)[1].end, Some(WalkEnd::Local));
}

fn to(prefix: &str) -> Match {
    Match::Destination {
        any: vec![prefix.to_owned()],
        not: false,
    }
}

#[test]
fn a_service_is_followed_to_its_backend_and_its_answer_is_translated_back() {
    let x = x().nat("prerouting", vec![to("10.96.0.10/32")], "DNAT", "10.90.2.2:8080");
    let mut evidence = question(A, &["10.90.1.2"], None, &["10.96.0.10"]);
    assert_eq!(gather(&mut evidence, vec![a(), b(), x, y(), c()]), [A, X, Y, C]);
    let hops = path(&evidence);
    let delivered: Vec<_> = hops
        .iter()
        .filter(|hop| hop.end == Some(WalkEnd::Local))
        .map(|hop| (hop.netns, hop.flow.to_string()))
        .collect();
    assert_eq!(
        delivered,
        [
            (C, "10.90.1.2:0 -> 10.90.2.2:8080 tcp".to_owned()),
            (A, "10.96.0.10:80 -> 10.90.1.2:0 tcp".to_owned())
        ]
    );
}

#[test]
fn every_backend_of_a_service_is_read() {
    let random = Match::Random {
        text: "statistic mode random probability 0.5".to_owned(),
    };
    let x = x()
        .nat("prerouting", vec![to("10.96.0.10/32"), random], "DNAT", "10.90.2.2:80")
        .nat("prerouting", vec![to("10.96.0.10/32")], "DNAT", "10.90.1.3:80");
    let mut evidence = question(A, &["10.90.1.2"], None, &["10.96.0.10"]);
    let mut order = gather(&mut evidence, vec![a(), b(), x, y(), c()]);
    order.sort_unstable();
    assert_eq!(order, [A, B, C, X, Y]);
}

#[test]
fn a_masqueraded_answer_goes_to_the_node_and_from_there_to_the_pod() {
    const W: u32 = 20;
    let x = x()
        .link(6, "ext0", "veth", Some((W, 2)), None)
        .address(6, "203.0.113.1/24")
        .nat("postrouting", vec![], "MASQUERADE", "");
    let w = Ns::new(W)
        .link(2, "eth0", "veth", Some((X, 6)), None)
        .address(2, "203.0.113.10/24");
    let mut evidence = question(A, &["10.90.1.2"], Some(W), &["203.0.113.10"]);
    assert_eq!(gather(&mut evidence, vec![a(), b(), x, y(), c(), w]), [A, W, X]);
    let hops = path(&evidence);
    assert_eq!(
        hops.last().map(|hop| (hop.netns, hop.end.clone())),
        Some((A, Some(WalkEnd::Local)))
    );
    let answer = hops.iter().find(|hop| hop.direction == Answer).unwrap();
    assert_eq!(answer.flow.to_string(), "203.0.113.10:80 -> 203.0.113.1:0 tcp");
}

#[test]
fn a_redirect_ends_in_the_source_itself() {
    let a = a().nat("output", vec![], "REDIRECT", "--to-ports 15001");
    let a = {
        let mut a = a.link(1, "lo", "", None, None);
        a.routes.push(route(255, ip("127.0.0.0"), 8, RouteKind::Local, None, 1));
        a
    };
    let mut evidence = question(A, &["10.90.1.2"], Some(C), &["10.90.2.2"]);
    gather(&mut evidence, vec![a, b(), x(), y(), c()]);
    let first = &path(&evidence)[0];
    assert_eq!((first.netns, first.end.clone()), (A, Some(WalkEnd::Local)));
    assert_eq!(first.translated.unwrap().dport, 15001);
}
