//! What nft's match expressions test, in a form that can be evaluated.

use super::json::{only, text};
use super::scope::{RuleScope, set_key};
use super::wording;
use model::facts::Match;
use serde_json::Value;

/// A named set with more elements is referred to by its name.
const INLINE_MAX: usize = 64;

/// The tests of one `match` statement: a packet fits when it fits one of the alternatives. There are several where keys
/// are joined (`ip saddr . tcp dport { 10.0.0.1 . 80, ... }`), at most `most`.
pub(super) fn alternatives(value: &Value, scope: RuleScope, most: usize) -> Vec<Vec<Match>> {
    let (left, right) = (&value["left"], &value["right"]);
    let equal = matches!(text(value, "op"), "" | "==" | "in");
    if left.get("concat").is_some()
        && equal
        && let Some(elements) = members(right, scope)
        && (1..=most).contains(&elements.len())
    {
        return elements
            .iter()
            .map(|element| element_tests(left, element, scope))
            .collect();
    }
    vec![tests(value, scope)]
}

fn tests(value: &Value, scope: RuleScope) -> Vec<Match> {
    let (left, right) = (&value["left"], &value["right"]);
    let op = text(value, "op");
    compare(left, op, right, scope).unwrap_or_else(|| {
        let text = wording::statement("match", value);
        let untold = if text.contains("numgen") || text.contains("random") {
            Match::Random { text }
        } else {
            Match::Opaque { text }
        };
        header(left, scope).into_iter().chain([untold]).collect()
    })
}

/// The header that a field belongs to: who asks for the field asks for its header.
fn header(left: &Value, scope: RuleScope) -> Option<Match> {
    let payload = left.get("payload").or_else(|| left.pointer("/&/0/payload"))?;
    match text(payload, "protocol") {
        "ip" | "ip6" if matches!(scope.family, "ip" | "ip6") => None,
        family @ ("ip" | "ip6") => Some(of_family(family == "ip")),
        "icmpv6" => Some(carried_by("icmpv6")),
        "arp" if scope.family != "arp" => Some(carried_by("arp")),
        protocol @ ("tcp" | "udp" | "udplite" | "sctp" | "dccp" | "icmp" | "esp" | "ah") => Some(carried_by(protocol)),
        _ => None,
    }
}

fn carried_by(protocol: &str) -> Match {
    Match::Protocol {
        is: protocol.to_owned(),
        not: false,
    }
}

/// The tests of one element of a verdict map: its key, part by part.
pub(super) fn element_tests(key: &Value, element: &Value, scope: RuleScope) -> Vec<Match> {
    if element == "*" {
        return Vec::new();
    }
    let element = element.pointer("/elem/val").unwrap_or(element);
    let parts = |value: &Value| value.get("concat").and_then(Value::as_array).cloned();
    match (parts(key), parts(element)) {
        (Some(keys), Some(elements)) if keys.len() == elements.len() => keys
            .iter()
            .zip(&elements)
            .flat_map(|(key, element)| element_tests(key, element, scope))
            .collect(),
        _ => tests(&serde_json::json!({"op": "==", "left": key, "right": element}), scope),
    }
}

fn compare(left: &Value, op: &str, right: &Value, scope: RuleScope) -> Option<Vec<Match>> {
    let not = match op {
        "" | "==" | "in" => false,
        // `!` is said of flags: none of them is set.
        "!=" | "!" => true,
        "<" | ">" | "<=" | ">=" => return below_or_above(left, op, right),
        _ => return None,
    };
    let (kind, subject) = only(left)?;
    match kind {
        "payload" => payload(text(subject, "protocol"), text(subject, "field"), op, right, not, scope),
        "meta" => meta(text(subject, "key"), right, not, scope),
        "ct" if text(subject, "key") == "state" => Some(vec![Match::CtState {
            any: names(right, scope)?.iter().map(|state| state.to_uppercase()).collect(),
            not,
        }]),
        "&" => tcp_flags(subject, right, not),
        _ => None,
    }
}

