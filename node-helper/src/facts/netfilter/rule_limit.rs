//! Keeps a node with a hundred thousand translation rules within what one line of the protocol carries.
//!
//! Tables `nat` meet a packet before it is translated, so a rule there that asks for one certain address other than
//! those in question cannot concern it, nor can chains that only such rules lead to. Other tables are never thinned: a
//! table that is too large is left out, and said to be.

use model::facts::{Action, Chain, Match};
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Rules that are carried for one namespace, at most.
pub(super) const RULES_MAX: usize = 12_000;

/// Thins `nat` tables, then leaves out the largest tables, until few enough rules are left. Says which tables went.
pub(super) fn keep_within(max: usize, chains: &mut Vec<Chain>, addresses: &BTreeSet<IpAddr>) -> Vec<String> {
    if count(chains) > max {
        if !addresses.is_empty() {
            thin(chains, addresses);
        }
        keep_reached(chains);
    }
    let mut left_out = Vec::new();
    while count(chains) > max {
        let Some(largest) = tables(chains).into_iter().max_by_key(|table| {
            let own = chains.iter().filter(|chain| table_of(chain) == *table);
            own.map(|chain| chain.rules.len()).sum::<usize>()
        }) else {
            break;
        };
        chains.retain(|chain| table_of(chain) != largest);
        left_out.push(largest.join(" "));
    }
    left_out
}

fn count(chains: &[Chain]) -> usize {
    chains.iter().map(|chain| chain.rules.len()).sum()
}

fn table_of(chain: &Chain) -> [String; 3] {
    [chain.backend.clone(), chain.family.clone(), chain.table.clone()]
}

fn tables(chains: &[Chain]) -> BTreeSet<[String; 3]> {
    chains.iter().map(table_of).collect()
}

fn thin(chains: &mut Vec<Chain>, addresses: &BTreeSet<IpAddr>) {
    let translates = |chain: &Chain| chain.table == "nat";
    for chain in chains.iter_mut().filter(|chain| translates(chain)) {
        chain.rules.retain(|rule| may_concern(&rule.matches, addresses));
    }
    loop {
        let reached: BTreeSet<([String; 3], String)> = chains
            .iter()
            .flat_map(|chain| chain.rules.iter().map(move |rule| (chain, rule)))
            .filter_map(|(chain, rule)| match &rule.action {
                Action::Jump { chain: target } | Action::Goto { chain: target } => {
                    Some((table_of(chain), target.clone()))
                }
                _ => None,
            })
            .collect();
        let before = chains.len();
        chains.retain(|chain| {
            !translates(chain) || chain.hook.is_some() || reached.contains(&(table_of(chain), chain.name.clone()))
        });
        if chains.len() == before {
            return;
        }
    }
}

/// A packet comes to no other chains than those that base chains lead to.
fn keep_reached(chains: &mut Vec<Chain>) {
    let places: BTreeMap<_, _> = (0..)
        .zip(chains.iter())
        .map(|(place, chain)| (name_of(chain, &chain.name), place))
        .collect();
    let mut reached: BTreeSet<usize> = (0..)
        .zip(chains.iter())
        .filter(|(_, chain)| chain.hook.is_some())
        .map(|(place, _)| place)
        .collect();
    let mut next: Vec<usize> = reached.iter().copied().collect();
    while let Some(place) = next.pop() {
        let called = chains[place].rules.iter().filter_map(|rule| match &rule.action {
            Action::Jump { chain } | Action::Goto { chain } => places.get(&name_of(&chains[place], chain)),
            _ => None,
        });
        for called in called {
            if reached.insert(*called) {
                next.push(*called);
            }
        }
    }
    let mut place = 0..;
    chains.retain(|_| place.next().is_some_and(|place| reached.contains(&place)));
}

fn name_of(chain: &Chain, name: &str) -> ([String; 3], String) {
    (table_of(chain), name.to_owned())
}

/// It asks for one certain destination, other than these.
pub(super) fn destined_elsewhere(tests: &[Match], addresses: &BTreeSet<IpAddr>) -> bool {
    tests
        .iter()
        .any(|test| matches!(test, Match::Destination { .. }) && !may_concern(std::slice::from_ref(test), addresses))
}

/// Whether a packet of one of these addresses may fit.
pub(super) fn may_concern(tests: &[Match], addresses: &BTreeSet<IpAddr>) -> bool {
    tests.iter().all(|test| match test {
        Match::Source { any, not: false } | Match::Destination { any, not: false } => any
            .iter()
            .any(|text| single(text).is_none_or(|address| addresses.contains(&address))),
        _ => true,
    })
}

/// The address of a text that stands for one alone.
fn single(text: &str) -> Option<IpAddr> {
    let (address, length) = text.split_once('/').unwrap_or((text, ""));
    let address: IpAddr = address.parse().ok()?;
    let full = if address.is_ipv4() { "32" } else { "128" };
    (length.is_empty() || length == full).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::super::iptables::save::parse;
    use super::keep_within;
    use std::collections::BTreeSet;

    const SERVICES: &str = "*nat\n:PREROUTING ACCEPT [0:0]\n:SERVICES - [0:0]\n:SVC-A - [0:0]\n:SVC-B - [0:0]\n:SEP-B - [0:0]\n\
        -A PREROUTING -j SERVICES\n\
        -A SERVICES -d 10.96.0.10/32 -p udp -j SVC-A\n\
        -A SERVICES -d 10.96.0.11/32 -p udp -j SVC-B\n\
        -A SERVICES -d 10.0.0.0/8 -j SVC-A\n\
        -A SVC-A -j RETURN\n-A SVC-B -j SEP-B\n-A SEP-B -j RETURN\nCOMMIT\n\
        *filter\n:FORWARD ACCEPT [0:0]\n-A FORWARD -d 10.244.0.9/32 -j DROP\nCOMMIT\n";

    fn asked() -> BTreeSet<std::net::IpAddr> {
        BTreeSet::from(["10.96.0.10".parse().unwrap()])
    }

    #[test]
    fn services_that_nobody_asked_for_go_with_all_that_only_they_lead_to() {
        let mut chains = parse(SERVICES, "iptables-legacy", "ip").chains;
        assert_eq!(keep_within(5, &mut chains, &asked()), Vec::<String>::new());
        let names: Vec<&str> = chains.iter().map(|chain| chain.name.as_str()).collect();
        assert_eq!(names, ["PREROUTING", "SERVICES", "SVC-A", "FORWARD"]);
        let handles: Vec<u64> = chains[1].rules.iter().map(|rule| rule.handle).collect();
        assert_eq!(handles, [1, 3], "rules keep their places");
        assert_eq!(
            chains[3].rules.len(),
            1,
            "a filter is met after translation, so nothing there is thinned"
        );
    }

    #[test]
    fn few_rules_are_all_kept_and_a_table_that_is_too_large_is_named() {
        let mut chains = parse(SERVICES, "iptables-legacy", "ip").chains;
        let all = chains.clone();
        assert!(keep_within(8, &mut chains, &asked()).is_empty());
        assert_eq!(chains, all);
        assert_eq!(
            keep_within(1, &mut chains, &BTreeSet::new()),
            ["iptables-legacy ip nat"]
        );
    }
}
