//! What the words of one rule of iptables mean: what it tests, and what it does.

use super::clause::{Clause, Opt};
use model::facts::{Action, Match, NetfilterRule, SetMark};

/// Targets that do something to the packet or beside it and let it go on.
const GOES_ON: &[&str] = &[
    "AUDIT",
    "CHECKSUM",
    "CLASSIFY",
    "CONNMARK",
    "CONNSECMARK",
    "CT",
    "DSCP",
    "ECN",
    "HL",
    "HMARK",
    "IDLETIMER",
    "LED",
    "LOG",
    "MARK",
    "NFLOG",
    "NOTRACK",
    "RATEEST",
    "SECMARK",
    "SET",
    "TCPMSS",
    "TCPOPTSTRIP",
    "TEE",
    "TOS",
    "TRACE",
    "TTL",
    "ULOG",
];

/// Modules whose options stand for themselves, one test each.
const PLAIN_MODULES: &[&str] = &[
    "tcp",
    "udp",
    "udplite",
    "sctp",
    "dccp",
    "icmp",
    "icmp6",
    "ipv6-icmp",
    "multiport",
    "conntrack",
    "state",
    "iprange",
    "comment",
];

/// The fixed priorities of iptables' tables (`enum nf_ip_hook_priorities`).
pub(super) fn priority(table: &str, hook: &str) -> i32 {
    match (table, hook) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", "prerouting" | "output") => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    }
}

/// What clauses mean.
pub(super) fn rule(clauses: &[Clause]) -> NetfilterRule {
    let mut rule = NetfilterRule::default();
    for clause in clauses {
        match clause {
            Clause::Plain(option) => test(option, &mut rule),
            Clause::Match { module, options } => module_tests(module, options, clause, &mut rule),
            Clause::Target { name, options } => {
                rule.action = action(name, options);
                rule.mark = set_mark(name, options);
            }
            Clause::Call { chain, goto: true } => rule.action = Action::Goto { chain: chain.clone() },
            Clause::Call { chain, goto: false } => rule.action = Action::Jump { chain: chain.clone() },
            Clause::UnreadMatch(module) => module_tests(module, &[], clause, &mut rule),
            Clause::UnreadTarget(name) => {
                rule.action = if GOES_ON.contains(&name.as_str()) {
                    Action::Continue
                } else {
                    let text = clause.text().split_off("-j ".len());
                    Action::Other { text }
                };
            }
        }
    }
    rule
}

fn module_tests(module: &str, options: &[Opt], clause: &Clause, rule: &mut NetfilterRule) {
    let text = || clause.text();
    match module {
        "limit" | "hashlimit" | "connlimit" | "quota" | "connbytes" | "rateest" => {
            rule.matches.push(Match::Limit { text: text() });
        }
        "recent" if options.iter().any(|option| option.name == "--hitcount") => {
            rule.matches.push(Match::Limit { text: text() });
        }
        // It counts what passes, and everything fits.
        "nfacct" => {}
        "statistic" => rule.matches.push(Match::Random { text: text() }),
        "set" if let Some(test) = in_set(options) => rule.matches.push(test),
        plain if PLAIN_MODULES.contains(&plain) && matches!(clause, Clause::Match { .. }) => {
            for option in options {
                test(option, rule);
            }
        }
        _ => rule.matches.push(Match::Opaque { text: text() }),
    }
}

/// Membership alone; a test of the set's counters, or of its holes, cannot be told.
fn in_set(options: &[Opt]) -> Option<Match> {
    let [first, rest @ ..] = options else { return None };
    let counts = |option: &Opt| matches!(option.name.as_ref(), "--update-counters" | "--update-subcounters");
    match first.values.as_slice() {
        [name, ends] if first.name == "--match-set" && rest.iter().all(counts) => Some(Match::Set {
            name: name.clone(),
            ends: ends.split(',').map(str::to_owned).collect(),
            not: first.not,
        }),
        _ => None,
    }
}

