//! Forwarding entries of bridges and VXLAN devices.

use super::neighbours::ip;
use super::{Fact, Look};
use crate::system::netlink::{decode, encode, hardware};
use model::facts::{FdbEntry, NetnsFacts};
use netlink_packet_route::AddressFamily;
use netlink_packet_route::neighbour::{NeighbourAttribute, NeighbourMessage};

pub(super) const FACT: Fact = Fact {
    name: "fdb",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.fdb = look.known("forwarding entries", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<FdbEntry>> {
    let mut request = NeighbourMessage::default();
    request.header.family = AddressFamily::Bridge;
    look.route(|route| route.dump_all(libc::RTM_GETNEIGH, &encode(&request), parse))
}

fn parse(message: &[u8]) -> anyhow::Result<Option<FdbEntry>> {
    let message: NeighbourMessage = decode("a forwarding entry", message)?;
    let mut entry = FdbEntry {
        ifindex: message.header.ifindex,
        mac: String::new(),
        dst: None,
        master: None,
        state: state(u16::from(message.header.state)).to_owned(),
    };
    for attribute in message.attributes {
        match attribute {
            // Groups that a device listens to are filters, not ways.
            NeighbourAttribute::LinkLayerAddress(octets) if octets.first().is_some_and(|first| first & 1 != 0) => {
                return Ok(None);
            }
            NeighbourAttribute::LinkLayerAddress(octets) => entry.mac = hardware(&octets),
            NeighbourAttribute::Destination(address) => entry.dst = ip(&address),
            NeighbourAttribute::Controller(master) => entry.master = Some(master),
            _ => {}
        }
    }
    Ok(Some(entry))
}

fn state(state: u16) -> &'static str {
    if state & libc::NUD_PERMANENT != 0 {
        "permanent"
    } else if state & libc::NUD_NOARP != 0 {
        "static"
    } else {
        ""
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::system::netlink::attribute;

    /// `struct ndmsg`.
    const NDMSG_BYTES: usize = 12;

    fn message(mac: [u8; 6], state: u16) -> Vec<u8> {
        let mut message = vec![0; NDMSG_BYTES];
        (message[0], message[4]) = (libc::AF_BRIDGE as u8, 6);
        message[8..10].copy_from_slice(&state.to_ne_bytes());
        attribute(&mut message, libc::NDA_LLADDR, &mac);
        message
    }

    #[test]
    fn a_tunnels_entry_tells_the_remote_end() {
        let mut permanent = message([0x0e, 0, 0, 0, 0, 1], libc::NUD_PERMANENT);
        attribute(&mut permanent, libc::NDA_DST, &[172, 31, 90, 2]);
        let entry = parse(&permanent).unwrap().unwrap();
        assert_eq!((entry.ifindex, entry.state.as_str()), (6, "permanent"));
        assert_eq!(entry.dst, Some("172.31.90.2".parse().unwrap()));
    }

    #[test]
    fn groups_are_no_ways() {
        assert!(
            parse(&message([0x33, 0x33, 0, 0, 0, 1], libc::NUD_PERMANENT))
                .unwrap()
                .is_none()
        );
        assert!(
            parse(&message([0; 6], libc::NUD_REACHABLE)).unwrap().is_some(),
            "flannel's entry for everybody"
        );
    }
}
