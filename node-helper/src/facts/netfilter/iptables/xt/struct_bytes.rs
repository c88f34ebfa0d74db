//! Fields of a C struct by their offsets. One that lies behind the struct's end is `None`.

use crate::system::netlink::{at, text};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The bytes of a struct.
#[derive(Clone, Copy, Debug)]
pub struct XtStruct<'a>(pub &'a [u8]);

impl<'a> XtStruct<'a> {
    /// A byte.
    pub fn u8(self, offset: usize) -> Option<u8> {
        self.0.get(offset).copied()
    }

    /// A number in the machine's order.
    pub fn u16(self, offset: usize) -> Option<u16> {
        at(self.0, offset).map(u16::from_ne_bytes)
    }

    /// A number in network order.
    pub fn be16(self, offset: usize) -> Option<u16> {
        at(self.0, offset).map(u16::from_be_bytes)
    }

    /// A number in the machine's order.
    pub fn u32(self, offset: usize) -> Option<u32> {
        at(self.0, offset).map(u32::from_ne_bytes)
    }

    /// A number in the machine's order.
    pub fn u64(self, offset: usize) -> Option<u64> {
        at(self.0, offset).map(u64::from_ne_bytes)
    }

    /// Bytes as they are.
    pub fn bytes(self, offset: usize, length: usize) -> Option<&'a [u8]> {
        self.0.get(offset..offset.checked_add(length)?)
    }

    /// A string in an array of this length.
    pub fn text(self, offset: usize, length: usize) -> Option<String> {
        self.bytes(offset, length).map(text)
    }

    /// An address in a `union nf_inet_addr`, or in the 4 or 16 bytes of its own.
    pub fn address(self, offset: usize, v6: bool) -> Option<IpAddr> {
        if v6 {
            at::<16>(self.0, offset).map(|octets| Ipv6Addr::from(octets).into())
        } else {
            at::<4>(self.0, offset).map(|octets| Ipv4Addr::from(octets).into())
        }
    }
}
