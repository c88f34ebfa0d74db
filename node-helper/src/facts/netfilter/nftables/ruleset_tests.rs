//! A ruleset as nft 1.0.6 prints it, and what is read from it.

use super::ruleset::{Ruleset, ruleset as meaning};
use super::scope::MapBudget;
use model::facts::{Action, Chain, Match, NetfilterRule};
use serde_json::Value;
use std::collections::BTreeSet;

const SAMPLE: &str = include_str!("../samples/nft-1.0.6.json");

fn parse(json: &str) -> Ruleset {
    let whole: Value = serde_json::from_str(json).unwrap();
    let objects = whole["nftables"].as_array().unwrap();
    meaning(objects, objects.iter().cloned(), &MapBudget::new(BTreeSet::new()))
}

fn ruleset() -> Ruleset {
    parse(SAMPLE)
}

fn forward() -> Chain {
    ruleset()
        .chains
        .into_iter()
        .find(|chain| chain.name == "forward")
        .unwrap()
}

/// The rule, or the rules a verdict map became, of a handle.
fn rules(handle: u64) -> Vec<NetfilterRule> {
    forward()
        .rules
        .into_iter()
        .filter(|rule| rule.handle == handle)
        .collect()
}

fn rule(handle: u64) -> NetfilterRule {
    rules(handle).remove(0)
}

fn words(list: &[&str]) -> Vec<String> {
    list.iter().map(|word| (*word).to_owned()).collect()
}

fn protocol(is: &str) -> Match {
    Match::Protocol {
        is: is.to_owned(),
        not: false,
    }
}

fn to_port(port: u16) -> Match {
    Match::DestinationPort {
        any: vec![(port, port)],
        not: false,
    }
}

#[test]
fn a_base_chain_has_its_hook_priority_and_policy_and_others_have_none() {
    let forward = forward();
    assert_eq!((forward.family.as_str(), forward.table.as_str()), ("inet", "fw"));
    assert_eq!(
        (forward.hook.as_deref(), forward.policy.as_deref()),
        (Some("forward"), Some("DROP"))
    );
    let ruleset = ruleset();
    let post = ruleset.chains.iter().find(|chain| chain.name == "post").unwrap();
    assert_eq!((post.priority, post.policy.as_deref()), (100, Some("ACCEPT")));
    let pods = ruleset.chains.iter().find(|chain| chain.name == "pods").unwrap();
    assert_eq!((&pods.hook, &pods.policy), (&None, &None));
    assert_eq!(
        ruleset.sets["inet fw allowed"],
        ["10.0.0.0/8", "192.0.2.1-192.0.2.9", "203.0.113.7"]
    );
}

#[test]
fn rules_are_worded_as_nft_words_them() {
    let texts: Vec<String> = forward().rules.into_iter().map(|rule| rule.text).collect();
    for text in [
        "ct state established,related accept",
        "ct state invalid counter drop",
        r#"iifname "cali*" oifname { eth0, eth1 } jump pods"#,
        r#"ip saddr @allowed tcp dport { 80, 443, 8000-8080 } counter name "hits" accept"#,
        "ip saddr != 10.0.0.0/8 drop",
        "tcp flags & (fin|syn|rst|ack) syn limit rate 10/second accept",
        "meta l4proto { tcp, udp } th dport @ports accept",
        "udp sport >= 1024 return",
        "icmpv6 type echo-request reject with icmpv6 admin-prohibited",
        "tcp dport vmap @verdicts",
        "numgen random mod 2 0 drop",
        "meta mark 1 goto pods",
        "tcp dport 81 reject with tcp reset",
        "ip daddr . tcp dport vmap { 10.96.0.10 . 53 : goto pods, 10.96.0.1 . 443 : jump pods }",
        r#"meta nfproto ipv6 drop comment "no six""#,
        "ct count over 2 reject with icmpx port-unreachable",
        r#"log prefix "x: " meta mark set 16"#,
    ] {
        assert!(
            texts.iter().any(|other| other == text),
            "{text}\nis not among\n{texts:#?}"
        );
    }
    let ruleset = ruleset();
    let nat: Vec<&str> = ruleset
        .chains
        .iter()
        .filter(|chain| chain.table == "nat2")
        .flat_map(|chain| &chain.rules)
        .map(|rule| rule.text.as_str())
        .collect();
    assert_eq!(
        nat,
        [
            "tcp dport 80 dnat to 10.0.0.7:8080",
            "ip daddr 10.96.0.10 dnat to numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }",
            "tcp dport 90 redirect to :15001",
            r#"oifname "eth0" masquerade"#,
        ]
    );
}

