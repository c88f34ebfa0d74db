//! The keys of `meta`, `ct`, `rt`, `fib`, `socket` and header options: the kernel's numbers, nft's words, and the type of each.

use super::datatypes::Datatype;
use super::registers::{Subject, Tells};
use serde_json::{Value, json};

/// `meta` (`NFT_META_*`).
pub(super) fn meta(key: u32) -> Option<Subject> {
    let (name, kind, bytes) = match key {
        0 => ("length", Datatype::Number, 4),
        1 => ("protocol", Datatype::EtherType, 2),
        2 => ("priority", Datatype::Number, 4),
        3 => ("mark", Datatype::Number, 4),
        4 => ("iif", Datatype::InterfaceIndex, 4),
        5 => ("oif", Datatype::InterfaceIndex, 4),
        6 => ("iifname", Datatype::Interface, 16),
        7 => ("oifname", Datatype::Interface, 16),
        8 => ("iiftype", Datatype::Number, 2),
        9 => ("oiftype", Datatype::Number, 2),
        10 => ("skuid", Datatype::Number, 4),
        11 => ("skgid", Datatype::Number, 4),
        12 => ("nftrace", Datatype::Number, 1),
        13 => ("rtclassid", Datatype::Number, 4),
        14 => ("secmark", Datatype::Number, 4),
        15 => ("nfproto", Datatype::NfProto, 1),
        16 => ("l4proto", Datatype::Protocol, 1),
        17 => ("ibrname", Datatype::Interface, 16),
        18 => ("obrname", Datatype::Interface, 16),
        19 => ("pkttype", Datatype::PacketType, 1),
        20 => ("cpu", Datatype::Number, 4),
        21 => ("iifgroup", Datatype::Number, 4),
        22 => ("oifgroup", Datatype::Number, 4),
        23 => ("cgroup", Datatype::Number, 4),
        24 => ("random", Datatype::Number, 4),
        25 => ("ipsec", Datatype::Boolean, 1),
        26 => ("iifkind", Datatype::Text, 16),
        27 => ("oifkind", Datatype::Text, 16),
        28 => ("ibrpvid", Datatype::Number, 2),
        29 => ("ibrvproto", Datatype::EtherType, 2),
        30 => ("time", Datatype::Number, 8),
        31 => ("day", Datatype::Number, 1),
        32 => ("hour", Datatype::Number, 4),
        33 => ("sdif", Datatype::InterfaceIndex, 4),
        34 => ("sdifname", Datatype::Interface, 16),
        _ => return None,
    };
    let tells = match key {
        1 => Some(Tells::EtherType),
        8 | 9 => Some(Tells::Link),
        15 => Some(Tells::Family),
        16 => Some(Tells::Transport { by_field: false }),
        _ => None,
    };
    Some(Subject {
        tells,
        ..Subject::new(json!({"meta": {"key": name}}), kind, bytes)
    })
}

/// `ct` (`NFT_CT_*`), of one direction of the connection where one is asked for.
pub(super) fn ct(key: u32, direction: Option<u8>, v6: bool) -> Option<Subject> {
    let (address, bytes) = if v6 { (Datatype::Ipv6, 16) } else { (Datatype::Ipv4, 4) };
    let (name, kind, bytes) = match key {
        0 => ("state", Datatype::State, 4),
        1 => ("direction", Datatype::Direction, 1),
        2 => ("status", Datatype::Status, 4),
        3 => ("mark", Datatype::Number, 4),
        4 => ("secmark", Datatype::Number, 4),
        5 => ("expiration", Datatype::Number, 4),
        6 => ("helper", Datatype::Text, 16),
        7 => ("l3proto", Datatype::NfProto, 1),
        8 => ("saddr", address, bytes),
        9 => ("daddr", address, bytes),
        10 => ("protocol", Datatype::Protocol, 1),
        11 => ("proto-src", Datatype::Port, 2),
        12 => ("proto-dst", Datatype::Port, 2),
        13 => ("label", Datatype::Big, 16),
        14 => ("packets", Datatype::Number, 8),
        15 => ("bytes", Datatype::Number, 8),
        16 => ("avgpkt", Datatype::Number, 8),
        17 => ("zone", Datatype::Number, 2),
        18 => ("event", Datatype::Number, 4),
        19 => ("ip saddr", Datatype::Ipv4, 4),
        20 => ("ip daddr", Datatype::Ipv4, 4),
        21 => ("ip6 saddr", Datatype::Ipv6, 16),
        22 => ("ip6 daddr", Datatype::Ipv6, 16),
        23 => ("id", Datatype::Number, 4),
        _ => return None,
    };
    let words = match direction {
        None => json!({"ct": {"key": name}}),
        Some(0) => json!({"ct": {"key": name, "dir": "original"}}),
        Some(_) => json!({"ct": {"key": name, "dir": "reply"}}),
    };
    Some(Subject::new(words, kind, bytes))
}

