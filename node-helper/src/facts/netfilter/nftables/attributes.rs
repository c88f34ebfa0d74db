//! Netlink attributes read strictly: what does not fit is an error, never skipped in silence.

use crate::system::netlink;
use anyhow::{Context as _, bail};

/// Nested attributes of one message, all of them whole. `nf_tables` writes its numbers in network order.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes<'a>(&'a [u8]);

const HEAD_BYTES: usize = 4;
/// The bits of an attribute's kind that are flags (`NLA_F_NESTED`, `NLA_F_NET_BYTEORDER`).
const KIND_MASK: u16 = 0x3fff;

impl<'a> Attributes<'a> {
    /// The attributes in these bytes.
    ///
    /// # Errors
    /// One is cut short.
    pub(super) fn of(bytes: &'a [u8]) -> anyhow::Result<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let length = usize::from(netlink::u16_at(rest, 0));
            if length < HEAD_BYTES || length > rest.len() {
                bail!("an attribute is cut short");
            }
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(Self(bytes))
    }

    /// Each with its kind, in order.
    pub(super) fn each(self) -> impl Iterator<Item = (u16, &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            let length = usize::from(netlink::u16_at(rest, 0));
            let value = rest.get(HEAD_BYTES..length)?;
            let kind = netlink::u16_at(rest, 2) & KIND_MASK;
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
            Some((kind, value))
        })
    }

    /// The value of an attribute that need not be there.
    pub(super) fn find(self, kind: u16) -> Option<&'a [u8]> {
        self.each().find(|(own, _)| *own == kind).map(|(_, value)| value)
    }

    /// The value of one that must be there.
    pub(super) fn get(self, kind: u16) -> anyhow::Result<&'a [u8]> {
        self.find(kind)
            .with_context(|| format!("attribute {kind} is not there"))
    }

    /// What is nested in one that need not be there.
    pub(super) fn nested_if(self, kind: u16) -> anyhow::Result<Option<Self>> {
        self.find(kind).map(Self::of).transpose()
    }

    pub(super) fn u8(self, kind: u16) -> anyhow::Result<u8> {
        self.number::<1>(kind).map(u8::from_be_bytes)
    }

    pub(super) fn u32(self, kind: u16) -> anyhow::Result<u32> {
        self.number(kind).map(u32::from_be_bytes)
    }

    pub(super) fn u64(self, kind: u16) -> anyhow::Result<u64> {
        self.number(kind).map(u64::from_be_bytes)
    }

    pub(super) fn u16_if(self, kind: u16) -> anyhow::Result<Option<u16>> {
        self.find(kind)
            .map(|_| self.number(kind).map(u16::from_be_bytes))
            .transpose()
    }

    pub(super) fn u8_if(self, kind: u16) -> anyhow::Result<Option<u8>> {
        self.find(kind).map(|_| self.u8(kind)).transpose()
    }

    pub(super) fn u32_if(self, kind: u16) -> anyhow::Result<Option<u32>> {
        self.find(kind).map(|_| self.u32(kind)).transpose()
    }

    pub(super) fn u64_if(self, kind: u16) -> anyhow::Result<Option<u64>> {
        self.find(kind).map(|_| self.u64(kind)).transpose()
    }

    /// A name. Two names must never read the same, so one that is no UTF-8 is an error.
    pub(super) fn name(self, kind: u16) -> anyhow::Result<String> {
        name(self.get(kind)?)
    }

    pub(super) fn name_if(self, kind: u16) -> anyhow::Result<Option<String>> {
        self.find(kind).map(name).transpose()
    }

    fn number<const N: usize>(self, kind: u16) -> anyhow::Result<[u8; N]> {
        let value = self.get(kind)?;
        value
            .try_into()
            .with_context(|| format!("attribute {kind} has {} bytes, not {N}", value.len()))
    }
}

/// Text up to its NUL.
fn name(bytes: &[u8]) -> anyhow::Result<String> {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let text = std::str::from_utf8(&bytes[..end]).context("a name is not UTF-8")?;
    Ok(text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::Attributes;
    use crate::system::netlink::attribute;

    #[test]
    fn numbers_are_in_network_order_and_flags_are_no_part_of_a_kind() {
        let mut bytes = Vec::new();
        attribute(&mut bytes, 1, b"eth0\0");
        attribute(&mut bytes, 0x8002, &[0, 0, 1, 0]);
        let attributes = Attributes::of(&bytes).unwrap();
        assert_eq!(attributes.name(1).unwrap(), "eth0");
        assert_eq!(attributes.u32(2).unwrap(), 256);
        assert_eq!(attributes.u32_if(3).unwrap(), None);
        assert!(attributes.u64(2).unwrap_err().to_string().contains("4 bytes, not 8"));
    }

    #[test]
    fn what_is_cut_short_is_an_error_not_the_end() {
        let mut bytes = Vec::new();
        attribute(&mut bytes, 1, &[9; 4]);
        bytes.extend([40, 0, 2, 0, 1]);
        assert!(Attributes::of(&bytes).is_err());
        assert!(Attributes::of(&[3, 0, 1, 0]).is_err(), "shorter than its own head");
    }

    #[test]
    fn a_name_that_is_no_text_is_refused() {
        let mut bytes = Vec::new();
        attribute(&mut bytes, 1, &[0xff, 0xfe, 0]);
        assert!(Attributes::of(&bytes).unwrap().name(1).is_err());
    }
}
