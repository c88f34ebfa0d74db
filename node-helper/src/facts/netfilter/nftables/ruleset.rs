//! The meaning of a ruleset in the form in which `nft -j list ruleset` prints it (libnftables-json(5)).

use super::json::{only, text};
use super::scope::{MapBudget, NamedObjects, RuleScope, set_key};
use super::{matches, wording};
use crate::facts::netfilter::rule_limit;
use model::facts::{Action, Chain, Match, NetfilterRule, SetMark};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// A rule's words are cut behind so many characters: one may hold thousands of addresses.
const TEXT_MAX: usize = 1000;

/// A map of more elements is taken apart for the addresses in question alone.
const LARGE: usize = 1024;

/// What there is.
#[derive(Debug, Default, PartialEq)]
pub struct Ruleset {
    /// Chains of all tables.
    pub chains: Vec<Chain>,
    /// Named sets: `FAMILY TABLE NAME` to elements.
    pub sets: BTreeMap<String, Vec<String>>,
}

/// Reads what is named (sets, maps, counters), then chains, each before its rules.
pub fn ruleset(objects: &[Value], chains: impl Iterator<Item = Value>, budget: &MapBudget) -> Ruleset {
    let named = NamedObjects::new(objects);
    let mut ruleset = Ruleset::default();
    for (kind, object) in objects.iter().filter_map(only) {
        if kind == "set" {
            let key = set_key(text(object, "family"), text(object, "table"), text(object, "name"));
            let elements = object.get("elem").and_then(Value::as_array);
            let elements = elements.into_iter().flatten().map(wording::expression).collect();
            ruleset.sets.insert(key, elements);
        }
    }
    let mut places = BTreeMap::new();
    for object in chains {
        let Some((kind, object)) = only(&object) else {
            continue;
        };
        let (family, table) = (text(object, "family"), text(object, "table"));
        let place = |name| (family.to_owned(), table.to_owned(), text(object, name).to_owned());
        match kind {
            "chain" => {
                places.insert(place("name"), ruleset.chains.len());
                ruleset.chains.push(chain(object));
            }
            "rule" => {
                let scope = RuleScope {
                    named: &named,
                    budget,
                    family,
                    table,
                };
                let place = places.get(&place("chain"));
                if let Some(chain) = place.and_then(|place| ruleset.chains.get_mut(*place)) {
                    chain.rules.extend(rules(object, scope));
                }
            }
            _ => {}
        }
    }
    ruleset
}

fn chain(object: &Value) -> Chain {
    let hook = object.get("hook").and_then(Value::as_str).map(str::to_owned);
    Chain {
        backend: "nftables".to_owned(),
        family: text(object, "family").to_owned(),
        table: text(object, "table").to_owned(),
        name: text(object, "name").to_owned(),
        priority: object.get("prio").and_then(Value::as_i64).unwrap_or_default() as i32,
        policy: hook.as_ref().map(|_| match text(object, "policy") {
            "drop" => "DROP".to_owned(),
            _ => "ACCEPT".to_owned(),
        }),
        hook,
        policy_packets: None,
        rules: Vec::new(),
    }
}

/// A rule; one with a verdict map, or with a set of joined keys, becomes a rule for each element, in order, all with the
/// handle of the one they are. So does one with an expression that is not decoded: that may decide, or let the packet go on.
fn rules(object: &Value, scope: RuleScope) -> Vec<NetfilterRule> {
    let statements = object
        .get("expr")
        .and_then(Value::as_array)
        .map_or(&[][..], Vec::as_slice);
    let text = shortened(wording::rule(statements, text(object, "comment")));
    let mut decided = Vec::new();
    let mut rules = vec![NetfilterRule {
        handle: object.get("handle").and_then(Value::as_u64).unwrap_or_default(),
        text,
        comment: object.get("comment").and_then(Value::as_str).map(str::to_owned),
        ..NetfilterRule::default()
    }];
    for (kind, value) in statements.iter().filter_map(only) {
        match kind {
            "match" => {
                let alternatives = matches::alternatives(value, scope, scope.parts(rules.len()));
                rules = each_with_each(&rules, &alternatives);
                scope.spend(rules.len() - 1);
            }
            "vmap" => {
                let most = scope.parts(rules.len());
                decided.extend(rules.iter().flat_map(|rule| by_element(rule, value, scope, most)));
                scope.spend(decided.len());
                return decided;
            }
            "undecoded" => {
                let text = wording::statement(kind, value);
                for rule in &mut rules {
                    rule.matches.push(Match::Opaque { text: text.clone() });
                    decided.push(NetfilterRule {
                        action: Action::Other { text: text.clone() },
                        ..rule.clone()
                    });
                }
            }
            _ => rules.iter_mut().for_each(|rule| apply(rule, kind, value, scope)),
        }
    }
    decided.extend(rules);
    decided
}

