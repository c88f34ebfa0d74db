//! Targets that decide about a packet: drop it, refuse it, or hand it to a program.

use super::packet::{flagged, masked};
use super::{In, Layout, Said, XtContext, XtStruct, layout};
use crate::facts::netfilter::iptables::clause::Opt;

// linux/netfilter_ipv4/ipt_REJECT.h, linux/netfilter_ipv6/ip6t_REJECT.h, linux/netfilter/xt_NFQUEUE.h, xt_TPROXY.h
pub(super) const TARGETS: &[Layout] = &[
    layout("REJECT", 0, In::V4, 4, |own, _| reject(own, &REJECT_4)),
    layout("REJECT", 0, In::V6, 4, |own, _| reject(own, &REJECT_6)),
    layout("NFQUEUE", 0, In::Both, 2, |own, _| {
        Some(vec![Opt::new("--queue-num", own.u16(0)?)].into())
    }),
    layout("NFQUEUE", 1, In::Both, 4, |own, _| queue(own, 0)),
    layout("NFQUEUE", 2, In::Both, 6, |own, _| queue(own, own.u16(4)?)),
    layout("NFQUEUE", 3, In::Both, 6, |own, _| queue(own, own.u16(4)?)),
    layout("TPROXY", 0, In::V4, 16, |own, context| proxy(own, context, 12)),
    layout("TPROXY", 1, In::Both, 28, |own, context| proxy(own, context, 24)),
];

const REJECT_4: [&str; 9] = [
    "icmp-net-unreachable",
    "icmp-host-unreachable",
    "icmp-proto-unreachable",
    "icmp-port-unreachable",
    "echo-reply",
    "icmp-net-prohibited",
    "icmp-host-prohibited",
    "tcp-reset",
    "icmp-admin-prohibited",
];
const REJECT_6: [&str; 9] = [
    "icmp6-no-route",
    "icmp6-adm-prohibited",
    "icmp6-not-neighbour",
    "icmp6-addr-unreachable",
    "icmp6-port-unreachable",
    "echo-reply",
    "tcp-reset",
    "icmp6-policy-fail",
    "icmp6-reject-route",
];

fn reject(own: XtStruct<'_>, names: &[&'static str]) -> Option<Said> {
    let with = names.get(own.u32(0)? as usize)?;
    Some(vec![Opt::new("--reject-with", with)].into())
}

fn queue(own: XtStruct<'_>, flags: u16) -> Option<Said> {
    let (number, total) = (own.u16(0)?, own.u16(2)?);
    let mut options = vec![if total > 1 {
        Opt::new(
            "--queue-balance",
            format!("{number}:{}", number.checked_add(total - 1)?),
        )
    } else {
        Opt::new("--queue-num", number)
    }];
    options.extend(flagged(
        u32::from(flags),
        &[(1, "--queue-bypass"), (2, "--queue-cpu-fanout")],
    ));
    Some(options.into())
}

fn proxy(own: XtStruct<'_>, context: XtContext<'_>, port: usize) -> Option<Said> {
    Some(
        vec![
            Opt::new("--on-port", own.be16(port)?),
            Opt::new("--on-ip", own.address(8, context.v6)?),
            Opt::new("--tproxy-mark", whole(masked(own.u32(4)?, own.u32(0)?))),
        ]
        .into(),
    )
}

/// A mark whose mask is always written.
fn whole(mark: String) -> String {
    if mark.contains('/') {
        mark
    } else {
        format!("{mark}/0xffffffff")
    }
}
