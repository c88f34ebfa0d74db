//! Whether one test of a netfilter rule fits a packet. Three answers: yes, no, and that it cannot be told.

use super::{Doubt, members};
use core::net::IpAddr;
use model::facts::{Match, Netfilter};
use model::flow::{Flow, ICMP, ICMPV6, SCTP, TCP, UDP, has_ports};
use std::collections::BTreeMap;

/// A packet as a hook sees it. Where something may be one of several, all of them are listed; an empty list means that
/// nothing is known about it.
#[derive(Clone, Debug, Default)]
pub struct Packet<'a> {
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
}

impl Packet<'_> {
    /// Whether chains of this family see it at all.
    #[must_use]
    pub fn meets_family(&self, family: &str) -> bool {
        match family {
            "ip" => self.flow.dst().is_ipv4(),
            "ip6" => self.flow.dst().is_ipv6(),
            "inet" | "netdev" | "" => true,
            "bridge" => self.bridged,
            _ => false,
        }
    }
}

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It fits.
    Yes,
    /// It does not.
    No,
    /// It cannot be told.
    Maybe,
}

impl Fit {
    pub(super) const fn of(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }

    const fn inverted(self, not: bool) -> Self {
        match (self, not) {
            (Self::Yes, true) => Self::No,
            (Self::No, true) => Self::Yes,
            (same, _) => same,
        }
    }

    /// Some of several candidates fit, or all, or none.
    fn among<T>(candidates: &[T], fits: impl Fn(&T) -> bool) -> Self {
        let fitting = candidates.iter().filter(|candidate| fits(candidate)).count();
        if candidates.is_empty() || (fitting > 0 && fitting < candidates.len()) {
            Self::Maybe
        } else {
            Self::of(fitting > 0)
        }
    }
}

/// Whether all tests of a rule fit, with what could not be told.
#[must_use]
pub fn all(tests: &[Match], packet: &Packet<'_>, netfilter: &Netfilter) -> (Fit, Vec<Doubt>) {
    let mut doubts = Vec::new();
    for test in tests {
        match one(test, packet, netfilter) {
            Fit::Yes => {}
            Fit::No => return (Fit::No, Vec::new()),
            Fit::Maybe => doubts.push(doubt(test, netfilter)),
        }
    }
    (if doubts.is_empty() { Fit::Yes } else { Fit::Maybe }, doubts)
}

fn doubt(test: &Match, netfilter: &Netfilter) -> Doubt {
    match test {
        Match::Limit { text } => Doubt::Limit(text.clone()),
        Match::Random { text } => Doubt::Random(text.clone()),
        Match::Opaque { text } => Doubt::Opaque(text.clone()),
        Match::CtState { any, not } => {
            let inverted = if *not { "not " } else { "" };
            Doubt::State(format!("connection state {inverted}{}", any.join(",")))
        }
        Match::Set { name, ends, not } => {
            let inverted = if *not { "! " } else { "" };
            let unread = if netfilter.ipsets.contains_key(name) {
                ""
            } else {
                " (its members were not read)"
            };
            Doubt::Opaque(format!(
                "-m set {inverted}--match-set {name} {}{unread}",
                ends.join(",")
            ))
        }
        other => Doubt::Opaque(format!("{other:?}")),
    }
}

fn one(test: &Match, packet: &Packet<'_>, netfilter: &Netfilter) -> Fit {
    let sets = &netfilter.sets;
    match test {
        Match::Protocol { is, not } => protocol(is, packet.flow.protocol).inverted(*not),
        Match::Source { any, not } => address(any, packet.flow.src(), sets).inverted(*not),
        Match::Destination { any, not } => address(any, packet.flow.dst(), sets).inverted(*not),
        Match::SourcePort { any, not } => port(any, *not, packet.flow.sport, packet.flow.protocol),
        Match::DestinationPort { any, not } => port(any, *not, packet.flow.dport, packet.flow.protocol),
        Match::In { is, not } => interface(is, packet.arrives.as_deref()).inverted(*not),
        Match::Out { is, not } => interface(is, packet.leaves.as_deref()).inverted(*not),
        Match::TcpFlags { mask, set, not } => match packet.flags {
            _ if packet.flow.protocol != TCP => Fit::No,
            Some(flags) => Fit::of(flags & mask == *set).inverted(*not),
            None => Fit::Maybe,
        },
        Match::CtState { any, not } => state(any, &packet.states).inverted(*not),
        Match::IcmpType { is, not } => icmp(is, packet).inverted(*not),
        Match::Set { name, ends, not } => members::within(name, ends, packet, netfilter).inverted(*not),
        Match::Limit { .. } | Match::Random { .. } | Match::Opaque { .. } => Fit::Maybe,
    }
}

pub(super) fn protocol(is: &str, number: u8) -> Fit {
    let mut told = true;
    for name in list(is) {
        let own = match name {
            "all" | "ip" | "ipv6" | "0" => return Fit::Yes,
            "tcp" => Some(TCP),
            "udp" => Some(UDP),
            "icmp" => Some(ICMP),
            "icmpv6" | "ipv6-icmp" | "icmp6" => Some(ICMPV6),
            "sctp" => Some(SCTP),
            "udplite" => Some(136),
            "gre" => Some(47),
            "esp" | "ipv6-crypt" => Some(50),
            "ah" | "ipv6-auth" => Some(51),
            "igmp" => Some(2),
            "ipencap" => Some(4),
            "dccp" => Some(33),
            "ospf" => Some(89),
            "pim" => Some(103),
            "vrrp" => Some(112),
            other => other.parse().ok(),
        };
        match own {
            Some(own) if own == number => return Fit::Yes,
            Some(_) => {}
            None => told = false,
        }
    }
    if told { Fit::No } else { Fit::Maybe }
}

