//! Where a packet's way through the rules of a hook ends, as in the kernel.

use crate::*;
use diagnoses::kernel::firewall::{NetfilterVerdict, evaluate, marked};
use model::facts::SetMark;
use model::flow::ICMP;

/// Where the packet's way certainly ends, `PASS` when it certainly ends nowhere, `?` when it cannot be told.
fn fate(rules: &Netfilter, packet: &HookPacket<'_>) -> String {
    let stops = evaluate(rules, "forward", packet);
    let bad: Vec<_> = stops
        .iter()
        .filter(|stop| {
            matches!(
                stop.verdict,
                NetfilterVerdict::Drop | NetfilterVerdict::Reject | NetfilterVerdict::Unknown | NetfilterVerdict::Queue
            )
        })
        .collect();
    match bad.as_slice() {
        [] => "PASS".to_owned(),
        [only] if only.certain => match only.rule {
            Some(rule) => format!("{:?} at {}", only.verdict, rule.text),
            None => format!("{:?} by policy of {}", only.verdict, only.chain.name),
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
fn what_is_not_decoded_never_proves_innocence() {
    let undecoded = |text: &str| Match::Opaque { text: text.to_owned() };
    let other = |text: &str| Action::Other { text: text.to_owned() };
    let one = |tests: Vec<Match>, action: Action| set(vec![base("filter", "forward", "ACCEPT").with(tests, action)]);
    for rules in [
        one(vec![undecoded("-m bpf (not decoded)")], Action::Drop),
        one(vec![], other("SYNPROXY (not decoded)")),
        one(vec![proto("a-name-from-a-newer-list")], Action::Drop),
        one(
            vec![Match::Set {
                name: "unread".to_owned(),
                ends: vec!["src".to_owned()],
                not: false,
            }],
            Action::Drop,
        ),
    ] {
        assert_eq!(fate(&rules, &syn()), "?");
    }
    assert_eq!(fate(&one(vec![proto("vrrp")], Action::Drop), &syn()), "PASS");
    assert_eq!(fate(&one(vec![], other("LOG (not decoded)")), &syn()), "PASS");
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

#[test]
fn a_mark_is_that_of_the_rules_that_are_certain_to_meet_the_packet() {
    let marking = |tests: Vec<Match>, value: u32, mask: u32| {
        let mut chain = user("mangle", "").with(tests, Action::Continue);
        chain.rules[0].mark = Some(SetMark { value, mask });
        chain.rules.remove(0)
    };
    let mut chain = base("mangle", "prerouting", "ACCEPT");
    chain.rules = vec![
        marking(vec![to("10.90.2.0/24")], 0x7, u32::MAX),
        marking(vec![dport(443, 443)], 0x70, u32::MAX),
        marking(vec![opaque()], 0x700, 0x700),
        marking(vec![dport(80, 80)], 0x4000, 0x4000),
    ];
    assert_eq!(marked(&set(vec![chain.clone()]), "prerouting", &syn()), 0x4007);
    assert_eq!(marked(&set(vec![chain]), "output", &syn()), 0);
}
