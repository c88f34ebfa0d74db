//! Interfaces of a namespace, their places in bridges and tunnels, their counters and queueing disciplines.

use super::bpf::Interface;
use super::{Fact, Look, qdiscs};
use crate::netlink::{Netlink, address, at, attributes, hardware, text, u16_at, u32_at, u64_at};
use model::facts::{BridgePort, Link, LinkStats, NetnsFacts, Peer, Vxlan};
use std::net::IpAddr;

pub(super) const FACT: Fact = Fact {
    name: "links",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.links = look.known("interfaces", read(look)),
};

/// A link, and how its namespace calls the one of its other end.
struct Seen {
    link: Link,
    peer_id: Option<i32>,
}

fn read(look: &Look) -> anyhow::Result<Vec<Link>> {
    let mut seen: Vec<Seen> = look.links(|messages| messages.iter().filter_map(|message| parse(message)).collect())?;
    look.route(|route| {
        place_peers(look, route, &mut seen);
        for (ifindex, qdisc) in qdiscs::read(route)? {
            if let Some(seen) = seen.iter_mut().find(|seen| seen.link.index == ifindex) {
                seen.link.qdiscs.push(qdisc);
            }
        }
        Ok(seen.into_iter().map(|seen| seen.link).collect())
    })
}

/// The other end is in this namespace where no id is given, else in that which the id stands for here.
fn place_peers(look: &Look, route: &mut Netlink, seen: &mut [Seen]) {
    let ids: Vec<i32> = seen
        .iter()
        .filter_map(|seen| seen.peer_id)
        .filter(|id| *id >= 0)
        .collect();
    let places = look.namespaces.of_ids(route, &ids);
    for Seen { link, peer_id } in seen {
        if let Some(peer) = &mut link.peer {
            peer.netns = match peer_id {
                None => Some(look.namespace.inode),
                Some(id) => places.get(id).copied(),
            };
        }
    }
}

/// Every interface's message, for those who read more from them.
pub(super) fn messages(route: &mut Netlink) -> anyhow::Result<Vec<Vec<u8>>> {
    route.dump(libc::RTM_GETLINK, &[0; IFINFOMSG_BYTES], |_, body| Some(body.to_vec()))
}

/// `struct ifinfomsg`: family, type at 2, index at 4, flags at 8.
pub(super) const IFINFOMSG_BYTES: usize = 16;

// Nested attributes that libc does not name (linux/if_link.h).
const IFLA_XDP_ATTACHED: u16 = 2;
const IFLA_XDP_PROG_ID: u16 = 4;
const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_LEARNING: u16 = 8;
const IFLA_BRPORT_UNICAST_FLOOD: u16 = 9;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const IFLA_VXLAN_ID: u16 = 1;
const IFLA_VXLAN_GROUP: u16 = 2;
const IFLA_VXLAN_LINK: u16 = 3;
const IFLA_VXLAN_LOCAL: u16 = 4;
const IFLA_VXLAN_LEARNING: u16 = 7;
const IFLA_VXLAN_PORT: u16 = 15;
const IFLA_VXLAN_GROUP6: u16 = 16;
const IFLA_VXLAN_LOCAL6: u16 = 17;

fn parse(message: &[u8]) -> Option<Seen> {
    let body = message.get(IFINFOMSG_BYTES..)?;
    let flags = u32_at(message, 8);
    let set = |flag: i32| flags & flag as u32 != 0;
    let mut link = Link {
        index: u32_at(message, 4),
        up: set(libc::IFF_UP),
        carrier: set(libc::IFF_LOWER_UP),
        loopback: set(libc::IFF_LOOPBACK),
        ..Link::default()
    };
    let (mut lower, mut peer_id) = (None, None);
    for (kind, value) in attributes(body) {
        match kind {
            libc::IFLA_IFNAME => link.name = text(value),
            libc::IFLA_MTU => link.mtu = u32_at(value, 0),
            libc::IFLA_ADDRESS => link.mac = hardware(value),
            libc::IFLA_OPERSTATE => link.operstate = operstate(value),
            libc::IFLA_MASTER => link.master = Some(u32_at(value, 0)),
            libc::IFLA_LINK => lower = Some(u32_at(value, 0)),
            libc::IFLA_LINK_NETNSID => peer_id = at(value, 0).map(i32::from_ne_bytes),
            libc::IFLA_GSO_MAX_SIZE => link.gso_max_bytes = u32_at(value, 0),
            libc::IFLA_STATS64 => link.stats = stats(value, link.stats.carrier_changes),
            libc::IFLA_CARRIER_CHANGES => link.stats.carrier_changes = u64::from(u32_at(value, 0)),
            libc::IFLA_XDP => link.xdp = xdp(value),
            libc::IFLA_LINKINFO => read_info(&mut link, value),
            _ => {}
        }
    }
    // A device that is its own lower device is none at all; 0 means that the other end is gone.
    link.peer = lower
        .filter(|lower| *lower != 0 && (peer_id.is_some() || *lower != link.index))
        .map(|ifindex| Peer { netns: None, ifindex });
    Some(Seen { link, peer_id })
}

