//! Whether what a rule or a set names fits a packet's own value: a protocol, an address, an interface. Three answers: yes, no, and
//! that it cannot be told.

use core::net::IpAddr;
use model::flow::{ICMP, ICMPV6, SCTP, TCP, UDP};

/// The answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It fits.
    Yes,
    /// It does not.
    No,
    /// It cannot be told.
    Maybe,
}

impl Fit {
    pub(super) const fn of(fits: bool) -> Self {
        if fits { Self::Yes } else { Self::No }
    }

    pub(super) const fn inverted(self, not: bool) -> Self {
        match (self, not) {
            (Self::Yes, true) => Self::No,
            (Self::No, true) => Self::Yes,
            (same, _) => same,
        }
    }

    /// Some of several candidates fit, or all, or none.
    pub(super) fn among<T>(candidates: &[T], fits: impl Fn(&T) -> bool) -> Self {
        let fitting = candidates.iter().filter(|candidate| fits(candidate)).count();
        if candidates.is_empty() || (fitting > 0 && fitting < candidates.len()) {
            Self::Maybe
        } else {
            Self::of(fitting > 0)
        }
    }
}

/// A protocol by its name or number, or one of several.
pub(super) fn protocol(is: &str, number: u8) -> Fit {
    let mut told = true;
    for name in list(is) {
        let own = match name {
            "all" | "ip" | "ipv6" | "0" => return Fit::Yes,
            // What is above the link is IP.
            "arp" => continue,
            "tcp" => Some(TCP),
            "udp" => Some(UDP),
            "icmp" => Some(ICMP),
            "icmpv6" | "ipv6-icmp" | "icmp6" => Some(ICMPV6),
            "sctp" => Some(SCTP),
            "udplite" => Some(136),
            "gre" => Some(47),
            "esp" | "ipv6-crypt" => Some(50),
            "ah" | "ipv6-auth" => Some(51),
            "igmp" => Some(2),
            "ipencap" => Some(4),
            "dccp" => Some(33),
            "ospf" => Some(89),
            "pim" => Some(103),
            "vrrp" => Some(112),
            other => other.parse().ok(),
        };
        match own {
            Some(own) if own == number => return Fit::Yes,
            Some(_) => {}
            None => told = false,
        }
    }
    if told { Fit::No } else { Fit::Maybe }
}

/// The members of `{ a, b }` or `a,b`.
pub(super) fn list(text: &str) -> impl Iterator<Item = &str> {
    text.trim_matches(['{', '}', ' '])
        .split(',')
        .map(str::trim)
        .filter(|part| !part.is_empty())
}

/// `10.0.0.0/8`, `10.0.0.0/255.0.0.0`, `10.0.0.1`, `10.0.0.1-10.0.0.9`.
pub(super) fn in_text(text: &str, own: IpAddr) -> Fit {
    let text = text.split_whitespace().next().unwrap_or("");
    if let Some((low, high)) = text.split_once('-') {
        return match (low.parse::<IpAddr>(), high.parse::<IpAddr>()) {
            (Ok(low), Ok(high)) => Fit::of(low.is_ipv4() == own.is_ipv4() && (low..=high).contains(&own)),
            _ => Fit::Maybe,
        };
    }
    let (prefix, length) = text.split_once('/').unwrap_or((text, ""));
    let Ok(prefix) = prefix.parse::<IpAddr>() else {
        return Fit::Maybe;
    };
    let full = if prefix.is_ipv4() { 32 } else { 128 };
    let length = match (length, length.parse::<u8>(), length.parse::<IpAddr>()) {
        ("", ..) => Some(full),
        (_, Ok(length), _) => Some(length),
        (_, _, Ok(IpAddr::V4(mask))) if mask.to_bits().leading_ones() == mask.to_bits().count_ones() => {
            Some(mask.to_bits().count_ones() as u8)
        }
        _ => None,
    };
    length.map_or(Fit::Maybe, |length| {
        Fit::of(crate::kernel::route::within(own, prefix, length))
    })
}

/// An interface by its name, or by the beginning of it.
pub(super) fn interface(is: &str, names: Option<&[&str]>) -> Fit {
    let Some(names) = names else {
        return Fit::of(matches!(is, "+" | "*"));
    };
    Fit::among(names, |name| {
        list(is).any(|wanted| match wanted.trim_matches('"').strip_suffix(['+', '*']) {
            Some(start) => name.starts_with(start),
            None => *name == wanted.trim_matches('"'),
        })
    })
}