fn payload(protocol: &str, field: &str, op: &str, right: &Value, not: bool, scope: RuleScope) -> Option<Vec<Match>> {
    match (protocol, field) {
        ("ip" | "ip6", "saddr" | "daddr") => {
            let any = addresses(right, scope)?;
            let test = if field == "saddr" {
                Match::Source { any, not }
            } else {
                Match::Destination { any, not }
            };
            // The expression itself asks for the family, which an inverted test no longer says.
            let family = (not && !matches!(scope.family, "ip" | "ip6")).then(|| of_family(protocol == "ip"));
            Some(family.into_iter().chain([test]).collect())
        }
        ("ip", "protocol") | ("ip6", "nexthdr") => {
            let carried = Match::Protocol {
                is: names(right, scope)?.join(","),
                not,
            };
            let family = (!matches!(scope.family, "ip" | "ip6")).then(|| of_family(protocol == "ip"));
            Some(family.into_iter().chain([carried]).collect())
        }
        ("tcp" | "udp" | "sctp" | "dccp" | "udplite" | "th", "sport" | "dport") => {
            let any = ports(right, scope)?;
            let test = if field == "sport" {
                Match::SourcePort { any, not }
            } else {
                Match::DestinationPort { any, not }
            };
            let carrier = (protocol != "th").then(|| carried_by(protocol));
            Some(carrier.into_iter().chain([test]).collect())
        }
        ("tcp", "flags") => {
            let flags = flags(right)?;
            let test = match op {
                // All eight are as they are asked for.
                "==" | "!=" => Match::TcpFlags {
                    mask: 0xff,
                    set: flags,
                    not,
                },
                // None of them is set.
                "!" => Match::TcpFlags {
                    mask: flags,
                    set: 0,
                    not: false,
                },
                _ if flags.is_power_of_two() => Match::TcpFlags {
                    mask: flags,
                    set: flags,
                    not: false,
                },
                // Any of them is set.
                _ => Match::TcpFlags {
                    mask: flags,
                    set: 0,
                    not: true,
                },
            };
            Some(vec![carried_by("tcp"), test])
        }
        ("ether", "type") => Some(vec![network(right, not)?]),
        ("arp", field) if !field.ends_with("ether") => {
            let any = if field.ends_with("ip") {
                addresses(right, scope)?
            } else {
                names(right, scope)?
            };
            let field = field.to_owned();
            Some(vec![Match::Arp { field, any, not }])
        }
        ("icmp" | "icmpv6", "type") => Some(vec![
            carried_by(protocol),
            Match::IcmpType {
                is: names(right, scope)?.join(","),
                not,
            },
        ]),
        _ => None,
    }
}

fn meta(key: &str, right: &Value, not: bool, scope: RuleScope) -> Option<Vec<Match>> {
    let is = || Some(names(right, scope)?.join(","));
    Some(vec![match key {
        "l4proto" => Match::Protocol { is: is()?, not },
        "iifname" | "iif" => Match::In {
            is: interfaces(&is()?),
            not,
        },
        "oifname" | "oif" => Match::Out {
            is: interfaces(&is()?),
            not,
        },
        "nfproto" | "protocol" => network(right, not)?,
        _ => return None,
    }])
}

/// The protocol above the link: a family of addresses, or something that is no IP packet (ARP).
fn network(right: &Value, not: bool) -> Option<Match> {
    Some(match (right.as_str()?, not) {
        ("ipv4" | "ip", false) | ("ipv6" | "ip6", true) => of_family(true),
        ("ipv6" | "ip6", false) | ("ipv4" | "ip", true) => of_family(false),
        // Behind a tag lies a packet like any other.
        ("8021q" | "8021ad", _) => return None,
        (other, _) => Match::Protocol {
            is: other.to_owned(),
            not,
        },
    })
}

/// nft writes a wildcard as `*`, iptables as `+`.
fn interfaces(names: &str) -> String {
    names.replace('*', "+")
}

/// A test for the family itself: any source address of it.
fn of_family(v4: bool) -> Match {
    Match::Source {
        any: vec![if v4 { "0.0.0.0/0" } else { "::/0" }.to_owned()],
        not: false,
    }
}

