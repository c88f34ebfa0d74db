//! Netfilter rules of a namespace, from every backend, read from the kernel itself: nothing is run for it.
//!
//! Tables of iptables-legacy come by iptables' own socket, `nf_tables` by netlink: those that iptables-nft made
//! are told in iptables' words, and all others in the form of `nft -j list ruleset`, of which one reader knows the meaning.
//!
//! `nftables` and `iptables` hold what belongs to one of them; here is what joins them, and what both need (address sets, and how
//! many rules are carried at most).

mod ipset;
mod iptables;
mod nftables;
mod rule_limit;

use super::{Fact, Look};
use crate::system::netlink::{attributes, text, u32_at};
use iptables::xt::SetNames;
use iptables::{compat, legacy};
use model::facts::{IpSet, Match, Netfilter, NetnsFacts};
use model::missing::{Known, Missing};
use nftables::scope::MapBudget;
use nftables::{decode, dump, json_objects, program, ruleset};
use std::cell::OnceCell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub(super) const FACT: Fact = Fact {
    name: "netfilter",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.netfilter = read(look),
};

fn read(look: &Look) -> Known<Netfilter> {
    let mut netfilter = Netfilter::default();
    let sets = SetNames::new();
    add_legacy(&mut netfilter, look, &sets);
    match dump::read() {
        Ok(tables) => {
            let interfaces = OnceCell::new();
            let names = |index: u32| {
                let all = interfaces.get_or_init(|| look.links(interface_names).unwrap_or_default());
                all.get(&index).cloned()
            };
            let found = ToTell {
                place: &look.namespace.name,
                asked: look.addresses(),
                names: &names,
                sets: &sets,
            };
            add_tables(&mut netfilter, tables, found);
        }
        Err(error) => netfilter.unread.push(unread(look, "nftables", &format!("{error:#}"))),
    }
    let asked = asked_sets(&netfilter);
    if !asked.is_empty() {
        // A set that is not there may hold any packet; no rule is unseen for that.
        netfilter.ipsets = ipset::read(&asked).unwrap_or_default();
    }
    for table in rule_limit::keep_within(rule_limit::RULES_MAX, &mut netfilter.chains, &look.addresses()) {
        let why = format!(
            "table {table} is too large to be carried ({} rules are)",
            rule_limit::RULES_MAX
        );
        netfilter
            .unread
            .push(Missing::new(format!("netfilter rules of {}", look.namespace.name), why));
    }
    match netfilter.unread.first() {
        Some(first) if netfilter.chains.is_empty() => Known::Missing(Missing {
            what: format!("netfilter rules of {}", look.namespace.name),
            ..first.clone()
        }),
        _ => Known::Known(netfilter),
    }
}

fn add_legacy(netfilter: &mut Netfilter, look: &Look, sets: &SetNames) {
    for family in legacy::FAMILIES {
        let names = legacy::names::tables(look, family.names).unwrap_or_else(|error| {
            netfilter
                .unread
                .push(unread(look, "iptables-legacy", &format!("{error:#}")));
            Vec::new()
        });
        for name in names {
            match legacy::read(family, &name, sets) {
                Ok(chains) => netfilter.chains.extend(chains),
                Err(error) => netfilter
                    .unread
                    .push(unread(look, "iptables-legacy", &format!("{error:#}"))),
            }
        }
    }
}

/// What of a namespace is needed to tell its tables.
struct ToTell<'a> {
    /// The namespace.
    place: &'a str,
    /// Addresses in question.
    asked: BTreeSet<IpAddr>,
    /// Its interfaces.
    names: nftables::datatypes::InterfaceNames<'a>,
    sets: &'a SetNames,
}

fn add_tables(netfilter: &mut Netfilter, tables: Vec<nftables::tables::NftTable>, found: ToTell<'_>) {
    let ToTell {
        place,
        asked,
        names,
        sets,
    } = found;
    let budget = MapBudget::new(asked);
    for table in tables {
        if let Some(why) = &table.unread {
            let what = format!("nftables rules of {place}");
            let why = format!("table {} {} makes no sense: {why}", table.family, table.name);
            netfilter.unread.push(Missing::new(what, why));
        } else if let Some(chains) = compat::chains(&table, sets) {
            netfilter.chains.extend(chains);
        } else {
            let (objects, around) = json_objects::named(&table, names);
            let ruleset = ruleset::ruleset(&objects, json_objects::chains(&table, &around), &budget);
            netfilter.chains.extend(ruleset.chains);
            netfilter.sets.extend(ruleset.sets);
        }
    }
}

/// Sets of addresses that rules ask.
fn asked_sets(netfilter: &Netfilter) -> BTreeSet<String> {
    let rules = netfilter.chains.iter().flat_map(|chain| &chain.rules);
    rules
        .flat_map(|rule| &rule.matches)
        .filter_map(|test| match test {
            Match::Set { name, .. } => Some(name.clone()),
            _ => None,
        })
        .collect()
}

/// Names of interfaces by index, of their netlink messages.
fn interface_names(messages: &[Vec<u8>]) -> BTreeMap<u32, String> {
    // linux/rtnetlink.h: struct ifinfomsg; linux/if_link.h: IFLA_IFNAME
    const IFINFOMSG_BYTES: usize = 16;
    const IFLA_IFNAME: u16 = 3;
    messages
        .iter()
        .filter_map(|message| {
            let mut all = attributes(message.get(IFINFOMSG_BYTES..)?);
            let (_, name) = all.find(|(kind, _)| *kind == IFLA_IFNAME)?;
            Some((u32_at(message, 4), text(name)))
        })
        .collect()
}

fn unread(look: &Look, backend: &str, why: &str) -> Missing {
    Missing::new(format!("{backend} rules of {}", look.namespace.name), why)
        .remedy("run the helper as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN")
}

/// Whether these bytes are a table of iptables as the kernel hands it out.
pub(crate) fn reads_table(bytes: &[u8]) -> bool {
    legacy::reads(bytes)
}

/// Whether these bytes are the expressions of an nftables rule as the kernel lists them; if so, they are told in nft's words.
pub(crate) fn reads_expressions(bytes: &[u8]) -> bool {
    let around = program::TableScope {
        family: "inet",
        sets: BTreeMap::new(),
        names: &|_| None,
    };
    decode::list(bytes).is_ok_and(|exprs| !program::statements(&around, &exprs).is_empty())
}

/// What a dump of `nf_tables` tells, if it can be read: messages as the kernel sends them.
pub(crate) fn reads_dump(bytes: &[u8]) -> Option<Netfilter> {
    let mut netfilter = Netfilter::default();
    let tables = dump::told(bytes).ok()?;
    let found = ToTell {
        place: "netns/fuzzed",
        asked: BTreeSet::from([IpAddr::from([10, 0, 0, 7])]),
        names: &|index| (index == 1).then(|| "lo".to_owned()),
        sets: &SetNames::of(&[(0, "cali40s:abc"), (1, "kube-ports")]),
    };
    let asked = found.asked.clone();
    add_tables(&mut netfilter, tables, found);
    rule_limit::keep_within(rule_limit::RULES_MAX, &mut netfilter.chains, &asked);
    Some(netfilter)
}

/// What a listing of sets of addresses tells, if it can be read: messages as the kernel sends them.
pub(crate) fn reads_sets(bytes: &[u8]) -> Option<BTreeMap<String, IpSet>> {
    ipset::told(bytes).ok()
}

#[cfg(test)]
mod existing;
#[cfg(test)]
mod tool_tests;
