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
