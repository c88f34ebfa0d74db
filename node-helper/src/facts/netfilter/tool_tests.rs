//! The kernel's own rules against what the tools say of them: both are read from a namespace of the test's own. Needs root.

use super::ipset;
use super::iptables::save::parse;
use super::iptables::xt::SetNames;
use super::iptables::{compat, legacy};
use super::nftables::dump;
use crate::system::netlink::{Netlink, attribute};
use model::facts::{Chain, NetfilterRule};
use nix::sched::{CloneFlags, unshare};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::{fs, thread};

/// Rules as they are found on nodes, and every option that is read.
pub(super) const RULES: &str = include_str!("samples/iptables.rules");
const RULES_6: &str = include_str!("samples/ip6tables.rules");

/// Modules that are in the samples to show that they stay undecoded.
const UNDECODED: [&str; 5] = ["cpu", "frag", "ipv6header", "policy", "time"];

/// On a thread in a network namespace of its own.
pub(super) fn alone<T: Send>(f: impl FnOnce() -> T + Send) -> T {
    thread::scope(|scope| {
        let inside = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNET).expect("these tests need root");
            f()
        });
        inside.join().expect("the thread ends well")
    })
}

pub(super) fn run(command: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(command)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command} {arguments:?} failed");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

// linux/netfilter/nfnetlink.h, linux/netfilter/ipset/ip_set.h, linux/netfilter/nfnetlink_acct.h
const IPSET: u16 = 6 << 8;
const ACCOUNTS: u16 = 7 << 8;
const NESTED: u16 = 1 << 15;
const NETWORK_ORDER: u16 = 1 << 14;

fn told(kind: u16, attributes: &[u8]) {
    let mut netlink = Netlink::open(libc::NETLINK_NETFILTER).unwrap();
    let mut body = vec![libc::AF_INET as u8, 0, 0, 0];
    body.extend(attributes);
    match netlink.ask(kind, &body).unwrap() {
        crate::system::netlink::NetlinkAnswer::Messages(_) => {}
        crate::system::netlink::NetlinkAnswer::Refused(why) => panic!("{kind:#x}: {why:?}"),
    }
}

fn nested(request: &mut Vec<u8>, kind: u16, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut inner = Vec::new();
    fill(&mut inner);
    attribute(request, kind | NESTED, &inner);
}

/// Makes a set of addresses.
fn set(name: &str, kind: &str, revision: u8, family: i32, flags: u32) {
    let mut request = Vec::new();
    attribute(&mut request, 1, &[6]);
    attribute(&mut request, 2, format!("{name}\0").as_bytes());
    attribute(&mut request, 3, format!("{kind}\0").as_bytes());
    attribute(&mut request, 4, &[revision]);
    attribute(&mut request, 5, &[family as u8]);
    nested(&mut request, 7, |data| {
        if flags != 0 {
            attribute(data, 8 | NETWORK_ORDER, &flags.to_be_bytes());
        }
        // A set that may forget has a time to live, and what rules add may have one then.
        if name.starts_with("cali") {
            attribute(data, 6 | NETWORK_ORDER, &0_u32.to_be_bytes());
        }
    });
    told(IPSET | 2, &request);
}

fn account(name: &str) {
    let mut request = Vec::new();
    attribute(&mut request, 1, format!("{name}\0").as_bytes());
    told(ACCOUNTS, &request);
}

pub(super) fn prepare() {
    set("cali40s:abc", "hash:net", 7, libc::AF_INET, 0);
    set("kube-ports", "hash:ip,port", 6, libc::AF_INET, 0);
    set("ifaces", "hash:net,iface", 7, libc::AF_INET, 1 << 3);
    set("six", "hash:ip", 5, libc::AF_INET6, 0);
    account("localhost_nps_accepted_pkts");
    account("ct_state_invalid_dropped_pkts");
}

/// Puts a member into a set.
fn put(set: &str, fill: impl FnOnce(&mut Vec<u8>)) {
    let mut request = Vec::new();
    attribute(&mut request, 1, &[6]);
    attribute(&mut request, 2, format!("{set}\0").as_bytes());
    nested(&mut request, 7, fill);
    told(IPSET | 9, &request);
}

