//! `nf_tables` as the objects that `nft -j list ruleset` would print (libnftables-json(5)).

use super::datatypes::InterfaceNames;
use super::elements;
use super::expressions::Expr;
use super::program::{TableScope, statements};
use super::statements::stateful;
use super::tables::{ChainHook, NftChain, NftRule, NftSet, NftTable};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What rules of a table refer to by name: its sets, maps and counters. `names` tells the interfaces of the namespace by index.
pub fn named<'a>(table: &'a NftTable, names: InterfaceNames<'a>) -> (Vec<Value>, TableScope<'a>) {
    let (family, name) = (table.family, table.name.as_str());
    let mut objects = Vec::new();
    let mut around = TableScope {
        family,
        sets: BTreeMap::new(),
        names,
    };
    for set in &table.sets {
        let listed = listed(set, names);
        let parts = listed.as_ref().and_then(|_| elements::key_parts(set));
        if let Some(listed) = listed {
            let kind = if set.map() || set.objects() { "map" } else { "set" };
            objects.push(json!({kind: {"family": family, "table": name, "name": set.name, "elem": listed}}));
        }
        around.sets.insert(&set.name, (set, parts));
    }
    for object in &table.objects {
        if let Some(expr @ Expr::Counter { .. }) = &object.expr {
            let mut words = stateful(expr);
            let counter = &mut words["counter"];
            counter["family"] = json!(family);
            counter["table"] = json!(name);
            counter["name"] = json!(object.name);
            objects.push(words);
        }
    }
    (objects, around)
}

/// Its chains, each with its rules behind it. They are made one by one: all at once would take hundreds of megabytes.
pub fn chains<'a>(table: &'a NftTable, around: &'a TableScope<'a>) -> impl Iterator<Item = Value> + 'a {
    table.chains.iter().flat_map(move |own| {
        let rules = own.rules.iter().map(move |own_rule| rule(table, own, own_rule, around));
        std::iter::once(json!({ "chain": chain(table, own) })).chain(rules)
    })
}

fn rule(table: &NftTable, chain: &NftChain, own: &NftRule, around: &TableScope<'_>) -> Value {
    let mut words = json!({
        "family": table.family, "table": table.name, "chain": chain.name, "handle": own.handle,
        "expr": statements(around, &own.exprs),
    });
    if let Some(comment) = comment(own) {
        words["comment"] = json!(comment);
    }
    json!({ "rule": words })
}

/// The elements of a set that rules call by its name.
fn listed(set: &NftSet, names: InterfaceNames<'_>) -> Option<Vec<Value>> {
    if set.anonymous() || set.too_many {
        return None;
    }
    let data = elements::data_parts(set);
    elements::elements(set, &elements::key_parts(set)?, data.as_deref(), names)
}

fn chain(table: &NftTable, own: &NftChain) -> Value {
    let mut words = json!({"family": table.family, "table": table.name, "name": own.name, "handle": own.handle});
    // No packet comes to the chains of a table that is switched off.
    if let Some(ChainHook {
        name,
        priority,
        devices,
    }) = own.hook.as_ref().filter(|_| !table.dormant)
    {
        words["type"] = json!(own.kind);
        words["hook"] = json!(name);
        words["prio"] = json!(priority);
        words["policy"] = json!(if own.drops { "drop" } else { "accept" });
        if !devices.is_empty() {
            words["dev"] = json!(devices);
        }
    }
    words
}

/// nft keeps a rule's comment as it stands, iptables-nft as a match.
fn comment(rule: &NftRule) -> Option<String> {
    let mut rest = rule.userdata.as_slice();
    while let [kind, length, behind @ ..] = rest {
        let value = behind.get(..usize::from(*length))?;
        if *kind == 0 {
            return Some(crate::system::netlink::text(value));
        }
        rest = &behind[usize::from(*length)..];
    }
    rule.exprs.iter().find_map(|expr| match expr {
        Expr::XtMatch { name, info, .. } if name == "comment" => Some(crate::system::netlink::text(info)),
        _ => None,
    })
}
