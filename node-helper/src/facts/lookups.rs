//! Route lookups: what the kernel answers when asked how a packet would leave (`ip route get`).
//!
//! A source that is not the namespace's own is asked for as if the packet came in where that source lives, so the answer
//! is the one forwarding gets, with `rp_filter` (EXDEV) and `ip_forward` (EHOSTUNREACH) in it.

use super::{Fact, Look, routes};
use crate::system::netlink::{Netlink, NetlinkAnswer, encode, errno};
use model::facts::{LookupAnswer, NetnsFacts, Route, RouteKind, RouteLookup};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::route::{RouteAttribute, RouteFlags, RouteMessage};
use std::net::IpAddr;

pub(super) const FACT: Fact = Fact {
    name: "lookups",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.lookups = look.known("route lookups", read(look)),
};

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
        NetlinkAnswer::Refused(error) => LookupAnswer::Error(error),
        NetlinkAnswer::Messages(messages) => messages
            .iter()
            .find_map(|(_, body)| routes::parse(body).transpose())
            .transpose()?
            .map_or_else(|| LookupAnswer::Error(errno(libc::ENETUNREACH)), LookupAnswer::Route),
    })
}

fn request(dst: IpAddr, src: Option<IpAddr>, iif: Option<u32>) -> Vec<u8> {
    let (family, bits) = match dst {
        IpAddr::V4(_) => (AddressFamily::Inet, 32),
        IpAddr::V6(_) => (AddressFamily::Inet6, 128),
    };
    let mut request = RouteMessage::default();
    request.header.address_family = family;
    request.header.destination_prefix_length = bits;
    request.header.flags = RouteFlags::LookupTable;
    request.attributes.push(RouteAttribute::Destination(dst.into()));
    if let Some(src) = src {
        request.header.source_prefix_length = bits;
        request.attributes.push(RouteAttribute::Source(src.into()));
    }
    request.attributes.extend(iif.map(RouteAttribute::Iif));
    encode(&request)
}
