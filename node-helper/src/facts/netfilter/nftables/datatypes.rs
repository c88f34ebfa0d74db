//! What bytes in a register or a set mean, and how nft words them.

use serde_json::{Value, json};
use std::net::{Ipv4Addr, Ipv6Addr};

/// The meaning of some bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Datatype {
    Ipv4,
    Ipv6,
    Ether,
    EtherType,
    ArpOperation,
    NfProto,
    Protocol,
    Port,
    IcmpType,
    Icmpv6Type,
    TcpFlags,
    Interface,
    InterfaceIndex,
    State,
    Status,
    Direction,
    Scope,
    PacketType,
    Boolean,
    Text,
    /// A number in the machine's order (marks, ids).
    Number,
    /// A number in network order.
    Big,
}

/// Names of the interfaces of the namespace, by index.
pub type InterfaceNames<'a> = &'a dyn Fn(u32) -> Option<String>;

impl Datatype {
    /// nft's numbering of types (`enum datatypes`), which it writes beside each set, with the bytes each has.
    pub(super) const fn of_type(number: u32) -> Option<(Self, usize)> {
        Some(match number {
            2 => (Self::NfProto, 1),
            6 | 9 => (Self::Ether, 6),
            7 => (Self::Ipv4, 4),
            8 => (Self::Ipv6, 16),
            10 => (Self::EtherType, 2),
            11 => (Self::ArpOperation, 2),
            12 => (Self::Protocol, 1),
            13 => (Self::Port, 2),
            14 => (Self::IcmpType, 1),
            15 => (Self::TcpFlags, 1),
            18..=19 | 22..=25 | 35 => (Self::Number, 4),
            20 => (Self::InterfaceIndex, 4),
            26 => (Self::State, 4),
            27 => (Self::Direction, 1),
            28 => (Self::Status, 4),
            29 => (Self::Icmpv6Type, 1),
            31 => (Self::PacketType, 1),
            32..=34 | 36..=37 => (Self::Big, 1),
            38 => (Self::Scope, 4),
            39 => (Self::Boolean, 1),
            41 => (Self::Interface, 16),
            _ => return None,
        })
    }

    /// Numbers in the machine's own order, unless they were turned.
    pub(super) const fn in_own_order(self) -> bool {
        matches!(
            self,
            Self::InterfaceIndex | Self::State | Self::Status | Self::Scope | Self::Number
        )
    }

    /// Its values have a beginning that stands for all that begin so.
    pub(super) const fn has_prefixes(self) -> bool {
        matches!(self, Self::Ipv4 | Self::Ipv6)
    }

