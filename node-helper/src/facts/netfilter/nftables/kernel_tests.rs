//! The kernel's own rules against what nft says of them: both are read from a namespace of the test's own. Needs root.

use super::ruleset::{Ruleset, ruleset};
use super::scope::MapBudget;
use super::{dump, json_objects};
use model::facts::{Action, Chain, Match, NetfilterRule};
use nix::sched::{CloneFlags, unshare};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::thread;

/// On a thread in a network namespace of its own.
fn alone<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            f()
        });
        inside.join().expect("the thread ends well")
    })
}

fn run(command: &[&str], input: &str) -> String {
    let mut child = Command::new(command[0])
        .args(&command[1..])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command:?}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command:?} failed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

pub(in super::super) fn every_part() -> MapBudget {
    MapBudget::new(BTreeSet::new())
}

/// What nft says.
pub(in super::super) fn told() -> Ruleset {
    let json: Value = serde_json::from_str(&run(&["nft", "-j", "list", "ruleset"], "")).unwrap();
    let objects = json["nftables"].as_array().unwrap();
    ruleset(objects, objects.iter().cloned(), &every_part())
}

/// What is read of the kernel.
fn read() -> Ruleset {
    let mut all = Ruleset::default();
    for table in dump::read().unwrap() {
        assert_eq!(table.unread, None);
        let names = |index: u32| (index == 1).then(|| "lo".to_owned());
        let (objects, around) = json_objects::named(&table, &names);
        let own = ruleset(&objects, json_objects::chains(&table, &around), &every_part());
        all.chains.extend(own.chains);
        all.sets.extend(own.sets);
    }
    all
}

/// What is the same in other words: a test said twice, and the order of a map's elements, of which one alone fits.
fn plain(chain: &Chain) -> Chain {
    let rule = |rule: &NetfilterRule| {
        let mut seen = BTreeSet::new();
        let mut rule = rule.clone();
        rule.matches.retain(|test: &Match| seen.insert(format!("{test:?}")));
        rule
    };
    let mut rules: Vec<NetfilterRule> = chain.rules.iter().map(rule).collect();
    for elements in rules.chunk_by_mut(|one, other| one.handle == other.handle) {
        elements.sort_by_cached_key(|rule| format!("{rule:?}"));
    }
    Chain { rules, ..chain.clone() }
}

/// nft has names for some numbers that decide nothing here.
const NUMBERS: [(&str, &str); 2] = [
    ("icmp code net-unreachable", "icmp code 0"),
    ("ip dscp ef", "ip dscp 46"),
];

/// What nft says, in our numbers.
fn numbered(mut rule: NetfilterRule) -> NetfilterRule {
    for (name, number) in NUMBERS {
        rule.text = rule.text.replace(name, number);
        for test in &mut rule.matches {
            if let Match::Opaque { text } = test {
                *text = text.replace(name, number);
            }
        }
    }
    rule
}

pub(in super::super) fn sorted(mut sets: BTreeMap<String, Vec<String>>) -> BTreeMap<String, Vec<String>> {
    for elements in sets.values_mut() {
        elements.sort();
    }
    sets
}

/// Every rule that nft tells against what is read of the kernel: same numbers, same meaning, same text.
pub(in super::super) fn differences(told: &[Chain], read: &[Chain]) -> Vec<String> {
    let by_name = |chains: &[Chain]| -> BTreeMap<String, Chain> {
        let named = chains.iter().map(|chain| {
            let name = format!("{} {} {}", chain.family, chain.table, chain.name);
            (name, plain(chain))
        });
        named.collect()
    };
    let (told, read) = (by_name(told), by_name(read));
    if !told.keys().eq(read.keys()) {
        return vec![format!("nft: {:?}\nwe:  {:?}", told.keys(), read.keys())];
    }
    let mut differences = Vec::new();
    for ((name, told), read) in told.iter().zip(read.values()) {
        let head = |chain: &Chain| Chain {
            rules: Vec::new(),
            ..chain.clone()
        };
        if head(told) != head(read) {
            differences.push(format!("nft: {:?}\nwe:  {:?}", head(told), head(read)));
        }
        if told.rules.len() != read.rules.len() {
            differences.push(format!("{name}: {told:#?}\n{read:#?}"));
        }
        for (told, read) in told.rules.iter().zip(&read.rules) {
            let told = &numbered(told.clone());
            if told != read {
                differences.push(format!("nft: {told:?}\nwe:  {read:?}"));
            }
        }
    }
    differences
}

