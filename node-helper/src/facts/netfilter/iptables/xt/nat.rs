//! Targets that translate addresses and ports.

use super::packet::flagged;
use super::{In, Layout, Said, XtContext, XtStruct, layout, network};
use crate::facts::netfilter::iptables::clause::Opt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

// linux/netfilter/nf_nat.h: `nf_nat_ipv4_multi_range_compat` (20 bytes), `nf_nat_range` (40), `nf_nat_range2` (42)
pub(super) const TARGETS: &[Layout] = &[
    layout("DNAT", 0, In::V4, 20, |own, _| Some(destination(&old(own)?))),
    layout("DNAT", 1, In::Both, 40, |own, context| {
        Some(destination(&range(own, context)?))
    }),
    layout("DNAT", 2, In::Both, 44, |own, context| {
        Some(destination(&based(own, context)?))
    }),
    layout("SNAT", 0, In::V4, 20, |own, _| Some(source(&old(own)?))),
    layout("SNAT", 1, In::Both, 40, |own, context| {
        Some(source(&range(own, context)?))
    }),
    layout("SNAT", 2, In::Both, 44, |own, context| {
        Some(source(&based(own, context)?))
    }),
    layout("MASQUERADE", 0, In::V4, 20, |own, _| Some(masquerade(&old(own)?))),
    layout("MASQUERADE", 0, In::V6, 40, |own, context| {
        Some(masquerade(&range(own, context)?))
    }),
    layout("REDIRECT", 0, In::V4, 20, |own, _| Some(masquerade(&old(own)?))),
    layout("REDIRECT", 0, In::V6, 40, |own, context| {
        Some(masquerade(&range(own, context)?))
    }),
    layout("NETMAP", 0, In::V4, 20, |own, _| netmap(&old(own)?)),
    layout("NETMAP", 0, In::V6, 40, |own, context| netmap(&range(own, context)?)),
];

// `NF_NAT_RANGE_*`
const ADDRESSES: u32 = 1;
const PORTS: u32 = 2;
const RANDOM: u32 = 4;
const PERSISTENT: u32 = 8;
const RANDOM_FULLY: u32 = 16;
const OFFSET: u32 = 32;

struct Range {
    flags: u32,
    addresses: (IpAddr, IpAddr),
    ports: (u16, u16),
    /// The port that is counted from, for a shifted range.
    base: u16,
}

/// iptables' own ranges of IPv4: a count, which is always 1, and the range.
fn old(own: XtStruct<'_>) -> Option<Range> {
    if own.u32(0)? != 1 {
        return None;
    }
    Some(Range {
        flags: own.u32(4)?,
        addresses: (own.address(8, false)?, own.address(12, false)?),
        ports: (own.be16(16)?, own.be16(18)?),
        base: 0,
    })
}

fn range(own: XtStruct<'_>, context: XtContext<'_>) -> Option<Range> {
    Some(Range {
        flags: own.u32(0)?,
        addresses: (own.address(4, context.v6)?, own.address(20, context.v6)?),
        ports: (own.be16(36)?, own.be16(38)?),
        base: 0,
    })
}

fn based(own: XtStruct<'_>, context: XtContext<'_>) -> Option<Range> {
    Some(Range {
        base: own.be16(40)?,
        ..range(own, context)?
    })
}

impl Range {
    /// `10.0.0.1-10.0.0.9:80-90`, with brackets around an address of IPv6 that a port follows.
    fn text(&self) -> String {
        let mut text = String::new();
        if self.flags & ADDRESSES != 0 {
            let (first, last) = self.addresses;
            let brackets = first.is_ipv6() && self.flags & PORTS != 0;
            text = if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            };
            if brackets {
                text = format!("[{text}]");
            }
        }
        if self.flags & PORTS != 0 {
            text = format!("{text}:{}", self.ports());
        }
        text
    }

    fn ports(&self) -> String {
        let (first, last) = self.ports;
        let ports = if first == last {
            first.to_string()
        } else {
            format!("{first}-{last}")
        };
        if self.flags & OFFSET != 0 {
            format!("{ports}/{}", self.base)
        } else {
            ports
        }
    }
}

fn destination(range: &Range) -> Said {
    let mut options = vec![Opt::new("--to-destination", range.text())];
    options.extend(flagged(
        range.flags,
        &[(RANDOM, "--random"), (PERSISTENT, "--persistent")],
    ));
    options.into()
}

fn source(range: &Range) -> Said {
    let mut options = vec![Opt::new("--to-source", range.text())];
    options.extend(flagged(
        range.flags,
        &[
            (RANDOM, "--random"),
            (RANDOM_FULLY, "--random-fully"),
            (PERSISTENT, "--persistent"),
        ],
    ));
    options.into()
}

fn masquerade(range: &Range) -> Said {
    let mut options = Vec::new();
    if range.flags & PORTS != 0 {
        options.push(Opt::new("--to-ports", range.ports()));
    }
    options.extend(flagged(
        range.flags,
        &[(RANDOM, "--random"), (RANDOM_FULLY, "--random-fully")],
    ));
    options.into()
}

/// The network is what first and last address share.
fn netmap(range: &Range) -> Option<Said> {
    let mask: IpAddr = match range.addresses {
        (IpAddr::V4(first), IpAddr::V4(last)) => Ipv4Addr::from_bits(!(first.to_bits() ^ last.to_bits())).into(),
        (IpAddr::V6(first), IpAddr::V6(last)) => Ipv6Addr::from_bits(!(first.to_bits() ^ last.to_bits())).into(),
        _ => return None,
    };
    Some(vec![Opt::new("--to", network(range.addresses.0, mask))].into())
}
