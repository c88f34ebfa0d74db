//! What a rule may refer to where it stands: the sets, maps and counters of its table, and into how many rules its maps may still
//! be taken apart.

use super::json::{only, text};
use serde_json::Value;
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// A verdict map with more elements is not taken apart; its rule then does something unknown.
const MAP_MAX: usize = 4096;
/// Rules of a namespace that come of taking maps apart; maps beyond that are not.
const PARTS_MAX: usize = 100_000;

/// How many rules may come of taking maps apart, and for which addresses.
#[derive(Debug)]
pub struct MapBudget {
    /// How many rules may still come of it.
    left: Cell<usize>,
    /// The addresses in question; none where they are not known.
    asked: BTreeSet<IpAddr>,
}

impl MapBudget {
    /// For these addresses.
    pub const fn new(asked: BTreeSet<IpAddr>) -> Self {
        Self {
            left: Cell::new(PARTS_MAX),
            asked,
        }
    }
}

/// Named objects that rules refer to, by family, table and name.
pub struct NamedObjects<'a> {
    objects: BTreeMap<(&'a str, &'a str, &'a str, &'a str), &'a Value>,
}

/// Where a rule stands; names are looked up there.
#[derive(Clone, Copy)]
pub struct RuleScope<'a> {
    /// What there is to refer to.
    pub named: &'a NamedObjects<'a>,
    /// How its maps are taken apart.
    pub budget: &'a MapBudget,
    /// Family of its table.
    pub family: &'a str,
    /// Name of its table.
    pub table: &'a str,
}

impl<'a> NamedObjects<'a> {
    /// Sets and maps, named counters.
    pub fn new(objects: &'a [Value]) -> Self {
        let mut named = BTreeMap::new();
        for (kind, object) in objects.iter().filter_map(only) {
            if matches!(kind, "set" | "map" | "counter") {
                named.insert(
                    (
                        kind,
                        text(object, "family"),
                        text(object, "table"),
                        text(object, "name"),
                    ),
                    object,
                );
            }
        }
        Self { objects: named }
    }
}

impl<'a> RuleScope<'a> {
    /// Into how many parts each of `rules` rules may be taken apart.
    pub fn parts(&self, rules: usize) -> usize {
        self.budget.left.get().min(MAP_MAX) / rules.max(1)
    }

    /// Takes the parts that a rule came to from the budget.
    pub fn spend(&self, parts: usize) {
        self.budget.left.set(self.budget.left.get().saturating_sub(parts));
    }

    /// An object of its table, by what it is and its name.
    pub fn find(&self, kind: &str, name: &str) -> Option<&'a Value> {
        self.named.objects.get(&(kind, self.family, self.table, name)).copied()
    }

    /// The addresses in question; none where they are not known.
    pub fn asked(&self) -> &'a BTreeSet<IpAddr> {
        &self.budget.asked
    }

    /// The elements of `@name`.
    pub fn elements(&self, reference: &str) -> Option<&'a [Value]> {
        let name = reference.strip_prefix('@')?;
        let object = self.find("set", name).or_else(|| self.find("map", name))?;
        Some(object.get("elem").and_then(Value::as_array).map_or(&[], Vec::as_slice))
    }
}

/// How a named set is called where names of several tables meet.
pub fn set_key(family: &str, table: &str, name: &str) -> String {
    format!("{family} {table} {name}")
}
