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
                let answer = match src
                    .map(|src| Ok::<_, anyhow::Error>((src, home(route, src)?)))
                    .transpose()?
                {
                    Some((src, Home::Here)) => lookup(route, *dst, Some(src), None)?,
                    Some((src, Home::Behind(iif))) => lookup(route, *dst, Some(src), Some(iif))?,
                    None | Some((_, Home::Nowhere)) => lookup(route, *dst, None, None)?,
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

/// Where a source address lives.
enum Home {
    /// In this namespace.
    Here,
    /// Behind an interface of it.
    Behind(u32),
    /// No route leads there, so nothing tells by which interface it would come; it is left out of the question.
    Nowhere,
}

fn home(route: &mut Netlink, src: IpAddr) -> anyhow::Result<Home> {
    Ok(match lookup(route, src, None, None)? {
        LookupAnswer::Route(found) if found.kind == RouteKind::Local => Home::Here,
        LookupAnswer::Route(Route { hops, .. }) => {
            hops.first().and_then(|hop| hop.oif).map_or(Home::Nowhere, Home::Behind)
        }
        LookupAnswer::Error(_) => Home::Nowhere,
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
