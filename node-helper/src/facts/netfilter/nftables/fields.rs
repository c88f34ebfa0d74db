//! Where each field of a header lies, by nft's names.

use super::datatypes::Datatype;
use super::expressions::Base;

/// A field of a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    /// nft's name of the protocol.
    pub(super) protocol: &'static str,
    /// nft's name of the field.
    pub(super) name: &'static str,
    /// Offset and length in bits.
    pub(super) offset: u32,
    pub(super) bits: u32,
    pub(super) kind: Datatype,
}

const fn field(protocol: &'static str, name: &'static str, offset: u32, bits: u32, kind: Datatype) -> Field {
    Field {
        protocol,
        name,
        offset,
        bits,
        kind,
    }
}

const ETHER: &[Field] = &[
    field("ether", "daddr", 0, 48, Datatype::Ether),
    field("ether", "saddr", 48, 48, Datatype::Ether),
    field("ether", "type", 96, 16, Datatype::EtherType),
    field("vlan", "pcp", 112, 3, Datatype::Big),
    field("vlan", "dei", 115, 1, Datatype::Big),
    field("vlan", "id", 116, 12, Datatype::Big),
    field("vlan", "type", 128, 16, Datatype::EtherType),
];

const IP: &[Field] = &[
    field("ip", "version", 0, 4, Datatype::Big),
    field("ip", "hdrlength", 4, 4, Datatype::Big),
    field("ip", "dscp", 8, 6, Datatype::Big),
    field("ip", "ecn", 14, 2, Datatype::Big),
    field("ip", "length", 16, 16, Datatype::Big),
    field("ip", "id", 32, 16, Datatype::Big),
    field("ip", "frag-off", 48, 16, Datatype::Big),
    field("ip", "ttl", 64, 8, Datatype::Big),
    field("ip", "protocol", 72, 8, Datatype::Protocol),
    field("ip", "checksum", 80, 16, Datatype::Big),
    field("ip", "saddr", 96, 32, Datatype::Ipv4),
    field("ip", "daddr", 128, 32, Datatype::Ipv4),
];

const IP6: &[Field] = &[
    field("ip6", "version", 0, 4, Datatype::Big),
    field("ip6", "dscp", 4, 6, Datatype::Big),
    field("ip6", "ecn", 10, 2, Datatype::Big),
    field("ip6", "flowlabel", 12, 20, Datatype::Big),
    field("ip6", "length", 32, 16, Datatype::Big),
    field("ip6", "nexthdr", 48, 8, Datatype::Protocol),
    field("ip6", "hoplimit", 56, 8, Datatype::Big),
    field("ip6", "saddr", 64, 128, Datatype::Ipv6),
    field("ip6", "daddr", 192, 128, Datatype::Ipv6),
];

const ARP: &[Field] = &[
    field("arp", "htype", 0, 16, Datatype::Big),
    field("arp", "ptype", 16, 16, Datatype::EtherType),
    field("arp", "hlen", 32, 8, Datatype::Big),
    field("arp", "plen", 40, 8, Datatype::Big),
    field("arp", "operation", 48, 16, Datatype::ArpOperation),
    field("arp", "saddr ether", 64, 48, Datatype::Ether),
    field("arp", "saddr ip", 112, 32, Datatype::Ipv4),
    field("arp", "daddr ether", 144, 48, Datatype::Ether),
    field("arp", "daddr ip", 192, 32, Datatype::Ipv4),
];

const TCP: &[Field] = &[
    field("tcp", "sport", 0, 16, Datatype::Port),
    field("tcp", "dport", 16, 16, Datatype::Port),
    field("tcp", "sequence", 32, 32, Datatype::Big),
    field("tcp", "ackseq", 64, 32, Datatype::Big),
    field("tcp", "doff", 96, 4, Datatype::Big),
    field("tcp", "reserved", 100, 4, Datatype::Big),
    field("tcp", "flags", 104, 8, Datatype::TcpFlags),
    field("tcp", "window", 112, 16, Datatype::Big),
    field("tcp", "checksum", 128, 16, Datatype::Big),
    field("tcp", "urgptr", 144, 16, Datatype::Big),
];

const UDP: &[Field] = &[
    field("udp", "sport", 0, 16, Datatype::Port),
    field("udp", "dport", 16, 16, Datatype::Port),
    field("udp", "length", 32, 16, Datatype::Big),
    field("udp", "checksum", 48, 16, Datatype::Big),
];

const UDPLITE: &[Field] = &[
    field("udplite", "sport", 0, 16, Datatype::Port),
    field("udplite", "dport", 16, 16, Datatype::Port),
    field("udplite", "checksum", 48, 16, Datatype::Big),
];

const SCTP: &[Field] = &[
    field("sctp", "sport", 0, 16, Datatype::Port),
    field("sctp", "dport", 16, 16, Datatype::Port),
    field("sctp", "vtag", 32, 32, Datatype::Big),
    field("sctp", "checksum", 64, 32, Datatype::Big),
];

const DCCP: &[Field] = &[
    field("dccp", "sport", 0, 16, Datatype::Port),
    field("dccp", "dport", 16, 16, Datatype::Port),
    field("dccp", "type", 67, 4, Datatype::Big),
];

const ICMP: &[Field] = &[
    field("icmp", "type", 0, 8, Datatype::IcmpType),
    field("icmp", "code", 8, 8, Datatype::Big),
    field("icmp", "checksum", 16, 16, Datatype::Big),
    field("icmp", "id", 32, 16, Datatype::Big),
    field("icmp", "sequence", 48, 16, Datatype::Big),
    field("icmp", "mtu", 48, 16, Datatype::Big),
];

