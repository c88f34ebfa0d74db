//! Which rule dropped a packet that is known to be dropped.
//!
//! Evaluation says which rules and policies can have done it; counters read before and after the window say which of
//! them did anything at all. When more than one is left, the chain is named, never one of them.

use super::packet::{ArpOperation, HookPacket};
use super::{NetfilterStop, NetfilterVerdict, chain_place, evaluate};
use crate::kernel::interfaces;
use crate::kernel::route::{self, Query, Way};
use crate::kernel::tunnel;
use core::net::IpAddr;
use model::event::{Event, Seen};
use model::evidence::NetnsEvidence;
use model::facts::{Chain, Netfilter, NetfilterRule, NetnsFacts};
use model::flow::{ACK, ICMP, ICMPV6, SYN, TCP};
use model::missing::Missing;
use model::report::{Direction, RulePlace};

/// A rule or policy that can have done it.
#[derive(Clone, Debug, PartialEq)]
pub struct Suspect<'a> {
    /// Where the packet's way may have ended.
    pub stop: NetfilterStop<'a>,
    /// By how much its counter rose in the window; `None` without a counter, or where it was read once only.
    pub rose: Option<u64>,
    /// It was there before the window, and is not there any more.
    pub gone: bool,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Culprit<'a> {
    /// This one.
    Rule(Suspect<'a>),
    /// One of these, all in one chain.
    Chain(RulePlace, Vec<Suspect<'a>>),
    /// One of these, in several chains.
    Several(Vec<Suspect<'a>>),
    /// No rule that was read can have done it; what was not read is said.
    Unknown(Vec<Missing>),
}

impl<'a> Culprit<'a> {
    /// All that can have done it.
    #[must_use]
    pub fn suspects(&self) -> &[Suspect<'a>] {
        match self {
            Self::Rule(suspect) => core::slice::from_ref(suspect),
            Self::Chain(_, suspects) | Self::Several(suspects) => suspects,
            Self::Unknown(_) => &[],
        }
    }

    /// The place for a report: the rule, or the chain without a rule.
    #[must_use]
    pub fn place(&self) -> Option<RulePlace> {
        match self {
            Self::Rule(suspect) => Some(suspect.stop.place()),
            Self::Chain(place, _) => Some(place.clone()),
            Self::Several(_) | Self::Unknown(_) => None,
        }
    }

    /// Every suspect answers the question the same way, and there is one.
    #[must_use]
    pub fn all(&self, question: impl Fn(&NetfilterStop<'a>) -> bool) -> bool {
        !self.suspects().is_empty() && self.suspects().iter().all(|suspect| question(&suspect.stop))
    }

    /// What its counter says, where it is one rule that has one.
    #[must_use]
    pub fn counted(&self) -> Option<String> {
        let Self::Rule(suspect) = self else { return None };
        let by = suspect.rose.filter(|by| *by > 0)?;
        let packets =
            usize::try_from(by).map_or_else(|_| format!("{by} packets"), |by| crate::words::count(by, "packet"));
        Some(format!("its counter rose by {packets} in the window"))
    }

    /// In words, for a *because*.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Self::Rule(suspect) if suspect.gone => {
                format!(
                    "{}; it was there before the window, and is gone now",
                    suspect.stop.words()
                )
            }
            Self::Rule(suspect) => suspect.stop.words(),
            Self::Chain(place, suspects) => format!(
                "one of {} rules of chain {}, table {} ({})",
                suspects.len(),
                place.chain,
                crate::words::table(place),
                place.backend
            ),
            Self::Several(suspects) => {
                let mut chains: Vec<&str> = suspects.iter().map(|s| s.stop.chain.name.as_str()).collect();
                chains.dedup();
                format!("a rule in one of the chains {}", chains.join(", "))
            }
            Self::Unknown(unread) if unread.is_empty() => "no rule that was read can have done it".to_owned(),
            Self::Unknown(unread) => format!(
                "no rule that was read can have done it, and {} could not be read",
                unread
                    .iter()
                    .map(|missing| missing.what.as_str())
                    .collect::<Vec<_>>()
                    .join(", ")
            ),
        }
    }
}

/// Which rule did it: the packet of a drop event, at whatever hook its place allows.
///
/// `drops` is how many packets of the flow were dropped there; a counter that rose by less was not this one.
#[must_use]
pub fn of_drop<'a>(netns: &'a NetnsEvidence, event: &'a Event, direction: Direction, drops: u64) -> Culprit<'a> {
    let Some(netfilter) = rules(netns) else {
        return Culprit::Unknown(netns.before.netfilter.get().err().cloned().into_iter().collect());
    };
    let mut suspects: Vec<Suspect<'a>> = Vec::new();
    for (hook, packet) in packets(netns, netfilter, event, direction) {
        for suspect in among(netns, netfilter, hook, &packet, drops) {
            if !suspects.iter().any(|known| known.stop.place() == suspect.stop.place()) {
                suspects.push(suspect);
            }
        }
    }
    if suspects.is_empty() {
        suspects = gone(netns, event, direction);
    }
    if let Seen::Drop {
        location: Some(location),
        ..
    } = &event.seen
    {
        by_location(&mut suspects, location);
    }
    settle(suspects, netfilter)
}

