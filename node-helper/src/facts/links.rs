//! Interfaces of a namespace, their places in bridges and tunnels, their counters and queueing disciplines.

use super::{Fact, Look, qdiscs, tunnels};
use crate::system::netlink::{Netlink, decode, encode, hardware};
use model::facts::{BridgePort, Link, LinkStats, NetnsFacts, Peer};
use netlink_packet_route::link::{
    InfoBridgePort, InfoData, InfoPortData, LinkAttribute, LinkFlags, LinkInfo, LinkMessage, LinkXdp, State, Stats64,
    XdpAttached,
};

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
    let mut seen: Vec<Seen> = look.links(|messages| {
        messages
            .iter()
            .map(|message| parse(message))
            .collect::<anyhow::Result<_>>()
    })??;
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
    let all = encode(&LinkMessage::default());
    route.dump(libc::RTM_GETLINK, &all, |_, body| Some(body.to_vec()))
}

/// `struct ifinfomsg`.
pub(super) const IFINFOMSG_BYTES: usize = 16;

fn parse(message: &[u8]) -> anyhow::Result<Seen> {
    let message: LinkMessage = decode("an interface", message)?;
    let flags = message.header.flags;
    let mut link = Link {
        index: message.header.index,
        up: flags.contains(LinkFlags::Up),
        carrier: flags.contains(LinkFlags::LowerUp),
        loopback: flags.contains(LinkFlags::Loopback),
        ..Link::default()
    };
    let (mut lower, mut peer_id) = (None, None);
    for attribute in message.attributes {
        match attribute {
            LinkAttribute::IfName(name) => link.name = name,
            LinkAttribute::Mtu(mtu) => link.mtu = mtu,
            LinkAttribute::Address(octets) => link.mac = hardware(&octets),
            LinkAttribute::OperState(state) => operstate(state).clone_into(&mut link.operstate),
            LinkAttribute::Controller(master) => link.master = Some(master),
            LinkAttribute::Link(index) => lower = Some(index),
            LinkAttribute::LinkNetNsId(id) => peer_id = Some(id),
            LinkAttribute::GsoMaxSize(bytes) => link.gso_max_bytes = bytes,
            LinkAttribute::Stats64(stats) => link.stats = counters(&stats, link.stats.carrier_changes),
            LinkAttribute::CarrierChanges(changes) => link.stats.carrier_changes = u64::from(changes),
            LinkAttribute::Xdp(xdp) => link.xdp = program(&xdp),
            LinkAttribute::LinkInfo(info) => read_info(&mut link, info),
            _ => {}
        }
    }
    // A device that is its own lower device is none at all; 0 means that the other end is gone.
    link.peer = lower
        .filter(|lower| *lower != 0 && (peer_id.is_some() || *lower != link.index))
        .map(|ifindex| Peer { netns: None, ifindex });
    Ok(Seen { link, peer_id })
}

/// Every interface with its counters; where the other end of one is, nobody looks for.
pub(crate) fn counted(route: &mut Netlink) -> anyhow::Result<Vec<Link>> {
    let seen = messages(route)?;
    seen.iter().map(|message| Ok(parse(message)?.link)).collect()
}

/// What of an interface is needed to say where a program hangs.
pub(super) struct LinkBrief {
    pub(super) index: u32,
    pub(super) name: String,
    pub(super) xdp: Option<u32>,
}

/// Index, name and XDP program of a message.
pub(super) fn brief(message: &[u8]) -> anyhow::Result<LinkBrief> {
    let Seen { link, peer_id: _ } = parse(message)?;
    Ok(LinkBrief {
        index: link.index,
        name: link.name,
        xdp: link.xdp,
    })
}

fn read_info(link: &mut Link, info: Vec<LinkInfo>) {
    for part in info {
        match part {
            LinkInfo::Kind(kind) => link.kind = kind.to_string(),
            LinkInfo::Data(InfoData::Vxlan(settings)) => link.vxlan = Some(tunnels::vxlan(&settings)),
            LinkInfo::Data(data) => link.tunnel = tunnels::other(&data),
            LinkInfo::PortData(InfoPortData::BridgePort(settings)) => link.bridge_port = Some(bridge_port(&settings)),
            _ => {}
        }
    }
}

