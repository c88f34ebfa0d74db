//! Neighbours: who answers for which address on which link (ARP, ND), with proxy entries.

use super::{Fact, Look};
use crate::netlink::{address, attributes, hardware, u16_at, u32_at};
use model::facts::{Neighbour, NetnsFacts};

pub(super) const FACT: Fact = Fact {
    name: "neighbours",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.neighbours = look.known("neighbours", read(look)),
};

/// `struct ndmsg`: family, interface at 4, state at 8, flags at 10.
pub(super) const NDMSG_BYTES: usize = 12;

fn read(look: &Look) -> anyhow::Result<Vec<Neighbour>> {
    let mut proxies = [0; NDMSG_BYTES];
    proxies[10] = libc::NTF_PROXY;
    look.route(|route| {
        let mut neighbours = route.dump(libc::RTM_GETNEIGH, &[0; NDMSG_BYTES], |_, body| parse(body))?;
        neighbours.extend(route.dump(libc::RTM_GETNEIGH, &proxies, |_, body| parse(body))?);
        Ok(neighbours)
    })
}

/// Entries that need no resolution (multicast, loopback) say nothing, as `ip neigh` thinks too.
fn parse(message: &[u8]) -> Option<Neighbour> {
    let body = message.get(NDMSG_BYTES..)?;
    let (state, flags) = (u16_at(message, 8), message[10]);
    let ours = matches!(i32::from(message[0]), libc::AF_INET | libc::AF_INET6);
    if !ours || state & libc::NUD_NOARP != 0 {
        return None;
    }
    let (mut dst, mut mac) = (None, String::new());
    for (kind, value) in attributes(body) {
        match kind {
            libc::NDA_DST => dst = address(value),
            libc::NDA_LLADDR => mac = hardware(value),
            _ => {}
        }
    }
    Some(Neighbour {
        ifindex: u32_at(message, 4),
        address: dst?,
        mac,
        state: self::state(state).to_owned(),
        proxy: flags & libc::NTF_PROXY != 0,
    })
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
    use super::{NDMSG_BYTES, parse};
    use crate::netlink::attribute;

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
        let permanent = parse(&message(libc::AF_INET, libc::NUD_PERMANENT, &[2, 0, 0, 0, 0, 0x99])).unwrap();
        assert_eq!(
            (permanent.state.as_str(), permanent.mac.as_str()),
            ("PERMANENT", "02:00:00:00:00:99")
        );
        let failed = parse(&message(libc::AF_INET, libc::NUD_FAILED, &[])).unwrap();
        assert_eq!(
            (failed.state.as_str(), failed.mac.as_str(), failed.ifindex),
            ("FAILED", "", 4)
        );
    }

    #[test]
    fn entries_that_need_no_resolution_and_other_families_are_left_out() {
        assert!(parse(&message(libc::AF_INET, libc::NUD_NOARP, &[])).is_none());
        assert!(parse(&message(libc::AF_BRIDGE, libc::NUD_REACHABLE, &[])).is_none());
    }
}
