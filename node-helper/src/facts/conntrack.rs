//! Connection tracking of a namespace: how full, what it did, and the watched flows' own entries (ctnetlink).

use super::{Fact, Look};
use crate::system::door;
use crate::system::netlink::{Netlink, NetlinkAnswer, at, attribute, attributes};
use anyhow::Context as _;
use model::facts::{Conntrack, ConntrackEntry, NetnsFacts};
use model::flow::{Flow, ICMP, ICMPV6, TCP, address, bytes};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

pub(super) const FACT: Fact = Fact {
    name: "conntrack",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.conntrack = look.known("connection tracking", read(look)),
};

/// What a kernel without it lacks: a file, and what it is that is not there.
pub(crate) const LACKING: (&str, &str) = (
    "/proc/sys/net/netfilter/nf_conntrack_count",
    "connection tracking is not loaded in this kernel",
);

/// A table with more entries is not listed: a flow that is not found by its tuple is then simply not found.
const LISTED_MAX: u64 = 4096;

fn read(look: &Look) -> anyhow::Result<Conntrack> {
    let number = |name: &str| -> anyhow::Result<u64> {
        let path = format!("/proc/sys/net/netfilter/nf_conntrack_{name}");
        let text = door::text(&path, door::FEW_LINES)
            .with_context(|| format!("cannot read {path}; is connection tracking loaded in this kernel?"))?;
        text.trim().parse().with_context(|| format!("{path} holds no number"))
    };
    let mut conntrack = Conntrack {
        count: number("count")?,
        max: number("max")?,
        ..Conntrack::default()
    };
    let mut netlink = Netlink::open(libc::NETLINK_NETFILTER)?;
    let per_cpu = netlink
        .dump(message(GET_STATS_CPU), &nfgenmsg(libc::AF_UNSPEC as u8), |_, body| {
            Some(parse_stats(body))
        })
        .context("cannot read the statistics")?;
    for (name, value) in per_cpu.into_iter().flatten() {
        *conntrack.stats.entry(name.to_owned()).or_default() += value;
    }
    if conntrack.count > 0 {
        conntrack.entries = entries(&mut netlink, &look.ask.flows, conntrack.count)?;
    }
    Ok(conntrack)
}

/// Asks for all entries of the namespace that this thread is in; who gets the socket may hear them.
pub(crate) fn ask_for_all() -> anyhow::Result<OwnedFd> {
    Netlink::open(libc::NETLINK_NETFILTER)?.asked(message(GET), &nfgenmsg(libc::AF_UNSPEC as u8))
}

/// The flow of an entry in the direction in which it began.
pub(crate) fn origin(message: &[u8]) -> Option<Flow> {
    let mut all = attributes(message.get(NFGENMSG_BYTES..)?);
    all.find(|(kind, _)| *kind == CTA_TUPLE_ORIG)
        .and_then(|(_, tuple)| parse_tuple(tuple))
}

fn entries(netlink: &mut Netlink, flows: &[Flow], count: u64) -> anyhow::Result<Vec<ConntrackEntry>> {
    let mut found: Vec<ConntrackEntry> = Vec::new();
    let mut unfound = Vec::new();
    for flow in flows {
        let both = [one(netlink, *flow)?, one(netlink, flow.reversed())?];
        if both.iter().all(Option::is_none) {
            unfound.push(*flow);
        }
        found.extend(both.into_iter().flatten());
    }
    // In a zone of its own, or half known: look through the table where that is cheap.
    if !unfound.is_empty() && count <= LISTED_MAX {
        for family in [libc::AF_INET, libc::AF_INET6] {
            found.extend(netlink.dump(message(GET), &nfgenmsg(family as u8), |_, body| {
                parse_entry(body).filter(|entry| unfound.iter().any(|flow| concerns(entry, *flow)))
            })?);
        }
    }
    let mut entries: Vec<ConntrackEntry> = Vec::new();
    for entry in found {
        if !entries
            .iter()
            .any(|other| other.original == entry.original && other.reply == entry.reply)
        {
            entries.push(entry);
        }
    }
    Ok(entries)
}