fn bridge_port(settings: &[InfoBridgePort]) -> BridgePort {
    let mut port = BridgePort::default();
    for setting in settings {
        match setting {
            InfoBridgePort::State(state) => port.state = u8::from(*state),
            InfoBridgePort::HairpinMode(on) => port.hairpin = *on,
            InfoBridgePort::Learning(on) => port.learning = *on,
            InfoBridgePort::UnicastFlood(on) => port.flood = *on,
            InfoBridgePort::Isolated(on) => port.isolated = *on,
            _ => {}
        }
    }
    port
}

fn counters(stats: &Stats64, carrier_changes: u64) -> LinkStats {
    LinkStats {
        rx_packets: stats.rx_packets,
        tx_packets: stats.tx_packets,
        rx_bytes: stats.rx_bytes,
        tx_bytes: stats.tx_bytes,
        rx_errors: stats.rx_errors,
        tx_errors: stats.tx_errors,
        rx_dropped: stats.rx_dropped,
        tx_dropped: stats.tx_dropped,
        rx_missed: stats.rx_missed_errors,
        rx_fifo: stats.rx_fifo_errors,
        tx_fifo: stats.tx_fifo_errors,
        rx_nohandler: stats.rx_nohandler,
        carrier_changes,
        rx_over: stats.rx_over_errors,
        rx_crc: stats.rx_crc_errors,
        rx_frame: stats.rx_frame_errors,
        rx_length: stats.rx_length_errors,
        tx_aborted: stats.tx_aborted_errors,
        tx_carrier: stats.tx_carrier_errors,
        tx_heartbeat: stats.tx_heartbeat_errors,
        tx_window: stats.tx_window_errors,
        collisions: stats.collisions,
        multicast: stats.multicast,
        rx_compressed: stats.rx_compressed,
        tx_compressed: stats.tx_compressed,
    }
}

fn program(xdp: &[LinkXdp]) -> Option<u32> {
    let none = |part: &LinkXdp| matches!(part, LinkXdp::Attached(XdpAttached::None));
    let id = xdp.iter().find_map(|part| match part {
        LinkXdp::ProgId(id) => Some(*id),
        _ => None,
    });
    id.filter(|_| !xdp.iter().any(none))
}

/// RFC 2863 states, named as `ip link` does.
fn operstate(state: State) -> &'static str {
    match state {
        State::NotPresent => "NOTPRESENT",
        State::Down => "DOWN",
        State::LowerLayerDown => "LOWERLAYERDOWN",
        State::Testing => "TESTING",
        State::Dormant => "DORMANT",
        State::Up => "UP",
        _ => "UNKNOWN",
    }
}

#[cfg(test)]
mod tests {
    use super::{IFINFOMSG_BYTES, parse};
    use crate::system::netlink::attribute;
    use model::facts::{BridgePort, LinkStats, Peer, Tunnel, Vxlan};