fn test(option: &Opt, rule: &mut NetfilterRule) {
    let not = option.not;
    let value = || option.value();
    let opaque = || Match::Opaque { text: option.text() };
    let ports = |of: &dyn Fn(Vec<(u16, u16)>) -> Match| ranges(&value()).map_or_else(opaque, of);
    let test = match option.name.as_ref() {
        "-p" => Match::Protocol { is: value(), not },
        "-s" | "--src-range" => Match::Source {
            any: vec![value()],
            not,
        },
        "-d" | "--dst-range" => Match::Destination {
            any: vec![value()],
            not,
        },
        "-i" => Match::In { is: value(), not },
        "-o" => Match::Out { is: value(), not },
        "--sport" | "--sports" => ports(&|any| Match::SourcePort { any, not }),
        "--dport" | "--dports" => ports(&|any| Match::DestinationPort { any, not }),
        "--tcp-flags" => match option.values.as_slice() {
            [mask, set] => flags(mask)
                .zip(flags(set))
                .map_or_else(opaque, |(mask, set)| Match::TcpFlags { mask, set, not }),
            _ => opaque(),
        },
        "--syn" => Match::TcpFlags {
            mask: 0x17,
            set: 0x02,
            not,
        },
        "--ctstate" | "--state" => Match::CtState {
            any: value().split(',').map(str::to_owned).collect(),
            not,
        },
        "--icmp-type" | "--icmpv6-type" => Match::IcmpType { is: value(), not },
        "--comment" => {
            rule.comment = Some(value());
            return;
        }
        _ => opaque(),
    };
    rule.matches.push(test);
}

/// `80`, `1:1024`, `53,5353,8000:8080`.
fn ranges(text: &str) -> Option<Vec<(u16, u16)>> {
    text.split(',')
        .map(|part| match part.split_once(':') {
            None => part.parse().ok().map(|port| (port, port)),
            Some((low, high)) => {
                let low = if low.is_empty() { Some(0) } else { low.parse().ok() };
                let high = if high.is_empty() {
                    Some(u16::MAX)
                } else {
                    high.parse().ok()
                };
                low.zip(high)
            }
        })
        .collect()
}

/// `SYN,ACK`, `ALL`, `NONE` as the bits of the TCP header.
fn flags(text: &str) -> Option<u8> {
    text.split(',').try_fold(0, |bits, name| {
        Some(
            bits | match name {
                "FIN" => 0x01,
                "SYN" => 0x02,
                "RST" => 0x04,
                "PSH" => 0x08,
                "ACK" => 0x10,
                "URG" => 0x20,
                "ALL" => 0x3f,
                "NONE" => 0,
                _ => return None,
            },
        )
    })
}

fn action(target: &str, options: &[Opt]) -> Action {
    let after = |names: &[&str]| {
        let option = options.iter().find(|option| names.contains(&option.name.as_ref()))?;
        Some(option.value())
    };
    match target {
        "ACCEPT" => Action::Accept,
        "DROP" => Action::Drop,
        "RETURN" => Action::Return,
        "REJECT" => Action::Reject {
            with: after(&["--reject-with"]).unwrap_or_else(|| "icmp-port-unreachable".to_owned()),
        },
        "DNAT" | "SNAT" | "MASQUERADE" | "REDIRECT" | "NETMAP" => Action::Nat {
            kind: target.to_owned(),
            to: after(&["--to-destination", "--to-source", "--to-ports", "--to"]).unwrap_or_default(),
        },
        "NFQUEUE" => Action::Queue {
            number: after(&["--queue-num", "--queue-balance"])
                .and_then(|numbers| numbers.split(':').next()?.parse().ok())
                .unwrap_or_default(),
            bypass: options.iter().any(|option| option.name == "--queue-bypass"),
        },
        "QUEUE" => Action::Queue {
            number: 0,
            bypass: false,
        },
        known if GOES_ON.contains(&known) => Action::Continue,
        other => Action::Other { text: other.to_owned() },
    }
}

/// `MARK --set-xmark VALUE[/MASK]`, the only form in which the tools save it.
fn set_mark(target: &str, options: &[Opt]) -> Option<SetMark> {
    let option = options.first().filter(|option| option.name == "--set-xmark")?;
    let words = option.value();
    let (value, mask) = words.split_once('/').unwrap_or((&words, "0xffffffff"));
    let number = |text: &str| match text.strip_prefix("0x") {
        Some(hex) => u32::from_str_radix(hex, 16).ok(),
        None => text.parse().ok(),
    };
    (target == "MARK").then_some(SetMark {
        value: number(value)?,
        mask: number(mask)?,
    })
}

