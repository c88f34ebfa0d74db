//! Messages that make sense, and some that do not.

use super::super::expressions::{Expr, NftVerdict};
use super::{Attributes, Budget, Tables, read_within};
use crate::system::netlink::attribute;
use nix::sched::{CloneFlags, unshare};
use std::time::Duration;

const IP: u8 = 2;

fn named(table: &str, more: &[(u16, &[u8])]) -> Vec<u8> {
    let mut message = Vec::new();
    attribute(&mut message, 1, format!("{table}\0").as_bytes());
    for (kind, value) in more {
        attribute(&mut message, *kind, value);
    }
    message
}

fn nested(parts: &[(u16, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (kind, value) in parts {
        attribute(&mut bytes, *kind, value);
    }
    bytes
}

fn expression(name: &str, data: &[u8]) -> Vec<u8> {
    nested(&[(1, &nested(&[(1, format!("{name}\0").as_bytes()), (2, data)]))])
}

/// Two tables with a chain `c` each.
fn two_tables() -> Tables {
    let mut all = Tables::default();
    for table in ["good", "bad"] {
        all.table(IP, Attributes::of(&named(table, &[])).unwrap()).unwrap();
        let chain = named(table, &[(2, &[0; 8]), (3, b"c\0")]);
        all.chain(IP, Attributes::of(&chain).unwrap()).unwrap();
    }
    all
}

fn rule(all: &mut Tables, table: &str, handle: u8, expressions: &[u8]) {
    let handle = [0, 0, 0, 0, 0, 0, 0, handle];
    let message = named(table, &[(2, b"c\0"), (3, &handle), (4, expressions)]);
    all.rule(IP, Attributes::of(&message).unwrap()).unwrap();
}

#[test]
fn a_rule_that_makes_no_sense_makes_its_table_unread_and_no_other() {
    let drop = expression(
        "immediate",
        &nested(&[(1, &[0; 4]), (2, &nested(&[(2, &nested(&[(1, &[0; 4])]))]))]),
    );
    let mut all = two_tables();
    rule(&mut all, "good", 7, &drop);
    // A comparison without what is compared.
    rule(&mut all, "bad", 8, &expression("cmp", &nested(&[(1, &[0, 0, 0, 1])])));
    rule(&mut all, "bad", 9, &drop);
    let [good, bad] = all.list.as_slice() else {
        panic!("{:?}", all.list)
    };
    assert_eq!(good.unread, None);
    assert_eq!(good.chains[0].rules[0].handle, 7);
    assert_eq!(good.chains[0].rules[0].exprs, [Expr::Verdict(NftVerdict::Drop)]);
    let why = bad.unread.as_deref().unwrap();
    assert!(why.contains("rule with handle 8") && why.contains("`cmp`"), "{why}");
}

#[test]
fn a_name_that_could_be_taken_for_another_makes_its_table_unread() {
    let mut all = two_tables();
    let chain = named("bad", &[(2, &[0; 8]), (3, &[0xff, 0])]);
    all.chain(IP, Attributes::of(&chain).unwrap()).unwrap();
    assert!(all.list[1].unread.is_some());
}

#[test]
fn an_expression_of_a_newer_kernel_is_told_by_its_name() {
    let mut all = two_tables();
    rule(&mut all, "good", 1, &expression("brandnew", &[]));
    let exprs = &all.list[0].chains[0].rules[0].exprs;
    assert_eq!(
        exprs.as_slice(),
        [Expr::Unknown {
            name: "brandnew".to_owned()
        }]
    );
}

#[test]
fn no_more_is_listened_to_than_there_is_room_for() {
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).expect("this test needs root");
        let error = read_within(Budget::new(16, Duration::from_secs(5))).unwrap_err();
        assert!(
            error.to_string().contains("too much to be read") || format!("{error:#}").contains("too much to be read")
        );
        let error = read_within(Budget::new(1 << 20, Duration::ZERO)).unwrap_err();
        assert!(format!("{error:#}").contains("could not be read within 0 s"));
        assert!(
            read_within(Budget::new(1 << 20, Duration::from_secs(5)))
                .unwrap()
                .is_empty()
        );
    })
    .join()
    .unwrap();
}

#[test]
fn what_fuzzing_begins_with_are_dumps_that_are_read_to_their_end() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus/nftables-dump");
    let rules = |seed: &str| {
        let tables = super::told(&std::fs::read(corpus.join(seed)).unwrap()).unwrap();
        let unread: Vec<_> = tables.iter().filter_map(|table| table.unread.as_ref()).collect();
        assert!(unread.is_empty(), "{seed}: {unread:?}");
        let chains = tables.iter().flat_map(|table| &table.chains);
        let elements = tables
            .iter()
            .flat_map(|table| &table.sets)
            .map(|set| set.elements.len());
        (
            chains.map(|chain| chain.rules.len()).sum::<usize>(),
            elements.sum::<usize>(),
        )
    };
    // Two elements of a map, and two ranges by where they begin and end, with what lies before the first.
    assert_eq!(rules("small"), (5, 7));
    for seed in [
        "kube-proxy",
        "firewalld",
        "networks",
        "scenarios",
        "words",
        "iptables",
        "ip6tables",
    ] {
        assert!(rules(seed).0 > 10, "{seed}: {:?}", rules(seed));
    }
    let cut = std::fs::read(corpus.join("cut")).unwrap();
    assert!(super::told(&cut).is_err(), "it ends within a message");
}
