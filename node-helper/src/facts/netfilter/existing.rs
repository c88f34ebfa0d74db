//! The rules of namespaces that are there already, against what the tools say of them: those that kube-proxy and the network
//! of a real cluster write. Needs root.
//!
//! `SKOOP_COMPARE_NETNS` names the namespaces, by paths with spaces between. Such rules count packets, and may be written anew,
//! while they are read: counters must lie between those before and after, and what does not agree is read again.

use super::iptables::save::parse;
use super::iptables::xt::SetNames;
use super::iptables::{compat, legacy};
use super::nftables::ruleset::{Ruleset, ruleset};
use super::nftables::{dump, json_objects, kernel_tests, scope};
use super::tool_tests::{alone, counted, differences, legacy_tables, prepare, run};
use crate::facts::interfaces;
use crate::system::netlink::Netlink;
use model::facts::Chain;
use nix::sched::{CloneFlags, setns};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write as _;
use std::thread;

/// How often it is read until it agrees.
const READINGS: u32 = 10;

/// The save tools, by family.
const LEGACY: [&str; 2] = ["iptables-legacy-save", "ip6tables-legacy-save"];
const NFT: [(&str, &str); 2] = [("ip", "iptables-nft-save"), ("ip6", "ip6tables-nft-save")];

/// All rules of the namespace the thread is in.
struct Rules {
    /// Chains of iptables-legacy, IPv4 and IPv6.
    legacy: [Vec<Chain>; 2],
    /// Chains of tables that iptables-nft made, IPv4 and IPv6.
    compat: [Vec<Chain>; 2],
    /// Rules of all other tables.
    native: Ruleset,
}