fn one(netlink: &mut Netlink, flow: Flow) -> anyhow::Result<Option<ConntrackEntry>> {
    let family = if flow.src().is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    let mut request = nfgenmsg(family as u8).to_vec();
    attribute(&mut request, CTA_TUPLE_ORIG | NESTED, &tuple(flow));
    Ok(match netlink.ask(message(GET), &request)? {
        NetlinkAnswer::Refused(_) => None,
        NetlinkAnswer::Messages(messages) => messages.iter().find_map(|(_, body)| parse_entry(body)),
    })
}

/// The flow is one of the entry's directions, in either order; a port of 0 in the flow stands for any.
fn concerns(entry: &ConntrackEntry, flow: Flow) -> bool {
    let port = |wanted: u16, is: u16| wanted == 0 || wanted == is;
    [entry.original, entry.reply]
        .into_iter()
        .flat_map(|tuple| [tuple, tuple.reversed()])
        .any(|tuple| {
            tuple.protocol == flow.protocol
                && (tuple.saddr, tuple.daddr) == (flow.saddr, flow.daddr)
                && port(flow.sport, tuple.sport)
                && port(flow.dport, tuple.dport)
        })
}

// linux/netfilter/nfnetlink.h, linux/netfilter/nfnetlink_conntrack.h
const NFNL_SUBSYS_CTNETLINK: u16 = 1;
const GET: u16 = 1;
const GET_STATS_CPU: u16 = 4;
const NESTED: u16 = libc::NLA_F_NESTED as u16;
const NFGENMSG_BYTES: usize = 4;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_STATUS: u16 = 3;
const CTA_PROTOINFO: u16 = 4;
const CTA_TIMEOUT: u16 = 7;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_SRC_PORT: u16 = 2;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_PROTO_ICMP_ID: u16 = 4;
const CTA_PROTO_ICMP_TYPE: u16 = 5;
const CTA_PROTO_ICMP_CODE: u16 = 6;
const CTA_PROTO_ICMPV6_ID: u16 = 7;
const CTA_PROTO_ICMPV6_TYPE: u16 = 8;
const CTA_PROTO_ICMPV6_CODE: u16 = 9;
const CTA_PROTOINFO_TCP: u16 = 1;
const CTA_PROTOINFO_TCP_STATE: u16 = 1;
const IPS_SEEN_REPLY: u32 = 2;
/// `enum ctattr_stats_cpu`, by number.
const STATS: &[(u16, &str)] = &[
    (2, "found"),
    (4, "invalid"),
    (8, "insert"),
    (9, "insert_failed"),
    (10, "drop"),
    (11, "early_drop"),
    (12, "error"),
    (13, "search_restart"),
    (14, "clash_resolve"),
    (15, "chaintoolong"),
];
// Echo request and reply: ICMP's types, then ICMPv6's.
const ECHO: (u8, u8) = (8, 0);
const ECHO6: (u8, u8) = (128, 129);

const fn message(kind: u16) -> u16 {
    NFNL_SUBSYS_CTNETLINK << 8 | kind
}

const fn nfgenmsg(family: u8) -> [u8; NFGENMSG_BYTES] {
    [family, libc::NFNETLINK_V0 as u8, 0, 0]
}