#[cfg(test)]
mod tests {
    use super::Match;
    use crate::facts::netfilter::iptables::quoting::split;
    use crate::facts::netfilter::iptables::save::clauses;
    use model::facts::{Action, NetfilterRule, SetMark};

    fn rule(line: &str) -> NetfilterRule {
        super::rule(&clauses(&split(line)[2..], &|name| matches!(name, "A" | "B")))
    }

    fn tests(line: &str) -> Vec<Match> {
        rule(line).matches
    }

    #[test]
    fn addresses_and_interfaces_may_be_inverted() {
        assert_eq!(
            tests("-A FORWARD -s 10.0.0.0/8 ! -d 10.0.0.1/32 -i cali+ ! -o eth0 -j DROP"),
            [
                Match::Source {
                    any: vec!["10.0.0.0/8".to_owned()],
                    not: false
                },
                Match::Destination {
                    any: vec!["10.0.0.1/32".to_owned()],
                    not: true
                },
                Match::In {
                    is: "cali+".to_owned(),
                    not: false
                },
                Match::Out {
                    is: "eth0".to_owned(),
                    not: true
                },
            ]
        );
        assert_eq!(
            tests("-A FORWARD -m iprange ! --src-range 10.0.0.1-10.0.0.9 -j DROP"),
            [Match::Source {
                any: vec!["10.0.0.1-10.0.0.9".to_owned()],
                not: true
            }]
        );
    }

    #[test]
    fn ports_are_single_ranges_and_lists() {
        for (option, any) in [
            ("--dport 80", vec![(80, 80)]),
            ("--dport 1:1024", vec![(1, 1024)]),
            ("--dport :1024", vec![(0, 1024)]),
            ("--dport 1024:", vec![(1024, 65535)]),
        ] {
            assert_eq!(
                tests(&format!("-A FORWARD -p tcp -m tcp {option} -j DROP"))[1],
                Match::DestinationPort { any, not: false }
            );
        }
        assert_eq!(
            tests("-A FORWARD -p udp -m multiport ! --sports 53,8000:8080 -j DROP")[1],
            Match::SourcePort {
                any: vec![(53, 53), (8000, 8080)],
                not: true
            }
        );
    }

    #[test]
    fn flags_states_and_icmp_types() {
        assert_eq!(
            tests("-A FORWARD -p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN -j DROP")[1],
            Match::TcpFlags {
                mask: 0x17,
                set: 0x02,
                not: false
            }
        );
        assert_eq!(
            tests("-A FORWARD -p tcp -m tcp ! --tcp-flags ALL NONE -j DROP")[1],
            Match::TcpFlags {
                mask: 0x3f,
                set: 0,
                not: true
            }
        );
        assert_eq!(
            tests("-A FORWARD -m conntrack ! --ctstate RELATED,ESTABLISHED -j DROP"),
            [Match::CtState {
                any: vec!["RELATED".to_owned(), "ESTABLISHED".to_owned()],
                not: true
            }]
        );
        assert_eq!(
            tests("-A FORWARD -p icmp -m icmp --icmp-type 3/4 -j DROP")[1],
            Match::IcmpType {
                is: "3/4".to_owned(),
                not: false
            }
        );
    }

    #[test]
    fn limiters_and_chance_are_named_and_the_rest_stays_opaque() {
        for (options, test) in [
            (
                "-m limit --limit 1/sec",
                Match::Limit {
                    text: "-m limit --limit 1/sec".to_owned(),
                },
            ),
            (
                "-m connlimit --connlimit-above 2 --connlimit-mask 32 --connlimit-saddr",
                Match::Limit {
                    text: "-m connlimit --connlimit-above 2 --connlimit-mask 32 --connlimit-saddr".to_owned(),
                },
            ),
            (
                "-m statistic --mode random --probability 0.20000000019",
                Match::Random {
                    text: "-m statistic --mode random --probability 0.20000000019".to_owned(),
                },
            ),
            (
                "-m mark --mark 0x1/0x1",
                Match::Opaque {
                    text: "-m mark --mark 0x1/0x1".to_owned(),
                },
            ),
            (
                "-m set ! --match-set bad src,dst ! --update-counters",
                Match::Set {
                    name: "bad".to_owned(),
                    ends: vec!["src".to_owned(), "dst".to_owned()],
                    not: true,
                },
            ),
            (
                "-m set --match-set bad src --return-nomatch",
                Match::Opaque {
                    text: "-m set --match-set bad src --return-nomatch".to_owned(),
                },
            ),
            (
                "-m conntrack --ctdir ORIGINAL",
                Match::Opaque {
                    text: "--ctdir ORIGINAL".to_owned(),
                },
            ),
        ] {
            assert_eq!(tests(&format!("-A FORWARD {options} -j DROP")), [test]);
        }
    }

