//! What becomes of a packet's addresses and mark in a namespace: what connection tracking remembers, else what the rules allow.

use crate::kernel::firewall::HookPacket;
use crate::kernel::firewall::{NetfilterVerdict, evaluate, marked};
use crate::kernel::interfaces;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use model::evidence::Evidence;
use model::facts::{Action, Conntrack, NetnsFacts};
use model::flow::{Flow, TCP, bytes};

/// One translation done in a namespace: the tuple before and after. Answers are translated back by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Done {
    /// Namespace that did it.
    pub netns: u32,
    /// The tuple as it came.
    pub before: Flow,
    /// The tuple as it left.
    pub after: Flow,
}

/// The tuples a packet may have after destination translation here, likeliest first; itself where nothing translates it.
#[must_use]
pub fn destinations(
    evidence: &Evidence,
    done: &[Done],
    netns: u32,
    facts: &NetnsFacts,
    iif: Option<u32>,
    flow: Flow,
) -> Vec<Flow> {
    if let Some(back) = done
        .iter()
        .find(|done| done.netns == netns && same(done.after.reversed(), flow))
    {
        return vec![back.before.reversed()];
    }
    if let Some(translated) = remembered(evidence, netns, flow) {
        return vec![with_dst(flow, translated.dst(), translated.dport)];
    }
    let Ok(netfilter) = facts.netfilter.get() else {
        return vec![flow];
    };
    let (hook, packet) = arriving(facts, iif, flow);
    let mut found: Vec<Flow> = Vec::new();
    let mut certain = false;
    for stop in evaluate(netfilter, hook, &packet) {
        let Some(Action::Nat { kind, to }) = stop.rule.map(|rule| &rule.action) else {
            continue;
        };
        let own = || own_address(facts, iif, flow.dst().is_ipv4());
        let (dst, port) = match kind.as_str() {
            "DNAT" => target(to),
            "REDIRECT" => (Some(own()), last_port(to)),
            _ => continue,
        };
        let translated = with_dst(flow, dst.unwrap_or(flow.dst()), port.unwrap_or(flow.dport));
        if stop.verdict == NetfilterVerdict::Translate && !found.contains(&translated) {
            found.push(translated);
        }
        if stop.certain {
            certain = true;
            break;
        }
    }
    if !certain {
        // Several backends share what comes; that none takes it is possible where not all tests could be told.
        found.push(flow);
    }
    found
}

/// The firewall mark by which the first packet of a connection is routed here; 0 where no rule is certain to give it one.
#[must_use]
pub fn mark(facts: &NetnsFacts, iif: Option<u32>, flow: Flow) -> u32 {
    let Ok(netfilter) = facts.netfilter.get() else {
        return 0;
    };
    let (hook, packet) = arriving(facts, iif, flow);
    marked(netfilter, hook, &packet)
}

/// The first packet of a connection before it is routed, and the hook where its rules are.
#[must_use]
pub fn arriving(facts: &NetnsFacts, iif: Option<u32>, flow: Flow) -> (&'static str, HookPacket<'_>) {
    let packet = HookPacket {
        arrives: iif.map(|index| names(facts, index)),
        leaves: iif.is_none().then(Vec::new),
        ..new_connection(flow)
    };
    (if iif.is_some() { "prerouting" } else { "output" }, packet)
}

/// The tuples a packet may have after source translation on its way out, likeliest first.
#[must_use]
pub fn sources(
    evidence: &Evidence,
    netns: u32,
    facts: &NetnsFacts,
    iif: Option<u32>,
    oif: u32,
    flow: Flow,
) -> Vec<Flow> {
    if let Some(translated) = remembered(evidence, netns, flow) {
        return vec![with_src(flow, translated.src(), translated.sport)];
    }
    let Ok(netfilter) = facts.netfilter.get() else {
        return vec![flow];
    };
    let packet = HookPacket {
        arrives: iif.map(|index| names(facts, index)),
        leaves: Some(names(facts, oif)),
        ..new_connection(flow)
    };
    for stop in evaluate(netfilter, "postrouting", &packet) {
        let Some(Action::Nat { kind, to }) = stop.rule.map(|rule| &rule.action) else {
            continue;
        };
        let src = match kind.as_str() {
            "MASQUERADE" => Some(own_address(facts, Some(oif), flow.dst().is_ipv4())),
            "SNAT" => target(to).0,
            _ => continue,
        };
        let Some(src) = src.filter(|src| !src.is_unspecified() && *src != flow.src()) else {
            continue;
        };
        let translated = with_src(flow, src, flow.sport);
        return if stop.certain {
            vec![translated]
        } else {
            vec![flow, translated]
        };
    }
    vec![flow]
}

