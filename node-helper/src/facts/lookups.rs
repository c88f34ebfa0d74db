//! What the kernel itself answers to "how would this leave?".
//!
//! A source that is not the namespace's own is asked for as if the packet came in where that source lives, so the answer
//! is the one forwarding gets, with `rp_filter` (EXDEV) and `ip_forward` (EHOSTUNREACH) in it.

use super::{Fact, Look, routes};
use crate::netlink::{Answer, Netlink, attribute, errno, family, octets};
use model::facts::{LookupAnswer, NetnsFacts, Route, RouteKind, RouteLookup};
use std::net::IpAddr;

pub(super) const FACT: Fact = Fact {
    name: "lookups",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.lookups = look.known("route lookups", read(look)),
};

/// The answer names the table it came from (linux/rtnetlink.h).
const RTM_F_LOOKUP_TABLE: u32 = 0x1000;

fn read(look: &Look) -> anyhow::Result<Vec<RouteLookup>> {
    look.route(|route| {
        look.ask
            .lookups
            .iter()
            .filter(|(dst, src)| src.is_none_or(|src| src.is_ipv4() == dst.is_ipv4()))
            .map(|(dst, src)| {
                let answer = match src {
                    None => lookup(route, *dst, None, None)?,
                    Some(src) => {
                        let iif = arrives_by(route, *src)?;
                        lookup(route, *dst, Some(*src), iif)?
                    }
                };
                Ok(RouteLookup {
                    dst: *dst,
                    src: *src,
                    answer,
                })
            })
            .collect()
    })
}

/// The interface behind which a foreign address lives; `None` for our own.
fn arrives_by(route: &mut Netlink, src: IpAddr) -> anyhow::Result<Option<u32>> {
    Ok(match lookup(route, src, None, None)? {
        LookupAnswer::Route(Route {
            kind: RouteKind::Unicast,
            hops,
            ..
        }) => hops.first().and_then(|hop| hop.oif),
        _ => None,
    })
}

fn lookup(route: &mut Netlink, dst: IpAddr, src: Option<IpAddr>, iif: Option<u32>) -> anyhow::Result<LookupAnswer> {
    Ok(match route.ask(libc::RTM_GETROUTE, &request(dst, src, iif))? {
        Answer::Refused(error) => LookupAnswer::Error(error),
        Answer::Messages(messages) => messages
            .iter()
            .find_map(|(_, body)| routes::parse(body))
            .map_or_else(|| LookupAnswer::Error(errno(libc::ENETUNREACH)), LookupAnswer::Route),
    })
}

fn request(dst: IpAddr, src: Option<IpAddr>, iif: Option<u32>) -> Vec<u8> {
    let bits = if dst.is_ipv4() { 32 } else { 128 };
    let mut request = vec![0; routes::RTMSG_BYTES];
    (request[0], request[1]) = (family(dst), bits);
    request[8..12].copy_from_slice(&RTM_F_LOOKUP_TABLE.to_ne_bytes());
    attribute(&mut request, libc::RTA_DST, &octets(dst));
    if let Some(src) = src {
        request[2] = bits;
        attribute(&mut request, libc::RTA_SRC, &octets(src));
    }
    if let Some(iif) = iif {
        attribute(&mut request, libc::RTA_IIF, &iif.to_ne_bytes());
    }
    request
}