/// Rules that can have done it, and were taken out in the window.
fn gone<'a>(netns: &'a NetnsEvidence, event: &'a Event, direction: Direction) -> Vec<Suspect<'a>> {
    let (Some(before), Some(after)) = (netns.before.netfilter.ok(), netns.after.netfilter.ok()) else {
        return Vec::new();
    };
    let is_gone = |stop: &NetfilterStop<'_>| {
        stop.rule.is_some_and(|rule| {
            let twin = after.chains.iter().find(|chain| same_chain(chain, stop.chain));
            twin.is_none_or(|chain| same_rule(chain, rule).is_none())
        })
    };
    let drops = |stop: &NetfilterStop<'_>| matches!(stop.verdict, NetfilterVerdict::Drop | NetfilterVerdict::Reject);
    let mut suspects: Vec<Suspect<'a>> = Vec::new();
    for (hook, packet) in packets(netns, before, event, direction) {
        for stop in evaluate(before, hook, &packet) {
            let known = suspects.iter().any(|known| known.stop.place() == stop.place());
            if drops(&stop) && is_gone(&stop) && !known {
                suspects.push(Suspect {
                    stop,
                    rose: None,
                    gone: true,
                });
            }
        }
    }
    suspects
}

/// Which rule did it: a question after a neighbour, or its answer. `arp` says which; over IPv6 the packet itself does.
#[must_use]
pub fn of_neighbours<'a>(netns: &'a NetnsEvidence, event: &'a Event, arp: Option<ArpOperation>) -> Culprit<'a> {
    let Some(netfilter) = rules(netns) else {
        return Culprit::Unknown(netns.before.netfilter.get().err().cloned().into_iter().collect());
    };
    let facts = &netns.before;
    let here = names(facts, event.ifindex);
    let packet = HookPacket {
        flow: event.flow,
        flags: event.packet.map(|packet| packet.tcp_flags),
        code: Some(0),
        states: if arp.is_some() {
            vec!["INVALID", "UNTRACKED"]
        } else {
            vec!["UNTRACKED"]
        },
        bridged: here.len() > 1 || interfaces::link(facts, event.ifindex).is_some_and(|link| link.kind == "bridge"),
        arp,
        ..HookPacket::default()
    };
    let leaving = HookPacket {
        leaves: Some(here.clone()),
        ..packet.clone()
    };
    let arriving = HookPacket {
        arrives: Some(here),
        ..packet.clone()
    };
    let through = HookPacket {
        arrives: Some(vec![]),
        leaves: Some(vec![]),
        ..packet
    };
    let mut at: Vec<(&str, &HookPacket<'_>)> = Vec::new();
    let made_here = interfaces::owns(facts, event.flow.src());
    if !made_here {
        at.extend([("ingress", &arriving), ("prerouting", &arriving), ("input", &arriving)]);
    }
    if through.bridged {
        at.push(("forward", &through));
    }
    if made_here || through.bridged {
        at.extend([("output", &leaving), ("postrouting", &leaving), ("egress", &leaving)]);
    }
    let suspects: Vec<Suspect<'a>> = at
        .into_iter()
        .flat_map(|(hook, packet)| among(netns, netfilter, hook, packet, 1))
        .collect();
    settle(suspects, netfilter)
}

/// Which rule did it, for a packet at one hook.
#[must_use]
pub fn which<'a>(netns: &'a NetnsEvidence, hook: &str, packet: &HookPacket<'_>, drops: u64) -> Culprit<'a> {
    match rules(netns) {
        Some(netfilter) => settle(among(netns, netfilter, hook, packet, drops), netfilter),
        None => Culprit::Unknown(netns.before.netfilter.get().err().cloned().into_iter().collect()),
    }
}

/// Rules that hand a packet to a queue, which was freed or seen last as this event tells: those that it met or was to meet next.
#[must_use]
pub fn queued_by<'a>(netns: &'a NetnsEvidence, event: &'a Event, direction: Direction) -> Vec<NetfilterStop<'a>> {
    let Some(netfilter) = rules(netns) else {
        return Vec::new();
    };
    let mut met = packets(netns, netfilter, event, direction);
    let onward = met.iter().find(|(hook, _)| *hook == "forward");
    if let Some((_, forwarded)) = onward {
        let leaving = HookPacket {
            arrives: None,
            ..forwarded.clone()
        };
        met.push(("postrouting", leaving));
    }
    let mut found: Vec<NetfilterStop<'a>> = Vec::new();
    for (hook, packet) in met {
        let stops = evaluate(netfilter, hook, &packet).into_iter();
        for stop in stops.filter(|stop| stop.verdict == NetfilterVerdict::Queue) {
            if !found.iter().any(|known| known.place() == stop.place()) {
                found.push(stop);
            }
        }
    }
    found
}

/// The rules as they were last read: one inserted in the window is among them.
fn rules(netns: &NetnsEvidence) -> Option<&Netfilter> {
    netns.after.netfilter.ok().or_else(|| netns.before.netfilter.ok())
}

/// Places at which the packet may be dropped, less those whose counters say that they were not it.
fn among<'a>(
    netns: &'a NetnsEvidence,
    netfilter: &'a Netfilter,
    hook: &str,
    packet: &HookPacket<'_>,
    drops: u64,
) -> Vec<Suspect<'a>> {
    evaluate(netfilter, hook, packet)
        .into_iter()
        .filter(|stop| {
            matches!(
                stop.verdict,
                NetfilterVerdict::Drop | NetfilterVerdict::Reject | NetfilterVerdict::Unknown
            )
        })
        .map(|stop| Suspect {
            rose: rose(netns, &stop),
            stop,
            gone: false,
        })
        .filter(|suspect| suspect.rose.is_none_or(|by| by >= drops.max(1)))
        .collect()
}

