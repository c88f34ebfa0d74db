//! Policy routing rules.

use super::{Fact, Look};
use crate::system::netlink::{decode, encode};
use model::facts::{NetnsFacts, RoutingRule};
use netlink_packet_core::Nla as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

pub(super) const FACT: Fact = Fact {
    name: "rules",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.rules = look.known("policy routing rules", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<RoutingRule>> {
    let all = encode(&RuleMessage::default());
    look.route(|route| route.dump_all(libc::RTM_GETRULE, &all, parse))
}

const NO_SUPPRESSION: u32 = u32::MAX;

fn parse(message: &[u8]) -> anyhow::Result<Option<RoutingRule>> {
    let message: RuleMessage = decode("a policy routing rule", message)?;
    let header = message.header;
    let mut rule = RoutingRule {
        family: match header.family {
            AddressFamily::Inet => 4,
            AddressFamily::Inet6 => 6,
            _ => return Ok(None),
        },
        priority: 0,
        src: None,
        dst: None,
        iif: None,
        oif: None,
        fwmark: None,
        table: None,
        action: action(header.action).to_owned(),
        protocol: None,
        sport: None,
        dport: None,
        uids: None,
        suppress_prefixlength: None,
        invert: header.flags.contains(RuleFlags::Invert),
        opaque: header.tos != 0,
    };
    let (mut table, mut mark, mut under) = (u32::from(header.table), None, None);
    for attribute in message.attributes {
        match attribute {
            RuleAttribute::Destination(address) => rule.dst = Some((address, header.dst_len)),
            RuleAttribute::Source(address) => rule.src = Some((address, header.src_len)),
            RuleAttribute::Iifname(name) => rule.iif = Some(name),
            RuleAttribute::Oifname(name) => rule.oif = Some(name),
            RuleAttribute::Priority(priority) => rule.priority = priority,
            RuleAttribute::FwMark(value) => mark = Some(value),
            RuleAttribute::FwMask(value) => under = Some(value),
            RuleAttribute::Table(number) => table = number,
            // Who made it, and realms, change nothing.
            RuleAttribute::Protocol(_) | RuleAttribute::Realm(_) => {}
            RuleAttribute::SuppressPrefixLen(value) => {
                rule.suppress_prefixlength = Some(value).filter(|value| *value != NO_SUPPRESSION);
            }
            RuleAttribute::SuppressIfGroup(value) => rule.opaque |= value != NO_SUPPRESSION,
            RuleAttribute::IpProtocol(protocol) => rule.protocol = Some(i32::from(protocol) as u8),
            RuleAttribute::SourcePortRange(range) => rule.sport = Some((range.start, range.end)),
            RuleAttribute::DestinationPortRange(range) => rule.dport = Some((range.start, range.end)),
            RuleAttribute::UidRange(range) => rule.uids = Some((range.start, range.end)),
            RuleAttribute::Other(other) if other.kind() == FRA_PAD => {}
            RuleAttribute::Other(other) if matches!(other.kind(), FRA_SPORT_MASK | FRA_DPORT_MASK) => {
                let mut bits = vec![0; other.value_len()];
                other.emit_value(&mut bits);
                rule.opaque |= bits != ALL_BITS;
            }
            _ => rule.opaque = true,
        }
    }
    rule.table = Some(table).filter(|table| *table != 0);
    rule.fwmark = match (mark, under) {
        (None, None) => None,
        (mark, under) => Some((mark.unwrap_or_default(), under.unwrap_or(u32::MAX))),
    };
    Ok(Some(rule))
}

/// Aligns what follows (`linux/fib_rules.h`).
const FRA_PAD: u16 = 18;
/// Which bits of a port count (since 6.15, for every rule that names one).
const FRA_SPORT_MASK: u16 = 28;
const FRA_DPORT_MASK: u16 = 29;
const ALL_BITS: [u8; 2] = [0xff; 2];

fn action(action: RuleAction) -> &'static str {
    match action {
        RuleAction::ToTable => "lookup",
        RuleAction::Goto => "goto",
        RuleAction::Nop => "nop",
        RuleAction::Blackhole => "blackhole",
        RuleAction::Unreachable => "unreachable",
        RuleAction::Prohibit => "prohibit",
        _ => "unknown",
    }
}

#[cfg(test)]
mod tests {
    use super::{FRA_DPORT_MASK, FRA_SPORT_MASK, parse};
    use crate::system::netlink::attribute;
    use model::facts::RoutingRule;

    // linux/fib_rules.h
    const FIB_RULE_HDR_BYTES: usize = 12;
    const FRA_PRIORITY: u16 = 6;
    const FRA_FWMARK: u16 = 10;
    const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
    const FRA_TABLE: u16 = 15;
    const FRA_FWMASK: u16 = 16;
    const FRA_UID_RANGE: u16 = 20;
    const FRA_IP_PROTO: u16 = 22;
    const FRA_SPORT_RANGE: u16 = 23;
    const FRA_DPORT_RANGE: u16 = 24;

    fn rule(action: u8, attributes: &[(u16, u32)]) -> RoutingRule {
        let mut message = vec![0; FIB_RULE_HDR_BYTES];
        (message[0], message[7]) = (libc::AF_INET as u8, action);
        for (kind, value) in attributes {
            attribute(&mut message, *kind, &value.to_ne_bytes());
        }
        parse(&message).unwrap().unwrap()
    }

    #[test]
    fn only_a_rule_that_names_a_length_suppresses() {
        let plain = rule(1, &[(FRA_SUPPRESS_PREFIXLEN, u32::MAX), (FRA_TABLE, 254)]);
        assert_eq!((plain.action.as_str(), plain.table), ("lookup", Some(254)));
        assert_eq!((plain.suppress_prefixlength, plain.opaque), (None, false));
        let suppressing = rule(1, &[(FRA_SUPPRESS_PREFIXLEN, 0)]);
        assert_eq!(
            (suppressing.suppress_prefixlength, suppressing.opaque),
            (Some(0), false)
        );
    }

    #[test]
    fn protocol_ports_and_users_are_read() {
        // Two 16-bit numbers side by side, as they lie in memory.
        let range = |first: u16, last: u16| {
            let bytes = [first.to_ne_bytes(), last.to_ne_bytes()].concat();
            u32::from_ne_bytes(bytes.try_into().unwrap())
        };
        let mut message = vec![0; FIB_RULE_HDR_BYTES];
        (message[0], message[7]) = (libc::AF_INET as u8, 8);
        attribute(&mut message, FRA_IP_PROTO, &[6]);
        attribute(&mut message, FRA_SPORT_RANGE, &range(1024, 2047).to_ne_bytes());
        attribute(&mut message, FRA_DPORT_RANGE, &range(80, 80).to_ne_bytes());
        attribute(
            &mut message,
            FRA_UID_RANGE,
            &[1000_u32.to_ne_bytes(), 1001_u32.to_ne_bytes()].concat(),
        );
        attribute(&mut message, FRA_SPORT_MASK, &[0xff, 0xff]);
        let read = parse(&message).unwrap().unwrap();
        assert_eq!((read.action.as_str(), read.opaque), ("prohibit", false));
        assert_eq!((read.protocol, read.uids), (Some(6), Some((1000, 1001))));
        assert_eq!((read.sport, read.dport), (Some((1024, 2047)), Some((80, 80))));
        attribute(&mut message, FRA_DPORT_MASK, &[0xf0, 0xff]);
        assert!(
            parse(&message).unwrap().unwrap().opaque,
            "only some bits of the port count"
        );
    }

    #[test]
    fn a_mark_has_its_mask() {
        let marked = rule(6, &[(FRA_PRIORITY, 100), (FRA_FWMARK, 0x10), (FRA_FWMASK, 0xf0)]);
        assert_eq!((marked.action.as_str(), marked.priority), ("blackhole", 100));
        assert_eq!((marked.fwmark, marked.table), (Some((0x10, 0xf0)), None));
    }

    #[test]
    fn an_unknown_selector_makes_a_rule_opaque() {
        assert!(rule(1, &[(250, 1)]).opaque);
    }
}
