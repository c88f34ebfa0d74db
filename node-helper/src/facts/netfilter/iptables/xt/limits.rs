//! Matches that limit, count or choose by chance: whether one fits depends on the packets before.

use super::packet::flagged;
use super::{In, Layout, Said, XtContext, XtStruct, layout};
use crate::facts::netfilter::iptables::clause::Opt;
use std::net::IpAddr;

// linux/netfilter/xt_limit.h, xt_hashlimit.h, xt_connlimit.h, xt_statistic.h, xt_recent.h, xt_quota.h, xt_connbytes.h, xt_nfacct.h
pub(super) const MATCHES: &[Layout] = &[
    layout("limit", 0, In::Both, 40, limit),
    layout("hashlimit", 1, In::Both, 56, |own, context| {
        hashlimit(own, context, HASH_1)
    }),
    layout("hashlimit", 2, In::Both, 304, |own, context| {
        hashlimit(own, context, HASH_2)
    }),
    layout("hashlimit", 3, In::Both, 312, |own, context| {
        hashlimit(own, context, HASH_3)
    }),
    layout("connlimit", 1, In::Both, 32, connlimit),
    layout("statistic", 0, In::Both, 24, statistic),
    layout("recent", 0, In::Both, 211, |own, context| recent(own, context, false)),
    layout("recent", 1, In::Both, 228, |own, context| recent(own, context, true)),
    layout("quota", 0, In::Both, 24, quota),
    layout("connbytes", 0, In::Both, 18, connbytes),
    layout("nfacct", 0, In::Both, 40, nfacct),
    layout("nfacct", 1, In::Both, 40, nfacct),
];

/// Seconds of the periods in which a rate may be written, longest first.
const PERIODS: [(u64, &str); 4] = [(86_400, "day"), (3600, "hour"), (60, "min"), (1, "sec")];
/// `XT_LIMIT_SCALE`, `XT_HASHLIMIT_SCALE`: ticks of a second.
const SCALE: u64 = 10_000;
/// `XT_HASHLIMIT_SCALE_v2`.
const FINE_SCALE: u64 = 1_000_000;

/// A rate by the ticks between two packets, in the longest period that shows it well; and that period's seconds.
fn rate(ticks: u64, scale: u64) -> Option<(String, u64)> {
    if ticks == 0 {
        return None;
    }
    let fits = |seconds: u64| {
        let period = seconds * scale;
        ticks <= period && period / ticks >= period % ticks
    };
    let shorter = PERIODS.iter().skip(1).take_while(|(seconds, _)| fits(*seconds)).count();
    let (seconds, name) = PERIODS[shorter];
    Some((format!("{}/{name}", seconds * scale / ticks), seconds))
}

fn limit(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (rate, _) = rate(u64::from(own.u32(0)?), SCALE)?;
    let burst = own.u32(4)?;
    let mut options = vec![Opt::new("--limit", rate)];
    if burst != DEFAULT_BURST {
        options.push(Opt::new("--limit-burst", burst));
    }
    Some(options.into())
}

/// What a burst is where nothing is said.
pub const DEFAULT_BURST: u32 = 5;

/// A native limit of nftables as iptables would say it: so many packets in so many seconds.
pub fn native_limit(count: u64, per_s: u64, burst: u32) -> Option<Vec<Opt>> {
    let period = PERIODS.iter().find(|(seconds, _)| *seconds == per_s)?.1;
    let mut options = vec![Opt::new("--limit", format!("{count}/{period}"))];
    if burst != DEFAULT_BURST {
        options.push(Opt::new("--limit-burst", burst));
    }
    Some(options)
}

/// Where a revision keeps things.
#[derive(Clone, Copy)]
struct Hash {
    name_bytes: usize,
    /// Bytes of `avg` and of `burst`.
    wide: bool,
    mode: usize,
    avg: usize,
    burst: usize,
    size: usize,
    masks: usize,
    scale: u64,
}

const HASH_1: Hash = Hash {
    name_bytes: 16,
    wide: false,
    mode: 16,
    avg: 20,
    burst: 24,
    size: 28,
    masks: 44,
    scale: SCALE,
};
const HASH_2: Hash = Hash {
    name_bytes: 255,
    wide: true,
    avg: 256,
    burst: 264,
    mode: 272,
    size: 276,
    masks: 292,
    scale: FINE_SCALE,
};
const HASH_3: Hash = Hash { masks: 296, ..HASH_2 };

/// By bytes, or whole flows by their rate: such are not read.
const HASH_UNREAD: u32 = 1 << 5 | 1 << 6;
const HASH_ABOVE: u32 = 1 << 4;
const HASH_MODES: [(u32, &str); 4] = [(4, "srcip"), (8, "srcport"), (1, "dstip"), (2, "dstport")];
const GC_INTERVAL_MS: u32 = 1000;