/// `tcp flags & (fin|syn|rst|ack) == syn`.
fn tcp_flags(operands: &Value, right: &Value, not: bool) -> Option<Vec<Match>> {
    let [field, mask] = operands.as_array()?.as_slice() else {
        return None;
    };
    let subject = field.get("payload")?;
    if (text(subject, "protocol"), text(subject, "field")) != ("tcp", "flags") {
        return None;
    }
    Some(vec![
        Match::Protocol {
            is: "tcp".to_owned(),
            not: false,
        },
        Match::TcpFlags {
            mask: flags(mask)?,
            set: flags(right)?,
            not,
        },
    ])
}

/// Flags as a name, a list of them, or joined by `|`.
fn flags(value: &Value) -> Option<u8> {
    match value {
        Value::Number(number) => u8::try_from(number.as_u64()?).ok(),
        Value::String(name) => Some(match name.as_str() {
            "fin" => 0x01,
            "syn" => 0x02,
            "rst" => 0x04,
            "psh" => 0x08,
            "ack" => 0x10,
            "urg" => 0x20,
            "ecn" => 0x40,
            "cwr" => 0x80,
            _ => return None,
        }),
        Value::Array(parts) => parts.iter().try_fold(0, |bits, part| Some(bits | flags(part)?)),
        _ => flags(value.get("|").or_else(|| value.get("set"))?),
    }
}

/// Order is known for ports only.
fn below_or_above(left: &Value, op: &str, right: &Value) -> Option<Vec<Match>> {
    let subject = left.get("payload")?;
    let (protocol, field) = (text(subject, "protocol"), text(subject, "field"));
    let limit = u16::try_from(right.as_u64()?).ok()?;
    let any = vec![match op {
        "<" => (0, limit.checked_sub(1)?),
        "<=" => (0, limit),
        ">" => (limit.checked_add(1)?, u16::MAX),
        _ => (limit, u16::MAX),
    }];
    let test = match field {
        "sport" => Match::SourcePort { any, not: false },
        "dport" => Match::DestinationPort { any, not: false },
        _ => return None,
    };
    let carrier = (protocol != "th").then(|| Match::Protocol {
        is: protocol.to_owned(),
        not: false,
    });
    Some(carrier.into_iter().chain([test]).collect())
}

/// The members of the right side: of an anonymous set, a named one, a list, or the one value.
fn members<'a>(right: &'a Value, scope: RuleScope<'a>) -> Option<Vec<&'a Value>> {
    let all = match right {
        Value::String(reference) if reference.starts_with('@') => scope.elements(reference)?,
        Value::Array(list) => list,
        _ => match right.get("set") {
            Some(Value::Array(list)) => list,
            _ => return Some(vec![right]),
        },
    };
    Some(
        all.iter()
            .map(|member| member.pointer("/elem/val").unwrap_or(member))
            .collect(),
    )
}

/// Members that are plain words or numbers.
fn names(right: &Value, scope: RuleScope) -> Option<Vec<String>> {
    members(right, scope)?
        .into_iter()
        .map(|member| match member {
            Value::String(name) => Some(name.clone()),
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        })
        .collect()
}

fn addresses(right: &Value, scope: RuleScope) -> Option<Vec<String>> {
    let members = members(right, scope)?;
    if let Some(name) = right.as_str().and_then(|text| text.strip_prefix('@'))
        && members.len() > INLINE_MAX
    {
        return Some(vec![format!("@{}", set_key(scope.family, scope.table, name))]);
    }
    members
        .into_iter()
        .map(|member| match only(member) {
            None => member.as_str().map(str::to_owned),
            Some(("prefix" | "range", _)) => Some(wording::expression(member)),
            Some(_) => None,
        })
        .collect()
}

fn ports(right: &Value, scope: RuleScope) -> Option<Vec<(u16, u16)>> {
    let port = |value: &Value| u16::try_from(value.as_u64()?).ok();
    members(right, scope)?
        .into_iter()
        .map(
            |member| match member.get("range").and_then(Value::as_array).map(Vec::as_slice) {
                Some([low, high]) => Some((port(low)?, port(high)?)),
                _ => port(member).map(|port| (port, port)),
            },
        )
        .collect()
}
