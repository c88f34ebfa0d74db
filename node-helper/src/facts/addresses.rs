//! Addresses of a namespace's interfaces.

use super::{Fact, Look};
use crate::system::netlink::{Netlink, decode, encode};
use model::facts::{Address, NetnsFacts};
use netlink_packet_route::address::{AddressAttribute, AddressFlags, AddressMessage, AddressScope};

pub(super) const FACT: Fact = Fact {
    name: "addresses",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.addresses = look.known("addresses", read(look)),
};

fn read(look: &Look) -> anyhow::Result<Vec<Address>> {
    look.route(all)
}

/// All that this namespace has.
pub(crate) fn all(route: &mut Netlink) -> anyhow::Result<Vec<Address>> {
    let all = encode(&AddressMessage::default());
    route.dump_all(libc::RTM_GETADDR, &all, parse)
}

fn parse(message: &[u8]) -> anyhow::Result<Option<Address>> {
    let message: AddressMessage = decode("an address", message)?;
    let header = message.header;
    let mut flags = AddressFlags::from_bits_retain(u32::from(header.flags.bits()));
    let (mut own, mut either) = (None, None);
    for attribute in message.attributes {
        match attribute {
            // On a point-to-point link IFA_ADDRESS is the peer's.
            AddressAttribute::Local(address) => own = Some(address),
            AddressAttribute::Address(address) => either = Some(address),
            AddressAttribute::Flags(all) => flags = all,
            _ => {}
        }
    }
    Ok(own.or(either).map(|address| Address {
        ifindex: header.index,
        address,
        prefix: header.prefix_len,
        tentative: flags.contains(AddressFlags::Tentative),
        dad_failed: flags.contains(AddressFlags::Dadfailed),
        link_scope: header.scope == AddressScope::Link,
    }))
}

#[cfg(test)]
mod tests {
    use super::parse;
    use crate::system::netlink::attribute;

    /// `struct ifaddrmsg`.
    const IFADDRMSG_BYTES: usize = 8;

    #[test]
    fn on_a_point_to_point_link_the_own_address_counts() {
        let mut message = vec![0; IFADDRMSG_BYTES];
        (message[0], message[1], message[4]) = (libc::AF_INET as u8, 32, 5);
        attribute(&mut message, libc::IFA_ADDRESS, &[10, 0, 0, 2]);
        attribute(&mut message, libc::IFA_LOCAL, &[10, 0, 0, 1]);
        let address = parse(&message).unwrap().unwrap();
        assert_eq!(
            (address.address.to_string().as_str(), address.prefix, address.ifindex),
            ("10.0.0.1", 32, 5)
        );
    }

    #[test]
    fn an_address_that_somebody_else_has_is_told() {
        let mut message = vec![0; IFADDRMSG_BYTES];
        message[0] = libc::AF_INET6 as u8;
        attribute(&mut message, libc::IFA_ADDRESS, &[0xfd; 16]);
        let flags = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;
        attribute(&mut message, libc::IFA_FLAGS, &flags.to_ne_bytes());
        let address = parse(&message).unwrap().unwrap();
        assert!(address.tentative && address.dad_failed && !address.link_scope);
    }
}
