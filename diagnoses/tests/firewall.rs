//! Rule sets and packets: where a packet's way ends, and which rule is named for one that was dropped.
#![expect(
    clippy::unwrap_used,
    reason = "a description that cannot be read is the test's own fault"
)]

use diagnoses::firewall::culprit::{Culprit, of_drop, which};
use diagnoses::firewall::fits::Packet;
use diagnoses::firewall::{Fall, Stop, evaluate};
use model::event::{Event, Packet as Marks, Seen, TcpState};
use model::evidence::NetnsEvidence;
use model::facts::{
    Action, Address, Chain, Link, Match, Netfilter, NetfilterRule, NetnsFacts, NextHop, Route, RouteKind,
};
use model::flow::{Flow, ICMP, TCP, UDP};
use model::missing::{Known, Missing};
use model::owner::Owner;
use model::report::Direction;

/// A chain: `base("filter", "forward", "ACCEPT")` or `user("filter", "KUBE-FORWARD")`, then rules.
fn base(table: &str, hook: &str, policy: &str) -> Chain {
    Chain {
        name: hook.to_uppercase(),
        hook: Some(hook.to_owned()),
        policy: Some(policy.to_owned()),
        policy_packets: Some(0),
        ..user(table, "")
    }
}

fn user(table: &str, name: &str) -> Chain {
    Chain {
        backend: "iptables-legacy".to_owned(),
        family: "ip".to_owned(),
        table: table.to_owned(),
        name: name.to_owned(),
        ..Chain::default()
    }
}

fn nft(mut chain: Chain, family: &str) -> Chain {
    "nftables".clone_into(&mut chain.backend);
    family.clone_into(&mut chain.family);
    chain.policy_packets = None;
    for rule in &mut chain.rules {
        rule.packets = None;
    }
    chain
}

trait With {
    fn with(self, matches: Vec<Match>, action: Action) -> Self;
}

impl With for Chain {
    fn with(mut self, matches: Vec<Match>, action: Action) -> Self {
        let handle = self.rules.len() as u64 + 1;
        self.rules.push(NetfilterRule {
            handle,
            text: format!("rule {handle} of {}", self.name),
            packets: Some(0),
            matches,
            action,
            comment: None,
        });
        self
    }
}

fn jump(chain: &str) -> Action {
    Action::Jump {
        chain: chain.to_owned(),
    }
}

fn goto(chain: &str) -> Action {
    Action::Goto {
        chain: chain.to_owned(),
    }
}

fn proto(is: &str) -> Match {
    Match::Protocol {
        is: is.to_owned(),
        not: false,
    }
}

fn dport(low: u16, high: u16) -> Match {
    Match::DestinationPort {
        any: vec![(low, high)],
        not: false,
    }
}

fn to(any: &str) -> Match {
    Match::Destination {
        any: vec![any.to_owned()],
        not: false,
    }
}

fn state(is: &str) -> Match {
    Match::CtState {
        any: is.split(',').map(str::to_owned).collect(),
        not: false,
    }
}

fn opaque() -> Match {
    Match::Opaque {
        text: "-m mark --mark 0x4000/0x4000".to_owned(),
    }
}

fn limit() -> Match {
    Match::Limit {
        text: "limit: avg 1/sec".to_owned(),
    }
}

fn set(chains: Vec<Chain>) -> Netfilter {
    Netfilter {
        chains,
        ..Netfilter::default()
    }
}

fn syn() -> Packet<'static> {
    Packet {
        flow: Flow::new(TCP, "10.90.1.2:40001".parse().unwrap(), "10.90.2.2:80".parse().unwrap()),
        arrives: Some(vec!["cbr0"]),
        leaves: Some(vec!["up0"]),
        flags: Some(2),
        states: vec!["NEW"],
        ..Packet::default()
    }
}

