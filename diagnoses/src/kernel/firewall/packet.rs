//! A packet as the rules of a netfilter hook see it.

use model::flow::Flow;

/// A packet as a hook sees it. Where something may be one of several, all of them are listed; an empty list means that
/// nothing is known about it.
#[derive(Clone, Debug, Default)]
pub struct HookPacket<'a> {
    /// Its tuple at this hook.
    pub flow: Flow,
    /// Names under which the rule may see the interface it came in by (a bridge and its port); `None` where there is none.
    pub arrives: Option<Vec<&'a str>>,
    /// Names under which the rule may see the interface it leaves by; `None` where there is none yet.
    pub leaves: Option<Vec<&'a str>>,
    /// TCP flags; for ICMP the type.
    pub flags: Option<u8>,
    /// ICMP's code.
    pub code: Option<u8>,
    /// The states connection tracking may give it, upper case.
    pub states: Vec<&'a str>,
    /// It is bridged here, so that chains of the bridge family see it.
    pub bridged: bool,
    /// It is no IP packet but one of ARP, with this operation, between these addresses.
    pub arp: Option<ArpOperation>,
}

/// What an ARP packet does, by its number (RFC 826).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArpOperation {
    /// It asks who has an address.
    Request,
    /// It says who has it.
    Reply,
}

impl ArpOperation {
    /// As nft calls it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Reply => "reply",
        }
    }
}

impl HookPacket<'_> {
    /// Whether chains of this family see it at all.
    #[must_use]
    pub fn meets_family(&self, family: &str) -> bool {
        match family {
            "arp" => self.arp.is_some(),
            "netdev" => true,
            "bridge" => self.bridged,
            _ if self.arp.is_some() => false,
            "ip" => self.flow.dst().is_ipv4(),
            "ip6" => self.flow.dst().is_ipv6(),
            "inet" | "" => true,
            _ => false,
        }
    }
}
