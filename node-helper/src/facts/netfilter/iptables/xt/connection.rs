//! Matches on a packet's connection and socket.

use super::packet::{flagged, masked};
use super::{In, Layout, Said, XtContext, XtStruct, layout, network};
use crate::facts::netfilter::iptables::clause::Opt;

// linux/netfilter/xt_conntrack.h, xt_state.h, xt_connmark.h, xt_mark.h, xt_owner.h, xt_socket.h, xt_helper.h
pub(super) const MATCHES: &[Layout] = &[
    layout("conntrack", 1, In::Both, 152, |own, context| conntrack(own, context, 1)),
    layout("conntrack", 2, In::Both, 156, |own, context| conntrack(own, context, 2)),
    layout("conntrack", 3, In::Both, 164, |own, context| conntrack(own, context, 3)),
    layout("state", 0, In::Both, 4, state),
    layout("mark", 1, In::Both, 12, mark),
    layout("connmark", 1, In::Both, 12, mark),
    layout("owner", 1, In::Both, 20, owner),
    layout("socket", 0, In::Both, 0, |_, _| Some(Vec::new().into())),
    layout("socket", 1, In::Both, 1, socket),
    layout("socket", 2, In::Both, 1, socket),
    layout("socket", 3, In::Both, 1, socket),
    layout("helper", 0, In::Both, 36, helper),
];

/// States by their bits, in iptables' order.
const STATES: [(u32, &str); 7] = [
    (0x01, "INVALID"),
    (0x08, "NEW"),
    (0x04, "RELATED"),
    (0x02, "ESTABLISHED"),
    (0x100, "UNTRACKED"),
    (0x40, "SNAT"),
    (0x80, "DNAT"),
];
/// `IPS_` bits, in iptables' order.
const STATUSES: [(u32, &str); 4] = [(1, "EXPECTED"), (2, "SEEN_REPLY"), (4, "ASSURED"), (8, "CONFIRMED")];

fn names(bits: u32, of: &[(u32, &str)]) -> Option<String> {
    let known = of.iter().fold(0, |all, (bit, _)| all | bit);
    let names: Vec<&str> = of
        .iter()
        .filter(|(bit, _)| bits & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    (bits & !known == 0).then(|| names.join(","))
}

const STATE: u16 = 1 << 0;
const PROTOCOL: u16 = 1 << 1;
const STATUS: u16 = 1 << 6;
const EXPIRES: u16 = 1 << 7;
const DIRECTION: u16 = 1 << 12;
const STATE_ALIAS: u16 = 1 << 13;

fn conntrack(own: XtStruct<'_>, context: XtContext<'_>, revision: u32) -> Option<Said> {
    let (asked, inverted) = (own.u16(146)?, own.u16(148)?);
    let (states, statuses) = if revision == 1 {
        (u32::from(own.u8(150)?), u32::from(own.u8(151)?))
    } else {
        (u32::from(own.u16(150)?), u32::from(own.u16(152)?))
    };
    let not = |bit| inverted & bit != 0;
    let alias = (asked & STATE_ALIAS != 0).then_some("state");
    let mut options = Vec::new();
    if asked & STATE != 0 {
        let name = if alias.is_some() { "--state" } else { "--ctstate" };
        options.push(Opt::new(name, names(states, &STATES)?).inverted(not(STATE)));
    }
    if asked & PROTOCOL != 0 {
        options.push(Opt::new("--ctproto", own.u16(136)?).inverted(not(PROTOCOL)));
    }
    for (place, name) in ["--ctorigsrc", "--ctorigdst", "--ctreplsrc", "--ctrepldst"]
        .into_iter()
        .enumerate()
    {
        let bit = 1 << (2 + place);
        if asked & bit != 0 {
            let address = own.address(32 * place, context.v6)?;
            let mask = own.address(32 * place + 16, context.v6)?;
            let network = network(address, mask);
            // Here one address stands without a prefix.
            let whole = if context.v6 { "/128" } else { "/32" };
            let network = network.strip_suffix(whole).unwrap_or(&network);
            options.push(Opt::new(name, network).inverted(not(bit)));
        }
    }
    for (place, name) in [
        "--ctorigsrcport",
        "--ctorigdstport",
        "--ctreplsrcport",
        "--ctrepldstport",
    ]
    .into_iter()
    .enumerate()
    {
        let bit = 1 << (8 + place);
        if asked & bit != 0 {
            // Since ranges are possible they are kept in the machine's order.
            let ports = if revision == 3 {
                super::ports::span(own.u16(138 + 2 * place)?, own.u16(154 + 2 * place)?)
            } else {
                own.be16(138 + 2 * place)?.to_string()
            };
            options.push(Opt::new(name, ports).inverted(not(bit)));
        }
    }
    if asked & STATUS != 0 {
        let statuses = if statuses == 0 {
            "NONE".to_owned()
        } else {
            names(statuses, &STATUSES)?
        };
        options.push(Opt::new("--ctstatus", statuses).inverted(not(STATUS)));
    }
    if asked & EXPIRES != 0 {
        let (low, high) = (own.u32(128)?, own.u32(132)?);
        let span = if low == high {
            low.to_string()
        } else {
            format!("{low}:{high}")
        };
        options.push(Opt::new("--ctexpire", span).inverted(not(EXPIRES)));
    }
    if asked & DIRECTION != 0 {
        options.push(Opt::new("--ctdir", if not(DIRECTION) { "REPLY" } else { "ORIGINAL" }));
    }
    Some(Said { alias, options })
}

fn state(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    // Here the bit of an untracked packet follows that of the others.
    let bits = own.u32(0)?;
    let bits = (bits & !0x40) | if bits & 0x40 != 0 { 0x100 } else { 0 };
    Some(vec![Opt::new("--state", names(bits, &STATES[..5])?)].into())
}

fn mark(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let mark = masked(own.u32(0)?, own.u32(4)?);
    Some(vec![Opt::new("--mark", mark).inverted(own.u8(8)? != 0)].into())
}

fn owner(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (asked, inverted) = (own.u8(16)?, own.u8(17)?);
    let range = |offset| {
        let (low, high) = (own.u32(offset)?, own.u32(offset + 4)?);
        Some(if low == high {
            low.to_string()
        } else {
            format!("{low}-{high}")
        })
    };
    let mut options = Vec::new();
    for (bit, option) in [
        (4, Opt::flag("--socket-exists")),
        (1, Opt::new("--uid-owner", range(0)?)),
        (2, Opt::new("--gid-owner", range(8)?)),
        (8, Opt::flag("--suppl-groups")),
    ] {
        if asked & bit != 0 {
            options.push(option.inverted(inverted & bit != 0));
        }
    }
    Some(options.into())
}

fn socket(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    Some(
        flagged(
            u32::from(own.u8(0)?),
            &[(1, "--transparent"), (2, "--nowildcard"), (4, "--restore-skmark")],
        )
        .into(),
    )
}

fn helper(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    Some(vec![Opt::new("--helper", own.text(4, 30)?).inverted(own.u32(0)? != 0)].into())
}