fn ip(data: &mut Vec<u8>, octets: [u8; 4]) {
    nested(data, 1, |ip| attribute(ip, 1 | NETWORK_ORDER, &octets));
}

#[test]
fn sets_are_read_with_their_members_and_only_those_that_are_asked_for() {
    let read = alone(|| {
        prepare();
        set("both", "list:set", 3, libc::AF_UNSPEC, 0);
        put("cali40s:abc", |data| {
            ip(data, [10, 0, 0, 0]);
            attribute(data, 3, &[8]);
        });
        put("cali40s:abc", |data| {
            ip(data, [10, 1, 0, 0]);
            attribute(data, 3, &[16]);
            attribute(data, 8 | NETWORK_ORDER, &4_u32.to_be_bytes());
        });
        put("kube-ports", |data| {
            ip(data, [10, 0, 0, 7]);
            attribute(data, 4 | NETWORK_ORDER, &80_u16.to_be_bytes());
            attribute(data, 7, &[6]);
        });
        put("ifaces", |data| {
            ip(data, [10, 2, 0, 0]);
            attribute(data, 3, &[16]);
            attribute(data, 23, b"eth0\0");
        });
        put("both", |data| attribute(data, 18, b"cali40s:abc\0"));
        put("both", |data| attribute(data, 18, b"kube-ports\0"));
        let wanted = ["both", "ifaces", "six", "gone"].map(str::to_owned).into();
        ipset::read(&wanted).unwrap()
    });
    let told: Vec<String> = read
        .iter()
        .map(|(name, set)| {
            let mut members = set.members.clone();
            members.sort();
            format!("{name} {}: {}", set.kind, members.join(" | "))
        })
        .collect();
    assert_eq!(
        told,
        [
            "both list:set: cali40s:abc | kube-ports",
            "cali40s:abc hash:net: 10.0.0.0/8 | 10.1.0.0/16 nomatch",
            "ifaces hash:net,iface: 10.2.0.0/16,eth0",
            "kube-ports hash:ip,port: 10.0.0.7,tcp:80",
            "six hash:ip: ",
        ]
    );
}

fn by_name(chains: Vec<Chain>) -> BTreeMap<(String, String), Chain> {
    chains
        .into_iter()
        .map(|chain| ((chain.table.clone(), chain.name.clone()), chain))
        .collect()
}

/// Every rule of the tool's against ours: same numbers, same meaning, same text, but for what is not decoded.
pub(super) fn differences(ours: Vec<Chain>, theirs: Vec<Chain>) -> Vec<String> {
    let (ours, theirs) = (by_name(ours), by_name(theirs));
    if !ours.keys().eq(theirs.keys()) {
        return vec![format!("ours   {:?}\ntheirs {:?}", ours.keys(), theirs.keys())];
    }
    let mut differences = Vec::new();
    for (own, their) in ours.values().zip(theirs.values()) {
        if (&own.hook, own.priority, &own.policy, own.policy_packets)
            != (&their.hook, their.priority, &their.policy, their.policy_packets)
        {
            differences.push(format!("{own:?}\n{their:?}"));
        }
        if own.rules.len() != their.rules.len() {
            differences.push(format!(
                "{}: {} rules, not {}",
                own.name,
                own.rules.len(),
                their.rules.len()
            ));
        }
        for (own, their) in own.rules.iter().zip(&their.rules) {
            let undecoded = UNDECODED
                .iter()
                .any(|name| own.text.contains(&format!("-m {name} (not decoded)")));
            // One module is printed with a space too many.
            let their = &NetfilterRule {
                text: their.text.replace("--nfacct-name  ", "--nfacct-name "),
                ..their.clone()
            };
            if own != their && !(undecoded && own.action == their.action && own.handle == their.handle) {
                differences.push(format!("ours   {own:?}\ntheirs {their:?}"));
            }
        }
    }
    differences
}

