//! What happens in a scene: packets that are met, freed or answered, and attempts that work or fail.

use super::{A, B, C, Scene, X, Y};
use model::attempt::{Attempt, AttemptSpec, Outcome, Sending, WatchedFlow};
use model::errno::Errno;
use model::event::{Event, Packet, Seen, TcpState};
use model::flow::{Flow, TCP};
use model::owner::Owner;
use model::word::Hook;

impl Scene {
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
            exchanged: None,
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
            matches!(
                (netns, interface),
                (X, "vetha" | "cbr0") | (Y, "up0" | "flannel.1") | (B | C, "eth0")
            )
        } else {
            matches!(
                (netns, interface),
                (Y, "vethc" | "cbr0") | (X, "up0" | "flannel.1") | (A, "eth0")
            )
        };
        let hook = if arrives { Hook::Receive } else { Hook::Queue };
        let inner = self.tunnel && interface == "up0";
        self.event(netns, interface, flow, skb, Seen::Hop { hook, learned: false });
        if let Some(packet) = self.evidence.events.last_mut().and_then(|event| event.packet.as_mut()) {
            packet.inner = inner;
        }
        self
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

    /// An attempt of this number is a train of so many echoes to c, sent so far apart.
    pub fn echoes(&mut self, id: u32, count: u32, interval_ms: u64) {
        self.evidence.specs.push(AttemptSpec {
            id,
            send: Sending::Echo {
                to: super::ip("10.90.2.2"),
                count,
                interval_ms,
                packet_bytes: None,
                dont_fragment: false,
            },
            netns: A,
            pid: None,
            start_ms: 0,
            timeout_ms: 1_000,
        });
    }

    /// The way from a to c, place by place.
    fn way(&self) -> Vec<(u32, &'static str)> {
        let near = [(A, "eth0"), (X, "vetha"), (X, "cbr0")];
        let far = [(Y, "vethc"), (C, "eth0")];
        let between: &[(u32, &'static str)] = if self.tunnel {
            &[(X, "flannel.1"), (X, "up0"), (Y, "up0"), (Y, "flannel.1")]
        } else {
            &[(X, "up0"), (Y, "up0")]
        };
        [&near[..], between, &far[..]].concat()
    }

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
        for (netns, interface) in self.way() {
            self.hop(netns, interface, flow, skb);
        }
        for (netns, interface) in self.way().into_iter().rev() {
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
        for (at, name) in self.way() {
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
            for (at, name) in self.way().into_iter().rev() {
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

    /// `count` connections that are refused, because they arrive here and find no socket.
    pub fn finds_no_socket(&mut self, count: u32, netns: u32, interface: &str) -> &mut Self {
        self.refused(count);
        for watched in self.evidence.watched.clone() {
            self.walk_to(watched.attempt, watched.flow, netns, interface);
            self.drop(netns, interface, watched.flow, "NO_SOCKET", "tcp_v4_rcv");
        }
        self
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