/// Index, name and XDP program of a message.
pub(super) fn brief(message: &[u8]) -> Option<Interface> {
    let Seen { link, peer_id: _ } = parse(message)?;
    Some(Interface {
        index: link.index,
        name: link.name,
        xdp: link.xdp,
    })
}

fn read_info(link: &mut Link, info: &[u8]) {
    let (mut data, mut port_kind, mut port) = (None, String::new(), None);
    for (kind, value) in attributes(info) {
        match kind {
            libc::IFLA_INFO_KIND => link.kind = text(value),
            libc::IFLA_INFO_DATA => data = Some(value),
            libc::IFLA_INFO_SLAVE_KIND => port_kind = text(value),
            libc::IFLA_INFO_SLAVE_DATA => port = Some(value),
            _ => {}
        }
    }
    if port_kind == "bridge" {
        link.bridge_port = port.map(bridge_port);
    }
    if link.kind == "vxlan" {
        link.vxlan = data.map(vxlan);
    }
}

fn bridge_port(data: &[u8]) -> BridgePort {
    let mut port = BridgePort::default();
    for (kind, value) in attributes(data) {
        let byte = value.first().copied().unwrap_or_default();
        match kind {
            IFLA_BRPORT_STATE => port.state = byte,
            IFLA_BRPORT_MODE => port.hairpin = byte != 0,
            IFLA_BRPORT_LEARNING => port.learning = byte != 0,
            IFLA_BRPORT_UNICAST_FLOOD => port.flood = byte != 0,
            IFLA_BRPORT_ISOLATED => port.isolated = byte != 0,
            _ => {}
        }
    }
    port
}

fn vxlan(data: &[u8]) -> Vxlan {
    let given = |value: &[u8]| address(value).filter(|address: &IpAddr| !address.is_unspecified());
    let mut vxlan = Vxlan::default();
    for (kind, value) in attributes(data) {
        match kind {
            IFLA_VXLAN_ID => vxlan.vni = u32_at(value, 0),
            IFLA_VXLAN_GROUP | IFLA_VXLAN_GROUP6 => vxlan.remote = given(value).or(vxlan.remote),
            IFLA_VXLAN_LOCAL | IFLA_VXLAN_LOCAL6 => vxlan.local = given(value).or(vxlan.local),
            IFLA_VXLAN_LINK => vxlan.lower = Some(u32_at(value, 0)).filter(|lower| *lower != 0),
            IFLA_VXLAN_LEARNING => vxlan.learning = value.first().is_some_and(|on| *on != 0),
            IFLA_VXLAN_PORT => vxlan.port = u16::from_be(u16_at(value, 0)),
            _ => {}
        }
    }
    vxlan
}

/// `struct rtnl_link_stats64`: packets, bytes, errors, dropped, each received then sent.
fn stats(value: &[u8], carrier_changes: u64) -> LinkStats {
    let field = |number: usize| u64_at(value, number * 8);
    LinkStats {
        rx_packets: field(0),
        tx_packets: field(1),
        rx_errors: field(4),
        tx_errors: field(5),
        rx_dropped: field(6),
        tx_dropped: field(7),
        carrier_changes,
    }
}

fn xdp(value: &[u8]) -> Option<u32> {
    let attached = attributes(value).any(|(kind, value)| kind == IFLA_XDP_ATTACHED && value.first() > Some(&0));
    let id = attributes(value).find_map(|(kind, value)| (kind == IFLA_XDP_PROG_ID).then(|| u32_at(value, 0)));
    id.filter(|_| attached)
}

