//! Whether one test of a netfilter rule fits a packet. Three answers: yes, no, and that it cannot be told.

use super::fit::{Fit, in_text, interface, list, protocol};
use super::packet::{ArpOperation, HookPacket};
use super::{Doubt, ipset};
use core::net::IpAddr;
use model::facts::{Match, Netfilter};
use model::flow::{ICMP, ICMPV6, TCP, has_ports};
use std::collections::BTreeMap;

/// Whether all tests of a rule fit, with what could not be told.
#[must_use]
pub fn all(tests: &[Match], packet: &HookPacket<'_>, netfilter: &Netfilter) -> (Fit, Vec<Doubt>) {
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

fn one(test: &Match, packet: &HookPacket<'_>, netfilter: &Netfilter) -> Fit {
    let sets = &netfilter.sets;
    if let Some(operation) = packet.arp {
        return of_arp(test, packet, operation, sets);
    }
    match test {
        Match::Arp { .. } => Fit::No,
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
        Match::Set { name, ends, not } => ipset::within(name, ends, packet, netfilter).inverted(*not),
        Match::Limit { .. } | Match::Random { .. } | Match::Opaque { .. } => Fit::Maybe,
    }
}

/// A test of an ARP packet: it has none of what IP packets have.
fn of_arp(test: &Match, packet: &HookPacket<'_>, operation: ArpOperation, sets: &BTreeMap<String, Vec<String>>) -> Fit {
    match test {
        Match::Arp { field, any, not } => {
            let number = |own: &str| Fit::of(any.iter().any(|one| one == own));
            let fit = match field.as_str() {
                "operation" => number(operation.word()),
                "saddr ip" => address(any, packet.flow.src(), sets),
                "daddr ip" => address(any, packet.flow.dst(), sets),
                // Of Ethernet and IPv4, as all of ours are.
                "htype" => number("1"),
                "ptype" => number("ip"),
                "hlen" => number("6"),
                "plen" => number("4"),
                _ => Fit::Maybe,
            };
            fit.inverted(*not)
        }
        Match::Protocol { is, not } => Fit::of(list(is).any(|name| name == "arp")).inverted(*not),
        Match::In { is, not } => interface(is, packet.arrives.as_deref()).inverted(*not),
        Match::Out { is, not } => interface(is, packet.leaves.as_deref()).inverted(*not),
        Match::CtState { any, not } => state(any, &packet.states).inverted(*not),
        Match::Limit { .. } | Match::Random { .. } | Match::Opaque { .. } => Fit::Maybe,
        Match::Source { .. }
        | Match::Destination { .. }
        | Match::SourcePort { .. }
        | Match::DestinationPort { .. }
        | Match::TcpFlags { .. }
        | Match::IcmpType { .. }
        | Match::Set { .. } => Fit::No,
    }
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

/// Ports exist for protocols that have them; an inverted test does not fit the others either.
fn port(any: &[(u16, u16)], not: bool, own: u16, protocol: u8) -> Fit {
    if !has_ports(protocol) {
        return Fit::No;
    }
    Fit::of(any.iter().any(|(low, high)| (*low..=*high).contains(&own)) != not)
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

fn icmp(is: &str, packet: &HookPacket<'_>) -> Fit {
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