impl Rules {
    fn all(&self) -> impl Iterator<Item = &Chain> {
        let iptables = self.legacy.iter().chain(&self.compat).flatten();
        iptables.chain(&self.native.chains)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Chain> {
        let iptables = self.legacy.iter_mut().chain(&mut self.compat).flatten();
        iptables.chain(&mut self.native.chains)
    }

    /// How many packets each rule and each policy has counted, which is then forgotten.
    fn take_counts(&mut self) -> BTreeMap<String, Option<u64>> {
        let mut counts = BTreeMap::new();
        for chain in self.all_mut() {
            let name = format!("{} {} {} {}", chain.backend, chain.family, chain.table, chain.name);
            for (at, rule) in chain.rules.iter_mut().enumerate() {
                counts.insert(format!("{name} rule {at}"), rule.packets.take());
            }
            counts.insert(format!("{name} policy"), chain.policy_packets.take());
        }
        counts
    }

    fn count(&self) -> usize {
        self.all().map(|chain| chain.rules.len()).sum()
    }
}

/// As they are read of the kernel, and the tables that iptables-nft did not make.
fn ours() -> (Rules, Vec<(String, String)>) {
    let sets = SetNames::new();
    let found = interfaces(&mut Netlink::open(libc::NETLINK_ROUTE).unwrap()).unwrap();
    let links: BTreeMap<u32, String> = found.into_iter().collect();
    let names = |index: u32| links.get(&index).cloned();
    let (mut compat, mut native, mut others) = ([Vec::new(), Vec::new()], Ruleset::default(), Vec::new());
    for table in dump::read().unwrap() {
        assert_eq!(table.unread, None, "table {} {}", table.family, table.name);
        let made = compat::chains(&table, &sets);
        let place = NFT.iter().position(|(family, _)| *family == table.family);
        if let (Some(chains), Some(place)) = (made, place) {
            compat[place].extend(chains);
            continue;
        }
        others.push((table.family.to_owned(), table.name.clone()));
        let (objects, around) = json_objects::named(&table, &names);
        let own = ruleset(
            &objects,
            json_objects::chains(&table, &around),
            &kernel_tests::every_part(),
        );
        native.chains.extend(own.chains);
        native.sets.extend(own.sets);
    }
    let rules = Rules {
        legacy: legacy::FAMILIES.map(legacy_tables),
        compat,
        native,
    };
    (rules, others)
}

/// As the tools say them; nft of these tables.
fn theirs(others: &[(String, String)]) -> Rules {
    let saved = |tool: &str, backend: &str, family: &str| parse(&run(tool, &["-c"], ""), backend, family).chains;
    let mut native = kernel_tests::told();
    let is_other = |chain: &Chain| {
        let others = || others.iter();
        others().any(|(family, table)| *family == chain.family && *table == chain.table)
    };
    native.chains.retain(is_other);
    let keys: Vec<String> = others
        .iter()
        .map(|(family, table)| scope::set_key(family, table, ""))
        .collect();
    native
        .sets
        .retain(|key, _| keys.iter().any(|prefix| key.starts_with(prefix)));
    let [v4, v6] = legacy::FAMILIES;
    Rules {
        legacy: [
            saved(LEGACY[0], "iptables-legacy", v4.name),
            saved(LEGACY[1], "iptables-legacy", v6.name),
        ],
        compat: NFT.map(|(family, tool)| saved(tool, "iptables-nft", family)),
        native,
    }
}

/// The tool prints all hooks that a table may have; those without a chain as if there were one that does nothing.
fn is_made_up(told: &Chain, ours: &[Chain]) -> bool {
    let known = ours.iter().any(|own| own.table == told.table && own.name == told.name);
    !known && told.hook.is_some() && told.rules.is_empty() && told.policy.as_deref() == Some("ACCEPT")
}

/// Compares once: how many rules there are, or what differs.
fn compared() -> Result<usize, String> {
    let (mut before, others) = ours();
    let mut told = theirs(&others);
    let (mut after, _) = ours();
    let counts = [&mut before, &mut told, &mut after].map(Rules::take_counts);
    let [ours, theirs] = [before, told];
    let count = ours.count();
    let mut wrong = Vec::new();
    for (own, their) in ours.legacy.into_iter().zip(theirs.legacy) {
        wrong.extend(differences(own, their));
    }
    for (own, mut their) in ours.compat.into_iter().zip(theirs.compat) {
        their.retain(|chain| !is_made_up(chain, &own));
        wrong.extend(differences(own, their));
    }
    wrong.extend(kernel_tests::differences(&theirs.native.chains, &ours.native.chains));
    let sets = [theirs.native.sets, ours.native.sets].map(kernel_tests::sorted);
    if sets[0] != sets[1] {
        wrong.push(format!("nft: {:?}\nwe:  {:?}", sets[0], sets[1]));
    }
    let [before, told, after] = counts;
    for (rule, count) in &told {
        let [least, most] = [&before, &after].map(|counts| counts.get(rule).copied().flatten());
        if !(least <= *count && *count <= most) {
            wrong.push(format!(
                "{rule} counted {count:?}, and not between {least:?} and {most:?}"
            ));
        }
    }
    if wrong.is_empty() {
        Ok(count)
    } else {
        Err(format!("{} differences:\n{}", wrong.len(), wrong.join("\n\n")))
    }
}

/// How many rules there are, all of which are read as the tools print them.
fn agreed() -> usize {
    let mut last = String::new();
    for _ in 0..READINGS {
        match compared() {
            Ok(count) => return count,
            Err(wrong) => last = wrong,
        }
    }
    panic!("{last}");
}

#[test]
fn rules_of_every_backend_beside_each_other_agree_with_their_tools() {
    let count = alone(|| {
        prepare();
        let rules = "*filter\n:FORWARD DROP [0:0]\n:OWN - [0:0]\n-A FORWARD -j OWN\n-A OWN -p tcp -m tcp --dport 80 -j DROP\n\
            COMMIT\n";
        for tool in [
            "iptables-legacy-restore",
            "ip6tables-legacy-restore",
            "iptables-nft-restore",
        ] {
            run(tool, &["-c"], &counted(rules));
        }
        run("nft", &["-f", "-"], include_str!("samples/kube-proxy.nft"));
        agreed()
    });
    assert!(count > 20, "only {count} rules");
}

#[test]
fn rules_of_namespaces_that_are_there_agree_with_their_tools() {
    let Ok(paths) = std::env::var("SKOOP_COMPARE_NETNS") else {
        let why = "skipped: SKOOP_COMPARE_NETNS names no network namespaces";
        writeln!(std::io::stderr(), "{why}").unwrap();
        return;
    };
    for path in paths.split_whitespace() {
        let file = File::open(path).unwrap_or_else(|error| panic!("{path}: {error}"));
        let count = thread::scope(|scope| {
            let inside = scope.spawn(|| {
                setns(&file, CloneFlags::CLONE_NEWNET).expect("entering a namespace needs root");
                agreed()
            });
            inside.join().expect("its rules agree")
        });
        assert!(count > 0, "{path} has no rules");
        writeln!(std::io::stderr(), "{path}: {count} rules agree").unwrap();
    }
}
