//! Matches on a packet's addresses, interfaces and protocol.

use super::{In, Layout, Said, XtContext, XtStruct, layout};
use crate::facts::netfilter::iptables::clause::Opt;
use std::net::IpAddr;

// linux/netfilter/xt_addrtype.h, xt_iprange.h, xt_physdev.h, xt_mac.h, xt_pkttype.h, xt_rpfilter.h, xt_devgroup.h,
// linux/netfilter_ipv4/ip_tables.h
pub(super) const MATCHES: &[Layout] = &[
    layout("addrtype", 0, In::V4, 12, address_types_0),
    layout("addrtype", 1, In::Both, 8, address_types),
    layout("iprange", 1, In::Both, 68, ranges),
    layout("physdev", 0, In::Both, 66, bridge_ports),
    layout("mac", 0, In::Both, 12, hardware),
    layout("pkttype", 0, In::Both, 8, packet_type),
    layout("rpfilter", 0, In::Both, 1, reverse_path),
    layout("devgroup", 0, In::Both, 20, device_groups),
];

/// Protocols that go by a name.
const PROTOCOLS: &[(u16, &str)] = &[
    (1, "icmp"),
    (2, "igmp"),
    (4, "ipencap"),
    (6, "tcp"),
    (17, "udp"),
    (33, "dccp"),
    (47, "gre"),
    (50, "esp"),
    (51, "ah"),
    (58, "ipv6-icmp"),
    (89, "ospf"),
    (103, "pim"),
    (112, "vrrp"),
    (132, "sctp"),
    (136, "udplite"),
];

/// A protocol by its name, else its number.
pub fn protocol(number: u16) -> String {
    PROTOCOLS
        .iter()
        .find(|(own, _)| *own == number)
        .map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
}

/// `10.0.0.0/8`; a mask that is no prefix is written out.
pub fn network(address: IpAddr, mask: IpAddr) -> String {
    let prefix = match mask {
        IpAddr::V4(mask) => {
            let bits = mask.to_bits();
            (bits.leading_ones() == bits.count_ones()).then(|| bits.count_ones())
        }
        IpAddr::V6(mask) => {
            let bits = mask.to_bits();
            (bits.leading_ones() == bits.count_ones()).then(|| bits.count_ones())
        }
    };
    prefix.map_or_else(|| format!("{address}/{mask}"), |prefix| format!("{address}/{prefix}"))
}

/// An interface's name in 16 bytes with a mask as long: `eth0`, `eth+`; `None` where any will do.
pub fn interface(name: &[u8], mask: &[u8]) -> Option<String> {
    let masked = mask.iter().take_while(|byte| **byte != 0).count();
    let compared = name.get(..masked)?;
    match compared.iter().position(|byte| *byte == 0) {
        _ if masked == 0 => None,
        Some(end) => Some(String::from_utf8_lossy(&compared[..end]).into_owned()),
        None => Some(format!("{}+", String::from_utf8_lossy(compared))),
    }
}

/// Route types by number (`RTN_`), as addrtype names them.
const TYPES: [&str; 12] = [
    "UNSPEC",
    "UNICAST",
    "LOCAL",
    "BROADCAST",
    "ANYCAST",
    "MULTICAST",
    "BLACKHOLE",
    "UNREACHABLE",
    "PROHIBIT",
    "THROW",
    "NAT",
    "XRESOLVE",
];

fn types(mask: u16) -> Option<String> {
    let names: Vec<&str> = (0..TYPES.len())
        .filter(|bit| mask & (1 << bit) != 0)
        .map(|bit| TYPES[bit])
        .collect();
    (mask >> TYPES.len() == 0).then(|| names.join(","))
}

fn source_and_destination(source: u16, not_source: bool, destination: u16, not_destination: bool) -> Option<Vec<Opt>> {
    let mut options = Vec::new();
    if source != 0 {
        options.push(Opt::new("--src-type", types(source)?).inverted(not_source));
    }
    if destination != 0 {
        options.push(Opt::new("--dst-type", types(destination)?).inverted(not_destination));
    }
    Some(options)
}

fn address_types_0(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (not_source, not_destination) = (own.u32(4)? != 0, own.u32(8)? != 0);
    source_and_destination(own.u16(0)?, not_source, own.u16(2)?, not_destination).map(Said::from)
}

fn address_types(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let flags = own.u32(4)?;
    let mut options = source_and_destination(own.u16(0)?, flags & 1 != 0, own.u16(2)?, flags & 2 != 0)?;
    if flags & 4 != 0 {
        options.push(Opt::flag("--limit-iface-in"));
    }
    if flags & 8 != 0 {
        options.push(Opt::flag("--limit-iface-out"));
    }
    Some(options.into())
}

fn ranges(own: XtStruct<'_>, context: XtContext<'_>) -> Option<Said> {
    let flags = own.u8(64)?;
    let range = |offset| {
        let (low, high) = (own.address(offset, context.v6)?, own.address(offset + 16, context.v6)?);
        Some(format!("{low}-{high}"))
    };
    let mut options = Vec::new();
    if flags & 0x01 != 0 {
        options.push(Opt::new("--src-range", range(0)?).inverted(flags & 0x10 != 0));
    }
    if flags & 0x02 != 0 {
        options.push(Opt::new("--dst-range", range(32)?).inverted(flags & 0x20 != 0));
    }
    Some(options.into())
}

fn bridge_ports(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (invert, asked) = (own.u8(64)?, own.u8(65)?);
    let name = |offset| interface(own.bytes(offset, 16)?, own.bytes(offset + 16, 16)?);
    let mut options = Vec::new();
    for (bit, option) in [
        (0x08, Some(Opt::flag("--physdev-is-in"))),
        (0x01, name(0).map(|name| Opt::new("--physdev-in", name))),
        (0x10, Some(Opt::flag("--physdev-is-out"))),
        (0x02, name(32).map(|name| Opt::new("--physdev-out", name))),
        (0x04, Some(Opt::flag("--physdev-is-bridged"))),
    ] {
        if asked & bit != 0 {
            options.push(option?.inverted(invert & bit != 0));
        }
    }
    Some(options.into())
}

fn hardware(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let address = crate::system::netlink::hardware(own.bytes(0, 6)?);
    Some(vec![Opt::new("--mac-source", address).inverted(own.u32(8)? != 0)].into())
}

fn packet_type(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    // `PACKET_HOST` and its like, linux/if_packet.h
    let name = *["unicast", "broadcast", "multicast"].get(own.u32(0)? as usize)?;
    Some(vec![Opt::new("--pkt-type", name).inverted(own.u32(4)? != 0)].into())
}

fn reverse_path(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let flags = own.u8(0)?;
    Some(
        super::packet::flagged(
            u32::from(flags),
            &[
                (1, "--loose"),
                (2, "--validmark"),
                (4, "--accept-local"),
                (8, "--invert"),
            ],
        )
        .into(),
    )
}

fn device_groups(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let flags = own.u32(0)?;
    let group = |offset| Some(super::packet::masked(own.u32(offset)?, own.u32(offset + 4)?));
    let mut options = Vec::new();
    if flags & 1 != 0 {
        options.push(Opt::new("--src-group", group(4)?).inverted(flags & 2 != 0));
    }
    if flags & 4 != 0 {
        options.push(Opt::new("--dst-group", group(12)?).inverted(flags & 8 != 0));
    }
    Some(options.into())
}