/// Where the packet's way certainly ends, `PASS` when it certainly ends nowhere, `?` when it cannot be told.
fn fate(rules: &Netfilter, packet: &Packet<'_>) -> String {
    let stops = evaluate(rules, "forward", packet);
    let bad: Vec<_> = stops
        .iter()
        .filter(|stop| matches!(stop.fall, Fall::Drop | Fall::Reject | Fall::Unknown | Fall::Queue))
        .collect();
    match bad.as_slice() {
        [] => "PASS".to_owned(),
        [only] if only.certain => match only.rule {
            Some(rule) => format!("{:?} at {}", only.fall, rule.text),
            None => format!("{:?} by policy of {}", only.fall, only.chain.name),
        },
        _ => "?".to_owned(),
    }
}

#[test]
fn a_packet_ends_where_the_kernel_would_end_it() {
    let forward = || base("filter", "forward", "ACCEPT");
    let ours = || vec![proto("tcp"), dport(80, 80)];
    let reject = || Action::Reject {
        with: "icmp-port-unreachable".to_owned(),
    };
    let cases: Vec<(&str, Vec<Chain>, &str)> = vec![
        ("empty", vec![forward()], "PASS"),
        (
            "reject is an end",
            vec![forward().with(ours(), reject())],
            "Reject at rule 1 of FORWARD",
        ),
        (
            "a mark is no end",
            vec![
                forward()
                    .with(
                        vec![],
                        Action::Other {
                            text: "MARK --set-xmark 0x4000/0x4000".to_owned(),
                        },
                    )
                    .with(ours(), Action::Drop),
            ],
            "Drop at rule 2 of FORWARD",
        ),
        (
            "a new connection is not invalid",
            vec![
                forward().with(vec![], jump("KUBE-FORWARD")),
                user("filter", "KUBE-FORWARD").with(vec![state("INVALID")], Action::Drop),
            ],
            "PASS",
        ),
        (
            "a return goes back to the caller",
            vec![
                forward().with(vec![], jump("A")),
                user("filter", "A").with(vec![], jump("B")).with(vec![], Action::Drop),
                user("filter", "B").with(vec![], Action::Return),
            ],
            "Drop at rule 2 of A",
        ),
        (
            "a goto does not come back",
            vec![
                forward().with(vec![], jump("A")).with(vec![], Action::Drop),
                user("filter", "A").with(vec![], goto("B")).with(vec![], Action::Accept),
                user("filter", "B"),
            ],
            "Drop at rule 2 of FORWARD",
        ),
        (
            "a goto out of the base chain ends at its policy",
            vec![
                base("filter", "forward", "DROP")
                    .with(vec![], goto("B"))
                    .with(vec![], Action::Accept),
                user("filter", "B"),
            ],
            "Drop by policy of FORWARD",
        ),
        (
            "port ranges",
            vec![forward().with(vec![proto("tcp"), dport(1, 1024)], Action::Drop)],
            "Drop at rule 1 of FORWARD",
        ),
        (
            "an inverted address",
            vec![forward().with(
                vec![Match::Destination {
                    any: vec!["10.90.2.0/24".to_owned()],
                    not: true,
                }],
                Action::Drop,
            )],
            "PASS",
        ),
        (
            "an address range",
            vec![forward().with(vec![to("10.90.2.1-10.90.2.9")], Action::Drop)],
            "Drop at rule 1 of FORWARD",
        ),
        (
            "interfaces with a wildcard, both ways",
            vec![forward().with(
                vec![
                    Match::In {
                        is: "cbr+".to_owned(),
                        not: false,
                    },
                    Match::Out {
                        is: "up0".to_owned(),
                        not: false,
                    },
                ],
                Action::Drop,
            )],
            "Drop at rule 1 of FORWARD",
        ),
        (
            "a list of interfaces",
            vec![forward().with(
                vec![Match::In {
                    is: "{ \"eth0\", \"cbr0\" }".to_owned(),
                    not: false,
                }],
                Action::Drop,
            )],
            "Drop at rule 1 of FORWARD",
        ),
        (
            "TCP flags",
            vec![forward().with(
                vec![Match::TcpFlags {
                    mask: 0x17,
                    set: 0x02,
                    not: true,
                }],
                Action::Drop,
            )],
            "PASS",
        ),
        (
            "accepting in mangle does not save it from filter",
            vec![
                base("filter", "forward", "DROP"),
                base("mangle", "forward", "ACCEPT").with(vec![], Action::Accept),
            ],
            "Drop by policy of FORWARD",
        ),
        (
            "an nftables table beside iptables",
            vec![
                forward().with(vec![], Action::Accept),
                nft(
                    base("guard", "forward", "ACCEPT").with(vec![proto("tcp")], Action::Drop),
                    "inet",
                ),
            ],
            "Drop at rule 1 of FORWARD",
        ),
        (
            "chains of the other family are not met",
            vec![nft(base("six", "forward", "DROP"), "ip6")],
            "PASS",
        ),
        ("another hook is not met", vec![base("filter", "input", "DROP")], "PASS"),
        (
            "a limiter cannot be told",
            vec![base("filter", "forward", "DROP").with(vec![limit()], Action::Accept)],
            "?",
        ),
        (
            "what is accepted first is not dropped after",
            vec![
                forward()
                    .with(vec![state("NEW")], Action::Accept)
                    .with(ours(), Action::Drop),
            ],
            "PASS",
        ),
        (
            "the default of a target that is not known",
            vec![forward().with(
                vec![],
                Action::Other {
                    text: "TARPIT".to_owned(),
                },
            )],
            "?",
        ),
        (
            "a chain that was not read",
            vec![forward().with(vec![], jump("GONE")).with(vec![], Action::Drop)],
            "?",
        ),
    ];
    for (name, chains, expected) in cases {
        assert_eq!(fate(&set(chains), &syn()), expected, "{name}");
    }
}

