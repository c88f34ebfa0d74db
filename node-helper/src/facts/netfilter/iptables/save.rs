//! The rules that `iptables-save -c` prints, for either backend and family.

use super::clause::{Clause, Opt};
use super::matches::{priority, rule};
use super::quoting::split;
use model::facts::Chain;
use std::collections::BTreeMap;

/// What a save file says.
#[derive(Debug, Default, PartialEq)]
pub struct Saved {
    /// Chains of all tables that could be printed.
    pub chains: Vec<Chain>,
    /// Tables that the tool refuses to print, because something else made them.
    pub refused: Vec<String>,
}

/// Reads the output of a save tool.
pub fn parse(text: &str, backend: &str, family: &str) -> Saved {
    let mut saved = Saved::default();
    let mut table = String::new();
    // Chains of the table at hand by name, so that a hundred thousand rules are no matter.
    let mut places = BTreeMap::new();
    for line in text.lines() {
        match line.chars().next() {
            Some('*') => {
                line[1..].clone_into(&mut table);
                places.clear();
            }
            Some(':') => {
                if let Some(chain) = chain(&line[1..], &table, backend, family) {
                    places.insert(chain.name.clone(), saved.chains.len());
                    saved.chains.push(chain);
                }
            }
            Some('[' | '-') => add_rule(&mut saved.chains, &places, line),
            Some('#') if line.contains("is incompatible") => {
                saved.refused.extend(line.split(['`', '\'']).nth(1).map(str::to_owned));
            }
            _ => {}
        }
    }
    saved
}

/// `FORWARD ACCEPT [12:3456]`; a chain of one's own has `-` for a policy.
fn chain(line: &str, table: &str, backend: &str, family: &str) -> Option<Chain> {
    let mut words = line.split_whitespace();
    let (name, policy) = (words.next()?, words.next()?);
    let built_in = policy != "-";
    let hook = built_in.then(|| name.to_lowercase());
    // nftables' chains count nothing at their policy; the tool prints zeros for them.
    let counted = built_in && backend == "iptables-legacy";
    Some(Chain {
        backend: backend.to_owned(),
        family: family.to_owned(),
        table: table.to_owned(),
        name: name.to_owned(),
        priority: hook.as_deref().map_or(0, |hook| priority(table, hook)),
        hook,
        policy: built_in.then(|| policy.to_owned()),
        policy_packets: words.next().filter(|_| counted).and_then(packets),
        rules: Vec::new(),
    })
}

/// The first number of `[12:3456]`.
fn packets(counters: &str) -> Option<u64> {
    counters.strip_prefix('[')?.split(':').next()?.parse().ok()
}

fn add_rule(chains: &mut [Chain], places: &BTreeMap<String, usize>, line: &str) {
    let (counters, text) = match line.split_once(' ') {
        Some((counters, rest)) if counters.starts_with('[') => (Some(counters), rest),
        _ => (None, line),
    };
    let words = split(text);
    let [append, name, rest @ ..] = words.as_slice() else {
        return;
    };
    let place = places.get(name).filter(|_| append == "-A");
    let Some(chain) = place.and_then(|place| chains.get_mut(*place)) else {
        return;
    };
    let mut rule = rule(&clauses(rest, &|name| places.contains_key(name)));
    rule.handle = chain.rules.len() as u64 + 1;
    rule.packets = counters.and_then(packets);
    text.clone_into(&mut rule.text);
    chain.rules.push(rule);
}

/// The words behind a chain's name, put together.
pub fn clauses(words: &[String], is_chain: &dyn Fn(&str) -> bool) -> Vec<Clause> {
    let mut clauses = Vec::new();
    let mut rest = words;
    while let Some((first, after)) = rest.split_first() {
        match (first.as_str(), after) {
            ("-j" | "-g", [chain, ..]) if first == "-g" || is_chain(chain) => {
                clauses.push(Clause::Call {
                    chain: chain.clone(),
                    goto: first == "-g",
                });
                break;
            }
            ("-j", [target, words @ ..]) => {
                let (options, _) = options(words);
                clauses.push(Clause::Target {
                    name: target.clone(),
                    options,
                });
                break;
            }
            ("-m", [module, words @ ..]) => {
                let (options, after) = options(words);
                clauses.push(Clause::Match {
                    module: module.clone(),
                    options,
                });
                rest = after;
            }
            _ => {
                let (option, after) = option(rest);
                clauses.push(Clause::Plain(option));
                rest = after;
            }
        }
    }
    clauses
}

