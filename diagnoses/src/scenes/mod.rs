//! Hand-made evidence for the tests of rules: two nodes as the lab builds them, in good order, to be broken by each test.
//!
//! Pods a and b (`10.90.1.2`, `10.90.1.3`) on node x, pod c (`10.90.2.2`) on node y, host-gateway routes over up0; the same
//! over IPv6 in `fd90:1::/64` and `fd90:2::/64`.
//!
//! What the cases of several rules are made of belongs here, and is built for tests only: facts, traffic, clusters, lookups, and
//! names that strangers have chosen. What one rule alone breaks stays in that rule's own tests.

pub mod cluster;
pub mod dns;
mod facts;
pub mod hostile;
mod traffic;
mod tunnel;

pub use facts::{all_local, link, neighbour, one_rule, route, rule};
pub use tunnel::{TUNNEL, tunnel_mac};

use crate::Judgement;
use facts::{node, pod};
use model::evidence::{Evidence, NetnsEvidence, NodeEvidence};
use model::facts::{Action, Link, Match, NetfilterRule, NetnsFacts, Route, Socket};
use model::flow::{Flow, TCP};
use model::missing::Known;
use model::protocol::{Lost, ProbeStatus};
use std::net::IpAddr;

/// Pod a.
pub const A: u32 = 101;
/// Node x.
pub const X: u32 = 102;
/// Node y.
pub const Y: u32 = 103;
/// Pod c.
pub const C: u32 = 104;
/// Pod b.
pub const B: u32 = 105;

/// Evidence in the making.
#[derive(Clone, Debug)]
pub struct Scene {
    pub evidence: Evidence,
    clock_ns: u64,
    /// Between the nodes, packets go inside others.
    pub tunnel: bool,
}

/// A UDP tuple from two socket addresses.
pub fn udp(src: &str, dst: &str) -> Flow {
    Flow::new(model::flow::UDP, src.parse().unwrap(), dst.parse().unwrap())
}

/// A TCP tuple from two socket addresses.
pub fn tcp(src: &str, dst: &str) -> Flow {
    Flow::new(TCP, src.parse().unwrap(), dst.parse().unwrap())
}

/// An address.
pub fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// The first cause of a judgement; empty when there is none.
pub fn cause(judgement: &Judgement) -> String {
    causes(judgement).into_iter().next().unwrap_or_default()
}

/// All causes of a judgement.
pub fn causes(judgement: &Judgement) -> Vec<String> {
    let causes = judgement.verdicts.iter().filter(|verdict| verdict.cause);
    causes.map(|verdict| verdict.rule.clone()).collect()
}

impl Scene {
    /// Both nodes in good order; a asks for c:80 over TCP, which listens.
    pub fn two_nodes() -> Self {
        let mut evidence = Evidence {
            protocol: "tcp".to_owned(),
            ..Evidence::default()
        };
        evidence.source = end("netns/a", A, &["10.90.1.2", "fd90:1::2"], None);
        evidence.destination = end("netns/c", C, &["10.90.2.2", "fd90:2::2"], Some(80));
        let probes = crate::needs(model::evidence::Intent::Dns).probes;
        evidence.nodes.push(NodeEvidence {
            name: "here".to_owned(),
            kernel: "6.18.0".to_owned(),
            probes: probes
                .into_iter()
                .map(|name| ProbeStatus {
                    name: name.to_owned(),
                    ..ProbeStatus::default()
                })
                .collect(),
            ..NodeEvidence::default()
        });
        evidence.window.start_ns = 1_000_000_000;
        evidence.window.end_ns = 4_000_000_000;
        evidence.netns = vec![
            netns(
                A,
                "netns/a",
                pod("10.90.1.2", "fd90:1::2", "10.90.1.1", "fd90:1::1", (X, 3)),
            ),
            netns(X, "netns/x", node("1", "2", &[("vetha", A), ("vethb", B)], Y)),
            netns(Y, "netns/y", node("2", "1", &[("vethc", C)], X)),
            netns(
                C,
                "netns/c",
                pod("10.90.2.2", "fd90:2::2", "10.90.2.1", "fd90:2::1", (Y, 3)),
            ),
        ];
        let mut scene = Self {
            evidence,
            clock_ns: 1_000_000_000,
            tunnel: false,
        };
        scene.facts(C, |facts| {
            facts.sockets = Known::Known(vec![Socket {
                flow: Flow::new(TCP, "[::]:80".parse().unwrap(), "[::]:0".parse().unwrap()),
                state: "LISTEN".to_owned(),
                tx_queue: 128,
                ..Socket::default()
            }]);
        });
        scene
    }

