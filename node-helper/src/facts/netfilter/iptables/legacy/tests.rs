//! A table as a kernel handed it out, and what becomes of one that was tampered with.

use super::FAMILIES;
use super::block::{Block, INFO_BYTES};
use crate::facts::netfilter::iptables::xt::SetNames;
use model::facts::Chain;

/// `struct ipt_getinfo` of a filter table, and its entries.
const CAPTURED: &[u8] = include_bytes!("../../samples/legacy-filter.bin");

fn chains(captured: &[u8]) -> anyhow::Result<Vec<Chain>> {
    let (info, entries) = captured.split_at(INFO_BYTES);
    Block::new(info, entries.to_vec()).chains(FAMILIES[0], &SetNames::of(&[]))
}

#[test]
fn chains_get_their_names_by_their_heads_and_jumps_by_where_they_lead() {
    let chains = chains(CAPTURED).unwrap();
    let names: Vec<(&str, Option<&str>, usize)> = chains
        .iter()
        .map(|chain| (chain.name.as_str(), chain.policy.as_deref(), chain.rules.len()))
        .collect();
    assert_eq!(
        names,
        [
            ("INPUT", Some("ACCEPT"), 0),
            ("FORWARD", Some("DROP"), 1),
            ("OUTPUT", Some("ACCEPT"), 0),
            ("CNI", None, 2),
            ("POLICY", None, 1)
        ]
    );
    let texts: Vec<&str> = chains
        .iter()
        .flat_map(|chain| chain.rules.iter().map(|rule| rule.text.as_str()))
        .collect();
    assert_eq!(
        texts,
        [
            "-A FORWARD ! -s 10.0.0.0/8 -i cali+ -m comment --comment \"a\n-j ACCEPT\" -j CNI",
            "-A CNI -p tcp -m tcp --dport 80 -m conntrack --ctstate NEW -g POLICY",
            "-A CNI -p udp",
            "-A POLICY -p tcp -j REJECT --reject-with tcp-reset",
        ]
    );
}

#[test]
fn a_table_that_is_cut_is_not_read_at_all() {
    for length in INFO_BYTES..CAPTURED.len() {
        assert!(chains(&CAPTURED[..length]).is_err(), "{length}");
    }
}

#[test]
fn whatever_stands_in_a_table_ends_in_chains_or_a_reason() {
    for place in 0..CAPTURED.len() {
        for value in [0x00, 0x01, 0x7f, 0x80, 0xff] {
            let mut changed = CAPTURED.to_vec();
            changed[place] = value;
            let _ = chains(&changed);
        }
    }
}

#[test]
fn a_rule_that_leads_into_the_middle_of_a_chain_is_not_guessed_at() {
    let offset = |chain: &str| {
        let head = format!("{chain}\0");
        let place = CAPTURED.windows(head.len()).position(|bytes| bytes == head.as_bytes());
        place.unwrap()
    };
    // The verdict of the rule that jumps to CNI is the offset of the entry behind that chain's head.
    let behind_head = (offset("CNI") - INFO_BYTES - 32 - 112 + 176) as u32;
    let verdict = CAPTURED
        .windows(4)
        .position(|bytes| bytes == behind_head.to_ne_bytes())
        .unwrap();
    let mut changed = CAPTURED.to_vec();
    changed[verdict..verdict + 4].copy_from_slice(&(behind_head + 8).to_ne_bytes());
    assert!(format!("{:#}", chains(&changed).unwrap_err()).contains("leads to no chain"));
}
