//! `nf_tables` as the kernel tells it: tables with their chains, rules, sets and objects (`linux/netfilter/nf_tables.h`).

use super::expressions::{Data, Expr};

/// A table with all that is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NftTable {
    /// `ip`, `ip6`, `inet`, `arp`, `bridge`, `netdev`.
    pub family: &'static str,
    /// Name.
    pub name: String,
    /// It is switched off: none of its chains is asked.
    pub dormant: bool,
    /// Chains in the kernel's order, each with its rules.
    pub chains: Vec<NftChain>,
    /// Sets and maps, also those without a name of their own (`__set0`).
    pub sets: Vec<NftSet>,
    /// Named counters, quotas, limits...
    pub objects: Vec<StatefulObject>,
    /// Something in it cannot be read, and why; nothing else here may then be believed.
    pub unread: Option<String>,
}

/// A chain.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NftChain {
    /// Name.
    pub name: String,
    /// Handle.
    pub handle: u64,
    /// For a base chain: where it is hooked in.
    pub hook: Option<ChainHook>,
    /// For a base chain: its policy is to drop.
    pub drops: bool,
    /// `filter`, `nat`, `route` for a base chain.
    pub kind: String,
    /// The counter of its policy (`-c` of iptables-nft does not use it).
    pub policy_packets: Option<u64>,
    /// Rules in order.
    pub rules: Vec<NftRule>,
}

/// Where a base chain is hooked in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChainHook {
    /// `prerouting`, `input`, `forward`, `output`, `postrouting`, `ingress`, `egress`.
    pub name: &'static str,
    /// Priority.
    pub priority: i32,
    /// Interfaces, for the family `netdev` and `ingress` of `inet`.
    pub devices: Vec<String>,
}

/// A rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NftRule {
    /// Handle.
    pub handle: u64,
    /// What it does, one step after the other.
    pub exprs: Vec<Expr>,
    /// What its tool kept for itself: a sequence of type, length, bytes (type 0 is a comment, NUL-terminated).
    pub userdata: Vec<u8>,
    /// For a rule of iptables-nft with `-p`: protocol, and whether that is inverted (`NFTA_RULE_COMPAT`).
    pub compat: Option<(u32, bool)>,
}

/// A set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NftSet {
    /// Name.
    pub name: String,
    /// `NFT_SET_*`.
    pub flags: u32,
    /// What its tool says the keys are (`TYPE_*` of nft; six bits for each part of a joined key).
    pub key_type: u32,
    /// Bytes of a key.
    pub key_bytes: u32,
    /// What its tool says the values of a map are.
    pub data_type: u32,
    /// Bytes of a value of a map.
    pub data_bytes: u32,
    /// For a map of objects: their kind (`NFT_OBJECT_*`).
    pub object_type: u32,
    /// Bytes of each part of a joined key of intervals.
    pub fields: Vec<u32>,
    /// Elements in the kernel's order.
    pub elements: Vec<Element>,
    /// It has more elements than are kept, so none are here.
    pub too_many: bool,
}

impl NftSet {
    /// It belongs to the one rule that it is written in.
    pub const fn anonymous(&self) -> bool {
        self.flags & 0x1 != 0
    }

    /// Its elements are intervals.
    pub const fn interval(&self) -> bool {
        self.flags & 0x4 != 0
    }

    /// It leads from keys to values or verdicts.
    pub const fn map(&self) -> bool {
        self.flags & 0x8 != 0
    }

    /// It leads from keys to named objects.
    pub const fn objects(&self) -> bool {
        self.flags & 0x40 != 0
    }
}

/// An element of a set or map.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    /// Key; empty for the one that stands for all others.
    pub key: Vec<u8>,
    /// The last key of an interval of joined keys.
    pub key_end: Option<Vec<u8>>,
    /// It ends an interval, before this key.
    pub ends: bool,
    /// It stands for all keys that no other element has.
    pub catch_all: bool,
    /// Value of a map.
    pub data: Option<Data>,
    /// Object of a map of objects.
    pub object: Option<String>,
    /// What happens at this element beside (a counter, a limit).
    pub exprs: Vec<Expr>,
}

/// A named object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatefulObject {
    /// Name.
    pub name: String,
    /// `NFT_OBJECT_*`.
    pub kind: u32,
    /// What it does; `None` for kinds that are not read.
    pub expr: Option<Expr>,
}
