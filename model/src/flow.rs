//! The tuple of a packet or socket: addresses, ports, protocol.

/// A tuple as a packet carries it. IPv4 addresses are mapped (`::ffff:a.b.c.d`), ports are in host order.
///
/// For ICMP and `ICMPv6` echo, `sport` of the request and `dport` of the reply hold the echo identifier and
/// the other port is 0, so that an echo can be watched like any other flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Flow {
    /// Source address.
    pub saddr: [u8; 16],
    /// Destination address.
    pub daddr: [u8; 16],
    /// Source port, host order.
    pub sport: u16,
    /// Destination port, host order.
    pub dport: u16,
    /// IP protocol number (IANA).
    pub protocol: u8,
    /// Keeps the layout free of padding; always zero.
    pub zero: [u8; 3],
}

/// ICMP's protocol number.
pub const ICMP: u8 = 1;
/// TCP's protocol number.
pub const TCP: u8 = 6;
/// UDP's protocol number.
pub const UDP: u8 = 17;
/// `ICMPv6`'s protocol number.
pub const ICMPV6: u8 = 58;
/// SCTP's protocol number.
pub const SCTP: u8 = 132;

/// TCP's flag of a segment that ends a direction (RFC 9293, 3.1).
pub const FIN: u8 = 1;
/// TCP's flag of a segment that opens a connection.
pub const SYN: u8 = 2;
/// TCP's flag of a segment that resets it.
pub const RST: u8 = 4;
/// TCP's flag of a segment that acknowledges.
pub const ACK: u8 = 16;

/// Whether packets of this protocol begin with a source and a destination port (DCCP and UDP-Lite do, too).
#[must_use]
pub const fn has_ports(protocol: u8) -> bool {
    matches!(protocol, TCP | UDP | 33 | SCTP | 136)
}

const _: () = assert!(
    size_of::<Flow>() == 40,
    "the kernel side and the helper share this layout"
);

impl Flow {
    /// The tuple of the answer.
    #[must_use]
    pub const fn reversed(self) -> Self {
        Self {
            saddr: self.daddr,
            daddr: self.saddr,
            sport: self.dport,
            dport: self.sport,
            protocol: self.protocol,
            zero: self.zero,
        }
    }
}

/// Maps an IPv4 address in network byte order into IPv6.
#[must_use]
pub const fn mapped(v4: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]]
}

#[cfg(feature = "std")]
mod std_side {
    use super::{Flow, ICMP, ICMPV6, SCTP, TCP, UDP, mapped};
    use core::fmt;
    use schemars::{JsonSchema, Schema, SchemaGenerator};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};
    use std::borrow::Cow;
    use std::net::{IpAddr, Ipv6Addr, SocketAddr};

    /// An address in its own family: mapped IPv4 becomes IPv4 again.
    #[must_use]
    pub fn address(bytes: [u8; 16]) -> IpAddr {
        let v6 = Ipv6Addr::from(bytes);
        v6.to_ipv4_mapped().map_or(IpAddr::V6(v6), IpAddr::V4)
    }

    /// The 16 bytes of an address as records carry it.
    #[must_use]
    pub fn bytes(address: IpAddr) -> [u8; 16] {
        match address {
            IpAddr::V4(v4) => mapped(v4.octets()),
            IpAddr::V6(v6) => v6.octets(),
        }
    }

    /// The name of an IP protocol as users write it (`tcp`), else its number.
    #[must_use]
    pub fn protocol_name(protocol: u8) -> Cow<'static, str> {
        match protocol {
            ICMP => "icmp".into(),
            TCP => "tcp".into(),
            UDP => "udp".into(),
            ICMPV6 => "icmpv6".into(),
            SCTP => "sctp".into(),
            other => other.to_string().into(),
        }
    }

    fn protocol_number(name: &str) -> Option<u8> {
        Some(match name {
            "icmp" => ICMP,
            "tcp" => TCP,
            "udp" => UDP,
            "icmpv6" => ICMPV6,
            "sctp" => SCTP,
            other => other.parse().ok()?,
        })
    }

    impl Flow {
        /// A flow from two socket addresses.
        #[must_use]
        pub fn new(protocol: u8, src: SocketAddr, dst: SocketAddr) -> Self {
            Self {
                saddr: bytes(src.ip()),
                daddr: bytes(dst.ip()),
                sport: src.port(),
                dport: dst.port(),
                protocol,
                zero: [0; 3],
            }
        }

        /// Source address in its own family.
        #[must_use]
        pub fn src(&self) -> IpAddr {
            address(self.saddr)
        }

        /// Destination address in its own family.
        #[must_use]
        pub fn dst(&self) -> IpAddr {
            address(self.daddr)
        }
    }

    impl fmt::Display for Flow {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let name = protocol_name(self.protocol);
            if matches!(self.protocol, ICMP | ICMPV6) || (self.sport == 0 && self.dport == 0) {
                write!(f, "{} -> {} {name}", self.src(), self.dst())
            } else {
                let (src, dst) = (
                    SocketAddr::new(self.src(), self.sport),
                    SocketAddr::new(self.dst(), self.dport),
                );
                write!(f, "{src} -> {dst} {name}")
            }
        }
    }

    /// The shape of a flow in JSON.
    #[derive(Serialize, Deserialize, JsonSchema)]
    #[schemars(rename = "Flow")]
    struct Plain {
        /// Source address.
        src: IpAddr,
        /// Source port; the identifier of an ICMP echo.
        sport: u16,
        /// Destination address.
        dst: IpAddr,
        /// Destination port.
        dport: u16,
        /// `tcp`, `udp`, `icmp`, `icmpv6`, or a number.
        protocol: Cow<'static, str>,
    }

    impl Serialize for Flow {
        fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            let Self {
                saddr,
                daddr,
                sport,
                dport,
                protocol,
                zero: _,
            } = *self;
            Plain {
                src: address(saddr),
                sport,
                dst: address(daddr),
                dport,
                protocol: protocol_name(protocol),
            }
            .serialize(serializer)
        }
    }

    impl<'de> Deserialize<'de> for Flow {
        fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
            let plain = Plain::deserialize(deserializer)?;
            let protocol = protocol_number(&plain.protocol)
                .ok_or_else(|| serde::de::Error::custom(format!("unknown protocol `{}`", plain.protocol)))?;
            Ok(Self {
                saddr: bytes(plain.src),
                daddr: bytes(plain.dst),
                sport: plain.sport,
                dport: plain.dport,
                protocol,
                zero: [0; 3],
            })
        }
    }

    impl JsonSchema for Flow {
        fn schema_name() -> Cow<'static, str> {
            "Flow".into()
        }
        fn json_schema(generator: &mut SchemaGenerator) -> Schema {
            Plain::json_schema(generator)
        }
    }
}
#[cfg(feature = "std")]
pub use std_side::{address, bytes, protocol_name};
