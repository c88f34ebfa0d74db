//! What expressions load of a packet, by the kernel's numbers, in nft's words.

use super::kinds::Kind;
use super::terms::{Subject, Tells};
use serde_json::{Value, json};

/// `meta` (`NFT_META_*`).
pub(super) fn meta(key: u32) -> Option<Subject> {
    let (name, kind, bytes) = match key {
        0 => ("length", Kind::Number, 4),
        1 => ("protocol", Kind::EtherType, 2),
        2 => ("priority", Kind::Number, 4),
        3 => ("mark", Kind::Number, 4),
        4 => ("iif", Kind::InterfaceIndex, 4),
        5 => ("oif", Kind::InterfaceIndex, 4),
        6 => ("iifname", Kind::Interface, 16),
        7 => ("oifname", Kind::Interface, 16),
        8 => ("iiftype", Kind::Number, 2),
        9 => ("oiftype", Kind::Number, 2),
        10 => ("skuid", Kind::Number, 4),
        11 => ("skgid", Kind::Number, 4),
        12 => ("nftrace", Kind::Number, 1),
        13 => ("rtclassid", Kind::Number, 4),
        14 => ("secmark", Kind::Number, 4),
        15 => ("nfproto", Kind::NfProto, 1),
        16 => ("l4proto", Kind::Protocol, 1),
        17 => ("ibrname", Kind::Interface, 16),
        18 => ("obrname", Kind::Interface, 16),
        19 => ("pkttype", Kind::PacketType, 1),
        20 => ("cpu", Kind::Number, 4),
        21 => ("iifgroup", Kind::Number, 4),
        22 => ("oifgroup", Kind::Number, 4),
        23 => ("cgroup", Kind::Number, 4),
        24 => ("random", Kind::Number, 4),
        25 => ("ipsec", Kind::Boolean, 1),
        26 => ("iifkind", Kind::Text, 16),
        27 => ("oifkind", Kind::Text, 16),
        28 => ("ibrpvid", Kind::Number, 2),
        29 => ("ibrvproto", Kind::EtherType, 2),
        30 => ("time", Kind::Number, 8),
        31 => ("day", Kind::Number, 1),
        32 => ("hour", Kind::Number, 4),
        33 => ("sdif", Kind::InterfaceIndex, 4),
        34 => ("sdifname", Kind::Interface, 16),
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
    let (address, bytes) = if v6 { (Kind::Ipv6, 16) } else { (Kind::Ipv4, 4) };
    let (name, kind, bytes) = match key {
        0 => ("state", Kind::State, 4),
        1 => ("direction", Kind::Direction, 1),
        2 => ("status", Kind::Status, 4),
        3 => ("mark", Kind::Number, 4),
        4 => ("secmark", Kind::Number, 4),
        5 => ("expiration", Kind::Number, 4),
        6 => ("helper", Kind::Text, 16),
        7 => ("l3proto", Kind::NfProto, 1),
        8 => ("saddr", address, bytes),
        9 => ("daddr", address, bytes),
        10 => ("protocol", Kind::Protocol, 1),
        11 => ("proto-src", Kind::Port, 2),
        12 => ("proto-dst", Kind::Port, 2),
        13 => ("label", Kind::Big, 16),
        14 => ("packets", Kind::Number, 8),
        15 => ("bytes", Kind::Number, 8),
        16 => ("avgpkt", Kind::Number, 8),
        17 => ("zone", Kind::Number, 2),
        18 => ("event", Kind::Number, 4),
        19 => ("ip saddr", Kind::Ipv4, 4),
        20 => ("ip daddr", Kind::Ipv4, 4),
        21 => ("ip6 saddr", Kind::Ipv6, 16),
        22 => ("ip6 daddr", Kind::Ipv6, 16),
        23 => ("id", Kind::Number, 4),
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
        1 => ("oif", Kind::InterfaceIndex, 4),
        2 => ("oifname", Kind::Interface, 16),
        3 => ("type", Kind::Scope, 4),
        _ => return None,
    };
    let names = ["saddr", "daddr", "mark", "iif", "oif"];
    let set = names.iter().enumerate().filter(|(bit, _)| flags & 1 << bit != 0);
    let flags: Vec<&str> = set.map(|(_, name)| *name).collect();
    let words = json!({"fib": {"result": name, "flags": flags}});
    Some(if present {
        Subject::new(words, Kind::Boolean, 1)
    } else {
        Subject::new(words, kind, bytes)
    })
}

/// `rt` (`NFT_RT_*`).
pub(super) fn rt(key: u32) -> Option<Subject> {
    Some(match key {
        0 => Subject::new(json!({"rt": {"key": "classid"}}), Kind::Number, 4),
        1 => Subject::new(json!({"rt": {"key": "nexthop", "family": "ip"}}), Kind::Ipv4, 4),
        2 => Subject::new(json!({"rt": {"key": "nexthop", "family": "ip6"}}), Kind::Ipv6, 16),
        3 => Subject::new(json!({"rt": {"key": "mtu"}}), Kind::Number, 2),
        4 => Subject::new(json!({"rt": {"key": "ipsec"}}), Kind::Boolean, 1),
        _ => return None,
    })
}

/// `socket` (`NFT_SOCKET_*`).
pub(super) fn socket(key: u32) -> Option<Subject> {
    Some(match key {
        0 => Subject::new(json!({"socket": {"key": "transparent"}}), Kind::Number, 1),
        1 => Subject::new(json!({"socket": {"key": "mark"}}), Kind::Number, 4),
        2 => Subject::new(json!({"socket": {"key": "wildcard"}}), Kind::Number, 1),
        3 => Subject::new(json!({"socket": {"key": "cgroupv2"}}), Kind::Number, 8),
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
        Subject::new(words, Kind::Boolean, 1)
    } else {
        Subject::new(words, Kind::Big, len as usize)
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
