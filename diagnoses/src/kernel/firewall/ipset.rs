//! Whether a packet is in a set of addresses (ipset), asked for as a rule asks it.

use super::fit::{Fit, in_text, interface, protocol};
use super::packet::HookPacket;
use model::facts::{IpSet, Netfilter};
use model::flow::{ICMP, ICMPV6, has_ports};

/// In the set of this name, with `src` or `dst` for each part of its members.
pub(super) fn within(name: &str, ends: &[String], packet: &HookPacket<'_>, netfilter: &Netfilter) -> Fit {
    let Some(set) = netfilter.ipsets.get(name) else {
        return Fit::Maybe;
    };
    if set.kind != "list:set" {
        return in_set(set, ends, packet);
    }
    let fits: Vec<Fit> = set
        .members
        .iter()
        .map(|name| match netfilter.ipsets.get(name) {
            Some(set) if set.kind != "list:set" => in_set(set, ends, packet),
            _ => Fit::Maybe,
        })
        .collect();
    any(&fits)
}

fn any(fits: &[Fit]) -> Fit {
    if fits.contains(&Fit::Yes) {
        Fit::Yes
    } else if fits.contains(&Fit::Maybe) {
        Fit::Maybe
    } else {
        Fit::No
    }
}

fn in_set(set: &IpSet, ends: &[String], packet: &HookPacket<'_>) -> Fit {
    let Some((_, parts)) = set.kind.split_once(':') else {
        return Fit::Maybe;
    };
    let parts: Vec<&str> = parts.split(',').collect();
    // A rule that gives fewer ends than the set has parts finds nothing.
    if ends.len() < parts.len() {
        return Fit::No;
    }
    let mut best: Option<(u8, bool)> = None;
    let mut fits = Vec::new();
    for member in &set.members {
        let (member, hole) = match member.strip_suffix(" nomatch") {
            Some(member) => (member, true),
            None => (member.as_str(), false),
        };
        let fit = is_member(member, &parts, ends, packet);
        // Of networks the narrowest decides, and it may be a hole.
        if fit == Fit::Yes {
            let length = prefix(member);
            if best.is_none_or(|(best, _)| length > best) {
                best = Some((length, hole));
            } else if best == Some((length, !hole)) {
                fits.push(Fit::Maybe);
            }
        } else {
            fits.push(fit);
        }
    }
    match (best, any(&fits)) {
        (Some((_, hole)), Fit::No) => Fit::of(!hole),
        (Some((_, false)), Fit::Maybe) if !set.members.iter().any(|member| member.ends_with(" nomatch")) => Fit::Yes,
        (Some(_), _) => Fit::Maybe,
        (None, rest) => rest,
    }
}

/// The length of the prefix of a member's first part.
fn prefix(member: &str) -> u8 {
    let first = member.split(',').next().unwrap_or_default();
    first
        .split_once('/')
        .and_then(|(_, length)| length.parse().ok())
        .unwrap_or(u8::MAX)
}

fn is_member(member: &str, parts: &[&str], ends: &[String], packet: &HookPacket<'_>) -> Fit {
    let values: Vec<&str> = member.splitn(parts.len(), ',').collect();
    if values.len() != parts.len() {
        return Fit::Maybe;
    }
    let mut all = Fit::Yes;
    for ((part, value), end) in parts.iter().zip(values).zip(ends) {
        let source = end == "src";
        let fit = match *part {
            "ip" | "net" => in_text(value, if source { packet.flow.src() } else { packet.flow.dst() }),
            "port" => port(value, source, packet),
            "iface" if value.starts_with("physdev:") => Fit::Maybe,
            "iface" => {
                let names = if source { &packet.arrives } else { &packet.leaves };
                interface(value, names.as_deref())
            }
            _ => Fit::Maybe,
        };
        match fit {
            Fit::No => return Fit::No,
            Fit::Maybe => all = Fit::Maybe,
            Fit::Yes => {}
        }
    }
    all
}

/// `tcp:80`; or `80`, for any protocol that has ports.
fn port(value: &str, source: bool, packet: &HookPacket<'_>) -> Fit {
    let (of, number) = value.split_once(':').unwrap_or(("", value));
    if !of.is_empty() && protocol(of, packet.flow.protocol) == Fit::No {
        return Fit::No;
    }
    if matches!(packet.flow.protocol, ICMP | ICMPV6) {
        // Type and code stand in a port's place.
        return Fit::Maybe;
    }
    if !has_ports(packet.flow.protocol) {
        return Fit::of(!of.is_empty());
    }
    let own = if source { packet.flow.sport } else { packet.flow.dport };
    number
        .parse::<u16>()
        .map_or(Fit::Maybe, |number| Fit::of(number == own))
}

#[cfg(test)]
mod tests {
    use super::within;
    use crate::kernel::firewall::fit::Fit;
    use crate::kernel::firewall::packet::HookPacket;
    use model::facts::{IpSet, Netfilter};
    use model::flow::{Flow, ICMP, TCP, UDP};