    /// Changes the facts of a namespace, before and after alike.
    pub fn facts(&mut self, id: u32, change: impl Fn(&mut NetnsFacts)) -> &mut Self {
        let netns = self.evidence.netns.iter_mut().find(|netns| netns.id == id).unwrap();
        change(&mut netns.before);
        change(&mut netns.after);
        self
    }

    /// Changes only the facts after the window.
    pub fn after(&mut self, id: u32, change: impl Fn(&mut NetnsFacts)) -> &mut Self {
        let netns = self.evidence.netns.iter_mut().find(|netns| netns.id == id).unwrap();
        change(&mut netns.after);
        self
    }

    /// A counter grew by this much in the window.
    pub fn grew(&mut self, id: u32, counter: &str, by: u64) -> &mut Self {
        self.after(id, |facts| {
            if let Known::Known(counters) = &mut facts.counters {
                *counters.entry(counter.to_owned()).or_default() += by;
            }
        })
    }

    /// The kernel of the first node left this probe out so often.
    pub fn misses(&mut self, probe: &str, missed: u64) -> &mut Self {
        self.evidence.nodes[0].lost.push(Lost {
            probe: probe.to_owned(),
            missed,
            ..Lost::default()
        });
        self
    }

    /// The routes through this interface are gone, as when it is set down.
    pub fn without_routes_by(&mut self, id: u32, ifindex: u32) -> &mut Self {
        self.facts(id, |facts| {
            if let Known::Known(routes) = &mut facts.routes {
                routes.retain(|route| route.table == 255 || route.hops.iter().all(|hop| hop.oif != Some(ifindex)));
            }
        })
    }

    /// Puts this route in the place of those for the same prefix.
    pub fn reroute(&mut self, id: u32, new: &Route) -> &mut Self {
        self.unroute(id, &new.dst.to_string(), new.prefix);
        self.facts(id, |facts| {
            if let Known::Known(routes) = &mut facts.routes {
                routes.push(new.clone());
            }
        })
    }

    /// Takes the routes for a prefix away.
    pub fn unroute(&mut self, id: u32, dst: &str, prefix: u8) -> &mut Self {
        let dst = ip(dst);
        self.facts(id, |facts| {
            if let Known::Known(routes) = &mut facts.routes {
                routes.retain(|route| (route.dst, route.prefix) != (dst, prefix));
            }
        })
    }

    /// Sets a sysctl.
    pub fn sysctl(&mut self, id: u32, name: &str, value: &str) -> &mut Self {
        self.facts(id, |facts| {
            if let Known::Known(sysctls) = &mut facts.sysctls {
                sysctls.insert(name.to_owned(), value.to_owned());
            }
        })
    }

    /// An iptables rule of the filter table that counted this many packets in the window.
    pub fn filter(
        &mut self,
        id: u32,
        chain: &str,
        text: &str,
        matches: &[Match],
        action: &Action,
        counted: u64,
    ) -> &mut Self {
        let rule = |packets| NetfilterRule {
            handle: 1,
            text: format!("-A {chain} {text}"),
            packets: Some(packets),
            matches: matches.to_vec(),
            action: action.clone(),
            ..NetfilterRule::default()
        };
        self.facts(id, |facts| {
            facts.netfilter = Known::Known(one_rule("filter", chain, rule(0)));
        });
        self.after(id, |facts| {
            facts.netfilter = Known::Known(one_rule("filter", chain, rule(counted)));
        })
    }

    /// FORWARD leads all to a chain of an agent, whose one rule does this and counted so many packets in the window.
    pub fn agents_rule(&mut self, id: u32, chain: &str, text: &str, action: &Action, counted: u64) -> &mut Self {
        let chains = |packets| {
            let jump = NetfilterRule {
                action: Action::Jump {
                    chain: chain.to_owned(),
                },
                ..NetfilterRule::default()
            };
            let mut netfilter = one_rule("filter", "FORWARD", jump);
            let mut own = netfilter.chains[0].clone();
            (own.name, own.hook, own.policy) = (chain.to_owned(), None, None);
            own.rules = vec![NetfilterRule {
                handle: 1,
                text: format!("-A {chain} {text}"),
                packets: Some(packets),
                action: action.clone(),
                ..NetfilterRule::default()
            }];
            netfilter.chains.push(own);
            netfilter
        };
        self.facts(id, |facts| facts.netfilter = Known::Known(chains(0)));
        self.after(id, |facts| facts.netfilter = Known::Known(chains(counted)))
    }