/// What a counter rose by in the window.
fn rose(netns: &NetnsEvidence, stop: &NetfilterStop<'_>) -> Option<u64> {
    let before = netns.before.netfilter.ok()?;
    netns.after.netfilter.ok()?;
    let twin = before.chains.iter().find(|chain| same_chain(chain, stop.chain));
    let (now, then) = match stop.rule {
        Some(rule) => (
            rule.packets?,
            twin.and_then(|chain| same_rule(chain, rule))
                .and_then(|old| old.packets),
        ),
        None => (stop.chain.policy_packets?, twin.and_then(|chain| chain.policy_packets)),
    };
    Some(now.saturating_sub(then.unwrap_or(0)))
}

fn same_chain(one: &Chain, other: &Chain) -> bool {
    (&one.backend, &one.family, &one.table, &one.name) == (&other.backend, &other.family, &other.table, &other.name)
}

/// A rule as it was before the window: found by handle and text, else by text where that is unique (a rule above it came or went).
fn same_rule<'a>(chain: &'a Chain, rule: &NetfilterRule) -> Option<&'a NetfilterRule> {
    let same = |old: &&NetfilterRule| old.handle == rule.handle && old.text == rule.text;
    chain.rules.iter().find(same).or_else(|| {
        let mut alike = chain.rules.iter().filter(|old| old.text == rule.text);
        match (alike.next(), alike.next()) {
            (Some(only), None) => Some(only),
            _ => None,
        }
    })
}

/// Kernels that name `nft_do_chain` (6.3 and later) name it for rules of nftables only, iptables-nft's among them. The other
/// name, `nf_hook_slow`, proves nothing: kernels before that give it for every rule.
fn by_location(suspects: &mut Vec<Suspect<'_>>, location: &str) {
    let legacy = |suspect: &Suspect<'_>| suspect.stop.chain.backend == "iptables-legacy";
    if location.starts_with("nft_do_chain") {
        suspects.retain(|suspect| !legacy(suspect));
    } else if location.starts_with("nf_hook_slow") && suspects.iter().any(legacy) {
        // Both kinds are there: on kernels that tell them apart it was the legacy one.
        let counted = |suspect: &Suspect<'_>| legacy(suspect) || suspect.rose.is_some();
        suspects.retain(counted);
    }
}

fn settle<'a>(mut suspects: Vec<Suspect<'a>>, netfilter: &Netfilter) -> Culprit<'a> {
    let counted = suspects
        .iter()
        .filter(|suspect| suspect.rose.is_some_and(|by| by > 0))
        .count();
    // One whose counter rose by enough, against others that have none and of which it is not certain that they fit.
    if counted == 1 && suspects.iter().all(|s| s.rose.is_some() || !s.stop.certain) {
        suspects.retain(|suspect| suspect.rose.is_some());
    }
    match suspects.as_slice() {
        [] => Culprit::Unknown(netfilter.unread.clone()),
        [only] if only.rose.is_some() || only.stop.certain || netfilter.unread.is_empty() => {
            Culprit::Rule(suspects.remove(0))
        }
        [first, rest @ ..] => {
            if rest.iter().all(|other| same_chain(other.stop.chain, first.stop.chain)) {
                Culprit::Chain(chain_place(first.stop.chain), suspects)
            } else {
                Culprit::Several(suspects)
            }
        }
    }
}