fn hashlimit(own: XtStruct<'_>, context: XtContext<'_>, at: Hash) -> Option<Said> {
    let number = |offset| {
        if at.wide {
            own.u64(offset)
        } else {
            own.u32(offset).map(u64::from)
        }
    };
    let mode = own.u32(at.mode)?;
    if mode & HASH_UNREAD != 0 {
        return None;
    }
    let (rate, period_s) = rate(number(at.avg)?, at.scale)?;
    let above = mode & HASH_ABOVE != 0;
    let mut options = vec![
        Opt::new(if above { "--hashlimit-above" } else { "--hashlimit-upto" }, rate),
        Opt::new("--hashlimit-burst", number(at.burst)?),
    ];
    let modes: Vec<&str> = HASH_MODES
        .iter()
        .filter(|(bit, _)| mode & bit != 0)
        .map(|(_, name)| *name)
        .collect();
    if !modes.is_empty() {
        options.push(Opt::new("--hashlimit-mode", modes.join(",")));
    }
    options.push(Opt::new("--hashlimit-name", own.text(0, at.name_bytes)?));
    for (place, name, usual) in [
        (0, "--hashlimit-htable-size", 0),
        (1, "--hashlimit-htable-max", 0),
        (2, "--hashlimit-htable-gcinterval", GC_INTERVAL_MS),
        (3, "--hashlimit-htable-expire", (period_s * 1000) as u32),
    ] {
        let value = own.u32(at.size + 4 * place)?;
        if value != usual {
            options.push(Opt::new(name, value));
        }
    }
    let whole = if context.v6 { 128 } else { 32 };
    for (place, name) in ["--hashlimit-srcmask", "--hashlimit-dstmask"].into_iter().enumerate() {
        let mask = own.u8(at.masks + place)?;
        if mask != whole {
            options.push(Opt::new(name, mask));
        }
    }
    Some(options.into())
}

fn connlimit(own: XtStruct<'_>, context: XtContext<'_>) -> Option<Said> {
    let (limit, flags) = (own.u32(16)?, own.u32(20)?);
    let bits = match own.address(0, context.v6)? {
        IpAddr::V4(mask) => mask.to_bits().count_ones(),
        IpAddr::V6(mask) => mask.to_bits().count_ones(),
    };
    let name = if flags & 1 != 0 {
        "--connlimit-upto"
    } else {
        "--connlimit-above"
    };
    let end = if flags & 2 != 0 {
        "--connlimit-daddr"
    } else {
        "--connlimit-saddr"
    };
    Some(
        vec![
            Opt::new(name, limit),
            Opt::new("--connlimit-mask", bits),
            Opt::flag(end),
        ]
        .into(),
    )
}

fn statistic(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let not = own.u16(2)? & 1 != 0;
    let options = match own.u16(0)? {
        0 => {
            let share = f64::from(own.u32(4)?) / f64::from(0x8000_0000_u32);
            vec![
                Opt::new("--mode", "random"),
                Opt::new("--probability", format!("{share:.11}")).inverted(not),
            ]
        }
        1 => vec![
            Opt::new("--mode", "nth"),
            Opt::new("--every", u64::from(own.u32(4)?) + 1).inverted(not),
            Opt::new("--packet", own.u32(8)?),
        ],
        _ => return None,
    };
    Some(options.into())
}

fn recent(own: XtStruct<'_>, context: XtContext<'_>, masked: bool) -> Option<Said> {
    let (seconds, hits, what, not) = (own.u32(0)?, own.u32(4)?, own.u8(8)?, own.u8(9)? != 0);
    let mut options = flagged(
        u32::from(what),
        &[(2, "--set"), (1, "--rcheck"), (4, "--update"), (8, "--remove")],
    );
    if let Some(first) = options.first_mut() {
        first.not = not;
    }
    if seconds != 0 {
        options.push(Opt::new("--seconds", seconds));
    }
    options.extend(flagged(u32::from(what), &[(32, "--reap")]));
    if hits != 0 {
        options.push(Opt::new("--hitcount", hits));
    }
    options.extend(flagged(u32::from(what), &[(16, "--rttl")]));
    options.push(Opt::new("--name", own.text(10, 200)?));
    if masked {
        options.push(Opt::new("--mask", own.address(212, context.v6)?));
    }
    options.push(Opt::flag(if own.u8(210)? == 0 { "--rsource" } else { "--rdest" }));
    Some(options.into())
}

fn quota(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    Some(vec![Opt::new("--quota", own.u64(8)?).inverted(own.u32(0)? & 1 != 0)].into())
}

fn connbytes(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (from, to) = (own.u64(0)?, own.u64(8)?);
    let not = from > to;
    let (from, to) = if not { (to, from) } else { (from, to) };
    let span = match to {
        0 | u64::MAX => from.to_string(),
        to => format!("{from}:{to}"),
    };
    let what = *["packets", "bytes", "avgpkt"].get(usize::from(own.u8(16)?))?;
    let direction = *["original", "reply", "both"].get(usize::from(own.u8(17)?))?;
    Some(
        vec![
            Opt::new("--connbytes", span).inverted(not),
            Opt::new("--connbytes-mode", what),
            Opt::new("--connbytes-dir", direction),
        ]
        .into(),
    )
}

fn nfacct(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    Some(vec![Opt::new("--nfacct-name", own.text(0, 32)?)].into())
}
