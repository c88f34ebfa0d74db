//! A table as a block of entries, taken apart into chains.

use super::super::clause::{self, Clause};
use super::super::matches::rule;
use super::super::xt::{SetNames, XtContext};
use super::LegacyFamily;
use super::entry::{Entry, Leads, entry};
use crate::system::netlink::{text, u32_at};
use anyhow::{Context as _, bail};
use model::facts::{Chain, NetfilterRule};
use std::collections::BTreeMap;

/// `struct ipt_getinfo`: name, hooks, where each begins, where each has its policy, entries, bytes of them.
pub(super) const INFO_BYTES: usize = 84;
const NAME_BYTES: usize = 32;
/// `NF_INET_NUMHOOKS`.
const HOOKS: usize = 5;
const NAMES: [&str; HOOKS] = ["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];

/// What the kernel hands out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Block {
    /// Its name.
    table: String,
    /// A bit for each hook it is asked at.
    valid_hooks: u32,
    /// Where the chain of a hook begins.
    hook_entries: [u32; HOOKS],
    /// Where the policy of a hook stands, which ends its chain.
    underflows: [u32; HOOKS],
    /// The entries, one behind the other.
    entries: Vec<u8>,
}

/// A chain before its rules are worded: what it is called, its entries from here to there, and the entry of its policy.
struct Span {
    name: String,
    hook: bool,
    first: usize,
    end: usize,
}

impl Block {
    /// What the kernel says of a table, and its entries.
    pub(super) fn new(info: &[u8], entries: Vec<u8>) -> Self {
        let number = |offset| u32_at(info, offset);
        Self {
            table: text(info.get(..NAME_BYTES).unwrap_or_default()),
            valid_hooks: number(32),
            hook_entries: std::array::from_fn(|hook| number(36 + 4 * hook)),
            underflows: std::array::from_fn(|hook| number(56 + 4 * hook)),
            entries,
        }
    }

    /// How many bytes of entries there are.
    pub(super) fn size(info: &[u8]) -> usize {
        u32_at(info, 80) as usize
    }

    /// Its chains.
    ///
    /// # Errors
    /// A size, an offset or a name in it makes no sense.
    pub(super) fn chains(&self, family: LegacyFamily, sets: &SetNames) -> anyhow::Result<Vec<Chain>> {
        let context = XtContext { v6: family.v6, sets };
        let mut entries = Vec::new();
        let mut places = BTreeMap::new();
        let mut offset = 0;
        while offset < self.entries.len() {
            let entry = entry(&self.entries, offset, context)?;
            offset = entry.next;
            places.insert(entry.offset, entries.len());
            entries.push(entry);
        }
        let spans = self.spans(&entries, &places)?;
        // A jump leads to the first entry behind a chain's head.
        let names: BTreeMap<usize, &str> = spans
            .iter()
            .filter(|span| !span.hook)
            .filter_map(|span| Some((entries.get(span.first)?.offset, span.name.as_str())))
            .collect();
        spans
            .iter()
            .map(|span| chain(family, &self.table, span, &entries, &names))
            .collect()
    }

    fn spans(&self, entries: &[Entry], places: &BTreeMap<usize, usize>) -> anyhow::Result<Vec<Span>> {
        let mut spans = Vec::new();
        for (hook, name) in NAMES.iter().enumerate() {
            if self.valid_hooks & (1 << hook) == 0 {
                continue;
            }
            let place = |offset: u32| places.get(&(offset as usize)).copied();
            let (Some(first), Some(end)) = (place(self.hook_entries[hook]), place(self.underflows[hook])) else {
                bail!("chain {name} does not begin or end at an entry");
            };
            if first > end {
                bail!("chain {name} ends before it begins");
            }
            spans.push(Span {
                name: (*name).to_owned(),
                hook: true,
                first,
                end,
            });
        }
        // Each chain of one's own ends with its return, before the next head; the last head ends the table.
        let heads: Vec<(usize, &str)> = entries
            .iter()
            .enumerate()
            .filter_map(|(place, entry)| match &entry.leads {
                Leads::Head(name) => Some((place, name.as_str())),
                _ => None,
            })
            .collect();
        if heads.last().is_none_or(|(place, _)| place + 1 != entries.len()) {
            bail!("it does not end where a table ends");
        }
        for pair in heads.windows(2) {
            let [(head, name), (next, _)] = *pair else { continue };
            if next < head + 2 {
                bail!("a chain has no end");
            }
            spans.push(Span {
                name: name.to_owned(),
                hook: false,
                first: head + 1,
                end: next - 1,
            });
        }
        Ok(spans)
    }
}

fn chain(
    family: LegacyFamily,
    table: &str,
    span: &Span,
    entries: &[Entry],
    names: &BTreeMap<usize, &str>,
) -> anyhow::Result<Chain> {
    let end = entries.get(span.end).context("a chain has no end")?;
    let Leads::Verdict(policy) = end.leads else {
        bail!("chain {} does not end with a verdict", span.name);
    };
    if !end.tests.is_empty() {
        bail!("chain {} ends with a rule that tests something", span.name);
    }
    let rules: anyhow::Result<Vec<NetfilterRule>> = entries
        .get(span.first..span.end)
        .unwrap_or_default()
        .iter()
        .zip(1..)
        .map(|(entry, position)| {
            let mut clauses = entry.tests.clone();
            clauses.extend(leads(entry, names)?);
            Ok(NetfilterRule {
                handle: position,
                text: clause::text(&span.name, &clauses),
                packets: Some(entry.packets),
                ..rule(&clauses)
            })
        })
        .collect();
    let hook = span.hook.then(|| span.name.to_lowercase());
    Ok(Chain {
        backend: "iptables-legacy".to_owned(),
        family: family.name.to_owned(),
        table: table.to_owned(),
        name: span.name.clone(),
        priority: hook.as_deref().map_or(0, |hook| {
            crate::facts::netfilter::iptables::matches::priority(table, hook)
        }),
        policy: hook.as_ref().map(|_| policy.to_owned()),
        policy_packets: hook.as_ref().map(|_| end.packets),
        hook,
        rules: rules.with_context(|| format!("chain {}", span.name))?,
    })
}

/// What an entry does, in words; nothing for one that only tests and counts.
fn leads(entry: &Entry, names: &BTreeMap<usize, &str>) -> anyhow::Result<Option<Clause>> {
    Ok(Some(match &entry.leads {
        Leads::Verdict(name) => Clause::Target {
            name: (*name).to_owned(),
            options: Vec::new(),
        },
        Leads::To { offset, goto: false } if *offset == entry.next => return Ok(None),
        Leads::To { offset, goto } => Clause::Call {
            chain: (*names.get(offset).context("a rule leads to no chain")?).to_owned(),
            goto: *goto,
        },
        Leads::Target(clause) => clause.clone(),
        Leads::Head(_) => bail!("a chain begins within another"),
    }))
}