/// The hooks at which the packet of a drop event can have been, with what it looked like there.
fn packets<'a>(
    netns: &'a NetnsEvidence,
    netfilter: &Netfilter,
    event: &'a Event,
    direction: Direction,
) -> Vec<(&'static str, HookPacket<'a>)> {
    let facts = &netns.before;
    let flow = event.flow;
    let base = HookPacket {
        flow,
        flags: event.packet.map(|packet| packet.tcp_flags),
        code: event
            .packet
            .filter(|_| matches!(flow.protocol, ICMP | ICMPV6))
            .map(|packet| packet.fragment),
        states: states(netfilter, event, direction),
        ..HookPacket::default()
    };
    let to = |iif: Option<u32>, dst: IpAddr| {
        route::lookup(
            facts,
            &Query {
                dst,
                ..Query::of(flow, iif)
            },
        )
    };
    let leaves_by = |way: &Way<'_>| way.oif().map(|oif| names(facts, oif));
    if event.ifindex == 0 || tunnel::is_made_here(facts, event) {
        let way = to(None, flow.dst());
        let leaves = match &way {
            Way::Local(_) => Some(vec!["lo"]),
            way => leaves_by(way).or(Some(vec![])),
        };
        let made = HookPacket { leaves, ..base };
        return vec![("output", made.clone()), ("postrouting", made)];
    }
    let here = names(facts, event.ifindex);
    let bridged = here.len() > 1 || interfaces::link(facts, event.ifindex).is_some_and(|link| link.kind == "bridge");
    let inwards = HookPacket {
        arrives: Some(here.clone()),
        bridged,
        ..base.clone()
    };
    let mut all = vec![("ingress", inwards.clone()), ("prerouting", inwards.clone())];
    let way = to(Some(event.ifindex), flow.dst());
    let local = matches!(way, Way::Local(_));
    if local || matches!(way, Way::Unknown(_)) {
        all.push(("input", inwards.clone()));
    }
    if !local {
        let mut leaves = leaves_by(&way).unwrap_or_default();
        if bridged {
            leaves.extend(
                here.iter()
                    .copied()
                    .filter(|name| !leaves.contains(name))
                    .collect::<Vec<_>>(),
            );
        }
        all.push((
            "forward",
            HookPacket {
                leaves: Some(leaves),
                ..inwards
            },
        ));
    }
    // At postrouting the packet's device is already the one it leaves by.
    if way.oif() == Some(event.ifindex) || matches!(way, Way::Unknown(_)) || bridged {
        let leaving = HookPacket {
            leaves: Some(here),
            bridged,
            ..base
        };
        all.push(("postrouting", leaving));
    }
    all
}

/// The names under which a rule may know an interface: its own, and that of its bridge.
fn names(facts: &NetnsFacts, ifindex: u32) -> Vec<&str> {
    let Some(own) = interfaces::link(facts, ifindex) else {
        return vec![];
    };
    let master = own.master.and_then(|index| interfaces::link(facts, index));
    core::iter::once(own)
        .chain(master)
        .map(|link| link.name.as_str())
        .collect()
}

/// The states that connection tracking may have given to the packet.
fn states(netfilter: &Netfilter, event: &Event, direction: Direction) -> Vec<&'static str> {
    let flags = event.packet.map(|packet| packet.tcp_flags);
    let mut states = match (event.flow.protocol, flags, direction) {
        (TCP, Some(flags), Direction::Request) if flags & (SYN | ACK) == SYN => vec!["NEW"],
        (TCP, Some(_), Direction::Request) => vec!["ESTABLISHED", "INVALID", "NEW"],
        (TCP, _, Direction::Answer) => vec!["ESTABLISHED", "INVALID"],
        // Connection tracking leaves out the protocol of the link itself (neighbour and router discovery, MLD).
        (ICMPV6, Some(130..=136 | 143), _) => vec!["UNTRACKED"],
        (ICMP | ICMPV6, Some(kind), _) if !matches!(kind, 0 | 8 | 128 | 129) => vec!["RELATED", "INVALID"],
        (_, _, Direction::Request) => vec!["NEW", "ESTABLISHED"],
        (_, _, Direction::Answer) => vec!["ESTABLISHED", "INVALID", "NEW"],
    };
    let untracked = netfilter
        .chains
        .iter()
        .filter(|chain| matches!(chain.hook.as_deref(), Some("prerouting" | "output")))
        .flat_map(|chain| &chain.rules)
        .any(|rule| {
            let text = rule.text.to_ascii_lowercase();
            text.contains("notrack") || text.contains("-j ct (not decoded)")
        });
    if untracked {
        states.push("UNTRACKED");
    }
    states
}