    fn netfilter(sets: &[(&str, &str, &[&str])]) -> Netfilter {
        let sets = sets.iter().map(|(name, kind, members)| {
            let set = IpSet {
                kind: (*kind).to_owned(),
                members: members.iter().map(|member| (*member).to_owned()).collect(),
            };
            ((*name).to_owned(), set)
        });
        Netfilter {
            ipsets: sets.collect(),
            ..Netfilter::default()
        }
    }

    fn packet(protocol: u8, from: &str, to: &str) -> HookPacket<'static> {
        let (src, dst) = (
            format!("{from}:5000").parse().unwrap(),
            format!("{to}:80").parse().unwrap(),
        );
        HookPacket {
            flow: Flow::new(protocol, src, dst),
            arrives: Some(vec!["eth0"]),
            ..HookPacket::default()
        }
    }

    fn fit(kind: &str, members: &[&str], ends: &str, packet: &HookPacket<'_>) -> Fit {
        let ends: Vec<String> = ends.split(',').map(str::to_owned).collect();
        within("s", &ends, packet, &netfilter(&[("s", kind, members)]))
    }

    #[test]
    fn the_narrowest_network_decides_and_may_be_a_hole() {
        let members = ["10.0.0.0/8", "10.1.0.0/16 nomatch", "10.1.1.0/24"];
        for (from, expected) in [
            ("10.2.0.1", Fit::Yes),
            ("10.1.2.1", Fit::No),
            ("10.1.1.1", Fit::Yes),
            ("11.0.0.1", Fit::No),
        ] {
            assert_eq!(
                fit("hash:net", &members, "src", &packet(TCP, from, "10.9.9.9")),
                expected,
                "{from}"
            );
        }
        assert_eq!(
            fit("hash:net", &members, "dst", &packet(TCP, "11.0.0.1", "10.9.9.9")),
            Fit::Yes
        );
    }

    #[test]
    fn every_part_is_asked_of_its_own_end() {
        let web = packet(TCP, "10.0.0.1", "10.0.0.2");
        for (kind, member, ends, expected) in [
            ("hash:ip,port", "10.0.0.2,tcp:80", "dst,dst", Fit::Yes),
            ("hash:ip,port", "10.0.0.2,udp:80", "dst,dst", Fit::No),
            ("hash:ip,port", "10.0.0.2,tcp:80", "dst,src", Fit::No),
            ("hash:ip,port", "10.0.0.2,tcp:80", "dst", Fit::No),
            ("hash:ip,port,ip", "10.0.0.2,tcp:80,10.0.0.1", "dst,dst,src", Fit::Yes),
            ("hash:net,iface", "10.0.0.0/24,eth0", "src,src", Fit::Yes),
            ("hash:net,iface", "10.0.0.0/24,eth+", "src,src", Fit::Yes),
            ("hash:net,iface", "10.0.0.0/24,eth1", "src,src", Fit::No),
            ("hash:net,iface", "10.0.0.0/24,physdev:eth0", "src,src", Fit::Maybe),
            ("bitmap:port", "80", "dst", Fit::Yes),
            ("bitmap:port", "81", "dst", Fit::No),
            ("hash:mac", "02:00:00:00:00:01", "src", Fit::Maybe),
            ("hash:ip,mark", "10.0.0.1,0x1", "src,src", Fit::Maybe),
        ] {
            assert_eq!(fit(kind, &[member], ends, &web), expected, "{kind} {member} {ends}");
        }
        let echo = packet(ICMP, "10.0.0.1", "10.0.0.2");
        assert_eq!(
            fit("hash:ip,port", &["10.0.0.2,icmp:2048"], "dst,dst", &echo),
            Fit::Maybe
        );
        assert_eq!(fit("hash:ip,port", &["10.0.0.2,tcp:80"], "dst,dst", &echo), Fit::No);
        let lookup = packet(UDP, "10.0.0.1", "10.0.0.2");
        assert_eq!(fit("hash:ip,port", &["10.0.0.2,tcp:80"], "dst,dst", &lookup), Fit::No);
    }

    #[test]
    fn a_set_that_was_not_read_tells_nothing_and_a_list_is_all_its_sets() {
        let ends = ["src".to_owned()];
        let web = packet(TCP, "10.0.0.1", "10.0.0.2");
        let sets = netfilter(&[
            ("here", "hash:ip", &["10.0.0.1"]),
            ("elsewhere", "hash:ip", &["10.0.0.9"]),
            ("empty", "hash:ip", &[]),
            ("all", "list:set", &["elsewhere", "here"]),
            ("rest", "list:set", &["elsewhere", "empty"]),
            ("torn", "list:set", &["elsewhere", "unread"]),
        ]);
        for (name, expected) in [
            ("unread", Fit::Maybe),
            ("empty", Fit::No),
            ("all", Fit::Yes),
            ("rest", Fit::No),
            ("torn", Fit::Maybe),
        ] {
            assert_eq!(within(name, &ends, &web, &sets), expected, "{name}");
        }
    }
}