    /// A statistic of connection tracking grew by this much in the window.
    pub fn tracking(&mut self, id: u32, stat: &str, by: u64) -> &mut Self {
        self.after(id, |facts| {
            if let Known::Known(conntrack) = &mut facts.conntrack {
                *conntrack.stats.entry(stat.to_owned()).or_default() += by;
            }
        })
    }

    /// Asks for another address instead of c.
    pub fn aim(&mut self, address: &str) -> &mut Self {
        self.evidence.destination.addresses = vec![ip(address)];
        self
    }

    /// The same question over IPv6.
    pub fn over_ipv6(mut self) -> Self {
        self.evidence.source.addresses.reverse();
        self.evidence.destination.addresses.reverse();
        self
    }

    /// The two nodes as two machines that are looked at, with a network between them that nobody sees.
    pub fn two_machines() -> Self {
        let mut scene = Self::two_nodes();
        scene.pauses_ms(9_000);
        let evidence = &mut scene.evidence;
        (evidence.window.start_ns, evidence.window.end_ns) = (10_000_000_000, 13_000_000_000);
        let mut other = evidence.nodes[0].clone();
        for (node, name, host) in [(&mut evidence.nodes[0], "n1", X), (&mut other, "n2", Y)] {
            name.clone_into(&mut node.name);
            name.clone_into(&mut node.boot_id);
            node.host_netns = host;
            node.window = evidence.window;
        }
        evidence.nodes.push(other);
        for netns in &mut evidence.netns {
            let name = if [A, X].contains(&netns.id) { "n1" } else { "n2" };
            name.clone_into(&mut netns.node);
        }
        for host in [X, Y] {
            scene.link(host, "up0", |link| {
                link.kind = String::new();
                link.peer = None;
            });
        }
        scene
    }

    /// The clock of the second machine is this much ahead, and runs this much faster.
    pub fn with_clock_ahead(mut self, ahead_ns: i64, drift_ppm: i64) -> Self {
        let shifted = |at_ns: u64| {
            let drifted = (at_ns as i64 - 10_000_000_000) * drift_ppm / 1_000_000;
            at_ns.saturating_add_signed(ahead_ns + drifted)
        };
        let there = |netns: u32| [Y, C].contains(&netns);
        for event in self.evidence.events.iter_mut().filter(|event| there(event.netns)) {
            event.at_ns = shifted(event.at_ns);
        }
        self.evidence.events.sort_by_key(|event| event.at_ns);
        let window = &mut self.evidence.nodes[1].window;
        (window.start_ns, window.end_ns) = (shifted(window.start_ns), shifted(window.end_ns));
        self
    }

    /// Changes one interface.
    pub fn link(&mut self, id: u32, name: &str, change: impl Fn(&mut Link)) -> &mut Self {
        self.facts(id, |facts| {
            if let Known::Known(links) = &mut facts.links {
                links.iter_mut().filter(|link| link.name == name).for_each(&change);
            }
        })
    }
}

fn end(name: &str, netns: u32, addresses: &[&str], port: Option<u16>) -> model::endpoint::Endpoint {
    model::endpoint::Endpoint {
        asked: name.to_owned(),
        kind: model::endpoint::EndpointKind::Netns,
        node: "here".to_owned(),
        netns: Some(netns),
        name: name.to_owned(),
        addresses: addresses.iter().map(|address| ip(address)).collect(),
        port,
        ..model::endpoint::Endpoint::default()
    }
}

fn netns(id: u32, name: &str, facts: NetnsFacts) -> NetnsEvidence {
    let facts = NetnsFacts { netns: id, ..facts };
    NetnsEvidence {
        id,
        name: name.to_owned(),
        node: "here".to_owned(),
        before: facts.clone(),
        after: facts,
    }
}

/// An ICMP tuple.
pub fn icmp(src: &str, dst: &str) -> Flow {
    Flow::new(model::flow::ICMP, (ip(src), 0).into(), (ip(dst), 0).into())
}
