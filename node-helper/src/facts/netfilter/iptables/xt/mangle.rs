//! Targets that change a packet or do something beside it, and let it go on.

use super::packet::flagged;
use super::{In, Layout, Said, XtContext, XtStruct, layout};
use crate::facts::netfilter::iptables::clause::Opt;

// linux/netfilter/xt_LOG.h, xt_NFLOG.h, xt_mark.h, xt_connmark.h, xt_CT.h, xt_TCPMSS.h, xt_DSCP.h, xt_CLASSIFY.h,
// xt_CHECKSUM.h, xt_TEE.h, linux/netfilter_ipv4/ipt_TTL.h, linux/netfilter_ipv6/ip6t_HL.h
pub(super) const TARGETS: &[Layout] = &[
    layout("LOG", 0, In::Both, 32, log),
    layout("NFLOG", 0, In::Both, 76, nflog),
    layout("MARK", 2, In::Both, 8, mark),
    layout("CONNMARK", 1, In::Both, 16, |own, _| connmark(own, own.u8(12)?, None)),
    layout("CONNMARK", 2, In::Both, 16, |own, _| {
        connmark(own, own.u8(14)?, Some(own.u8(12)?))
    }),
    layout("CT", 0, In::Both, 40, |own, _| tracking(own, None)),
    layout("CT", 1, In::Both, 72, |own, _| tracking(own, Some(28))),
    layout("CT", 2, In::Both, 72, |own, _| tracking(own, Some(28))),
    layout("NOTRACK", 0, In::Both, 0, |_, _| Some(Vec::new().into())),
    layout("TRACE", 0, In::Both, 0, |_, _| Some(Vec::new().into())),
    layout("TCPMSS", 0, In::Both, 2, segment_size),
    layout("TTL", 0, In::V4, 2, |own, _| {
        hops(own, ["--ttl-set", "--ttl-inc", "--ttl-dec"])
    }),
    layout("HL", 0, In::V6, 2, |own, _| {
        hops(own, ["--hl-set", "--hl-inc", "--hl-dec"])
    }),
    layout("CLASSIFY", 0, In::Both, 4, classify),
    layout("CHECKSUM", 0, In::Both, 1, |own, _| {
        Some(flagged(u32::from(own.u8(0)?), &[(1, "--checksum-fill")]).into())
    }),
    layout("DSCP", 0, In::Both, 1, |own, _| {
        Some(vec![Opt::new("--set-dscp", format!("{:#04x}", own.u8(0)?))].into())
    }),
    layout("TOS", 1, In::Both, 2, |own, _| {
        let tos = format!("{:#04x}/{:#04x}", own.u8(0)?, own.u8(1)?);
        Some(vec![Opt::new("--set-tos", tos)].into())
    }),
    layout("TEE", 1, In::Both, 40, tee),
];

/// `LOG_WARNING`, which is not written.
const USUAL_LEVEL: u8 = 4;

fn log(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (level, flags, prefix) = (own.u8(0)?, own.u8(1)?, own.text(2, 30)?);
    let mut options = Vec::new();
    if !prefix.is_empty() {
        options.push(Opt::new("--log-prefix", prefix));
    }
    if level != USUAL_LEVEL {
        options.push(Opt::new("--log-level", level));
    }
    options.extend(flagged(
        u32::from(flags),
        &[
            (1, "--log-tcp-sequence"),
            (2, "--log-tcp-options"),
            (4, "--log-ip-options"),
            (8, "--log-uid"),
            (32, "--log-macdecode"),
        ],
    ));
    Some(options.into())
}