fn tuple(flow: Flow) -> Vec<u8> {
    let (mut ip, mut proto, mut tuple) = (Vec::new(), Vec::new(), Vec::new());
    for (end, v4, v6) in [
        (flow.src(), CTA_IP_V4_SRC, CTA_IP_V6_SRC),
        (flow.dst(), CTA_IP_V4_DST, CTA_IP_V6_DST),
    ] {
        match end {
            IpAddr::V4(end) => attribute(&mut ip, v4, &end.octets()),
            IpAddr::V6(end) => attribute(&mut ip, v6, &end.octets()),
        }
    }
    attribute(&mut proto, CTA_PROTO_NUM, &[flow.protocol]);
    let echo = match flow.protocol {
        ICMP => Some((ECHO, [CTA_PROTO_ICMP_ID, CTA_PROTO_ICMP_TYPE, CTA_PROTO_ICMP_CODE])),
        ICMPV6 => Some((
            ECHO6,
            [CTA_PROTO_ICMPV6_ID, CTA_PROTO_ICMPV6_TYPE, CTA_PROTO_ICMPV6_CODE],
        )),
        _ => None,
    };
    if let Some(((request, reply), [id, kind, code])) = echo {
        let (number, is) = if flow.sport == 0 {
            (flow.dport, reply)
        } else {
            (flow.sport, request)
        };
        attribute(&mut proto, id, &number.to_be_bytes());
        attribute(&mut proto, kind, &[is]);
        attribute(&mut proto, code, &[0]);
    } else {
        attribute(&mut proto, CTA_PROTO_SRC_PORT, &flow.sport.to_be_bytes());
        attribute(&mut proto, CTA_PROTO_DST_PORT, &flow.dport.to_be_bytes());
    }
    attribute(&mut tuple, CTA_TUPLE_IP | NESTED, &ip);
    attribute(&mut tuple, CTA_TUPLE_PROTO | NESTED, &proto);
    tuple
}

fn parse_entry(message: &[u8]) -> Option<ConntrackEntry> {
    let be32 = |value: &[u8]| at(value, 0).map_or(0, u32::from_be_bytes);
    let (mut original, mut reply) = (None, None);
    let (mut seen_reply, mut timeout_s, mut state) = (false, 0, String::new());
    for (kind, value) in attributes(message.get(NFGENMSG_BYTES..)?) {
        match kind {
            CTA_TUPLE_ORIG => original = parse_tuple(value),
            CTA_TUPLE_REPLY => reply = parse_tuple(value),
            CTA_STATUS => seen_reply = be32(value) & IPS_SEEN_REPLY != 0,
            CTA_TIMEOUT => timeout_s = be32(value),
            CTA_PROTOINFO => state = tcp_state(value),
            _ => {}
        }
    }
    let original = original?;
    if original.protocol != TCP {
        state.clear();
    }
    Some(ConntrackEntry {
        original,
        reply: reply?,
        seen_reply,
        state,
        timeout_s,
    })
}

fn parse_tuple(value: &[u8]) -> Option<Flow> {
    let mut flow = Flow::default();
    let (mut src, mut dst, mut id, mut is_reply) = (None, None, None, false);
    for (kind, value) in attributes(value) {
        for (inner, value) in attributes(value) {
            let port = || at(value, 0).map_or(0, u16::from_be_bytes);
            match (kind, inner) {
                (CTA_TUPLE_IP, CTA_IP_V4_SRC | CTA_IP_V6_SRC) => src = crate::system::netlink::address(value),
                (CTA_TUPLE_IP, CTA_IP_V4_DST | CTA_IP_V6_DST) => dst = crate::system::netlink::address(value),
                (CTA_TUPLE_PROTO, CTA_PROTO_NUM) => flow.protocol = *value.first()?,
                (CTA_TUPLE_PROTO, CTA_PROTO_SRC_PORT) => flow.sport = port(),
                (CTA_TUPLE_PROTO, CTA_PROTO_DST_PORT) => flow.dport = port(),
                (CTA_TUPLE_PROTO, CTA_PROTO_ICMP_ID | CTA_PROTO_ICMPV6_ID) => id = Some(port()),
                (CTA_TUPLE_PROTO, CTA_PROTO_ICMP_TYPE) => is_reply = value.first() == Some(&ECHO.1),
                (CTA_TUPLE_PROTO, CTA_PROTO_ICMPV6_TYPE) => is_reply = value.first() == Some(&ECHO6.1),
                _ => {}
            }
        }
    }
    (flow.saddr, flow.daddr) = (bytes(src?), bytes(dst?));
    match (id, is_reply) {
        (Some(id), true) => flow.dport = id,
        (Some(id), false) => flow.sport = id,
        (None, _) => {}
    }
    debug_assert_eq!(address(flow.saddr).is_ipv4(), address(flow.daddr).is_ipv4());
    Some(flow)
}