fn shortened(mut text: String) -> String {
    if let Some((end, _)) = text.char_indices().nth(TEXT_MAX) {
        text.truncate(end);
        text.push_str(" ...");
    }
    text
}

fn each_with_each(rules: &[NetfilterRule], alternatives: &[Vec<Match>]) -> Vec<NetfilterRule> {
    let with = |rule: &NetfilterRule, tests: &[Match]| {
        let mut rule = rule.clone();
        rule.matches.extend_from_slice(tests);
        rule
    };
    rules
        .iter()
        .flat_map(|rule| alternatives.iter().map(move |tests| with(rule, tests)))
        .collect()
}

/// A statement that neither tests the packet nor branches.
fn apply(rule: &mut NetfilterRule, kind: &str, value: &Value, scope: RuleScope) {
    let text = || wording::statement(kind, value);
    match kind {
        "counter" => rule.packets = packets(value, scope),
        "mangle" if value.pointer("/key/meta/key").is_some_and(|key| key == "mark") => {
            rule.mark = set_mark(value.get("value").unwrap_or(&Value::Null));
        }
        "limit" | "quota" | "ct count" => rule.matches.push(Match::Limit { text: text() }),
        // Elements added to a set on the way may each carry a limit.
        "set" | "meter" if limits(value) => rule.matches.push(Match::Limit { text: text() }),
        "xt" if self::text(value, "type") == "match" => rule.matches.push(Match::Opaque { text: text() }),
        _ => {
            if let Some(action) = action(kind, value) {
                rule.action = action;
            }
        }
    }
}

fn limits(value: &Value) -> bool {
    match value {
        Value::Array(parts) => parts.iter().any(limits),
        Value::Object(members) => members
            .iter()
            .any(|(name, inner)| matches!(name.as_str(), "limit" | "quota" | "ct count") || limits(inner)),
        _ => false,
    }
}

/// `meta mark set VALUE`: a number, or the mark as it was with bits set, cleared or turned over, one after the other.
fn set_mark(value: &Value) -> Option<SetMark> {
    if value.pointer("/meta/key").is_some_and(|key| key == "mark") {
        return Some(SetMark::default());
    }
    if let Some(value) = value.as_u64().and_then(|number| u32::try_from(number).ok()) {
        return Some(SetMark { value, mask: u32::MAX });
    }
    let (operator, operands) = only(value)?;
    let [before, bits] = operands.as_array()?.as_slice() else {
        return None;
    };
    let SetMark { value, mask } = set_mark(before)?;
    let bits = u32::try_from(bits.as_u64()?).ok()?;
    match operator {
        "|" => Some(SetMark {
            value: value | bits,
            mask: mask | bits,
        }),
        "&" => Some(SetMark {
            value: value & bits,
            mask: mask | !bits,
        }),
        "^" => Some(SetMark {
            value: value ^ bits,
            mask,
        }),
        _ => None,
    }
}

/// Its own counter, or the named one it refers to.
fn packets(value: &Value, scope: RuleScope) -> Option<u64> {
    let counter = match value.as_str() {
        Some(name) => scope.find("counter", name)?,
        None => value,
    };
    counter.get("packets").and_then(Value::as_u64)
}