fn nflog(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let (length, group, threshold, flags) = (own.u32(0)?, own.u16(4)?, own.u16(6)?, own.u16(8)?);
    let prefix = own.text(12, 64)?;
    let mut options = Vec::new();
    if !prefix.is_empty() {
        options.push(Opt::new("--nflog-prefix", prefix));
    }
    if group != 0 {
        options.push(Opt::new("--nflog-group", group));
    }
    match (flags & 1 != 0, length) {
        (true, length) => options.push(Opt::new("--nflog-size", length)),
        (false, 0) => {}
        (false, length) => options.push(Opt::new("--nflog-range", length)),
    }
    if threshold != 0 {
        options.push(Opt::new("--nflog-threshold", threshold));
    }
    Some(options.into())
}

fn mark(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let mark = format!("{:#x}/{:#x}", own.u32(0)?, own.u32(4)?);
    Some(vec![Opt::new("--set-xmark", mark)].into())
}

fn connmark(own: XtStruct<'_>, mode: u8, shift: Option<u8>) -> Option<Said> {
    let (value, mask, packets_mask) = (own.u32(0)?, own.u32(4)?, own.u32(8)?);
    let masks = |name| {
        vec![
            Opt::flag(name),
            Opt::new("--nfmask", format!("{packets_mask:#x}")),
            Opt::new("--ctmask", format!("{mask:#x}")),
        ]
    };
    let mut options = match mode {
        0 => vec![Opt::new("--set-xmark", format!("{value:#x}/{mask:#x}"))],
        1 => masks("--save-mark"),
        2 => masks("--restore-mark"),
        _ => return None,
    };
    let bits = own.u8(13)?;
    match shift.filter(|_| bits != 0) {
        None => {}
        Some(0) => options.push(Opt::new("--left-shift-mark", bits)),
        Some(_) => options.push(Opt::new("--right-shift-mark", bits)),
    }
    Some(options.into())
}

fn tracking(own: XtStruct<'_>, timeout: Option<usize>) -> Option<Said> {
    let (flags, zone) = (own.u16(0)?, own.u16(2)?);
    let (events, expected) = (own.u32(4)?, own.u32(8)?);
    // Which events are told to user space is not read.
    if events != 0 || expected != 0 {
        return None;
    }
    if flags & 2 != 0 {
        return Some(Said {
            alias: Some("NOTRACK"),
            options: Vec::new(),
        });
    }
    let mut options = flagged(u32::from(flags), &[(1, "--notrack")]);
    let helper = own.text(12, 16)?;
    if !helper.is_empty() {
        options.push(Opt::new("--helper", helper));
    }
    let timeout = timeout.map_or(Some(String::new()), |offset| own.text(offset, 32))?;
    if !timeout.is_empty() {
        options.push(Opt::new("--timeout", timeout));
    }
    let name = match flags & 0xc {
        4 => "--zone-orig",
        8 => "--zone-reply",
        _ => "--zone",
    };
    if flags & 16 != 0 {
        options.push(Opt::new(name, "mark"));
    } else if zone != 0 {
        options.push(Opt::new(name, zone));
    }
    Some(options.into())
}

fn segment_size(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let option = match own.u16(0)? {
        u16::MAX => Opt::flag("--clamp-mss-to-pmtu"),
        size => Opt::new("--set-mss", size),
    };
    Some(vec![option].into())
}

fn hops(own: XtStruct<'_>, names: [&'static str; 3]) -> Option<Said> {
    let name = *names.get(usize::from(own.u8(0)?))?;
    Some(vec![Opt::new(name, own.u8(1)?)].into())
}

fn classify(own: XtStruct<'_>, _: XtContext<'_>) -> Option<Said> {
    let class = own.u32(0)?;
    let class = format!("{:04x}:{:04x}", class >> 16, class & 0xffff);
    Some(vec![Opt::new("--set-class", class)].into())
}

fn tee(own: XtStruct<'_>, context: XtContext<'_>) -> Option<Said> {
    let mut options = vec![Opt::new("--gateway", own.address(0, context.v6)?)];
    let interface = own.text(16, 16)?;
    if !interface.is_empty() {
        options.push(Opt::new("--oif", interface));
    }
    Some(options.into())
}
