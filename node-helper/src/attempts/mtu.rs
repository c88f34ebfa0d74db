//! The largest packet that the route towards an address takes, as `ip route get` tells it.

use crate::system::netlink::{Netlink, NetlinkAnswer, at, attribute, attributes, family, octets};
use std::net::IpAddr;

/// `struct rtmsg` and `struct ifinfomsg` (linux/rtnetlink.h).
const RTMSG_BYTES: usize = 12;
const IFINFOMSG_BYTES: usize = 16;
/// A route's metrics, and the MTU among them (linux/rtnetlink.h).
const RTA_METRICS: u16 = 8;
const RTAX_MTU: u16 = 2;

/// In bytes, by the routes of the namespace this thread is in: that of the route, where it has one of its own, else that of the
/// interface it leads to; `None` without a route.
pub fn of_route_towards(to: IpAddr) -> Option<u32> {
    let mut route = Netlink::open(libc::NETLINK_ROUTE).ok()?;
    let mut request = vec![0; RTMSG_BYTES];
    (request[0], request[1]) = (family(to), if to.is_ipv4() { 32 } else { 128 });
    attribute(&mut request, libc::RTA_DST, &octets(to));
    let found = told(&mut route, libc::RTM_GETROUTE, &request)?;
    let of_route = value(&found, RTMSG_BYTES, RTA_METRICS).and_then(|metrics| value(metrics, 0, RTAX_MTU));
    if let Some(mtu) = of_route.and_then(number).filter(|mtu| *mtu > 0) {
        return Some(mtu);
    }
    let index = value(&found, RTMSG_BYTES, libc::RTA_OIF).and_then(number)?;
    let mut request = vec![0; IFINFOMSG_BYTES];
    request[4..8].copy_from_slice(&index.to_ne_bytes());
    let found = told(&mut route, libc::RTM_GETLINK, &request)?;
    value(&found, IFINFOMSG_BYTES, libc::IFLA_MTU).and_then(number)
}

/// The first message of an answer.
fn told(route: &mut Netlink, kind: u16, request: &[u8]) -> Option<Vec<u8>> {
    let Ok(NetlinkAnswer::Messages(messages)) = route.ask(kind, request) else {
        return None;
    };
    messages.into_iter().next().map(|(_, body)| body)
}

/// One attribute behind a header.
fn value(message: &[u8], header_bytes: usize, wanted: u16) -> Option<&[u8]> {
    let mut all = attributes(message.get(header_bytes..)?);
    all.find_map(|(attribute, value)| (attribute == wanted).then_some(value))
}

fn number(value: &[u8]) -> Option<u32> {
    at(value, 0).map(u32::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::of_route_towards;
    use std::net::Ipv4Addr;

    #[test]
    fn loopback_has_the_largest() {
        assert_eq!(of_route_towards(Ipv4Addr::LOCALHOST.into()), Some(65_536));
    }
}