const ICMPV6: &[Field] = &[
    field("icmpv6", "type", 0, 8, Datatype::Icmpv6Type),
    field("icmpv6", "code", 8, 8, Datatype::Big),
    field("icmpv6", "checksum", 16, 16, Datatype::Big),
    field("icmpv6", "id", 32, 16, Datatype::Big),
    field("icmpv6", "sequence", 48, 16, Datatype::Big),
    field("icmpv6", "mtu", 32, 32, Datatype::Big),
];

const IGMP: &[Field] = &[
    field("igmp", "type", 0, 8, Datatype::Big),
    field("igmp", "mrt", 8, 8, Datatype::Big),
    field("igmp", "checksum", 16, 16, Datatype::Big),
    field("igmp", "group", 32, 32, Datatype::Ipv4),
];

const ESP: &[Field] = &[
    field("esp", "spi", 0, 32, Datatype::Big),
    field("esp", "sequence", 32, 32, Datatype::Big),
];

const AH: &[Field] = &[
    field("ah", "nexthdr", 0, 8, Datatype::Protocol),
    field("ah", "hdrlength", 8, 8, Datatype::Big),
    field("ah", "spi", 32, 32, Datatype::Big),
    field("ah", "sequence", 64, 32, Datatype::Big),
];

/// A transport whose protocol no test before has named.
const ANY_TRANSPORT: &[Field] = &[
    field("th", "sport", 0, 16, Datatype::Port),
    field("th", "dport", 16, 16, Datatype::Port),
];

/// The fields of a header: of the network by the family (`NFPROTO_*` of what is known there), of the transport by its number.
pub(super) fn of(base: Base, network: Option<&str>, transport: Option<u8>) -> &'static [Field] {
    match (base, network) {
        (Base::Link, _) => ETHER,
        (Base::Network, Some("ip")) => IP,
        (Base::Network, Some("ip6")) => IP6,
        (Base::Network, Some("arp")) => ARP,
        (Base::Transport, _) => match transport {
            None => ANY_TRANSPORT,
            Some(1) => ICMP,
            Some(2) => IGMP,
            Some(6) => TCP,
            Some(17) => UDP,
            Some(33) => DCCP,
            Some(50) => ESP,
            Some(51) => AH,
            Some(58) => ICMPV6,
            Some(132) => SCTP,
            Some(136) => UDPLITE,
            Some(_) => &[],
        },
        (Base::Network | Base::Inner, _) => &[],
    }
}

/// Field by field what lies in these bytes of a header. The last one may be cut where its kind has prefixes. `None` where the
/// bytes are not fields one after the other.
pub(super) fn split(fields: &[Field], offset: u32, len: u32) -> Option<Vec<(Field, usize)>> {
    let mut at = offset.checked_mul(8)?;
    let end = at.checked_add(len.checked_mul(8)?)?;
    let mut found = Vec::new();
    while at < end {
        let field = fields.iter().find(|field| {
            field.offset == at && field.bits % 8 == 0 && (field.bits <= end - at || field.kind.has_prefixes())
        })?;
        let bits = field.bits.min(end - at);
        found.push((*field, bits as usize / 8));
        at += bits;
    }
    (!found.is_empty()).then_some(found)
}

/// The field that a mask picks out of bytes of a header (`dscp`, `doff`), with the bits to the right of it.
pub(super) fn within(fields: &[Field], offset: u32, mask: &[u8]) -> Option<(Field, u32)> {
    let bits = mask.len() as u32 * 8;
    if bits > 64 {
        return None;
    }
    let mask = super::datatypes::number(mask, true)?;
    let right = mask.trailing_zeros();
    let left = bits - (64 - mask.leading_zeros());
    let at = offset.checked_mul(8)?.checked_add(left)?;
    let field = fields
        .iter()
        .find(|field| field.offset == at && field.bits == bits.saturating_sub(left + right))?;
    (mask.count_ones() == field.bits).then_some((*field, right))
}

#[cfg(test)]
mod tests {
    use super::{Base, of, split, within};

    #[test]
    fn bytes_are_fields_one_after_the_other() {
        let names = |offset, len| {
            let found = split(of(Base::Network, Some("ip"), None), offset, len)?;
            Some(
                found
                    .into_iter()
                    .map(|(field, bytes)| (field.name, bytes))
                    .collect::<Vec<_>>(),
            )
        };
        assert_eq!(names(12, 8), Some(vec![("saddr", 4), ("daddr", 4)]));
        assert_eq!(names(12, 3), Some(vec![("saddr", 3)]), "a prefix of whole bytes");
        assert_eq!(names(10, 1), None, "half of a checksum is none");
        assert_eq!(names(13, 4), None);
    }

    #[test]
    fn a_mask_picks_a_field_of_a_few_bits() {
        let (field, right) = within(of(Base::Network, Some("ip"), None), 1, &[0xfc]).unwrap();
        assert_eq!((field.name, right), ("dscp", 2));
        let (field, right) = within(of(Base::Network, Some("ip6"), None), 0, &[0x0f, 0xc0]).unwrap();
        assert_eq!((field.name, right), ("dscp", 6));
        assert!(within(of(Base::Network, Some("ip"), None), 1, &[0xf8]).is_none());
    }
}
