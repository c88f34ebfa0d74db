//! Forwarding entries of bridges and VXLAN devices.

use super::neighbours::NDMSG_BYTES;
use super::{Fact, Look};
use crate::netlink::{address, attributes, hardware, u16_at, u32_at};
use model::facts::{FdbEntry, NetnsFacts};

pub(super) const FACT: Fact = Fact {
    name: "fdb",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.fdb = look.known("forwarding entries", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<FdbEntry>> {
    let mut request = [0; NDMSG_BYTES];
    request[0] = libc::AF_BRIDGE as u8;
    look.route(|route| route.dump(libc::RTM_GETNEIGH, &request, |_, body| parse(body)))
}

fn parse(message: &[u8]) -> Option<FdbEntry> {
    let body = message.get(NDMSG_BYTES..)?;
    let mut entry = FdbEntry {
        ifindex: u32_at(message, 4),
        mac: String::new(),
        dst: None,
        master: None,
        state: state(u16_at(message, 8)).to_owned(),
    };
    for (kind, value) in attributes(body) {
        match kind {
            // Groups that a device listens to are filters, not ways.
            libc::NDA_LLADDR if value.first().is_some_and(|first| first & 1 != 0) => return None,
            libc::NDA_LLADDR => entry.mac = hardware(value),
            libc::NDA_DST => entry.dst = address(value),
            libc::NDA_MASTER => entry.master = Some(u32_at(value, 0)),
            _ => {}
        }
    }
    Some(entry)
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
    use crate::facts::neighbours::NDMSG_BYTES;
    use crate::netlink::attribute;

    fn message(mac: [u8; 6], state: u16) -> Vec<u8> {
        let mut message = vec![0; NDMSG_BYTES];
        message[4] = 6;
        message[8..10].copy_from_slice(&state.to_ne_bytes());
        attribute(&mut message, libc::NDA_LLADDR, &mac);
        message
    }

    #[test]
    fn a_tunnels_entry_tells_the_remote_end() {
        let mut permanent = message([0x0e, 0, 0, 0, 0, 1], libc::NUD_PERMANENT);
        attribute(&mut permanent, libc::NDA_DST, &[172, 31, 90, 2]);
        let entry = parse(&permanent).unwrap();
        assert_eq!((entry.ifindex, entry.state.as_str()), (6, "permanent"));
        assert_eq!(entry.dst, Some("172.31.90.2".parse().unwrap()));
    }

    #[test]
    fn groups_are_no_ways() {
        assert!(parse(&message([0x33, 0x33, 0, 0, 0, 1], libc::NUD_PERMANENT)).is_none());
        assert!(
            parse(&message([0; 6], libc::NUD_REACHABLE)).is_some(),
            "flannel's entry for everybody"
        );
    }
}
