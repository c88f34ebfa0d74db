//! Netfilter's rules as plain data, in a form that can be evaluated, whichever tool wrote them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Netfilter rules of a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Netfilter {
    /// Every chain, of every backend.
    pub chains: Vec<Chain>,
    /// Sets that rules refer to: name to elements as text.
    pub sets: BTreeMap<String, Vec<String>>,
    /// Sets of addresses that iptables' rules refer to, by name. One that is not here was not read.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub ipsets: BTreeMap<String, IpSet>,
    /// Backends that could not be read, and why; a rule there would be unseen.
    pub unread: Vec<crate::missing::Missing>,
}

/// A set of addresses in the kernel (ipset).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IpSet {
    /// Its type, which says what the parts of a member are: `hash:ip,port`, `hash:net`, `list:set`.
    pub kind: String,
    /// Members as `ipset` prints them: `10.0.0.7,tcp:80`, `10.1.0.0/16 nomatch`.
    pub members: Vec<String>,
}

/// A queue of packets that a program reads (NFQUEUE), as `/proc/net/netfilter/nfnetlink_queue` tells it. A queue that is not there
/// is read by nobody.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PacketQueue {
    /// Its number, which rules name.
    pub number: u16,
    /// Packets that wait for the program's answer.
    pub waiting: u32,
    /// Packets that were dropped so far because the queue was full.
    pub overflowed: u32,
    /// Packets that were dropped so far because the program's socket took no more.
    pub undelivered: u32,
    /// How many packets were put into it so far.
    pub taken: u32,
    /// The program that reads it (`comm`); `None` where no process was found that holds its socket.
    pub program: Option<String>,
    /// Its process id as the host counts.
    pub pid: Option<u32>,
}

/// A chain with its rules in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Chain {
    /// `nftables`, `iptables-nft`, `iptables-legacy`.
    pub backend: String,
    /// `ip`, `ip6`, `inet`, `bridge`, `arp`, `netdev`.
    pub family: String,
    /// Table.
    pub table: String,
    /// Name.
    pub name: String,
    /// For a base chain: its hook (`prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress`).
    pub hook: Option<String>,
    /// For a base chain: its priority.
    pub priority: i32,
    /// For a base chain: its policy, upper case (`ACCEPT`, `DROP`).
    pub policy: Option<String>,
    /// The policy's packet counter, where there is one.
    pub policy_packets: Option<u64>,
    /// Rules in order.
    pub rules: Vec<NetfilterRule>,
}

/// One rule.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NetfilterRule {
    /// nft's handle, or the position in the chain counted from 1.
    pub handle: u64,
    /// The rule as its own tool prints it.
    pub text: String,
    /// Packets it has counted; `None` without a counter.
    pub packets: Option<u64>,
    /// What it tests, in a form that can be evaluated.
    pub matches: Vec<Match>,
    /// How it changes the packet's firewall mark, before it does anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mark: Option<SetMark>,
    /// What it does.
    pub action: Action,
    /// Its comment.
    pub comment: Option<String>,
}

/// A change of the firewall mark (`MARK --set-xmark`, `meta mark set`): `(mark & !mask) ^ value`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SetMark {
    /// Bits to turn over.
    pub value: u32,
    /// Bits to clear before that.
    pub mask: u32,
}

impl SetMark {
    /// The mark after the change.
    #[must_use]
    pub const fn on(self, mark: u32) -> u32 {
        (mark & !self.mask) ^ self.value
    }
}

/// A test of a rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Match {
    /// IP protocol by name or number.
    Protocol {
        /// e.g. `tcp`.
        is: String,
        /// Inverted.
        not: bool,
    },
    /// Source address in one of these prefixes.
    Source {
        /// Prefixes (`10.0.0.0/8`), or ranges (`10.0.0.1-10.0.0.9`).
        any: Vec<String>,
        /// Inverted.
        not: bool,
    },
    /// Destination address.
    Destination {
        /// Prefixes or ranges.
        any: Vec<String>,
        /// Inverted.
        not: bool,
    },
    /// Source port in one of these ranges.
    SourcePort {
        /// Ranges, both ends included.
        any: Vec<(u16, u16)>,
        /// Inverted.
        not: bool,
    },
    /// Destination port.
    DestinationPort {
        /// Ranges, both ends included.
        any: Vec<(u16, u16)>,
        /// Inverted.
        not: bool,
    },
    /// Incoming interface, `+` at the end matches any rest.
    In {
        /// Name.
        is: String,
        /// Inverted.
        not: bool,
    },
    /// Outgoing interface.
    Out {
        /// Name.
        is: String,
        /// Inverted.
        not: bool,
    },
    /// TCP flags: of `mask` exactly `set`.
    TcpFlags {
        /// Flags looked at.
        mask: u8,
        /// Flags that must be set.
        set: u8,
        /// Inverted.
        not: bool,
    },
    /// Connection tracking state.
    CtState {
        /// e.g. `NEW`, `ESTABLISHED`, `INVALID`.
        any: Vec<String>,
        /// Inverted.
        not: bool,
    },
    /// ICMP type (and code).
    IcmpType {
        /// As the tool prints it.
        is: String,
        /// Inverted.
        not: bool,
    },
    /// A field of an ARP packet, which no other packet has.
    Arp {
        /// Its name in nft: `operation`, `saddr ip`, `htype`...
        field: String,
        /// Numbers, addresses or prefixes, of which it is one.
        any: Vec<String>,
        /// Inverted.
        not: bool,
    },
    /// In a set of addresses (ipset).
    Set {
        /// Its name.
        name: String,
        /// For each part of a member whose it must be: `src`, `dst`.
        ends: Vec<String>,
        /// Inverted.
        not: bool,
    },
    /// A limiter (`limit`, `connlimit`, `hashlimit`, `quota`): passes or not by rate.
    Limit {
        /// As the tool prints it.
        text: String,
    },
    /// A random share (`statistic`, `numgen random`).
    Random {
        /// As the tool prints it.
        text: String,
    },
    /// Something that cannot be evaluated from outside.
    Opaque {
        /// As the tool prints it.
        text: String,
    },
}

/// What a rule does.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Goes on with the next rule (counters, marks, logs).
    #[default]
    Continue,
    /// Accepts.
    Accept,
    /// Drops.
    Drop,
    /// Answers for the target.
    Reject {
        /// `tcp-reset`, `icmp-port-unreachable`...
        with: String,
    },
    /// To another chain, and back.
    Jump {
        /// Its name.
        chain: String,
    },
    /// To another chain.
    Goto {
        /// Its name.
        chain: String,
    },
    /// Back to the caller.
    Return,
    /// Translates an address.
    Nat {
        /// `DNAT`, `SNAT`, `MASQUERADE`, `REDIRECT`.
        kind: String,
        /// Target as the tool prints it.
        to: String,
    },
    /// To user space.
    Queue {
        /// Queue number.
        number: u16,
        /// Passes when nobody listens.
        bypass: bool,
    },
    /// Something this version does not know.
    Other {
        /// As the tool prints it.
        text: String,
    },
}