#[test]
fn connection_states_and_counters() {
    let established = rule(7);
    assert_eq!(
        established.matches,
        [Match::CtState {
            any: words(&["ESTABLISHED", "RELATED"]),
            not: false
        }]
    );
    assert_eq!((established.packets, established.action), (None, Action::Accept));
    assert_eq!(rule(8).packets, Some(0), "its own counter");
    assert_eq!(rule(12).packets, Some(0), "a named counter");
}

#[test]
fn interfaces_sets_and_ports() {
    assert_eq!(
        rule(10).matches,
        [
            Match::In {
                is: "cali+".to_owned(),
                not: false
            },
            Match::Out {
                is: "eth0,eth1".to_owned(),
                not: false
            }
        ]
    );
    assert_eq!(
        rule(12).matches,
        [
            Match::Source {
                any: words(&["10.0.0.0/8", "192.0.2.1-192.0.2.9", "203.0.113.7"]),
                not: false
            },
            protocol("tcp"),
            Match::DestinationPort {
                any: vec![(80, 80), (443, 443), (8000, 8080)],
                not: false
            }
        ]
    );
    assert_eq!(
        rule(17).matches,
        [
            protocol("tcp,udp"),
            Match::DestinationPort {
                any: vec![(53, 53), (5353, 5353)],
                not: false
            }
        ]
    );
    assert_eq!(
        rule(18).matches[1],
        Match::SourcePort {
            any: vec![(1024, 65535)],
            not: false
        }
    );
}

#[test]
fn an_inverted_address_still_asks_for_its_family() {
    assert_eq!(
        rule(13).matches,
        [
            Match::Source {
                any: words(&["0.0.0.0/0"]),
                not: false
            },
            Match::Source {
                any: words(&["10.0.0.0/8"]),
                not: true
            }
        ]
    );
    assert_eq!(
        rule(28).matches,
        [Match::Source {
            any: words(&["::/0"]),
            not: false
        }]
    );
}

#[test]
fn flags_of_a_mask_and_a_single_one() {
    assert_eq!(
        rule(14).matches,
        [
            protocol("tcp"),
            Match::TcpFlags {
                mask: 0x17,
                set: 0x02,
                not: false
            },
            Match::Limit {
                text: "limit rate 10/second".to_owned()
            }
        ]
    );
    assert_eq!(
        rule(15).matches[1],
        Match::TcpFlags {
            mask: 0x02,
            set: 0x02,
            not: false
        }
    );
}

#[test]
fn icmp_refusals_limits_and_chance() {
    assert_eq!(
        rule(20).matches[1],
        Match::IcmpType {
            is: "destination-unreachable,echo-request".to_owned(),
            not: false
        }
    );
    for (handle, with) in [
        (21, "icmp6-admin-prohibited"),
        (25, "tcp-reset"),
        (29, "icmp-port-unreachable"),
    ] {
        assert_eq!(rule(handle).action, Action::Reject { with: with.to_owned() });
    }
    assert!(matches!(rule(29).matches.as_slice(), [Match::Limit { .. }]));
    assert!(matches!(rule(23).matches.as_slice(), [Match::Random { .. }]));
    assert!(matches!(rule(24).matches.as_slice(), [Match::Opaque { .. }]));
    assert_eq!(rule(30).action, Action::Continue);
}

#[test]
fn a_verdict_map_is_a_rule_for_each_element() {
    let named: Vec<_> = rules(22).into_iter().map(|rule| (rule.matches, rule.action)).collect();
    assert_eq!(
        named,
        [
            (vec![protocol("tcp"), to_port(22)], Action::Accept),
            (vec![protocol("tcp"), to_port(80)], Action::Drop)
        ]
    );
    let joined = rules(27);
    assert_eq!(
        joined[0].matches,
        [
            Match::Destination {
                any: words(&["10.96.0.10"]),
                not: false
            },
            protocol("tcp"),
            to_port(53)
        ]
    );
    let actions: Vec<_> = joined.iter().map(|rule| &rule.action).collect();
    let pods = || "pods".to_owned();
    assert_eq!(
        actions,
        [&Action::Goto { chain: pods() }, &Action::Jump { chain: pods() }]
    );
}

