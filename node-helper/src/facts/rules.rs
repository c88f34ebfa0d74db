//! Policy routing rules.

use super::{Fact, Look};
use crate::netlink::{decode, encode};
use model::facts::{NetnsFacts, PolicyRule};
use netlink_packet_core::Nla as _;
use netlink_packet_route::AddressFamily;
use netlink_packet_route::rule::{RuleAction, RuleAttribute, RuleFlags, RuleMessage};

pub(super) const FACT: Fact = Fact {
    name: "rules",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.rules = look.known("policy routing rules", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<PolicyRule>> {
    let all = encode(&RuleMessage::default());
    look.route(|route| route.dump_all(libc::RTM_GETRULE, &all, parse))
}

const NO_SUPPRESSION: u32 = u32::MAX;

fn parse(message: &[u8]) -> anyhow::Result<Option<PolicyRule>> {
    let message: RuleMessage = decode("a policy routing rule", message)?;
    let header = message.header;
    let mut rule = PolicyRule {
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
            RuleAttribute::SuppressPrefixLen(value) | RuleAttribute::SuppressIfGroup(value) => {
                rule.opaque |= value != NO_SUPPRESSION;
            }
            RuleAttribute::Other(other) if other.kind() == FRA_PAD => {}
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
    use super::parse;
    use crate::netlink::attribute;
    use model::facts::PolicyRule;

    // linux/fib_rules.h
    const FIB_RULE_HDR_BYTES: usize = 12;
    const FRA_PRIORITY: u16 = 6;
    const FRA_FWMARK: u16 = 10;
    const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
    const FRA_TABLE: u16 = 15;
    const FRA_FWMASK: u16 = 16;

    fn rule(action: u8, attributes: &[(u16, u32)]) -> PolicyRule {
        let mut message = vec![0; FIB_RULE_HDR_BYTES];
        (message[0], message[7]) = (libc::AF_INET as u8, action);
        for (kind, value) in attributes {
            attribute(&mut message, *kind, &value.to_ne_bytes());
        }
        parse(&message).unwrap().unwrap()
    }

    #[test]
    fn a_rule_that_suppresses_nothing_can_be_evaluated_and_one_that_does_cannot() {
        let plain = rule(1, &[(FRA_SUPPRESS_PREFIXLEN, u32::MAX), (FRA_TABLE, 254)]);
        assert_eq!(
            (plain.action.as_str(), plain.table, plain.opaque),
            ("lookup", Some(254), false)
        );
        let suppressing = rule(1, &[(FRA_SUPPRESS_PREFIXLEN, 0)]);
        assert!(suppressing.opaque);
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