/// Options up to the next module or target, and what follows them.
fn options(words: &[String]) -> (Vec<Opt>, &[String]) {
    let mut options = Vec::new();
    let mut rest = words;
    while rest
        .first()
        .is_some_and(|word| !matches!(word.as_str(), "-m" | "-j" | "-g"))
    {
        let (option, after) = option(rest);
        options.push(option);
        rest = after;
    }
    (options, rest)
}

/// One option with its values, and what follows it.
fn option(words: &[String]) -> (Opt, &[String]) {
    let (not, words) = match words.split_first() {
        Some((first, rest)) if first == "!" => (true, rest),
        _ => (false, words),
    };
    let Some((name, rest)) = words.split_first() else {
        return (Opt::default(), &[]);
    };
    // A text may look like an option.
    let count = match name.as_str() {
        "--comment" | "--log-prefix" | "--nflog-prefix" | "--string" => rest.len().min(1),
        _ => rest
            .iter()
            .position(|word| word.starts_with('-') || word == "!")
            .unwrap_or(rest.len()),
    };
    let (values, after) = rest.split_at(count);
    let option = Opt {
        not,
        name: name.clone().into(),
        values: values.to_vec(),
    };
    (option, after)
}

#[cfg(test)]
mod tests {
    use super::parse;
    use model::facts::Action;

    #[test]
    fn a_file_has_tables_chains_policies_and_counters() {
        let saved = parse(
            "# Generated by iptables-save v1.8.9 on Mon Nov 23 05:43:36 2026\n\
             *nat\n:POSTROUTING ACCEPT [7:420]\n\
             [3:180] -A POSTROUTING -s 10.90.1.0/24 ! -d 10.90.0.0/16 -j MASQUERADE\nCOMMIT\n\
             *filter\n:FORWARD DROP [5:300]\n:POLICY - [0:0]\n\
             [12:720] -A FORWARD -j POLICY\n[4:240] -A FORWARD -p tcp -m tcp --dport 80 -j DROP\nCOMMIT\n",
            "iptables-legacy",
            "ip",
        );
        let [nat, forward, policy] = saved.chains.as_slice() else {
            panic!("{saved:?}")
        };
        assert_eq!(
            (nat.table.as_str(), nat.hook.as_deref(), nat.priority),
            ("nat", Some("postrouting"), 100)
        );
        assert_eq!(
            nat.rules[0].action,
            Action::Nat {
                kind: "MASQUERADE".to_owned(),
                to: String::new()
            }
        );
        assert_eq!(
            (forward.policy.as_deref(), forward.policy_packets),
            (Some("DROP"), Some(5))
        );
        assert_eq!((policy.hook.as_deref(), policy.policy.as_deref()), (None, None));
        assert_eq!(
            forward.rules[0].action,
            Action::Jump {
                chain: "POLICY".to_owned()
            }
        );
        let drop = &forward.rules[1];
        assert_eq!((drop.handle, drop.packets), (2, Some(4)));
        assert_eq!(drop.text, "-A FORWARD -p tcp -m tcp --dport 80 -j DROP");
    }

    #[test]
    fn a_target_that_is_neither_known_nor_a_chain_is_told_as_it_is() {
        let text =
            "*filter\n:FORWARD ACCEPT [0:0]\n:A - [0:0]\n-A FORWARD -j NOSUCH --with x\n-A FORWARD -j A\nCOMMIT\n";
        let saved = parse(text, "iptables-legacy", "ip");
        let actions: Vec<&Action> = saved.chains[0].rules.iter().map(|rule| &rule.action).collect();
        assert_eq!(
            actions,
            [
                &Action::Other {
                    text: "NOSUCH".to_owned()
                },
                &Action::Jump { chain: "A".to_owned() }
            ]
        );
    }

    #[test]
    fn a_table_that_the_tool_cannot_print_is_told() {
        let saved = parse("# Table `nat' is incompatible, use 'nft' tool.\n", "iptables-nft", "ip");
        assert_eq!(saved.refused, ["nat"]);
    }
}