#[test]
fn translations_say_where_to() {
    let ruleset = ruleset();
    let actions: Vec<&Action> = ruleset
        .chains
        .iter()
        .filter(|chain| chain.table == "nat2")
        .flat_map(|chain| &chain.rules)
        .map(|rule| &rule.action)
        .collect();
    let nat = |kind: &str, to: &str| Action::Nat {
        kind: kind.to_owned(),
        to: to.to_owned(),
    };
    assert_eq!(
        actions,
        [
            &nat("DNAT", "10.0.0.7:8080"),
            &nat("DNAT", "numgen random mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }"),
            &nat("REDIRECT", ":15001"),
            &nat("MASQUERADE", ""),
        ]
    );
}

#[test]
fn a_queue_may_be_bypassed() {
    let json = r#"{"nftables": [
        {"chain": {"family": "ip", "table": "t", "name": "c", "handle": 1}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 2, "expr": [{"queue": {"num": 3, "flags": "bypass"}}]}},
        {"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 3, "expr": [{"queue": {"num": {"range": [4, 7]}}}]}}
    ]}"#;
    let ruleset = parse(json);
    let actions: Vec<&Action> = ruleset.chains[0].rules.iter().map(|rule| &rule.action).collect();
    assert_eq!(
        actions,
        [
            &Action::Queue {
                number: 3,
                bypass: true
            },
            &Action::Queue {
                number: 4,
                bypass: false
            }
        ]
    );
}

/// The rules of one rule's expressions, in a bridge table.
fn of(expressions: &str) -> Vec<NetfilterRule> {
    let json = format!(
        r#"{{"nftables": [
            {{"chain": {{"family": "bridge", "table": "t", "name": "c", "handle": 1}}}},
            {{"rule": {{"family": "bridge", "table": "t", "chain": "c", "handle": 2, "expr": {expressions}}}}}
        ]}}"#
    );
    parse(&json).chains.remove(0).rules
}

#[test]
fn a_set_of_joined_keys_is_a_rule_for_each_element() {
    let rules = of(r#"[
        {"match": {"op": "==", "left": {"concat": [{"payload": {"protocol": "ip", "field": "saddr"}}, {"payload": {"protocol": "tcp", "field": "dport"}}]},
                   "right": {"set": [{"concat": ["10.0.0.1", 80]}, {"concat": ["10.0.0.2", 81]}]}}},
        {"counter": {"packets": 7, "bytes": 1}}, {"drop": null}]"#);
    let source = |address: &str| Match::Source {
        any: words(&[address]),
        not: false,
    };
    assert_eq!(rules[0].matches, [source("10.0.0.1"), protocol("tcp"), to_port(80)]);
    assert_eq!(rules[1].matches, [source("10.0.0.2"), protocol("tcp"), to_port(81)]);
    assert!(
        rules
            .iter()
            .all(|rule| rule.action == Action::Drop && rule.packets == Some(7))
    );
}

#[test]
fn a_large_map_is_taken_apart_for_the_addresses_in_question() {
    let element = |number: u32| {
        let address = std::net::Ipv4Addr::from(0x0a60_0000 + number);
        serde_json::json!([address.to_string(), {"goto": {"target": format!("service-{number}")}}])
    };
    let elements: Vec<Value> = (1..=5000).map(element).collect();
    let named = [serde_json::json!({"map": {"family": "ip", "table": "t", "name": "m", "elem": elements}})];
    let chains = [
        serde_json::json!({"chain": {"family": "ip", "table": "t", "name": "c", "handle": 1}}),
        serde_json::json!({"rule": {"family": "ip", "table": "t", "chain": "c", "handle": 2, "expr": [
            {"vmap": {"key": {"payload": {"protocol": "ip", "field": "daddr"}}, "data": "@m"}}]}}),
    ];
    let asked: BTreeSet<std::net::IpAddr> = BTreeSet::from(["10.96.0.7".parse().unwrap()]);
    let ruleset = meaning(&named, chains.into_iter(), &MapBudget::new(asked));
    let [service, others] = ruleset.chains[0].rules.as_slice() else {
        panic!("{:?}", ruleset.chains)
    };
    assert_eq!(
        service.action,
        Action::Goto {
            chain: "service-7".to_owned()
        }
    );
    assert!(matches!(others.action, Action::Other { .. }));
    assert_eq!(
        others.matches,
        [
            Match::Opaque {
                text: "one of 4999 other elements".to_owned()
            },
            Match::Destination {
                any: words(&["10.96.0.7"]),
                not: true
            }
        ]
    );
}

