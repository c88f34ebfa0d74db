//! Which rule is named for a packet that was dropped: evaluation and counters together.

use crate::*;
use diagnoses::kernel::firewall::NetfilterStop;
use diagnoses::kernel::firewall::culprit::{Culprit, of_drop, which};
use model::event::{Event, Packet as Marks, Seen, TcpState};
use model::evidence::NetnsEvidence;
use model::facts::{Address, Link, NetnsFacts, NextHop, Route, RouteKind};
use model::flow::UDP;
use model::missing::{Known, Missing};
use model::owner::Owner;
use model::report::Direction;

/// A node whose rules were read before and after, with counters of the second reading set by `counted`.
fn node(chains: Vec<Chain>, counted: impl Fn(&mut Chain)) -> NetnsEvidence {
    let mut later = chains.clone();
    later.iter_mut().for_each(counted);
    let facts = |chains| NetnsFacts {
        links: Known::Known(vec![
            link(2, "cbr0", "bridge", None),
            link(3, "vetha", "veth", Some(2)),
            link(5, "up0", "veth", None),
        ]),
        addresses: Known::Known(vec![Address {
            ifindex: 2,
            address: "10.90.1.1".parse().unwrap(),
            prefix: 24,
            tentative: false,
            dad_failed: false,
            link_scope: false,
        }]),
        routes: Known::Known(vec![
            route(255, "10.90.1.1", 32, RouteKind::Local, 2),
            route(254, "10.90.1.0", 24, RouteKind::Unicast, 2),
            route(254, "10.90.2.0", 24, RouteKind::Unicast, 5),
        ]),
        netfilter: Known::Known(set(chains)),
        ..NetnsFacts::default()
    };
    NetnsEvidence {
        id: 10,
        name: "x".to_owned(),
        before: facts(chains),
        after: facts(later),
        ..NetnsEvidence::default()
    }
}

fn link(index: u32, name: &str, kind: &str, master: Option<u32>) -> Link {
    Link {
        index,
        name: name.to_owned(),
        kind: kind.to_owned(),
        master,
        ..Link::default()
    }
}

fn route(table: u32, dst: &str, prefix: u8, kind: RouteKind, oif: u32) -> Route {
    Route {
        table,
        dst: dst.parse().unwrap(),
        prefix,
        kind,
        hops: vec![NextHop {
            oif: Some(oif),
            ..NextHop::default()
        }],
        prefsrc: None,
        metric: 0,
        mtu: None,
        protocol: String::new(),
    }
}

fn dropped(flow: Flow, flags: u8, ifindex: u32, location: &str) -> Event {
    Event {
        node: String::new(),
        at_ns: 1,
        probe: "drop".to_owned(),
        netns: 10,
        ifindex,
        interface: None,
        pid: 0,
        process: None,
        owner: Owner::default(),
        flow,
        skb: 1,
        sk: 0,
        packet: Some(Marks {
            tcp_flags: flags,
            ..Marks::default()
        }),
        exchanged: None,
        quoted: None,
        attempt: None,
        seen: Seen::Drop {
            reason: "NETFILTER_DROP".to_owned(),
            location: Some(location.to_owned()),
            state: TcpState::Unknown,
        },
    }
}

fn named(culprit: &Culprit<'_>) -> String {
    match culprit {
        Culprit::Rule(suspect) => suspect.stop.place().text,
        Culprit::Chain(place, suspects) => format!("{} of {}", suspects.len(), place.chain),
        Culprit::Several(suspects) => format!("{} somewhere", suspects.len()),
        Culprit::Unknown(unread) => format!("unknown, {} unread", unread.len()),
    }
}

#[test]
fn the_rule_that_fits_is_named() {
    let chains = vec![
        base("filter", "forward", "ACCEPT")
            .with(vec![proto("udp")], Action::Drop)
            .with(vec![proto("tcp"), to("10.90.2.2/32"), dport(80, 80)], Action::Drop),
    ];
    let node = node(chains, |chain| chain.rules[1].packets = Some(3));
    let event = dropped(syn().flow, 2, 2, "nf_hook_slow");
    assert_eq!(
        named(&of_drop(&node, &event, Direction::Request, 3)),
        "rule 2 of FORWARD"
    );
}

#[test]
fn counters_tell_apart_what_evaluation_cannot() {
    let chains = vec![
        base("filter", "forward", "ACCEPT")
            .with(vec![opaque()], Action::Drop)
            .with(vec![opaque(), proto("tcp")], Action::Drop),
    ];
    let second = node(chains.clone(), |chain| chain.rules[1].packets = Some(3));
    let event = dropped(syn().flow, 2, 2, "nf_hook_slow");
    assert_eq!(
        named(&of_drop(&second, &event, Direction::Request, 3)),
        "rule 2 of FORWARD"
    );
    let both = node(chains.clone(), |chain| {
        chain.rules.iter_mut().for_each(|rule| rule.packets = Some(9));
    });
    assert_eq!(
        named(&of_drop(&both, &event, Direction::Request, 3)),
        "2 of FORWARD",
        "several candidates: the chain is named, never one of them"
    );
    let too_few = node(chains, |chain| chain.rules[1].packets = Some(2));
    assert_eq!(
        named(&of_drop(&too_few, &event, Direction::Request, 3)),
        "unknown, 0 unread"
    );
}

