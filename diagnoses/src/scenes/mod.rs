//! Hand-made evidence for the tests of rules: two nodes as the lab builds them, in good order, to be broken by each test.
//!
//! Pods a and b (`10.90.1.2`, `10.90.1.3`) on node x, pod c (`10.90.2.2`) on node y, host-gateway routes over up0; the same
//! over IPv6 in `fd90:1::/64` and `fd90:2::/64`.

pub mod cluster;
pub mod dns;
mod facts;
pub mod hostile;

pub use facts::{all_local, link, neighbour, one_rule, route, rule};

use crate::Judgement;
use facts::{node, pod};
use model::attempt::{Attempt, Outcome, WatchedFlow};
use model::errno::Errno;
use model::event::{Event, Packet, Seen, TcpState};
use model::evidence::{Evidence, NetnsEvidence, NodeEvidence};
use model::facts::{Action, Link, Match, NetfilterRule, NetnsFacts, Route, Socket};
use model::flow::{Flow, TCP};
use model::missing::Known;
use model::owner::Owner;
use model::protocol::ProbeStatus;
use model::word::Hook;
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

    /// Follows a tuple as an attempt's.
    pub fn watch(&mut self, attempt: u32, flow: Flow) -> &mut Self {
        self.evidence.watched.push(WatchedFlow {
            attempt,
            netns: A,
            flow,
        });
        self
    }

    fn tick(&mut self) -> u64 {
        self.clock_ns += 10_000;
        self.clock_ns
    }

    fn event(&mut self, netns: u32, interface: &str, flow: Flow, skb: u64, seen: Seen) -> &mut Self {
        let at_ns = self.tick();
        let ifindex = self
            .evidence
            .netns(netns)
            .and_then(|netns| netns.before.links.ok())
            .and_then(|links| links.iter().find(|link| link.name == interface))
            .map_or(0, |link| link.index);
        let flags = if flow.dport < flow.sport { 2 } else { 18 };
        self.evidence.events.push(Event {
            node: String::new(),
            at_ns,
            probe: "path".to_owned(),
            netns,
            ifindex,
            interface: (!interface.is_empty()).then(|| interface.to_owned()),
            pid: 0,
            process: None,
            owner: Owner::Unknown,
            flow,
            skb,
            sk: 0,
            quoted: None,
            attempt: None,
            packet: Some(Packet {
                seq: u32::try_from(skb).unwrap(),
                len: 60,
                ttl: 64,
                tcp_flags: flags,
                ..Packet::default()
            }),
            seen,
        });
        self
    }

    /// A packet was met at an interface: coming in or going out, as on the way from a to c and back.
    pub fn hop(&mut self, netns: u32, interface: &str, flow: Flow, skb: u64) -> &mut Self {
        let arrives = if flow.dport < flow.sport {
            matches!((netns, interface), (X, "vetha" | "cbr0") | (Y, "up0") | (B | C, "eth0"))
        } else {
            matches!((netns, interface), (Y, "vethc" | "cbr0") | (X, "up0") | (A, "eth0"))
        };
        let hook = if arrives { Hook::Receive } else { Hook::Queue };
        self.event(netns, interface, flow, skb, Seen::Hop { hook, learned: false })
    }

    /// A packet was met there under a new tuple.
    pub fn hop_learned(&mut self, netns: u32, interface: &str, flow: Flow, skb: u64) -> &mut Self {
        let hook = Hook::Queue;
        self.event(netns, interface, flow, skb, Seen::Hop { hook, learned: true })
    }

    /// A packet was freed as a loss.
    pub fn drop(&mut self, netns: u32, interface: &str, flow: Flow, reason: &str, location: &str) -> &mut Self {
        let seen = Seen::Drop {
            reason: reason.to_owned(),
            location: Some(location.to_owned()),
            state: TcpState::Unknown,
        };
        let skb = self.clock_ns / 10_000;
        self.event(netns, interface, flow, skb, seen)
    }

    /// Any other event.
    pub fn saw(&mut self, netns: u32, interface: &str, flow: Flow, seen: Seen) -> &mut Self {
        self.event(netns, interface, flow, 0, seen)
    }

    /// The tuple of attempt `id`, watched from now on.
    pub fn flow(&mut self, id: u32) -> Flow {
        let src = self.evidence.source.addresses[0];
        let dst = self.evidence.destination.addresses[0];
        let flow = Flow::new(
            TCP,
            (src, u16::try_from(40_000 + id).unwrap()).into(),
            (dst, self.evidence.destination.port.unwrap_or(0)).into(),
        );
        self.watch(id, flow);
        flow
    }

    /// An attempt with this tuple and end.
    pub fn attempt(&mut self, id: u32, flow: Flow, outcome: Outcome) -> &mut Attempt {
        self.evidence.attempts.push(Attempt {
            id,
            kind: "tcp".to_owned(),
            flow,
            started_ns: self.clock_ns,
            took_ns: 2_000_000_000,
            outcome,
            ..Attempt::default()
        });
        self.evidence.attempts.last_mut().unwrap()
    }

    /// The way from a to c, place by place.
    const WAY: [(u32, &'static str); 7] = [
        (A, "eth0"),
        (X, "vetha"),
        (X, "cbr0"),
        (X, "up0"),
        (Y, "up0"),
        (Y, "vethc"),
        (C, "eth0"),
    ];

    /// `count` connections that work, answers and all.
    pub fn connects(&mut self, count: u32) -> &mut Self {
        for id in 0..count {
            self.connects_once(id);
        }
        self
    }

    /// One connection that works.
    pub fn connects_once(&mut self, id: u32) -> &mut Self {
        let flow = self.flow(id);
        let skb = u64::from(id) * 100 + 1;
        for (netns, interface) in Self::WAY {
            self.hop(netns, interface, flow, skb);
        }
        for (netns, interface) in Self::WAY.into_iter().rev() {
            self.hop(netns, interface, flow.reversed(), skb + 1);
        }
        let attempt = self.attempt(id, flow, Outcome::Ok);
        attempt.connected_ns = Some(400_000);
        attempt.took_ns = 200_400_000;
        self
    }

    /// Nothing happens for a while.
    pub fn pauses_ms(&mut self, ms: u64) -> &mut Self {
        self.clock_ns += ms * 1_000_000;
        self
    }

    /// `count` connections whose SYN gets as far as this place and is never seen again.
    pub fn vanishes(&mut self, count: u32, netns: u32, interface: &str) -> &mut Self {
        for id in 0..count {
            let flow = self.flow(id);
            self.walk_to(id, flow, netns, interface);
            let during = "connect".to_owned();
            self.attempt(id, flow, Outcome::TimedOut { during });
        }
        self
    }

    /// `count` connections whose request arrives and whose answer leaves the target's node and is never seen again.
    pub fn answers_vanish(&mut self, count: u32) -> &mut Self {
        for id in 0..count {
            let flow = self.flow(id);
            self.walk_to(id, flow, C, "eth0");
            for (netns, interface) in [(C, "eth0"), (Y, "vethc"), (Y, "up0")] {
                self.hop(netns, interface, flow.reversed(), u64::from(id) * 100 + 2);
            }
            let during = "connect".to_owned();
            self.attempt(id, flow, Outcome::TimedOut { during });
        }
        self
    }

    /// The first packet of an attempt, hop by hop from a up to this place.
    pub fn walk_to(&mut self, id: u32, flow: Flow, netns: u32, interface: &str) {
        let skb = u64::from(id) * 100 + 1;
        for (at, name) in Self::WAY {
            self.hop(at, name, flow, skb);
            if (at, name) == (netns, interface) {
                break;
            }
        }
    }

    /// `count` connections whose SYN is dropped at this place.
    pub fn dropped(&mut self, count: u32, netns: u32, interface: &str, reason: &str, location: &str) -> &mut Self {
        for id in 0..count {
            let flow = self.flow(id);
            self.walk_to(id, flow, netns, interface);
            self.drop(netns, interface, flow, reason, location);
            let during = "connect".to_owned();
            self.attempt(id, flow, Outcome::TimedOut { during });
        }
        self
    }

    /// `count` connections whose request arrives and whose answer is dropped at this place.
    pub fn answer_dropped(
        &mut self,
        count: u32,
        netns: u32,
        interface: &str,
        reason: &str,
        location: &str,
    ) -> &mut Self {
        for id in 0..count {
            let flow = self.flow(id);
            self.walk_to(id, flow, C, "eth0");
            let skb = u64::from(id) * 100 + 2;
            for (at, name) in Self::WAY.into_iter().rev() {
                self.hop(at, name, flow.reversed(), skb);
                if at == netns {
                    break;
                }
            }
            self.drop(netns, interface, flow.reversed(), reason, location);
            let during = "connect".to_owned();
            self.attempt(id, flow, Outcome::TimedOut { during });
        }
        self
    }

    /// `count` connections whose SYN goes round between the nodes.
    pub fn goes_round(&mut self, count: u32) -> &mut Self {
        for id in 0..count {
            let flow = self.flow(id);
            let skb = u64::from(id) * 100 + 1;
            self.hop(A, "eth0", flow, skb);
            for ttl in (1..64).rev() {
                let at = if ttl % 2 == 0 { Y } else { X };
                self.hop(at, "up0", flow, skb);
                if let Some(packet) = self.evidence.events.last_mut().and_then(|event| event.packet.as_mut()) {
                    packet.ttl = ttl;
                }
            }
            self.drop(X, "up0", flow, "IP_INHDR", "ip_forward");
            let during = "connect".to_owned();
            self.attempt(id, flow, Outcome::TimedOut { during });
        }
        self
    }

    /// `count` connections that are refused.
    pub fn refused(&mut self, count: u32) -> &mut Self {
        self.fails(count, 111, "ECONNREFUSED")
    }

    /// `count` connections that fail at once with this error.
    pub fn fails(&mut self, count: u32, number: i32, name: &str) -> &mut Self {
        for id in 0..count {
            let flow = self.flow(id);
            let during = "connect".to_owned();
            let errno = Errno {
                number,
                name: name.to_owned(),
            };
            self.attempt(id, flow, Outcome::Error { during, errno }).took_ns = 500_000;
        }
        self
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