fn by_element(rule: &NetfilterRule, vmap: &Value, scope: RuleScope, most: usize) -> Vec<NetfilterRule> {
    let key = vmap.get("key").unwrap_or(&Value::Null);
    let data = vmap.get("data").unwrap_or(&Value::Null);
    let elements = match data.as_str() {
        Some(reference) => scope.elements(reference),
        None => data.get("set").and_then(Value::as_array).map(Vec::as_slice),
    };
    let other = || NetfilterRule {
        action: Action::Other {
            text: shortened(wording::statement("vmap", vmap)),
        },
        ..rule.clone()
    };
    let Some(elements) = elements else {
        return vec![other()];
    };
    let asked = scope.asked();
    let large = elements.len() > LARGE.min(most);
    if large && asked.is_empty() && elements.len() > most {
        return vec![other()];
    }
    let mut others = Vec::new();
    let mut rules: Vec<NetfilterRule> = elements
        .iter()
        .filter_map(|element| element.as_array().map(Vec::as_slice))
        .filter_map(|pair| match pair {
            [element, verdict] => Some((element, only(verdict)?)),
            _ => None,
        })
        .filter_map(|(element, (kind, target))| {
            let tests = matches::element_tests(key, element, scope);
            if large && !asked.is_empty() && !rule_limit::may_concern(&tests, asked) {
                others.push(rule_limit::destined_elsewhere(&tests, asked));
                return None;
            }
            let mut rule = rule.clone();
            rule.matches.extend(tests);
            rule.action = action(kind, target).unwrap_or_default();
            Some(rule)
        })
        .collect();
    if rules.len() > most {
        return vec![other()];
    }
    if !others.is_empty() {
        let mut rest = other();
        let text = format!("one of {} other elements", others.len());
        rest.matches.push(Match::Opaque { text });
        // Where all of them ask for another destination, no packet to one of these meets them.
        if others.iter().all(|elsewhere| *elsewhere) {
            rest.matches.push(Match::Destination {
                any: asked.iter().map(IpAddr::to_string).collect(),
                not: true,
            });
        }
        rules.push(rest);
    }
    rules
}

/// What a statement does with the packet; `None` when it lets it go on.
fn action(kind: &str, value: &Value) -> Option<Action> {
    let target = || text(value, "target").to_owned();
    Some(match kind {
        "accept" => Action::Accept,
        "drop" => Action::Drop,
        "return" => Action::Return,
        "jump" => Action::Jump { chain: target() },
        "goto" => Action::Goto { chain: target() },
        "reject" => Action::Reject {
            with: reject_with(value),
        },
        "queue" => queue(value),
        "dnat" | "snat" | "masquerade" | "redirect" => Action::Nat {
            kind: kind.to_uppercase(),
            to: wording::target(value),
        },
        "xt" if text(value, "type") == "target" => Action::Other {
            text: wording::statement(kind, value),
        },
        "tproxy" | "synproxy" | "fwd" | "undecoded" => Action::Other {
            text: wording::statement(kind, value),
        },
        _ => return None,
    })
}

/// `icmp-port-unreachable` and the like, as iptables words them.
fn reject_with(value: &Value) -> String {
    match (text(value, "type"), text(value, "expr")) {
        ("tcp reset", _) => "tcp-reset".to_owned(),
        ("icmpv6", "" | "no-route") => "icmp6-no-route".to_owned(),
        ("icmpv6", expr) => format!("icmp6-{expr}"),
        (_, "") => "icmp-port-unreachable".to_owned(),
        (_, expr) => format!("icmp-{expr}"),
    }
}

fn queue(value: &Value) -> Action {
    let number = match value.get("num") {
        Some(Value::Number(number)) => number.as_u64(),
        // A range of queues begins with its first.
        Some(range) => range.pointer("/range/0").and_then(Value::as_u64),
        None => None,
    };
    let flags = value.get("flags");
    let bypass = match flags {
        Some(Value::String(flag)) => flag == "bypass",
        Some(Value::Array(flags)) => flags.iter().any(|flag| flag == "bypass"),
        _ => false,
    };
    Action::Queue {
        number: number.unwrap_or_default() as u16,
        bypass,
    }
}