#[test]
fn a_rule_inserted_in_the_window_is_found() {
    let mut node = node(vec![base("filter", "forward", "ACCEPT")], |_| {});
    let mut later = base("filter", "forward", "ACCEPT").with(vec![proto("tcp")], Action::Drop);
    later.rules[0].packets = Some(4);
    node.after.netfilter = Known::Known(set(vec![later]));
    let event = dropped(syn().flow, 2, 2, "nf_hook_slow");
    assert_eq!(
        named(&of_drop(&node, &event, Direction::Request, 4)),
        "rule 1 of FORWARD"
    );
}

#[test]
fn the_function_tells_nftables_from_legacy_rules() {
    let chains = vec![
        base("filter", "forward", "ACCEPT").with(vec![proto("tcp")], Action::Drop),
        nft(
            base("guard", "forward", "ACCEPT").with(vec![proto("tcp")], Action::Drop),
            "inet",
        ),
    ];
    let node = node(chains, |chain| {
        if chain.backend == "iptables-legacy" {
            chain.rules[0].packets = Some(3);
        }
    });
    let culprit = |location: &str| {
        let event = dropped(syn().flow, 2, 2, location);
        of_drop(&node, &event, Direction::Request, 3).place().unwrap().backend
    };
    assert_eq!(culprit("nft_do_chain"), "nftables");
    assert_eq!(culprit("nf_hook_slow"), "iptables-legacy");
}

#[test]
fn a_drop_without_a_device_was_made_here() {
    let chains = vec![
        base("filter", "forward", "DROP"),
        base("filter", "output", "ACCEPT").with(
            vec![
                proto("tcp"),
                Match::Out {
                    is: "up0".to_owned(),
                    not: false,
                },
            ],
            Action::Drop,
        ),
    ];
    let node = node(chains, |chain| {
        if chain.name == "OUTPUT" {
            chain.rules[0].packets = Some(1);
        }
    });
    let event = dropped(syn().flow, 2, 0, "nf_hook_slow");
    assert_eq!(
        named(&of_drop(&node, &event, Direction::Request, 1)),
        "rule 1 of OUTPUT"
    );
}

#[test]
fn what_is_for_this_namespace_meets_input_and_not_forward() {
    let chains = vec![
        base("filter", "forward", "DROP"),
        base("filter", "input", "ACCEPT").with(vec![proto("udp"), dport(8472, 8472)], Action::Drop),
    ];
    let node = node(chains, |chain| {
        if chain.name == "INPUT" {
            chain.rules[0].packets = Some(1);
        }
    });
    let outer = Flow::new(
        UDP,
        "172.31.90.2:5000".parse().unwrap(),
        "10.90.1.1:8472".parse().unwrap(),
    );
    let event = dropped(outer, 0, 5, "nf_hook_slow");
    assert_eq!(named(&of_drop(&node, &event, Direction::Request, 1)), "rule 1 of INPUT");
}

#[test]
fn bridged_packets_are_known_by_the_bridge_and_by_their_port() {
    let port = Match::In {
        is: "cbr0".to_owned(),
        not: false,
    };
    let chains = vec![base("filter", "forward", "ACCEPT").with(vec![port], Action::Drop)];
    let node = node(chains, |chain| chain.rules[0].packets = Some(1));
    let flow = Flow::new(TCP, "10.90.1.2:40001".parse().unwrap(), "10.90.1.3:80".parse().unwrap());
    let event = dropped(flow, 2, 3, "nf_hook_slow");
    assert_eq!(
        named(&of_drop(&node, &event, Direction::Request, 1)),
        "rule 1 of FORWARD"
    );
}

#[test]
fn a_policy_is_named_when_nothing_before_it_fits() {
    let chains = vec![base("filter", "forward", "DROP").with(vec![proto("udp")], Action::Accept)];
    let node = node(chains, |chain| chain.policy_packets = Some(3));
    let event = dropped(syn().flow, 2, 2, "nf_hook_slow");
    let culprit = of_drop(&node, &event, Direction::Request, 3);
    assert_eq!(named(&culprit), "policy DROP");
    assert!(!culprit.all(NetfilterStop::limited));
}

#[test]
fn a_policy_behind_a_limiter_is_a_limiter() {
    let chains = vec![base("filter", "forward", "DROP").with(vec![limit()], Action::Accept)];
    let node = node(chains, |chain| chain.policy_packets = Some(3));
    let event = dropped(syn().flow, 2, 2, "nf_hook_slow");
    let culprit = of_drop(&node, &event, Direction::Request, 3);
    assert_eq!(named(&culprit), "policy DROP");
    assert!(culprit.all(NetfilterStop::limited));
}

#[test]
fn without_a_fitting_rule_nobody_is_accused_and_what_was_not_read_is_said() {
    let mut node = node(vec![base("filter", "forward", "ACCEPT")], |_| {});
    let event = dropped(syn().flow, 2, 2, "nf_hook_slow");
    assert_eq!(
        named(&of_drop(&node, &event, Direction::Request, 3)),
        "unknown, 0 unread"
    );
    if let Known::Known(rules) = &mut node.after.netfilter {
        rules.unread.push(Missing::new("nftables of x", "nft is nowhere"));
    }
    assert_eq!(
        named(&of_drop(&node, &event, Direction::Request, 3)),
        "unknown, 1 unread"
    );
    node.before.netfilter = Known::Missing(Missing::new("rules", "no permission"));
    node.after.netfilter = Known::Missing(Missing::new("rules", "no permission"));
    assert_eq!(named(&which(&node, "forward", &syn(), 1)), "unknown, 1 unread");
}
