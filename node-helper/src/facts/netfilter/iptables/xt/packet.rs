//! Matches on the rest of a packet: its length, its content, its TTL.

use super::{In, Layout, Said, XtContext, XtStruct, layout};
use crate::facts::netfilter::iptables::clause::Opt;
use std::fmt::Write as _;

// linux/netfilter/xt_comment.h, xt_length.h, xt_string.h, xt_u32.h, xt_dscp.h, linux/netfilter_ipv4/ipt_ttl.h,
// linux/netfilter_ipv6/ip6t_hl.h
pub(super) const MATCHES: &[Layout] = &[
    layout("comment", 0, In::Both, 256, comment),
    layout("length", 0, In::Both, 6, length),
    layout("string", 1, In::Both, 160, string),
    layout("u32", 0, In::Both, 1984, u32_tests),
    layout("ttl", 0, In::V4, 2, |own, _| {
        hops(own, ["--ttl-eq", "--ttl-lt", "--ttl-gt"])
    }),
    layout("hl", 0, In::V6, 2, |own, _| {
        hops(own, ["--hl-eq", "--hl-lt", "--hl-gt"])
    }),
    layout("dscp", 0, In::Both, 2, dscp),
    layout("tos", 1, In::Both, 3, tos),
];

/// The names of the bits that are set.
pub(super) fn flagged(bits: u32, names: &[(u32, &'static str)]) -> Vec<Opt> {
    names
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, name)| Opt::flag(name))
        .collect()
}

/// `0x1`, or `0x1/0xff` where not all bits are looked at.
pub fn masked(value: u32, mask: u32) -> String {
    if mask == u32::MAX {
        format!("{value:#x}")
    } else {
        format!("{value:#x}/{mask:#x}")
    }
}

fn comment(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    Some(vec![Opt::new("--comment", own.text(0, 256)?)].into())
}

fn length(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let span = super::ports::span(own.u16(0)?, own.u16(2)?);
    Some(vec![Opt::new("--length", span).inverted(own.u8(4)? != 0)].into())
}

fn string(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (from, to, flags) = (own.u16(0)?, own.u16(2)?, own.u8(149)?);
    let pattern = own.bytes(20, usize::from(own.u8(148)?).min(128))?;
    let printable = |byte: &u8| (b' '..=b'~').contains(byte);
    let pattern = if pattern.iter().all(printable) && pattern.last() != Some(&b'\\') {
        Opt::new("--string", String::from_utf8_lossy(pattern))
    } else {
        let hex = pattern.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}");
            hex
        });
        Opt::new("--hex-string", format!("|{hex}|"))
    };
    let mut options = vec![pattern.inverted(flags & 1 != 0), Opt::new("--algo", own.text(4, 16)?)];
    if from != 0 {
        options.push(Opt::new("--from", from));
    }
    if !matches!(to, 0 | u16::MAX) {
        options.push(Opt::new("--to", to));
    }
    if flags & 2 != 0 {
        options.push(Opt::flag("--icase"));
    }
    Some(options.into())
}

/// Tests, and steps and values of one, that there is room for (`XT_U32_MAXSIZE` and one more).
const U32_ROOM: usize = 11;
const U32_TEST_BYTES: usize = 180;

fn u32_tests(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let tests = usize::from(own.u8(U32_ROOM * U32_TEST_BYTES)?);
    if tests > U32_ROOM {
        return None;
    }
    let tests: Option<Vec<String>> = (0..tests).map(|place| u32_test(own, place * U32_TEST_BYTES)).collect();
    let not = own.u8(U32_ROOM * U32_TEST_BYTES + 1)? != 0;
    Some(vec![Opt::new("--u32", tests?.join("&&")).inverted(not)].into())
}

fn u32_test(own: XtStruct<'_>, start: usize) -> Option<String> {
    let (steps, values) = (usize::from(own.u8(start + 176)?), usize::from(own.u8(start + 177)?));
    if steps > U32_ROOM || values > U32_ROOM {
        return None;
    }
    let mut text = String::new();
    for step in 0..steps {
        let operator = match own.u8(start + 8 * step + 4)? {
            _ if step == 0 => "",
            0 => "&",
            1 => "<<",
            2 => ">>",
            3 => "@",
            _ => return None,
        };
        let _ = write!(text, "{operator}{:#x}", own.u32(start + 8 * step)?);
    }
    let values: Option<Vec<String>> = (0..values)
        .map(|value| {
            let (low, high) = (own.u32(start + 88 + 8 * value)?, own.u32(start + 92 + 8 * value)?);
            Some(if low == high {
                format!("{low:#x}")
            } else {
                format!("{low:#x}:{high:#x}")
            })
        })
        .collect();
    let _ = write!(text, "={}", values?.join(","));
    Some(text)
}

fn hops(own: XtStruct<'_>, [equal, below, above]: [&'static str; 3]) -> Option<Said> {
    let count = own.u8(1)?;
    let option = match own.u8(0)? {
        0 => Opt::new(equal, count),
        1 => Opt::new(equal, count).inverted(true),
        2 => Opt::new(below, count),
        3 => Opt::new(above, count),
        _ => return None,
    };
    Some(vec![option].into())
}

fn dscp(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    Some(vec![Opt::new("--dscp", format!("{:#04x}", own.u8(0)?)).inverted(own.u8(1)? != 0)].into())
}

fn tos(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let tos = format!("{:#04x}/{:#04x}", own.u8(1)?, own.u8(0)?);
    Some(vec![Opt::new("--tos", tos).inverted(own.u8(2)? != 0)].into())
}
