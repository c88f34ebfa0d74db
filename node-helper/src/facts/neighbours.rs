//! Neighbours: who answers for which address on which link (ARP, ND), with proxy entries.

use super::{Fact, Look};
use crate::system::netlink::{decode, encode, hardware};
use model::facts::{Neighbour, NetnsFacts};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAddress, NeighbourAttribute, NeighbourFlags, NeighbourMessage};
use std::net::IpAddr;

pub(super) const FACT: Fact = Fact {
    name: "neighbours",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.neighbours = look.known("neighbours", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<Neighbour>> {
    let mut request = NeighbourMessage::default();
    let all = encode(&request);
    request.header.flags = NeighbourFlags::Proxy;
    let proxies = encode(&request);
    look.route(|route| {
        let mut neighbours = route.dump_all(libc::RTM_GETNEIGH, &all, parse)?;
        neighbours.extend(route.dump_all(libc::RTM_GETNEIGH, &proxies, parse)?);
        Ok(neighbours)
    })
}

/// Entries that need no resolution (multicast, loopback) say nothing, as `ip neigh` thinks too.
fn parse(message: &[u8]) -> anyhow::Result<Option<Neighbour>> {
    let message: NeighbourMessage = decode("a neighbour", message)?;
    let header = message.header;
    let state = u16::from(header.state);
    let ours = matches!(header.family, AddressFamily::Inet | AddressFamily::Inet6);
    if !ours || state & libc::NUD_NOARP != 0 {
        return Ok(None);
    }
    let (mut dst, mut mac) = (None, String::new());
    for attribute in message.attributes {
        match attribute {
            NeighbourAttribute::Destination(address) => dst = ip(&address),
            NeighbourAttribute::LinkLayerAddress(octets) => mac = hardware(&octets),
            _ => {}
        }
    }
    Ok(dst.map(|address| Neighbour {
        ifindex: header.ifindex,
        address,
        mac,
        state: self::state(state).to_owned(),
        proxy: header.flags.contains(NeighbourFlags::Proxy),
    }))
}

/// The address of an entry; entries of a bridge have them in any family.
pub(super) fn ip(address: &NeighbourAddress) -> Option<IpAddr> {
    match address {
        NeighbourAddress::Inet(v4) => Some(IpAddr::V4(*v4)),
        NeighbourAddress::Inet6(v6) => Some(IpAddr::V6(*v6)),
        NeighbourAddress::Other(octets) => crate::system::netlink::address(octets),
        _ => None,
    }
}

fn state(state: u16) -> &'static str {
    match state {
        libc::NUD_INCOMPLETE => "INCOMPLETE",
        libc::NUD_REACHABLE => "REACHABLE",
        libc::NUD_STALE => "STALE",
        libc::NUD_DELAY => "DELAY",
        libc::NUD_PROBE => "PROBE",
        libc::NUD_FAILED => "FAILED",
        libc::NUD_PERMANENT => "PERMANENT",
        _ => "NONE",
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::system::netlink::attribute;

    /// `struct ndmsg`.
    const NDMSG_BYTES: usize = 12;

    fn message(family: i32, state: u16, mac: &[u8]) -> Vec<u8> {
        let mut message = vec![0; NDMSG_BYTES];
        (message[0], message[4]) = (family as u8, 4);
        message[8..10].copy_from_slice(&state.to_ne_bytes());
        attribute(&mut message, libc::NDA_DST, &[10, 90, 1, 3]);
        if !mac.is_empty() {
            attribute(&mut message, libc::NDA_LLADDR, mac);
        }
        message
    }

    #[test]
    fn an_entry_tells_state_and_mac() {
        let permanent = parse(&message(libc::AF_INET, libc::NUD_PERMANENT, &[2, 0, 0, 0, 0, 0x99]))
            .unwrap()
            .unwrap();
        assert_eq!(
            (permanent.state.as_str(), permanent.mac.as_str()),
            ("PERMANENT", "02:00:00:00:00:99")
        );
        let failed = parse(&message(libc::AF_INET, libc::NUD_FAILED, &[])).unwrap().unwrap();
        assert_eq!(
            (failed.state.as_str(), failed.mac.as_str(), failed.ifindex),
            ("FAILED", "", 4)
        );
    }

    #[test]
    fn entries_that_need_no_resolution_and_other_families_are_left_out() {
        assert!(parse(&message(libc::AF_INET, libc::NUD_NOARP, &[])).unwrap().is_none());
        assert!(
            parse(&message(libc::AF_BRIDGE, libc::NUD_REACHABLE, &[]))
                .unwrap()
                .is_none()
        );
    }
}