/// The first packet of a connection with this tuple.
fn new_connection(flow: Flow) -> HookPacket<'static> {
    HookPacket {
        flow,
        flags: (flow.protocol == TCP).then_some(2),
        states: vec!["NEW"],
        ..HookPacket::default()
    }
}

/// The names a rule may know an interface by.
fn names(facts: &NetnsFacts, index: u32) -> Vec<&str> {
    interfaces::link(facts, index)
        .into_iter()
        .map(|link| link.name.as_str())
        .collect()
}

/// The address that MASQUERADE and REDIRECT use: the interface's own, or loopback for what is made here.
fn own_address(facts: &NetnsFacts, index: Option<u32>, v4: bool) -> IpAddr {
    let loopback: IpAddr = if v4 {
        Ipv4Addr::LOCALHOST.into()
    } else {
        Ipv6Addr::LOCALHOST.into()
    };
    let Some(index) = index else { return loopback };
    facts
        .addresses
        .ok()
        .into_iter()
        .flatten()
        .find(|own| own.ifindex == index && own.address.is_ipv4() == v4 && !own.link_scope)
        .map_or(loopback, |own| own.address)
}

fn with_dst(flow: Flow, dst: IpAddr, port: u16) -> Flow {
    Flow {
        daddr: bytes(dst),
        dport: port,
        ..flow
    }
}

fn with_src(flow: Flow, src: IpAddr, port: u16) -> Flow {
    Flow {
        saddr: bytes(src),
        sport: port,
        ..flow
    }
}

/// Whether two tuples are the same; a port that is not known yet (0) is any.
fn same(one: Flow, other: Flow) -> bool {
    let port = |a: u16, b: u16| a == b || a == 0 || b == 0;
    (one.saddr, one.daddr, one.protocol) == (other.saddr, other.daddr, other.protocol)
        && port(one.sport, other.sport)
        && port(one.dport, other.dport)
}

/// What connection tracking makes of the tuple, by its own entries.
fn remembered(evidence: &Evidence, netns: u32, flow: Flow) -> Option<Flow> {
    let here = evidence.netns(netns)?;
    let tables: Vec<&Conntrack> = [&here.after, &here.before]
        .into_iter()
        .filter_map(|facts| facts.conntrack.ok())
        .collect();
    tables.iter().flat_map(|table| &table.entries).find_map(|entry| {
        if same(entry.original, flow) {
            return Some(entry.reply.reversed());
        }
        same(entry.reply, flow).then(|| entry.original.reversed())
    })
}

/// `10.0.0.1:80`, `[fd00::1]:80`, `10.0.0.1`, `:8080`; of a range the first.
fn target(text: &str) -> (Option<IpAddr>, Option<u16>) {
    let word = text
        .split_whitespace()
        .find(|word| word.contains(['.', ':']))
        .unwrap_or(text);
    let (first, _) = word.split_once('-').unwrap_or((word, ""));
    if let Ok(socket) = first.parse::<SocketAddr>() {
        return (Some(socket.ip()), Some(socket.port()));
    }
    if let Some(port) = first.strip_prefix(':') {
        return (None, port.parse().ok());
    }
    (first.trim_matches(['[', ']']).parse().ok(), last_port(word))
}

/// The port after the last colon of an IPv4 target, or a number that stands alone (`--to-ports 8080`).
fn last_port(text: &str) -> Option<u16> {
    let word = text.split_whitespace().last()?;
    let word = word.split('-').next()?;
    match word.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') => port.parse().ok(),
        Some(_) => None,
        None => word.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::{last_port, target};

    #[test]
    fn targets_are_read_as_the_tools_print_them() {
        for (text, address, port) in [
            ("10.90.2.2:80", Some("10.90.2.2"), Some(80)),
            ("10.90.2.2", Some("10.90.2.2"), None),
            ("[fd90:2::2]:80", Some("fd90:2::2"), Some(80)),
            ("fd90:2::2", Some("fd90:2::2"), None),
            ("10.0.0.1-10.0.0.4", Some("10.0.0.1"), None),
            ("--to-destination 10.90.2.2:8080", Some("10.90.2.2"), Some(8080)),
            (":8080", None, Some(8080)),
        ] {
            assert_eq!(target(text), (address.map(|a| a.parse().unwrap()), port), "{text}");
        }
        assert_eq!(last_port("--to-ports 15001"), Some(15001));
        assert_eq!(last_port(":15001"), Some(15001));
        assert_eq!(last_port(""), None);
    }
}
