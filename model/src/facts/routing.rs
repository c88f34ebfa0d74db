//! Routing: routes, rules of policy routing, and what the kernel itself answers to a lookup.

use crate::errno::Errno;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What a route or rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
#[expect(missing_docs, reason = "named as in rtnetlink(7)")]
pub enum RouteKind {
    Unicast,
    Local,
    Broadcast,
    Anycast,
    Multicast,
    Blackhole,
    Unreachable,
    Prohibit,
    Throw,
    Other,
}

/// A route.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Route {
    /// Table (254 main, 255 local, 253 default).
    pub table: u32,
    /// Destination prefix; the unspecified address with 0 for a default route.
    pub dst: IpAddr,
    /// Its length.
    pub prefix: u8,
    /// What it does.
    pub kind: RouteKind,
    /// Next hops; empty for routes that lead nowhere.
    pub hops: Vec<NextHop>,
    /// Preferred source address.
    pub prefsrc: Option<IpAddr>,
    /// Metric; smaller wins.
    pub metric: u32,
    /// MTU set on the route.
    pub mtu: Option<u32>,
    /// Who made it (`kernel`, `boot`, `static`, `bird`..., or a number).
    pub protocol: String,
}

/// One next hop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NextHop {
    /// Gateway; `None` means the target is on the link.
    pub via: Option<IpAddr>,
    /// Interface.
    pub oif: Option<u32>,
    /// `onlink`: the gateway is taken to be on the link.
    #[serde(default)]
    pub onlink: bool,
    /// Flags say that it cannot be used (`dead`, `linkdown`).
    #[serde(default)]
    pub dead: bool,
}

/// A policy routing rule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RoutingRule {
    /// 4 or 6.
    pub family: u8,
    /// Priority; smaller first.
    pub priority: u32,
    /// Source prefix.
    pub src: Option<(IpAddr, u8)>,
    /// Destination prefix.
    pub dst: Option<(IpAddr, u8)>,
    /// Incoming interface.
    pub iif: Option<String>,
    /// Outgoing interface.
    pub oif: Option<String>,
    /// Firewall mark and mask.
    pub fwmark: Option<(u32, u32)>,
    /// Table it leads to.
    pub table: Option<u32>,
    /// `lookup`, `blackhole`, `unreachable`, `prohibit`, `goto`, `nop`.
    pub action: String,
    /// IP protocol, by number.
    #[serde(default)]
    pub protocol: Option<u8>,
    /// Source ports, both ends included.
    #[serde(default)]
    pub sport: Option<(u16, u16)>,
    /// Destination ports, both ends included.
    #[serde(default)]
    pub dport: Option<(u16, u16)>,
    /// Users whose sockets send, both ends included. The kernel takes a forwarded packet for the user 0's.
    #[serde(default)]
    pub uids: Option<(u32, u32)>,
    /// What a lookup found with a prefix as short as this or shorter is passed over.
    #[serde(default)]
    pub suppress_prefixlength: Option<u32>,
    /// Matches are inverted.
    #[serde(default)]
    pub invert: bool,
    /// It has a selector that is not listed here (TOS, tunnel id), so it cannot be evaluated.
    #[serde(default)]
    pub opaque: bool,
}

impl RoutingRule {
    /// A packet with this firewall mark has the mark that the rule asks for; `None` where it asks for none.
    #[must_use]
    pub fn fits_mark(&self, mark: u32) -> Option<bool> {
        let (wanted, bits) = self.fwmark?;
        Some(mark & bits == wanted & bits)
    }
}

/// What the kernel answered to one route lookup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RouteLookup {
    /// Destination asked for.
    pub dst: IpAddr,
    /// Source given, if any.
    pub src: Option<IpAddr>,
    /// The route, or the error (ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL).
    pub answer: LookupAnswer,
}

/// A route lookup's answer.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LookupAnswer {
    /// It leaves this way.
    Route(Route),
    /// It does not.
    Error(Errno),
}
