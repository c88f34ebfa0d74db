//! Policy routing rules.

use super::{Fact, Look};
use crate::netlink::{address, attributes, text, u32_at};
use model::facts::{NetnsFacts, PolicyRule};

pub(super) const FACT: Fact = Fact {
    name: "rules",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.rules = look.known("policy routing rules", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<PolicyRule>> {
    look.route(|route| route.dump(libc::RTM_GETRULE, &[0; FIB_RULE_HDR_BYTES], |_, body| parse(body)))
}

/// `struct fib_rule_hdr`: family, destination and source length, TOS, table at 4, action at 7, flags at 8.
const FIB_RULE_HDR_BYTES: usize = 12;

// linux/fib_rules.h
const FIB_RULE_INVERT: u32 = 2;
const FRA_DST: u16 = 1;
const FRA_SRC: u16 = 2;
const FRA_IIFNAME: u16 = 3;
const FRA_PRIORITY: u16 = 6;
const FRA_FWMARK: u16 = 10;
const FRA_FLOW: u16 = 11;
const FRA_SUPPRESS_IFGROUP: u16 = 13;
const FRA_SUPPRESS_PREFIXLEN: u16 = 14;
const FRA_TABLE: u16 = 15;
const FRA_FWMASK: u16 = 16;
const FRA_OIFNAME: u16 = 17;
const FRA_PAD: u16 = 18;
const FRA_PROTOCOL: u16 = 21;
const NO_SUPPRESSION: u32 = u32::MAX;

fn parse(message: &[u8]) -> Option<PolicyRule> {
    let body = message.get(FIB_RULE_HDR_BYTES..)?;
    let mut rule = PolicyRule {
        family: match i32::from(message[0]) {
            libc::AF_INET => 4,
            libc::AF_INET6 => 6,
            _ => return None,
        },
        priority: 0,
        src: None,
        dst: None,
        iif: None,
        oif: None,
        fwmark: None,
        table: None,
        action: action(message[7]),
        invert: u32_at(message, 8) & FIB_RULE_INVERT != 0,
        opaque: message[3] != 0,
    };
    let (mut table, mut mark, mut under) = (u32::from(message[4]), None, None);
    for (kind, value) in attributes(body) {
        match kind {
            FRA_DST => rule.dst = address(value).map(|address| (address, message[1])),
            FRA_SRC => rule.src = address(value).map(|address| (address, message[2])),
            FRA_IIFNAME => rule.iif = Some(text(value)),
            FRA_OIFNAME => rule.oif = Some(text(value)),
            FRA_PRIORITY => rule.priority = u32_at(value, 0),
            FRA_FWMARK => mark = Some(u32_at(value, 0)),
            FRA_FWMASK => under = Some(u32_at(value, 0)),
            FRA_TABLE => table = u32_at(value, 0),
            // Who made it, and realms, change nothing.
            FRA_PROTOCOL | FRA_PAD | FRA_FLOW => {}
            FRA_SUPPRESS_PREFIXLEN | FRA_SUPPRESS_IFGROUP => rule.opaque |= u32_at(value, 0) != NO_SUPPRESSION,
            _ => rule.opaque = true,
        }
    }
    rule.table = Some(table).filter(|table| *table != 0);
    rule.fwmark = match (mark, under) {
        (None, None) => None,
        (mark, under) => Some((mark.unwrap_or_default(), under.unwrap_or(u32::MAX))),
    };
    Some(rule)
}

/// `FR_ACT_*`.
fn action(number: u8) -> String {
    match number {
        1 => "lookup",
        2 => "goto",
        3 => "nop",
        6 => "blackhole",
        7 => "unreachable",
        8 => "prohibit",
        _ => "unknown",
    }
    .to_owned()
}

#[cfg(test)]
mod tests {
    use super::{FIB_RULE_HDR_BYTES, FRA_FWMARK, FRA_FWMASK, FRA_PRIORITY, FRA_SUPPRESS_PREFIXLEN, FRA_TABLE, parse};
    use crate::netlink::attribute;

    fn rule(action: u8, attributes: &[(u16, u32)]) -> Vec<u8> {
        let mut message = vec![0; FIB_RULE_HDR_BYTES];
        (message[0], message[7]) = (libc::AF_INET as u8, action);
        for (kind, value) in attributes {
            attribute(&mut message, *kind, &value.to_ne_bytes());
        }
        message
    }

    #[test]
    fn a_rule_that_suppresses_nothing_can_be_evaluated_and_one_that_does_cannot() {
        let plain = parse(&rule(1, &[(FRA_SUPPRESS_PREFIXLEN, u32::MAX), (FRA_TABLE, 254)])).unwrap();
        assert_eq!(
            (plain.action.as_str(), plain.table, plain.opaque),
            ("lookup", Some(254), false)
        );
        let suppressing = parse(&rule(1, &[(FRA_SUPPRESS_PREFIXLEN, 0)])).unwrap();
        assert!(suppressing.opaque);
    }

    #[test]
    fn a_mark_has_its_mask() {
        let marked = parse(&rule(6, &[(FRA_PRIORITY, 100), (FRA_FWMARK, 0x10), (FRA_FWMASK, 0xf0)])).unwrap();
        assert_eq!((marked.action.as_str(), marked.priority), ("blackhole", 100));
        assert_eq!((marked.fwmark, marked.table), (Some((0x10, 0xf0)), None));
    }

    #[test]
    fn an_unknown_selector_makes_a_rule_opaque() {
        assert!(parse(&rule(1, &[(250, 1)])).unwrap().opaque);
    }
}
