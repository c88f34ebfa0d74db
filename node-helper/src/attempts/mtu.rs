//! The MTU of the interface that a packet would leave by.

use crate::system::netlink::{Netlink, NetlinkAnswer, at, attribute, attributes, family, octets};
use std::net::IpAddr;

/// `struct rtmsg` and `struct ifinfomsg` (linux/rtnetlink.h).
const RTMSG_BYTES: usize = 12;
const IFINFOMSG_BYTES: usize = 16;

/// In bytes, by the routes of the namespace this thread is in; `None` without a route.
pub fn of_interface_towards(to: IpAddr) -> Option<u32> {
    let mut route = Netlink::open(libc::NETLINK_ROUTE).ok()?;
    let mut request = vec![0; RTMSG_BYTES];
    (request[0], request[1]) = (family(to), if to.is_ipv4() { 32 } else { 128 });
    attribute(&mut request, libc::RTA_DST, &octets(to));
    let index = number(&mut route, libc::RTM_GETROUTE, &request, RTMSG_BYTES, libc::RTA_OIF)?;
    let mut request = vec![0; IFINFOMSG_BYTES];
    request[4..8].copy_from_slice(&index.to_ne_bytes());
    number(&mut route, libc::RTM_GETLINK, &request, IFINFOMSG_BYTES, libc::IFLA_MTU)
}

/// One attribute of the answer.
fn number(route: &mut Netlink, kind: u16, request: &[u8], header_bytes: usize, wanted: u16) -> Option<u32> {
    let Ok(NetlinkAnswer::Messages(messages)) = route.ask(kind, request) else {
        return None;
    };
    messages
        .iter()
        .flat_map(|(_, body)| attributes(body.get(header_bytes..).unwrap_or_default()))
        .find_map(|(attribute, value)| (attribute == wanted).then(|| at(value, 0).map(u32::from_ne_bytes))?)
}

#[cfg(test)]
mod tests {
    use super::of_interface_towards;
    use std::net::Ipv4Addr;

    #[test]
    fn loopback_has_the_largest() {
        assert_eq!(of_interface_towards(Ipv4Addr::LOCALHOST.into()), Some(65_536));
    }
}