    #[test]
    fn a_rule_that_only_counts_or_logs_tests_nothing_more_and_goes_on() {
        for options in [
            "-m nfacct --nfacct-name web",
            "-j LOG",
            "-j MARK --set-xmark 0x4000/0x4000",
            "-j NFLOG",
        ] {
            let rule = rule(&format!("-A FORWARD {options}"));
            assert_eq!((rule.matches.len(), rule.action), (0, Action::Continue), "{options}");
        }
        assert_eq!(
            tests(
                "-A FORWARD -m recent --update --seconds 60 --hitcount 4 --name X --mask 255.255.255.255 --rsource -j DROP"
            ),
            [Match::Limit {
                text: "-m recent --update --seconds 60 --hitcount 4 --name X --mask 255.255.255.255 --rsource"
                    .to_owned()
            }]
        );
        assert!(matches!(
            tests("-A FORWARD -m socket --transparent -j DROP").as_slice(),
            [Match::Opaque { .. }]
        ));
    }

    #[test]
    fn a_comment_may_hold_anything() {
        let rule = rule(r#"-A FORWARD -m comment --comment "ns/web \"-j DROP\" here" -p tcp -j A"#);
        assert_eq!(rule.comment.as_deref(), Some(r#"ns/web "-j DROP" here"#));
        assert_eq!(rule.action, Action::Jump { chain: "A".to_owned() });
        assert_eq!(
            rule.matches,
            [Match::Protocol {
                is: "tcp".to_owned(),
                not: false
            }]
        );
    }

    #[test]
    fn what_a_rule_does() {
        let nat = |kind: &str, to: &str| Action::Nat {
            kind: kind.to_owned(),
            to: to.to_owned(),
        };
        for (options, action) in [
            ("", Action::Continue),
            ("-j MARK --set-xmark 0x4000/0x4000", Action::Continue),
            ("-j LOG --log-prefix \"x: \"", Action::Continue),
            ("-j RETURN", Action::Return),
            (
                "-j REJECT",
                Action::Reject {
                    with: "icmp-port-unreachable".to_owned(),
                },
            ),
            (
                "-p tcp -j REJECT --reject-with tcp-reset",
                Action::Reject {
                    with: "tcp-reset".to_owned(),
                },
            ),
            ("-j A", Action::Jump { chain: "A".to_owned() }),
            ("-g B", Action::Goto { chain: "B".to_owned() }),
            (
                "-j NFQUEUE --queue-num 7 --queue-bypass",
                Action::Queue {
                    number: 7,
                    bypass: true,
                },
            ),
            (
                "-j NFQUEUE --queue-balance 2:5",
                Action::Queue {
                    number: 2,
                    bypass: false,
                },
            ),
            (
                "-p tcp -j DNAT --to-destination 10.0.0.7:8080",
                nat("DNAT", "10.0.0.7:8080"),
            ),
            ("-j SNAT --to-source 192.0.2.1", nat("SNAT", "192.0.2.1")),
            ("-p tcp -j REDIRECT --to-ports 15001", nat("REDIRECT", "15001")),
        ] {
            assert_eq!(rule(&format!("-A FORWARD {options}")).action, action, "{options}");
        }
    }

    #[test]
    fn a_mark_is_set_whole_or_in_part() {
        let marked = |options: &str| rule(&format!("-A PREROUTING {options}")).mark;
        let kube = SetMark {
            value: 0x4000,
            mask: 0x4000,
        };
        assert_eq!(marked("-j MARK --set-xmark 0x4000/0x4000"), Some(kube));
        let whole = SetMark {
            value: 7,
            mask: u32::MAX,
        };
        assert_eq!(
            marked("-p tcp -m tcp --dport 80 -j MARK --set-xmark 0x7/0xffffffff"),
            Some(whole)
        );
        assert_eq!(marked("-j CONNMARK --restore-mark"), None);
        assert_eq!(marked("-j ACCEPT"), None);
    }
}