/// RFC 2863 states in the kernel's numbers (linux/if.h), named as `ip link` does.
fn operstate(value: &[u8]) -> String {
    match value {
        [1, ..] => "NOTPRESENT",
        [2, ..] => "DOWN",
        [3, ..] => "LOWERLAYERDOWN",
        [4, ..] => "TESTING",
        [5, ..] => "DORMANT",
        [6, ..] => "UP",
        _ => "UNKNOWN",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::{
        IFINFOMSG_BYTES, IFLA_BRPORT_ISOLATED, IFLA_BRPORT_MODE, IFLA_BRPORT_STATE, IFLA_VXLAN_GROUP, IFLA_VXLAN_ID,
        IFLA_VXLAN_LOCAL, IFLA_VXLAN_PORT, IFLA_XDP_ATTACHED, IFLA_XDP_PROG_ID, parse,
    };
    use crate::netlink::attribute;
    use model::facts::{BridgePort, LinkStats, Peer, Vxlan};

    const UP: u32 = 1;
    const LOWER_UP: u32 = 1 << 16;

    fn message(index: u32, flags: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![0; IFINFOMSG_BYTES];
        message[4..8].copy_from_slice(&index.to_ne_bytes());
        message[8..12].copy_from_slice(&flags.to_ne_bytes());
        for (kind, value) in attributes {
            attribute(&mut message, *kind, value);
        }
        message
    }

    fn nested(attributes: &[(u16, &[u8])]) -> Vec<u8> {
        message(0, 0, attributes).split_off(IFINFOMSG_BYTES)
    }

    #[test]
    fn a_veth_in_a_bridge_names_its_other_end_its_bridge_and_its_port_settings() {
        let port = nested(&[
            (IFLA_BRPORT_STATE, &[3]),
            (IFLA_BRPORT_MODE, &[1]),
            (IFLA_BRPORT_ISOLATED, &[0]),
        ]);
        let info = nested(&[
            (libc::IFLA_INFO_KIND, b"veth\0"),
            (libc::IFLA_INFO_SLAVE_KIND, b"bridge\0"),
            (libc::IFLA_INFO_SLAVE_DATA, &port),
        ]);
        let seen = parse(&message(
            7,
            UP,
            &[
                (libc::IFLA_IFNAME, b"vetha\0"),
                (libc::IFLA_OPERSTATE, &[3]),
                (libc::IFLA_MTU, &1450_u32.to_ne_bytes()),
                (libc::IFLA_ADDRESS, &[2, 0, 0, 0, 0, 9]),
                (libc::IFLA_MASTER, &3_u32.to_ne_bytes()),
                (libc::IFLA_LINK, &2_u32.to_ne_bytes()),
                (libc::IFLA_LINK_NETNSID, &4_i32.to_ne_bytes()),
                (libc::IFLA_LINKINFO, &info),
            ],
        ))
        .unwrap();
        let link = seen.link;
        assert_eq!(
            (link.index, link.name.as_str(), link.kind.as_str()),
            (7, "vetha", "veth")
        );
        assert_eq!(
            (link.up, link.carrier, link.operstate.as_str()),
            (true, false, "LOWERLAYERDOWN")
        );
        assert_eq!(
            (link.mtu, link.mac.as_str(), link.master),
            (1450, "02:00:00:00:00:09", Some(3))
        );
        assert_eq!(
            (link.peer, seen.peer_id),
            (
                Some(Peer {
                    netns: None,
                    ifindex: 2
                }),
                Some(4)
            )
        );
        let port = BridgePort {
            state: 3,
            hairpin: true,
            ..BridgePort::default()
        };
        assert_eq!(link.bridge_port, Some(port));
    }

    #[test]
    fn a_device_without_a_lower_one_has_no_peer() {
        let loopback = parse(&message(1, UP | LOWER_UP, &[(libc::IFLA_LINK, &1_u32.to_ne_bytes())])).unwrap();
        assert_eq!(loopback.link.peer, None);
        assert!(loopback.link.carrier);
        let orphan = parse(&message(5, UP, &[(libc::IFLA_LINK, &0_u32.to_ne_bytes())])).unwrap();
        assert_eq!(orphan.link.peer, None, "the other end of this veth is gone");
    }

    #[test]
    fn a_tunnel_tells_its_network_and_its_port() {
        let data = nested(&[
            (IFLA_VXLAN_ID, &42_u32.to_ne_bytes()),
            (IFLA_VXLAN_GROUP, &[0, 0, 0, 0]),
            (IFLA_VXLAN_LOCAL, &[172, 31, 90, 1]),
            (IFLA_VXLAN_PORT, &8472_u16.to_be_bytes()),
        ]);
        let info = nested(&[(libc::IFLA_INFO_KIND, b"vxlan\0"), (libc::IFLA_INFO_DATA, &data)]);
        let seen = parse(&message(9, UP, &[(libc::IFLA_LINKINFO, &info)])).unwrap();
        let vxlan = Vxlan {
            vni: 42,
            port: 8472,
            local: Some("172.31.90.1".parse().unwrap()),
            ..Vxlan::default()
        };
        assert_eq!(seen.link.vxlan, Some(vxlan));
    }

    #[test]
    fn counters_are_told_by_direction_and_xdp_by_its_id() {
        let mut stats = [0_u8; 24 * 8];
        for (field, value) in [(0, 10_u64), (1, 20), (4, 1), (6, 3), (7, 4)] {
            stats[field * 8..][..8].copy_from_slice(&value.to_ne_bytes());
        }
        let xdp = nested(&[(IFLA_XDP_ATTACHED, &[2]), (IFLA_XDP_PROG_ID, &77_u32.to_ne_bytes())]);
        let link = parse(&message(2, UP, &[(libc::IFLA_STATS64, &stats), (libc::IFLA_XDP, &xdp)]))
            .unwrap()
            .link;
        assert_eq!(
            link.stats,
            LinkStats {
                rx_packets: 10,
                tx_packets: 20,
                rx_errors: 1,
                rx_dropped: 3,
                tx_dropped: 4,
                ..LinkStats::default()
            }
        );
        assert_eq!(link.xdp, Some(77));
        let none = nested(&[(IFLA_XDP_ATTACHED, &[0])]);
        assert_eq!(
            parse(&message(2, UP, &[(libc::IFLA_XDP, &none)])).unwrap().link.xdp,
            None
        );
    }

    #[test]
    fn a_message_that_is_cut_short_is_none() {
        assert!(parse(&[0; 10]).is_none());
    }
}