    /// It is a number of which intervals may be told.
    const fn names(self) -> &'static [(u64, &'static str)] {
        match self {
            Self::EtherType => &[
                (0x0800, "ip"),
                (0x0806, "arp"),
                (0x86dd, "ip6"),
                (0x8100, "8021q"),
                (0x88a8, "8021ad"),
            ],
            Self::ArpOperation => &[
                (1, "request"),
                (2, "reply"),
                (3, "rrequest"),
                (4, "rreply"),
                (8, "inrequest"),
                (9, "inreply"),
                (10, "nak"),
            ],
            Self::NfProto => &[(2, "ipv4"), (10, "ipv6")],
            Self::Protocol => &[
                (1, "icmp"),
                (2, "igmp"),
                (4, "ipencap"),
                (6, "tcp"),
                (17, "udp"),
                (33, "dccp"),
                (41, "ipv6"),
                (47, "gre"),
                (50, "esp"),
                (51, "ah"),
                (58, "ipv6-icmp"),
                (89, "ospf"),
                (108, "ipcomp"),
                (112, "vrrp"),
                (132, "sctp"),
                (136, "udplite"),
            ],
            Self::IcmpType => &[
                (0, "echo-reply"),
                (3, "destination-unreachable"),
                (4, "source-quench"),
                (5, "redirect"),
                (8, "echo-request"),
                (9, "router-advertisement"),
                (10, "router-solicitation"),
                (11, "time-exceeded"),
                (12, "parameter-problem"),
                (13, "timestamp-request"),
                (14, "timestamp-reply"),
                (15, "info-request"),
                (16, "info-reply"),
                (17, "address-mask-request"),
                (18, "address-mask-reply"),
            ],
            Self::Icmpv6Type => &[
                (1, "destination-unreachable"),
                (2, "packet-too-big"),
                (3, "time-exceeded"),
                (4, "parameter-problem"),
                (128, "echo-request"),
                (129, "echo-reply"),
                (130, "mld-listener-query"),
                (131, "mld-listener-report"),
                (132, "mld-listener-done"),
                (133, "nd-router-solicit"),
                (134, "nd-router-advert"),
                (135, "nd-neighbor-solicit"),
                (136, "nd-neighbor-advert"),
                (137, "nd-redirect"),
                (138, "router-renumbering"),
                (141, "ind-neighbor-solicit"),
                (142, "ind-neighbor-advert"),
                (143, "mld2-listener-report"),
            ],
            Self::Direction => &[(0, "original"), (1, "reply")],
            Self::PacketType => &[(0, "host"), (1, "broadcast"), (2, "multicast"), (3, "other")],
            Self::Scope => &[
                (0, "unspec"),
                (1, "unicast"),
                (2, "local"),
                (3, "broadcast"),
                (4, "anycast"),
                (5, "multicast"),
                (6, "blackhole"),
                (7, "unreachable"),
                (8, "prohibit"),
            ],
            _ => &[],
        }
    }

    /// The bits of a set of flags, with their names.
    pub(super) const fn flags(self) -> &'static [(u64, &'static str)] {
        match self {
            Self::TcpFlags => &[
                (0x01, "fin"),
                (0x02, "syn"),
                (0x04, "rst"),
                (0x08, "psh"),
                (0x10, "ack"),
                (0x20, "urg"),
                (0x40, "ecn"),
                (0x80, "cwr"),
            ],
            Self::State => &[
                (1, "invalid"),
                (2, "established"),
                (4, "related"),
                (8, "new"),
                (64, "untracked"),
            ],
            Self::Status => &[
                (1, "expected"),
                (2, "seen-reply"),
                (4, "assured"),
                (8, "confirmed"),
                (16, "snat"),
                (32, "dnat"),
                (512, "dying"),
            ],
            _ => &[],
        }
    }

    /// The flags in a number, each by its name; the number itself where a bit has none.
    pub(super) fn flag_names(self, number: u64) -> Vec<Value> {
        let all = self.flags();
        let named: u64 = all.iter().map(|(bit, _)| bit).sum();
        if number & !named != 0 {
            return vec![json!(number)];
        }
        let set = all.iter().filter(|(bit, _)| number & bit != 0);
        set.map(|(_, name)| json!(name)).collect()
    }

    /// Whole bytes, as nft words them; `None` when there are not as many as this kind has.
    pub(super) fn word(self, bytes: &[u8], big: bool, names: InterfaceNames<'_>) -> Option<Value> {
        Some(match self {
            Self::Ipv4 => json!(Ipv4Addr::from(<[u8; 4]>::try_from(bytes).ok()?).to_string()),
            Self::Ipv6 => json!(Ipv6Addr::from(<[u8; 16]>::try_from(bytes).ok()?).to_string()),
            Self::Ether => json!(crate::system::netlink::hardware(bytes)),
            Self::Interface | Self::Text => json!(text(bytes)?),
            Self::Boolean => json!(bytes.iter().any(|byte| *byte != 0)),
            Self::InterfaceIndex => {
                let index = number(bytes, big)?;
                match u32::try_from(index).ok().and_then(names) {
                    Some(name) => json!(name),
                    None => json!(index),
                }
            }
            _ => {
                let number = number(bytes, big)?;
                let word = self.names().iter().find(|(value, _)| *value == number);
                match (word, self.flag_names(number).as_slice()) {
                    (Some((_, name)), _) => json!(name),
                    (None, [flag]) => flag.clone(),
                    (None, []) => json!(number),
                    (None, flags) => json!({"|": flags}),
                }
            }
        })
    }
}

/// A number of up to eight bytes.
pub(super) fn number(bytes: &[u8], big: bool) -> Option<u64> {
    if bytes.len() > 8 || bytes.is_empty() {
        return None;
    }
    let push = |number: u64, byte: &u8| number << 8 | u64::from(*byte);
    Some(if big || cfg!(target_endian = "big") {
        bytes.iter().fold(0, push)
    } else {
        bytes.iter().rev().fold(0, push)
    })
}

/// Text padded with zeros; `None` where it is not text.
fn text(bytes: &[u8]) -> Option<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    if bytes[end..].iter().any(|byte| *byte != 0) {
        return None;
    }
    String::from_utf8(bytes[..end].to_vec()).ok()
}

/// The length of a mask that is some ones and then zeros.
pub(super) fn prefix_length(mask: &[u8]) -> Option<u32> {
    let ones: u32 = mask.iter().map(|byte| byte.count_ones()).sum();
    let mut leading = 0;
    for byte in mask {
        leading += byte.leading_ones();
        if *byte != 0xff {
            break;
        }
    }
    (ones == leading).then_some(ones)
}