fn compare(ours: Vec<Chain>, theirs: Vec<Chain>) {
    let differences = differences(ours, theirs);
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

pub(super) fn legacy_tables(family: legacy::LegacyFamily) -> Vec<Chain> {
    // Where no table was ever asked for, there is no such file.
    let names = fs::read_to_string(format!("/proc/thread-self/net/{}", family.names)).unwrap_or_default();
    let sets = SetNames::new();
    names
        .lines()
        .flat_map(|table| legacy::read(family, table, &sets).unwrap())
        .collect()
}

#[test]
fn legacy_tables_read_as_their_own_tool_prints_them() {
    alone(|| {
        prepare();
        for (family, restore, save, rules) in [
            (
                legacy::FAMILIES[0],
                "iptables-legacy-restore",
                "iptables-legacy-save",
                RULES,
            ),
            (
                legacy::FAMILIES[1],
                "ip6tables-legacy-restore",
                "ip6tables-legacy-save",
                RULES_6,
            ),
        ] {
            run(restore, &["-c"], &counted(rules));
            let saved = parse(&run(save, &["-c"], ""), "iptables-legacy", family.name);
            compare(legacy_tables(family), saved.chains);
        }
    });
}

#[test]
fn tables_of_iptables_nft_read_as_their_own_tool_prints_them() {
    // Such a kernel need not know how to queue natively.
    let rules = RULES.replace(" --nflog-size 64 --nflog-threshold 3", "");
    let rules: Vec<&str> = rules.lines().filter(|line| !line.ends_with("-j QUEUE")).collect();
    alone(|| {
        prepare();
        for (family, restore, save, rules) in [
            (
                "ip",
                "iptables-nft-restore",
                "iptables-nft-save",
                rules.join("\n").as_str(),
            ),
            ("ip6", "ip6tables-nft-restore", "ip6tables-nft-save", RULES_6),
        ] {
            run(restore, &["-c"], &counted(rules));
            let saved = parse(&run(save, &["-c"], ""), "iptables-nft", family);
            let sets = SetNames::new();
            let ours = dump::read()
                .unwrap()
                .iter()
                .filter(|table| table.family == family)
                .flat_map(|table| compat::chains(table, &sets).expect("iptables-nft made it"))
                .collect();
            compare(ours, saved.chains);
        }
    });
}

#[test]
fn a_table_that_nft_made_under_a_name_of_iptables_is_not_taken_for_one_of_its() {
    for (rules, ours) in [
        (
            "add chain ip filter FORWARD { type filter hook forward priority 0; }",
            true,
        ),
        (
            "add chain ip filter forward { type filter hook forward priority 0; }",
            false,
        ),
        (
            "add chain ip filter FORWARD { type filter hook forward priority 5; }",
            false,
        ),
        (
            "add chain ip filter X; add rule ip filter X tcp dport 80 counter drop",
            true,
        ),
        (
            "add chain ip filter X; add rule ip filter X counter tcp dport 80 drop",
            false,
        ),
        (
            "add chain ip filter X; add rule ip filter X tcp dport { 80, 81 } drop",
            false,
        ),
        ("add chain ip filter X; add rule ip filter X ct state new drop", false),
        (
            "add chain ip filter X; add rule ip filter X limit rate over 5/minute drop",
            false,
        ),
        ("add chain ip filter X; add rule ip filter X log prefix \"x\"", false),
        ("add chain ip filter X; add rule ip filter X reject", false),
        ("add table ip filter { flags dormant; }", false),
    ] {
        alone(|| {
            run("nft", &[&format!("add table ip filter; {rules}")], "");
            let tables = dump::read().unwrap();
            let [table] = tables.as_slice() else {
                panic!("{tables:?}")
            };
            assert_eq!(compat::chains(table, &SetNames::new()).is_some(), ours, "{rules}");
        });
    }
}

/// With counters for every rule, as a restore that sets counters wants them.
pub(super) fn counted(rules: &str) -> String {
    let with = |line: &str| {
        if line.starts_with("-A") {
            format!("[0:0] {line}\n")
        } else {
            format!("{line}\n")
        }
    };
    rules.lines().map(with).collect()
}
