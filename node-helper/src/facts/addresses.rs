//! Addresses of a namespace's interfaces.

use super::{Fact, Look};
use crate::netlink::{address, attributes, u32_at};
use model::facts::{Address, NetnsFacts};

pub(super) const FACT: Fact = Fact {
    name: "addresses",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.addresses = look.known("addresses", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<Address>> {
    look.route(|route| route.dump(libc::RTM_GETADDR, &[0; IFADDRMSG_BYTES], |_, body| parse(body)))
}

/// `struct ifaddrmsg`: family, prefix length at 1, flags at 2, scope at 3, index at 4.
const IFADDRMSG_BYTES: usize = 8;

fn parse(message: &[u8]) -> Option<Address> {
    let body = message.get(IFADDRMSG_BYTES..)?;
    let mut flags = u32::from(message[2]);
    let (mut own, mut either) = (None, None);
    for (kind, value) in attributes(body) {
        match kind {
            // On a point-to-point link IFA_ADDRESS is the peer's.
            libc::IFA_LOCAL => own = address(value),
            libc::IFA_ADDRESS => either = address(value),
            libc::IFA_FLAGS => flags = u32_at(value, 0),
            _ => {}
        }
    }
    Some(Address {
        ifindex: u32_at(message, 4),
        address: own.or(either)?,
        prefix: message[1],
        tentative: flags & libc::IFA_F_TENTATIVE != 0,
        dad_failed: flags & libc::IFA_F_DADFAILED != 0,
        link_scope: message[3] == libc::RT_SCOPE_LINK,
    })
}

#[cfg(test)]
mod tests {
    use super::{IFADDRMSG_BYTES, parse};
    use crate::netlink::attribute;

    #[test]
    fn on_a_point_to_point_link_the_own_address_counts() {
        let mut message = vec![0; IFADDRMSG_BYTES];
        (message[1], message[4]) = (32, 5);
        attribute(&mut message, libc::IFA_ADDRESS, &[10, 0, 0, 2]);
        attribute(&mut message, libc::IFA_LOCAL, &[10, 0, 0, 1]);
        let address = parse(&message).unwrap();
        assert_eq!(
            (address.address.to_string().as_str(), address.prefix, address.ifindex),
            ("10.0.0.1", 32, 5)
        );
    }

    #[test]
    fn an_address_that_somebody_else_has_is_told() {
        let mut message = vec![0; IFADDRMSG_BYTES];
        attribute(&mut message, libc::IFA_ADDRESS, &[0xfd; 16]);
        let flags = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;
        attribute(&mut message, libc::IFA_FLAGS, &flags.to_ne_bytes());
        let address = parse(&message).unwrap();
        assert!(address.tentative && address.dad_failed && !address.link_scope);
    }
}