/// `fib` (`NFT_FIB_*`).
pub(super) fn fib(result: u32, flags: u32) -> Option<Subject> {
    let present = flags & 1 << 5 != 0;
    let (name, kind, bytes) = match result {
        1 => ("oif", Datatype::InterfaceIndex, 4),
        2 => ("oifname", Datatype::Interface, 16),
        3 => ("type", Datatype::Scope, 4),
        _ => return None,
    };
    let names = ["saddr", "daddr", "mark", "iif", "oif"];
    let set = names.iter().enumerate().filter(|(bit, _)| flags & 1 << bit != 0);
    let flags: Vec<&str> = set.map(|(_, name)| *name).collect();
    let words = json!({"fib": {"result": name, "flags": flags}});
    Some(if present {
        Subject::new(words, Datatype::Boolean, 1)
    } else {
        Subject::new(words, kind, bytes)
    })
}

/// `rt` (`NFT_RT_*`).
pub(super) fn rt(key: u32) -> Option<Subject> {
    Some(match key {
        0 => Subject::new(json!({"rt": {"key": "classid"}}), Datatype::Number, 4),
        1 => Subject::new(json!({"rt": {"key": "nexthop", "family": "ip"}}), Datatype::Ipv4, 4),
        2 => Subject::new(json!({"rt": {"key": "nexthop", "family": "ip6"}}), Datatype::Ipv6, 16),
        3 => Subject::new(json!({"rt": {"key": "mtu"}}), Datatype::Number, 2),
        4 => Subject::new(json!({"rt": {"key": "ipsec"}}), Datatype::Boolean, 1),
        _ => return None,
    })
}

/// `socket` (`NFT_SOCKET_*`).
pub(super) fn socket(key: u32) -> Option<Subject> {
    Some(match key {
        0 => Subject::new(json!({"socket": {"key": "transparent"}}), Datatype::Number, 1),
        1 => Subject::new(json!({"socket": {"key": "mark"}}), Datatype::Number, 4),
        2 => Subject::new(json!({"socket": {"key": "wildcard"}}), Datatype::Number, 1),
        3 => Subject::new(json!({"socket": {"key": "cgroupv2"}}), Datatype::Number, 8),
        _ => return None,
    })
}

/// An extension header or option (`NFT_EXTHDR_OP_*`).
pub(super) fn option(op: u32, kind: u8, offset: u32, len: u32, present: bool) -> Option<Subject> {
    let (family, known): (_, &[(u8, &str)]) = match op {
        0 => (
            "exthdr",
            &[(0, "hbh"), (43, "rt"), (44, "frag"), (60, "dst"), (135, "mh")],
        ),
        1 => (
            "tcp option",
            &[
                (2, "maxseg"),
                (3, "window"),
                (4, "sack-perm"),
                (5, "sack"),
                (8, "timestamp"),
                (30, "mptcp"),
                (34, "fastopen"),
                (19, "md5sig"),
            ],
        ),
        2 => ("ip option", &[(131, "lsrr"), (137, "ssrr"), (7, "rr"), (148, "ra")]),
        3 => ("sctp chunk", &[]),
        4 => ("dccp option", &[]),
        _ => return None,
    };
    let known_name = known.iter().find(|(number, _)| *number == kind);
    let name = known_name.map_or_else(|| kind.to_string(), |(_, name)| (*name).to_owned());
    let field = match (family, name.as_str(), offset, len) {
        _ if present => None,
        ("tcp option", "maxseg", 2, 2) => Some("size".to_owned()),
        ("tcp option", "window", 2, 1) => Some("count".to_owned()),
        ("tcp option", "timestamp", 2, 4) => Some("tsval".to_owned()),
        ("tcp option", "timestamp", 6, 4) => Some("tsecr".to_owned()),
        _ => Some(format!("@{offset},{len}")),
    };
    let words: Value = match field {
        None => json!({family: {"name": name}}),
        Some(field) => json!({family: {"name": name, "field": field}}),
    };
    Some(if present {
        Subject::new(words, Datatype::Boolean, 1)
    } else {
        Subject::new(words, Datatype::Big, len as usize)
    })
}

/// `reject with icmp...`: kind and code (`NFT_REJECT_*`), as nft names them.
pub(super) fn reject(kind: u32, code: u8, v6: bool) -> Value {
    let (family, names): (_, &[(u8, &str)]) = match kind {
        1 => return json!({"type": "tcp reset"}),
        2 => (
            "icmpx",
            &[
                (0, "no-route"),
                (1, "port-unreachable"),
                (2, "host-unreachable"),
                (3, "admin-prohibited"),
            ],
        ),
        _ if v6 => (
            "icmpv6",
            &[
                (0, "no-route"),
                (1, "admin-prohibited"),
                (3, "addr-unreachable"),
                (4, "port-unreachable"),
                (5, "policy-fail"),
                (6, "reject-route"),
            ],
        ),
        _ => (
            "icmp",
            &[
                (0, "net-unreachable"),
                (1, "host-unreachable"),
                (2, "prot-unreachable"),
                (3, "port-unreachable"),
                (4, "frag-needed"),
                (9, "net-prohibited"),
                (10, "host-prohibited"),
                (13, "admin-prohibited"),
            ],
        ),
    };
    let known_name = names.iter().find(|(number, _)| *number == code);
    let name = known_name.map_or_else(|| code.to_string(), |(_, name)| (*name).to_owned());
    json!({"type": family, "expr": name})
}
