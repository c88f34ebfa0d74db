//! Matches on a packet's ports, TCP flags and ICMP type.

use super::{In, Layout, Said, XtContext, XtStruct, layout};
use crate::facts::netfilter::iptables::clause::Opt;

// linux/netfilter/xt_tcpudp.h, xt_multiport.h, xt_sctp.h, xt_tcpmss.h, linux/netfilter_ipv4/ip_tables.h
pub(super) const MATCHES: &[Layout] = &[
    layout("tcp", 0, In::Both, 12, tcp),
    layout("udp", 0, In::Both, 10, udp),
    layout("icmp", 0, In::V4, 4, icmp),
    layout("icmp6", 0, In::V6, 4, icmp6),
    layout("sctp", 0, In::Both, 292, sctp),
    layout("multiport", 0, In::Both, 32, multiport_0),
    layout("multiport", 1, In::Both, 48, multiport),
    layout("tcpmss", 0, In::Both, 6, segment_size),
];

/// TCP flags in iptables' order.
const FLAGS: [(u8, &str); 6] = [
    (0x01, "FIN"),
    (0x02, "SYN"),
    (0x04, "RST"),
    (0x08, "PSH"),
    (0x10, "ACK"),
    (0x20, "URG"),
];

/// `80`, or `1:1024`.
pub fn span(low: u16, high: u16) -> String {
    if low == high {
        low.to_string()
    } else {
        format!("{low}:{high}")
    }
}

/// `--tcp-flags MASK SET`.
pub fn tcp_flags(mask: u8, set: u8) -> Opt {
    let names = |bits: u8| {
        let names: Vec<&str> = FLAGS
            .iter()
            .filter(|(bit, _)| bits & bit != 0)
            .map(|(_, name)| *name)
            .collect();
        if names.is_empty() {
            "NONE".to_owned()
        } else {
            names.join(",")
        }
    };
    Opt {
        values: vec![names(mask), names(set)],
        ..Opt::flag("--tcp-flags")
    }
}

fn two_spans(own: XtStruct<'_>, source: usize, destination: usize, inverted: u32) -> Option<Vec<Opt>> {
    let mut options = Vec::new();
    for (name, offset, bit) in [("--sport", source, 1), ("--dport", destination, 2)] {
        let (low, high, not) = (own.u16(offset)?, own.u16(offset + 2)?, inverted & bit != 0);
        if (low, high) != (0, u16::MAX) || not {
            options.push(Opt::new(name, span(low, high)).inverted(not));
        }
    }
    Some(options)
}

fn tcp(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (option, mask, set, inverted) = (own.u8(8)?, own.u8(9)?, own.u8(10)?, own.u8(11)?);
    let mut options = two_spans(own, 0, 4, u32::from(inverted))?;
    let not_option = inverted & 8 != 0;
    if option != 0 || not_option {
        options.push(Opt::new("--tcp-option", option).inverted(not_option));
    }
    let not_flags = inverted & 4 != 0;
    if mask != 0 || not_flags {
        // Bits that have no name cannot be written.
        if (mask | set) & 0xc0 != 0 {
            return None;
        }
        options.push(tcp_flags(mask, set).inverted(not_flags));
    }
    Some(options.into())
}

fn udp(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    two_spans(own, 0, 4, u32::from(own.u8(8)?)).map(Said::from)
}

fn icmp_type(own: XtStruct<'_>, name: &'static str, any: Option<u8>) -> Option<Said> {
    let (kind, low, high, not) = (own.u8(0)?, own.u8(1)?, own.u8(2)?, own.u8(3)? & 1 != 0);
    let is = match (low, high) {
        _ if any == Some(kind) => "any".to_owned(),
        (0, u8::MAX) => kind.to_string(),
        (low, high) if low == high => format!("{kind}/{low}"),
        _ => return None,
    };
    Some(vec![Opt::new(name, is).inverted(not)].into())
}

fn icmp(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    icmp_type(own, "--icmp-type", Some(0xff))
}

fn icmp6(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    icmp_type(own, "--icmpv6-type", None)
}

fn sctp(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (flags, inverted) = (own.u32(284)?, own.u32(288)?);
    // Chunk types are not read.
    if flags & 4 != 0 {
        return None;
    }
    let mut options = Vec::new();
    for (name, offset, bit) in [("--sport", 4, 1), ("--dport", 0, 2)] {
        if flags & bit != 0 {
            let span = span(own.u16(offset)?, own.u16(offset + 2)?);
            options.push(Opt::new(name, span).inverted(inverted & bit != 0));
        }
    }
    Some(options.into())
}

const PORTS_MAX: usize = 15;

fn ports_option(own: XtStruct<'_>) -> Option<&'static str> {
    ["--sports", "--dports", "--ports"]
        .get(usize::from(own.u8(0)?))
        .copied()
}

fn multiport_0(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let count = usize::from(own.u8(1)?);
    let ports: Option<Vec<String>> = (0..count.min(PORTS_MAX))
        .map(|place| own.u16(2 + 2 * place).map(|port| port.to_string()))
        .collect();
    Some(vec![Opt::new(ports_option(own)?, ports?.join(","))].into())
}

fn multiport(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let count = usize::from(own.u8(1)?);
    if count > PORTS_MAX {
        return None;
    }
    let mut ports = Vec::new();
    let mut place = 0;
    while place < count {
        let low = own.u16(2 + 2 * place)?;
        let starts_range = own.u8(32 + place)? != 0;
        if starts_range {
            place += 1;
        }
        let high = own.u16(2 + 2 * place).filter(|_| place < count)?;
        ports.push(if starts_range {
            format!("{low}:{high}")
        } else {
            low.to_string()
        });
        place += 1;
    }
    Some(vec![Opt::new(ports_option(own)?, ports.join(",")).inverted(own.u8(47)? != 0)].into())
}

fn segment_size(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let span = span(own.u16(0)?, own.u16(2)?);
    Some(vec![Opt::new("--mss", span).inverted(own.u8(4)? != 0)].into())
}