/// The members of `{ a, b }` or `a,b`.
fn list(text: &str) -> impl Iterator<Item = &str> {
    text.trim_matches(['{', '}', ' '])
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

fn address(any: &[String], own: IpAddr, sets: &BTreeMap<String, Vec<String>>) -> Fit {
    let mut unread = false;
    for text in any {
        let fit = match text.strip_prefix('@') {
            Some(name) => match sets.get(name) {
                Some(elements) => address(elements, own, &BTreeMap::new()),
                None => Fit::Maybe,
            },
            None => in_text(text, own),
        };
        match fit {
            Fit::Yes => return Fit::Yes,
            Fit::Maybe => unread = true,
            Fit::No => {}
        }
    }
    if unread { Fit::Maybe } else { Fit::No }
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.0.0.1`, `10.0.0.1-10.0.0.9`.
pub(super) fn in_text(text: &str, own: IpAddr) -> Fit {
    let text = text.split_whitespace().next().unwrap_or("");
    if let Some((low, high)) = text.split_once('-') {
        return match (low.parse::<IpAddr>(), high.parse::<IpAddr>()) {
            (Ok(low), Ok(high)) => Fit::of(low.is_ipv4() == own.is_ipv4() && (low..=high).contains(&own)),
            _ => Fit::Maybe,
        };
    }
    let (prefix, length) = text.split_once('/').unwrap_or((text, ""));
    let Ok(prefix) = prefix.parse::<IpAddr>() else {
        return Fit::Maybe;
    };
    let full = if prefix.is_ipv4() { 32 } else { 128 };
    let length = match (length, length.parse::<u8>(), length.parse::<IpAddr>()) {
        ("", ..) => Some(full),
        (_, Ok(length), _) => Some(length),
        (_, _, Ok(IpAddr::V4(mask))) if mask.to_bits().leading_ones() == mask.to_bits().count_ones() => {
            Some(mask.to_bits().count_ones() as u8)
        }
        _ => None,
    };
    length.map_or(Fit::Maybe, |length| {
        Fit::of(crate::kernel::route::within(own, prefix, length))
    })
}

/// Ports exist for protocols that have them; an inverted test does not fit the others either.
fn port(any: &[(u16, u16)], not: bool, own: u16, protocol: u8) -> Fit {
    if !has_ports(protocol) {
        return Fit::No;
    }
    Fit::of(any.iter().any(|(low, high)| (*low..=*high).contains(&own)) != not)
}

pub(super) fn interface(is: &str, names: Option<&[&str]>) -> Fit {
    let Some(names) = names else {
        return Fit::of(matches!(is, "+" | "*"));
    };
    Fit::among(names, |name| {
        list(is).any(|wanted| match wanted.trim_matches('"').strip_suffix(['+', '*']) {
            Some(start) => name.starts_with(start),
            None => *name == wanted.trim_matches('"'),
        })
    })
}

fn state(any: &[String], candidates: &[&str]) -> Fit {
    // `SNAT` and `DNAT` are asked for beside the states; nothing here tells them.
    let beside = any
        .iter()
        .any(|state| matches!(state.to_ascii_uppercase().as_str(), "SNAT" | "DNAT"));
    match Fit::among(candidates, |own| {
        any.iter().any(|state| state.eq_ignore_ascii_case(own))
    }) {
        Fit::No if beside => Fit::Maybe,
        fit => fit,
    }
}

fn icmp(is: &str, packet: &Packet<'_>) -> Fit {
    if !matches!(packet.flow.protocol, ICMP | ICMPV6) {
        return Fit::No;
    }
    let Some(kind) = packet.flags else { return Fit::Maybe };
    let v6 = packet.flow.protocol == ICMPV6;
    let mut told = true;
    for wanted in list(is) {
        let (wanted_kind, code) = wanted.split_once('/').unwrap_or((wanted, ""));
        let number = match wanted_kind {
            "any" | "255" => return Fit::Yes,
            "echo-request" => Some(if v6 { 128 } else { 8 }),
            "echo-reply" => Some(if v6 { 129 } else { 0 }),
            "destination-unreachable" => Some(if v6 { 1 } else { 3 }),
            "packet-too-big" => Some(2),
            "fragmentation-needed" => {
                if kind == 3 {
                    return packet.code.map_or(Fit::Maybe, |code| Fit::of(code == 4));
                }
                Some(3)
            }
            "time-exceeded" => Some(if v6 { 3 } else { 11 }),
            "parameter-problem" => Some(if v6 { 4 } else { 12 }),
            "redirect" => Some(if v6 { 137 } else { 5 }),
            "router-solicitation" | "nd-router-solicit" => Some(if v6 { 133 } else { 10 }),
            "router-advertisement" | "nd-router-advert" => Some(if v6 { 134 } else { 9 }),
            "neighbour-solicitation" | "neighbor-solicitation" | "nd-neighbor-solicit" => Some(135),
            "neighbour-advertisement" | "neighbor-advertisement" | "nd-neighbor-advert" => Some(136),
            other => other.parse().ok(),
        };
        match number {
            None => told = false,
            Some(number) if number != kind => {}
            Some(_) => match (code.parse::<u8>(), packet.code) {
                (Err(_), _) => return Fit::Yes,
                (Ok(wanted), Some(own)) if wanted == own => return Fit::Yes,
                (Ok(_), Some(_)) => {}
                (Ok(_), None) => told = false,
            },
        }
    }
    if told { Fit::No } else { Fit::Maybe }
}