fn same(loaded: &str) {
    alone(|| {
        run(&["nft", "-f", "-"], loaded);
        let (told, read) = (told(), read());
        let wrong = differences(&told.chains, &read.chains);
        assert!(
            wrong.is_empty(),
            "{} rules differ:\n{}",
            wrong.len(),
            wrong.join("\n\n")
        );
        assert_eq!(sorted(told.sets), sorted(read.sets));
    });
}

#[test]
fn every_word_of_nft_that_is_read_means_what_nft_says() {
    same(include_str!("../samples/words.nft"));
}

#[test]
fn kube_proxys_rules_mean_what_nft_says() {
    same(include_str!("../samples/kube-proxy.nft"));
}

#[test]
fn firewalls_rules_mean_what_nft_says() {
    same(include_str!("../samples/firewalld.nft"));
}

#[test]
fn container_networks_rules_mean_what_nft_says() {
    same(include_str!("../samples/networks.nft"));
}

#[test]
fn what_scenarios_break_means_what_nft_says() {
    same(include_str!("../samples/scenarios.nft"));
}

#[test]
fn a_comment_of_several_lines_moves_no_rule() {
    alone(|| {
        run(
            &["nft", "-f", "-"],
            "table ip t { chain c { tcp dport 1 drop comment \"one\n-A c -j ACCEPT\"\n tcp dport 2 accept\n }\n}",
        );
        let chain = read().chains.remove(0);
        let rules: Vec<_> = chain.rules.iter().map(|rule| (rule.handle, &rule.action)).collect();
        assert_eq!(rules, [(2, &Action::Drop), (3, &Action::Accept)]);
        assert_eq!(chain.rules[0].comment.as_deref(), Some("one\n-A c -j ACCEPT"));
    });
}

#[test]
fn a_set_with_too_many_elements_may_hold_anything() {
    alone(|| {
        let all: Vec<String> = (0..70_000_u32)
            .map(|number| std::net::Ipv4Addr::from(0x0a00_0000 + number).to_string())
            .collect();
        let set = format!("set many {{ type ipv4_addr; elements = {{ {} }}; }}", all.join(","));
        run(
            &["nft", "-f", "-"],
            &format!("table ip t {{\n {set}\n chain c {{ ip saddr @many drop\n }}\n}}"),
        );
        let read = read();
        assert!(read.sets.is_empty());
        let rule = &read.chains[0].rules[0];
        assert!(matches!(rule.matches.as_slice(), [Match::Opaque { .. }]), "{rule:?}");
        assert_eq!(rule.action, Action::Drop);
    });
}

#[test]
fn a_table_that_is_switched_off_stops_nothing() {
    alone(|| {
        run(
            &["nft", "-f", "-"],
            "table ip t {\n flags dormant;\n chain c { type filter hook forward priority 0; policy drop;\n }\n}",
        );
        let chain = read().chains.remove(0);
        assert_eq!((chain.hook, chain.policy), (None, None));
    });
}

#[test]
fn an_expression_that_is_not_decoded_may_fit_and_may_decide() {
    use super::expressions::{Expr, NftVerdict};
    use super::tables::{NftChain, NftRule, NftTable};
    let unknown = Expr::Unknown {
        name: "brandnew".to_owned(),
    };
    let rule = NftRule {
        handle: 4,
        exprs: vec![unknown, Expr::Verdict(NftVerdict::Accept)],
        ..NftRule::default()
    };
    let table = NftTable {
        family: "ip",
        chains: vec![NftChain {
            rules: vec![rule],
            ..NftChain::default()
        }],
        ..NftTable::default()
    };
    let (named, around) = json_objects::named(&table, &|_| None);
    let read = ruleset(&named, json_objects::chains(&table, &around), &every_part());
    let text = || "brandnew (not decoded)".to_owned();
    let told: Vec<_> = read.chains[0]
        .rules
        .iter()
        .map(|rule| (rule.handle, &rule.action))
        .collect();
    assert_eq!(told, [(4, &Action::Other { text: text() }), (4, &Action::Accept)]);
    for rule in &read.chains[0].rules {
        assert_eq!(rule.matches, [Match::Opaque { text: text() }]);
    }
}
