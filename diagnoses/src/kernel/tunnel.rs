//! Tunnel devices: which interfaces are tunnels, what their packets look like between the nodes, and how much they add to each.

use super::interfaces;
use core::net::IpAddr;
use model::event::Event;
use model::facts::{Link, NetnsFacts};
use model::flow::{ICMP, ICMPV6, UDP};

/// IP protocol numbers of what a tunnel's packets carry (IANA): IPv4, IPv6, GRE.
const IPIP: u8 = 4;
const IPV6: u8 = 41;
const GRE: u8 = 47;

/// Packets that leave by this interface go on inside others.
#[must_use]
pub fn is_tunnel(link: &Link) -> bool {
    carries_frames(link)
        || matches!(
            link.kind.as_str(),
            "wireguard" | "ipip" | "sit" | "ip6tnl" | "gre" | "ip6gre"
        )
}

/// It carries whole frames, so that it has neighbours and may be a port of a bridge.
#[must_use]
pub fn carries_frames(link: &Link) -> bool {
    matches!(link.kind.as_str(), "vxlan" | "geneve" | "gretap" | "ip6gretap")
}

/// In collect-metadata mode: a program (Cilium, Open vSwitch) tells network and far end of each packet.
#[must_use]
pub fn is_external(link: &Link) -> bool {
    link.vxlan.as_ref().is_some_and(|vxlan| vxlan.external)
        || link.tunnel.as_ref().is_some_and(|tunnel| tunnel.external)
}

/// The UDP port that its packets go to, where they are UDP and the link tells it.
#[must_use]
pub fn udp_port(link: &Link) -> Option<u16> {
    let vxlan = link.vxlan.as_ref().map(|vxlan| vxlan.port);
    vxlan.or_else(|| link.tunnel.as_ref()?.port).filter(|port| *port != 0)
}

/// Its network identifier, where it has one of its own.
#[must_use]
pub fn network(link: &Link) -> Option<u32> {
    let vxlan = link.vxlan.as_ref().map(|vxlan| vxlan.vni);
    vxlan
        .or_else(|| link.tunnel.as_ref()?.id)
        .filter(|_| !is_external(link))
}

/// The address that its packets come from, where it is told.
#[must_use]
pub fn local(link: &Link) -> Option<IpAddr> {
    let vxlan = link.vxlan.as_ref().and_then(|vxlan| vxlan.local);
    vxlan.or_else(|| link.tunnel.as_ref()?.local)
}

/// The one far end that it is set up for, where there is one.
#[must_use]
pub fn remote(link: &Link) -> Option<IpAddr> {
    let vxlan = link.vxlan.as_ref().and_then(|vxlan| vxlan.remote);
    let one = vxlan.or_else(|| link.tunnel.as_ref()?.remote);
    one.filter(|remote| !remote.is_multicast())
}

/// The IP protocol of its packets.
#[must_use]
pub fn protocol(link: &Link) -> u8 {
    match link.kind.as_str() {
        "vxlan" | "geneve" | "wireguard" => UDP,
        "sit" | "ip6tnl" => IPV6,
        "ipip" => IPIP,
        _ => GRE,
    }
}

/// An event of a tunnel's own packet, with another in it. An ICMP error quotes a packet and carries none.
#[must_use]
pub fn is_around(event: &Event) -> bool {
    event.quoted.is_some() && !matches!(event.flow.protocol, ICMP | ICMPV6)
}

/// A tunnel's packet that was made in this namespace and has not left it: until it is queued at an interface, its device is the
/// tunnel's, though it does not come in by it.
#[must_use]
pub fn is_made_here(facts: &NetnsFacts, event: &Event) -> bool {
    is_around(event) && interfaces::owns(facts, event.flow.src())
}

/// What it adds to each packet at least, in bytes, the outer IP header included.
#[must_use]
pub fn adds_bytes(link: &Link, over_ipv6: bool) -> u32 {
    const UDP_HEADER: u32 = 8;
    const ETHERNET_HEADER: u32 = 14;
    const GRE_HEADER: u32 = 4;
    /// Tunnels over IPv6 announce by an option how often they may be nested, unless they are told not to.
    const ENCAPSULATION_LIMIT: u32 = 8;
    let ip = if over_ipv6 { 40 } else { 20 };
    match link.kind.as_str() {
        // Their own headers have 8 bytes; Geneve's options come on top.
        "vxlan" | "geneve" => ip + UDP_HEADER + 8 + ETHERNET_HEADER,
        // Type, index and counter, and the tag behind the data.
        "wireguard" => ip + UDP_HEADER + 16 + 16,
        "ipip" | "sit" => 20,
        "gre" => 20 + GRE_HEADER,
        "gretap" => 20 + GRE_HEADER + ETHERNET_HEADER,
        "ip6tnl" => 40 + ENCAPSULATION_LIMIT,
        "ip6gre" => 40 + ENCAPSULATION_LIMIT + GRE_HEADER,
        "ip6gretap" => 40 + ENCAPSULATION_LIMIT + GRE_HEADER + ETHERNET_HEADER,
        _ => 0,
    }
}

/// What one sends, the other understands: the same kind, and the same network.
#[must_use]
pub fn understand(one: &Link, other: &Link) -> bool {
    one.kind == other.kind && (network(one) == network(other) || is_external(one) || is_external(other))
}

#[cfg(test)]
mod tests {
    use super::{adds_bytes, is_tunnel, network, udp_port, understand};
    use crate::scenes;
    use model::facts::{Link, Tunnel, Vxlan};

    fn device(kind: &str) -> Link {
        scenes::link(20, "tun0", kind)
    }

    #[test]
    fn each_kind_adds_what_its_headers_take() {
        for (kind, over_ipv6, bytes) in [
            ("vxlan", false, 50),
            ("vxlan", true, 70),
            ("geneve", false, 50),
            ("wireguard", false, 60),
            ("wireguard", true, 80),
            ("ipip", false, 20),
            ("sit", false, 20),
            ("gre", false, 24),
            ("gretap", false, 38),
            ("ip6tnl", true, 48),
            ("ip6gre", true, 52),
            ("ip6gretap", true, 66),
        ] {
            assert!(is_tunnel(&device(kind)), "{kind}");
            assert_eq!(adds_bytes(&device(kind), over_ipv6), bytes, "{kind}");
        }
        for kind in ["", "veth", "bridge", "vlan"] {
            assert!(
                !is_tunnel(&device(kind)) && adds_bytes(&device(kind), false) == 0,
                "{kind}"
            );
        }
    }

    #[test]
    fn a_device_that_a_program_tells_its_networks_understands_them_all() {
        let vxlan = |vni, external| Link {
            vxlan: Some(Vxlan {
                vni,
                port: 8472,
                external,
                ..Vxlan::default()
            }),
            ..device("vxlan")
        };
        assert!(understand(&vxlan(1, false), &vxlan(1, false)));
        assert!(!understand(&vxlan(1, false), &vxlan(2, false)));
        assert!(understand(&vxlan(0, true), &vxlan(7, false)));
        assert_eq!((network(&vxlan(7, false)), network(&vxlan(0, true))), (Some(7), None));
        assert!(!understand(&vxlan(1, false), &device("geneve")));
        let geneve = Link {
            tunnel: Some(Tunnel {
                port: Some(6081),
                ..Tunnel::default()
            }),
            ..device("geneve")
        };
        assert_eq!(udp_port(&geneve), Some(6081));
        assert_eq!(udp_port(&device("wireguard")), None);
    }
}