/// `enum tcp_conntrack`, named as `conntrack -L` does.
fn tcp_state(protoinfo: &[u8]) -> String {
    const NAMES: [&str; 10] = [
        "NONE",
        "SYN_SENT",
        "SYN_RECV",
        "ESTABLISHED",
        "FIN_WAIT",
        "CLOSE_WAIT",
        "LAST_ACK",
        "TIME_WAIT",
        "CLOSE",
        "SYN_SENT2",
    ];
    attributes(protoinfo)
        .filter(|(kind, _)| *kind == CTA_PROTOINFO_TCP)
        .flat_map(|(_, tcp)| attributes(tcp))
        .find(|(kind, _)| *kind == CTA_PROTOINFO_TCP_STATE)
        .and_then(|(_, state)| NAMES.get(usize::from(*state.first()?)))
        .map_or_else(String::new, |name| (*name).to_owned())
}

fn parse_stats(message: &[u8]) -> BTreeMap<&'static str, u64> {
    attributes(message.get(NFGENMSG_BYTES..).unwrap_or_default())
        .filter_map(|(kind, value)| {
            let (_, name) = STATS.iter().find(|(number, _)| *number == kind)?;
            Some((*name, u64::from(at(value, 0).map(u32::from_be_bytes)?)))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{concerns, parse_tuple, tuple};
    use model::facts::ConntrackEntry;
    use model::flow::{Flow, ICMP, ICMPV6, TCP, UDP};

    fn flow(protocol: u8, src: &str, dst: &str) -> Flow {
        Flow::new(protocol, src.parse().unwrap(), dst.parse().unwrap())
    }

    #[test]
    fn a_tuple_survives_the_way_to_the_kernel_and_back() {
        for flow in [
            flow(TCP, "10.90.1.2:40000", "10.96.0.10:53"),
            flow(UDP, "[fd90:1::2]:40000", "[fd90:2::2]:53"),
            flow(ICMP, "10.90.1.2:77", "10.90.2.2:0"),
            flow(ICMP, "10.90.2.2:0", "10.90.1.2:77"),
            flow(ICMPV6, "[fd90:1::2]:77", "[fd90:2::2]:0"),
        ] {
            assert_eq!(parse_tuple(&tuple(flow)), Some(flow));
        }
    }

    #[test]
    fn a_translated_connection_is_found_by_either_of_its_tuples() {
        let entry = ConntrackEntry {
            original: flow(TCP, "10.90.1.2:40000", "10.96.0.10:80"),
            reply: flow(TCP, "10.90.2.2:8080", "10.90.1.2:40000"),
            seen_reply: true,
            state: "ESTABLISHED".to_owned(),
            timeout_s: 10,
        };
        assert!(concerns(&entry, flow(TCP, "10.90.1.2:40000", "10.96.0.10:80")));
        assert!(
            concerns(&entry, flow(TCP, "10.90.1.2:40000", "10.90.2.2:8080")),
            "as the backend sees it"
        );
        assert!(
            concerns(&entry, flow(TCP, "10.90.1.2:0", "10.96.0.10:80")),
            "any source port"
        );
        assert!(!concerns(&entry, flow(TCP, "10.90.1.2:40001", "10.96.0.10:80")));
        assert!(!concerns(&entry, flow(UDP, "10.90.1.2:40000", "10.96.0.10:80")));
    }
}
