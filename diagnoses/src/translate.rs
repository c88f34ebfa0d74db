//! Address translation a packet may meet in a namespace: what was seen, what conntrack remembers, what the rules allow.

use core::net::{IpAddr, SocketAddr};
use model::evidence::Evidence;
use model::facts::{Action, Conntrack, Match, NetnsFacts};
use model::flow::{Flow, bytes};

/// The tuples a packet may have after destination translation here, likeliest first; itself where nothing translates it.
#[must_use]
pub fn destinations(evidence: &Evidence, netns: u32, facts: &NetnsFacts, iif: Option<u32>, flow: Flow) -> Vec<Flow> {
    if crate::route::owns(facts, flow.dst()) && iif.is_none() {
        return vec![flow];
    }
    if let Some(translated) = remembered(evidence, netns, flow) {
        return vec![with_dst(flow, translated.dst(), translated.dport)];
    }
    let hook = if iif.is_some() { "prerouting" } else { "output" };
    let mut found: Vec<Flow> = Vec::new();
    for (to, port) in targets(facts, hook, flow) {
        let translated = with_dst(flow, to, port.unwrap_or(flow.dport));
        if !found.contains(&translated) {
            found.push(translated);
        }
    }
    if found.is_empty() {
        found.push(flow);
    }
    found
}

/// The tuple a packet has after source translation here.
#[must_use]
pub fn source(evidence: &Evidence, netns: u32, _facts: &NetnsFacts, _iif: Option<u32>, _oif: u32, flow: Flow) -> Flow {
    match remembered(evidence, netns, flow) {
        Some(translated) if translated.saddr != flow.saddr => Flow {
            saddr: translated.saddr,
            sport: translated.sport,
            ..flow
        },
        _ => flow,
    }
}

fn with_dst(flow: Flow, dst: IpAddr, port: u16) -> Flow {
    Flow {
        daddr: bytes(dst),
        dport: port,
        ..flow
    }
}

/// What connection tracking makes of the tuple, by its own entries.
fn remembered(evidence: &Evidence, netns: u32, flow: Flow) -> Option<Flow> {
    let here = evidence.netns(netns)?;
    let tables: Vec<&Conntrack> = [&here.after, &here.before]
        .into_iter()
        .filter_map(|facts| facts.conntrack.ok())
        .collect();
    let fits = |known: &Flow| {
        known.daddr == flow.daddr
            && known.saddr == flow.saddr
            && known.protocol == flow.protocol
            && known.dport == flow.dport
            && (flow.sport == 0 || known.sport == flow.sport)
    };
    tables.iter().flat_map(|table| &table.entries).find_map(|entry| {
        if fits(&entry.original) {
            return Some(entry.reply.reversed());
        }
        fits(&entry.reply).then(|| entry.original.reversed())
    })
}

/// Targets of translating rules whose tests on the destination the tuple meets.
fn targets(facts: &NetnsFacts, _hook: &str, flow: Flow) -> Vec<(IpAddr, Option<u16>)> {
    let Ok(netfilter) = facts.netfilter.get() else {
        return vec![];
    };
    netfilter
        .chains
        .iter()
        .flat_map(|chain| &chain.rules)
        .filter(|rule| rule.matches.iter().all(|test| may_match(test, flow)))
        .filter_map(|rule| match &rule.action {
            Action::Nat { kind, to } if kind == "DNAT" => target(to),
            _ => None,
        })
        .collect()
}

fn may_match(test: &Match, flow: Flow) -> bool {
    match test {
        Match::Destination { any, not } => any.iter().any(|prefix| in_prefix(flow.dst(), prefix)) != *not,
        Match::DestinationPort { any, not } => {
            any.iter().any(|(low, high)| (*low..=*high).contains(&flow.dport)) != *not
        }
        _ => true,
    }
}

fn in_prefix(address: IpAddr, text: &str) -> bool {
    let (prefix, length) = text.split_once('/').unwrap_or((text, ""));
    prefix.parse().is_ok_and(|prefix: IpAddr| {
        let full = if prefix.is_ipv4() { 32 } else { 128 };
        crate::route::within(address, prefix, length.parse().unwrap_or(full))
    })
}

/// `10.0.0.1:80`, `[fd00::1]:80`, `10.0.0.1`, with what follows a first address of a range left out.
fn target(text: &str) -> Option<(IpAddr, Option<u16>)> {
    let first = text
        .split_whitespace()
        .find(|word| word.contains(['.', ':']))
        .unwrap_or(text);
    if let Ok(socket) = first.parse::<SocketAddr>() {
        return Some((socket.ip(), Some(socket.port())));
    }
    first
        .split('-')
        .next()?
        .trim_matches(['[', ']'])
        .parse()
        .ok()
        .map(|ip| (ip, None))
}