    // linux/if_link.h
    const IFLA_XDP_ATTACHED: u16 = 2;
    const IFLA_XDP_PROG_ID: u16 = 4;
    const IFLA_BRPORT_STATE: u16 = 1;
    const IFLA_BRPORT_MODE: u16 = 4;
    const IFLA_BRPORT_ISOLATED: u16 = 33;
    const IFLA_VXLAN_ID: u16 = 1;
    const IFLA_VXLAN_GROUP: u16 = 2;
    const IFLA_VXLAN_LOCAL: u16 = 4;
    const IFLA_VXLAN_PORT: u16 = 15;
    const IFLA_VXLAN_COLLECT_METADATA: u16 = 25;
    const IFLA_GENEVE_ID: u16 = 1;
    const IFLA_GENEVE_REMOTE: u16 = 2;
    const IFLA_GENEVE_PORT: u16 = 5;
    const IFLA_GENEVE_COLLECT_METADATA: u16 = 6;
    // linux/if_tunnel.h
    const IFLA_IPTUN_LOCAL: u16 = 2;
    const IFLA_IPTUN_REMOTE: u16 = 3;
    const IFLA_GRE_LOCAL: u16 = 6;
    const IFLA_GRE_REMOTE: u16 = 7;

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
    fn tunnels_of_other_kinds_tell_their_ends_and_whether_a_program_chooses_them() {
        let of = |kind: &[u8], settings: &[(u16, &[u8])]| {
            let data = nested(settings);
            let info = nested(&[(libc::IFLA_INFO_KIND, kind), (libc::IFLA_INFO_DATA, &data)]);
            parse(&message(9, UP, &[(libc::IFLA_LINKINFO, &info)])).unwrap().link
        };
        let (near, far) = ("172.31.90.1".parse().unwrap(), "172.31.90.2".parse().unwrap());
        let (near_octets, far_octets) = ([172, 31, 90, 1], [172, 31, 90, 2]);
        let geneve = of(
            b"geneve\0",
            &[
                (IFLA_GENEVE_ID, &7_u32.to_ne_bytes()),
                (IFLA_GENEVE_REMOTE, &far_octets),
                (IFLA_GENEVE_PORT, &6081_u16.to_be_bytes()),
            ],
        );
        let expected = Tunnel {
            remote: Some(far),
            port: Some(6081),
            id: Some(7),
            ..Tunnel::default()
        };
        assert_eq!(geneve.tunnel, Some(expected));
        let both = Tunnel {
            local: Some(near),
            remote: Some(far),
            ..Tunnel::default()
        };
        let ends: [(u16, &[u8]); 2] = [(IFLA_IPTUN_LOCAL, &near_octets), (IFLA_IPTUN_REMOTE, &far_octets)];
        assert_eq!(of(b"ipip\0", &ends).tunnel, Some(both.clone()));
        let ends: [(u16, &[u8]); 2] = [(IFLA_GRE_LOCAL, &near_octets), (IFLA_GRE_REMOTE, &far_octets)];
        assert_eq!(of(b"gre\0", &ends).tunnel, Some(both));
        let to_anywhere = of(b"ipip\0", &[(IFLA_IPTUN_REMOTE, &[0, 0, 0, 0])]);
        assert_eq!(to_anywhere.tunnel, Some(Tunnel::default()));
        let metadata = of(b"geneve\0", &[(IFLA_GENEVE_COLLECT_METADATA, &[])]);
        assert!(metadata.tunnel.unwrap().external);
        assert!(
            of(b"vxlan\0", &[(IFLA_VXLAN_COLLECT_METADATA, &[1])])
                .vxlan
                .unwrap()
                .external
        );
    }

    #[test]
    fn counters_are_told_by_direction_and_xdp_by_its_id() {
        // `struct rtnl_link_stats64`, from the packets received on; each field has its place as its value.
        let mut stats = [0_u8; 24 * 8];
        for (value, field) in stats.chunks_exact_mut(8).enumerate() {
            field.copy_from_slice(&(value as u64).to_ne_bytes());
        }
        let xdp = nested(&[(IFLA_XDP_ATTACHED, &[2]), (IFLA_XDP_PROG_ID, &77_u32.to_ne_bytes())]);
        let link = parse(&message(2, UP, &[(libc::IFLA_STATS64, &stats), (libc::IFLA_XDP, &xdp)]))
            .unwrap()
            .link;
        assert_eq!(
            link.stats,
            LinkStats {
                rx_packets: 0,
                tx_packets: 1,
                rx_bytes: 2,
                tx_bytes: 3,
                rx_errors: 4,
                tx_errors: 5,
                rx_dropped: 6,
                tx_dropped: 7,
                multicast: 8,
                collisions: 9,
                rx_length: 10,
                rx_over: 11,
                rx_crc: 12,
                rx_frame: 13,
                rx_fifo: 14,
                rx_missed: 15,
                tx_aborted: 16,
                tx_carrier: 17,
                tx_fifo: 18,
                tx_heartbeat: 19,
                tx_window: 20,
                rx_compressed: 21,
                tx_compressed: 22,
                rx_nohandler: 23,
                carrier_changes: 0,
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
    fn a_message_that_is_cut_short_is_an_error() {
        assert!(parse(&[0; 10]).is_err());
    }
}
