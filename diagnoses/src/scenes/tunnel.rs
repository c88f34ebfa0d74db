//! A VXLAN tunnel between the two machines of a scene, as flannel builds it.
//!
//! Each node has `flannel.1`: network 1, UDP port 8472, MTU 1450, entries that are written by an agent and never learned. What is
//! for anybody else goes to the gateway 172.31.90.254, into which nobody looks.

use super::facts::{address, link, local, neighbour, route};
use super::{A, C, Scene, X, Y, ip, udp};
use model::facts::{FdbEntry, Peer, Vxlan};
use model::flow::Flow;
use model::missing::Known;

/// The index of the tunnel's device on both nodes.
pub const TUNNEL: u32 = 20;

/// The hardware address of the tunnel's device on a node, by its number.
pub fn tunnel_mac(node: u32) -> String {
    format!("02:00:00:00:14:{node:02x}")
}

impl Scene {
    /// Two machines whose pods reach each other through the tunnel.
    pub fn over_vxlan() -> Self {
        let mut scene = Self::two_machines();
        scene.tunnel = true;
        for (node, own, other) in [(X, 1, 2), (Y, 2, 1)] {
            let mut device = link(TUNNEL, "flannel.1", "vxlan");
            (device.mtu, device.mac) = (1450, tunnel_mac(own));
            device.peer = Some(Peer {
                netns: Some(node),
                ifindex: 2,
            });
            device.vxlan = Some(Vxlan {
                vni: 1,
                port: 8472,
                local: Some(ip(&format!("172.31.90.{own}"))),
                lower: Some(2),
                ..Vxlan::default()
            });
            let entry = FdbEntry {
                ifindex: TUNNEL,
                mac: tunnel_mac(other),
                dst: Some(ip(&format!("172.31.90.{other}"))),
                master: None,
                state: "permanent".to_owned(),
            };
            let (own, far) = (format!("10.90.{own}.0"), format!("10.90.{other}.0"));
            scene.reroute(node, &route(&far, 24, Some(&far), TUNNEL));
            scene.reroute(node, &route("0.0.0.0", 0, Some("172.31.90.254"), 2));
            scene.facts(node, |facts| {
                if let Known::Known(links) = &mut facts.links {
                    links.push(device.clone());
                }
                if let Known::Known(addresses) = &mut facts.addresses {
                    addresses.push(address(TUNNEL, &own, 32));
                }
                if let Known::Known(routes) = &mut facts.routes {
                    routes.push(local(&own, TUNNEL));
                }
                if let Known::Known(neighbours) = &mut facts.neighbours {
                    neighbours.push(neighbour(TUNNEL, &far, &tunnel_mac(other), "PERMANENT"));
                }
                facts.fdb = Known::Known(vec![entry.clone()]);
            });
        }
        for (netns, names) in [
            (A, &["eth0"][..]),
            (C, &["eth0"]),
            (X, &["vetha", "cbr0"]),
            (Y, &["vethc", "cbr0"]),
        ] {
            for name in names {
                scene.link(netns, name, |link| link.mtu = 1450);
            }
        }
        scene
    }

    /// The tunnel's device of a node is gone, and its routes, addresses and entries with it.
    pub fn without_tunnel(&mut self, node: u32) -> &mut Self {
        self.without_routes_by(node, TUNNEL).facts(node, |facts| {
            if let Known::Known(links) = &mut facts.links {
                links.retain(|link| link.index != TUNNEL);
            }
            if let Known::Known(addresses) = &mut facts.addresses {
                addresses.retain(|own| own.ifindex != TUNNEL);
            }
            facts.fdb = Known::Known(Vec::new());
        })
    }

    /// A tunnel's packet with a packet of this flow in it was freed as a loss.
    pub fn drop_outer(&mut self, netns: u32, interface: &str, inner: Flow, reason: &str, location: &str) -> &mut Self {
        let forth = inner.dport < inner.sport;
        let (from, to) = if forth { (1, 2) } else { (2, 1) };
        let outer = udp(&format!("172.31.90.{from}:50000"), &format!("172.31.90.{to}:8472"));
        self.drop(netns, interface, outer, reason, location);
        if let Some(event) = self.evidence.events.last_mut() {
            event.quoted = Some(inner);
        }
        self
    }

    /// `count` connections whose SYN gets as far as this place and is freed there inside the tunnel's packet.
    pub fn dropped_in_tunnel(
        &mut self,
        count: u32,
        (netns, interface): (u32, &str),
        at: &str,
        reason: &str,
        location: &str,
    ) -> &mut Self {
        for id in 0..count {
            let flow = self.flow(id);
            self.walk_to(id, flow, netns, interface);
            self.drop_outer(netns, at, flow, reason, location);
            let during = "connect".to_owned();
            self.attempt(id, flow, model::attempt::Outcome::TimedOut { during });
        }
        self
    }
}