#[test]
fn states_may_decide_by_a_map() {
    let rules = of(r#"[{"vmap": {"key": {"ct": {"key": "state"}},
        "data": {"set": [["established", {"accept": null}], ["invalid", {"drop": null}]]}}}]"#);
    let state = |name: &str| Match::CtState {
        any: words(&[name]),
        not: false,
    };
    assert_eq!(rules[0].matches, [state("ESTABLISHED")]);
    assert_eq!(
        (&rules[1].matches[..], &rules[1].action),
        (&[state("INVALID")][..], &Action::Drop)
    );
}

#[test]
fn a_bridge_asks_for_the_protocol_above_the_link() {
    let ether = |word: &str| {
        let expressions = format!(
            r#"[{{"match": {{"op": "==", "left": {{"payload": {{"protocol": "ether", "field": "type"}}}}, "right": "{word}"}}}}]"#
        );
        of(&expressions).remove(0).matches
    };
    assert_eq!(
        ether("ip"),
        [Match::Source {
            any: words(&["0.0.0.0/0"]),
            not: false
        }]
    );
    assert_eq!(ether("arp"), [protocol("arp")]);
}

#[test]
fn fields_of_arp_are_told_apart_from_those_of_ip() {
    let rule = of(r#"[
        {"match": {"op": "==", "left": {"payload": {"protocol": "arp", "field": "operation"}}, "right": "reply"}},
        {"match": {"op": "!=", "left": {"payload": {"protocol": "arp", "field": "saddr ip"}}, "right": "10.90.1.3"}},
        {"drop": null}]"#)
    .remove(0);
    let arp = |field: &str, is: &str, not: bool| Match::Arp {
        field: field.to_owned(),
        any: words(&[is]),
        not,
    };
    assert_eq!(
        rule.matches,
        [arp("operation", "reply", false), arp("saddr ip", "10.90.1.3", true)]
    );
}

#[test]
fn a_limit_for_each_address_is_a_limit() {
    let rules = of(
        r#"[{"set": {"op": "update", "elem": {"payload": {"protocol": "ip", "field": "saddr"}}, "set": "@seen",
        "stmt": [{"limit": {"rate": 1, "per": "second"}}]}}, {"accept": null}]"#,
    );
    assert!(matches!(rules[0].matches.as_slice(), [Match::Limit { .. }]));
}

#[test]
fn a_mark_is_computed_from_the_one_before() {
    let marked = |value: &str| {
        let rule = format!(
            r#"{{"nftables": [
                {{"table": {{"family": "ip", "name": "m"}}}},
                {{"chain": {{"family": "ip", "table": "m", "name": "p", "type": "filter", "hook": "prerouting", "prio": -150}}}},
                {{"rule": {{"family": "ip", "table": "m", "chain": "p", "handle": 2, "expr": [
                    {{"mangle": {{"key": {{"meta": {{"key": "mark"}}}}, "value": {value}}}}}]}}}}]}}"#
        );
        parse(&rule).chains.remove(0).rules.remove(0).mark
    };
    let of_0xf0f = |value: &str| marked(value).map(|mark| mark.on(0xf0f));
    assert_eq!(of_0xf0f("9"), Some(9));
    assert_eq!(of_0xf0f(r#"{"|": [{"meta": {"key": "mark"}}, 16384]}"#), Some(0x4f0f));
    assert_eq!(of_0xf0f(r#"{"&": [{"meta": {"key": "mark"}}, 255]}"#), Some(0x0f));
    assert_eq!(of_0xf0f(r#"{"^": [{"meta": {"key": "mark"}}, 1]}"#), Some(0xf0e));
    let kept = r#"{"|": [{"&": [{"meta": {"key": "mark"}}, 65280]}, 17]}"#;
    assert_eq!(of_0xf0f(kept), Some(0xf11));
    assert_eq!(of_0xf0f(r#"{"ct": {"key": "mark"}}"#), None);
}