#[test]
fn ports_do_not_fit_protocols_without_any_even_when_inverted() {
    let rules = set(vec![base("filter", "forward", "ACCEPT").with(
        vec![Match::DestinationPort {
            any: vec![(22, 22)],
            not: true,
        }],
        Action::Drop,
    )]);
    let mut echo = syn();
    echo.flow.protocol = ICMP;
    echo.flags = Some(8);
    assert_eq!(fate(&rules, &echo), "PASS");
    assert_eq!(fate(&rules, &syn()), "Drop at rule 1 of FORWARD");
}

#[test]
fn icmp_types_are_known_by_name_and_number() {
    let with = |is: &str| {
        set(vec![base("filter", "forward", "ACCEPT").with(
            vec![
                proto("icmp"),
                Match::IcmpType {
                    is: is.to_owned(),
                    not: false,
                },
            ],
            Action::Drop,
        )])
    };
    let mut packet = syn();
    packet.flow.protocol = ICMP;
    (packet.flags, packet.code) = (Some(3), Some(4));
    for (is, expected) in [
        ("fragmentation-needed", "Drop at rule 1 of FORWARD"),
        ("3/4", "Drop at rule 1 of FORWARD"),
        ("3", "Drop at rule 1 of FORWARD"),
        ("3/1", "PASS"),
        ("echo-request", "PASS"),
        ("something-new", "?"),
    ] {
        assert_eq!(fate(&with(is), &packet), expected, "{is}");
    }
}

#[test]
fn a_loop_of_chains_ends() {
    let rules = set(vec![
        base("filter", "forward", "ACCEPT").with(vec![], jump("A")),
        user("filter", "A").with(vec![], jump("B")),
        user("filter", "B").with(vec![], jump("A")),
    ]);
    assert!(!evaluate(&rules, "forward", &syn()).is_empty());
}

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
    assert!(!culprit.all(Stop::limited));
}

#[test]
fn a_policy_behind_a_limiter_is_a_limiter() {
    let chains = vec![base("filter", "forward", "DROP").with(vec![limit()], Action::Accept)];
    let node = node(chains, |chain| chain.policy_packets = Some(3));
    let event = dropped(syn().flow, 2, 2, "nf_hook_slow");
    let culprit = of_drop(&node, &event, Direction::Request, 3);
    assert_eq!(named(&culprit), "policy DROP");
    assert!(culprit.all(Stop::limited));
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
