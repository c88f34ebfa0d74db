//! `reset-injector`: a middlebox that ends other people's TCP connections with forged resets, through a raw socket, so
//! that no rule shows it.
use std::collections::HashSet;
use std::io::Read as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use anyhow::{Context as _, Result, bail};
use socket2::{Domain, Protocol, Socket, Type};

use super::arguments::Arguments;
use super::{Builtin, ready};

/// The registry's entry.
pub const RESET_INJECTOR: Builtin = Builtin {
    name: "reset-injector",
    usage: "PORT [on=data|syn-ack]   resets each client of PORT that passes, with its first data or as the server accepts",
    stays: true,
    run,
};

const SYN_ACK: u8 = 0x12;
const RST_ACK: u8 = 0x14;

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["on"]);
    let port: u16 = arguments.next_as("port")?;
    let on_accept = match arguments.optional("on").as_deref() {
        None | Some("data") => false,
        Some("syn-ack") => true,
        Some(other) => bail!("on={other}: it is data or syn-ack"),
    };
    arguments.end()?;
    // ETH_P_ALL, without link-layer headers.
    let all = Protocol::from(i32::from(0x0003_u16.to_be()));
    let mut sniffer = Socket::new(Domain::PACKET, Type::DGRAM, Some(all)).context("opening a packet socket")?;
    let raw = Protocol::from(libc::IPPROTO_RAW);
    let v4 = Socket::new(Domain::IPV4, Type::RAW, Some(raw)).context("opening a raw socket")?;
    let v6 = Socket::new(Domain::IPV6, Type::RAW, Some(raw)).context("opening a raw socket")?;
    ready()?;
    let mut done = HashSet::new();
    let mut packet = vec![0; 65536];
    loop {
        let length = sniffer.read(&mut packet).context("reading packets")?;
        let Some(segment) = Segment::parse(&packet[..length]) else {
            continue;
        };
        let from_client = if on_accept && segment.flags == SYN_ACK && segment.from.1 == port {
            segment.reversed()
        } else if !on_accept && segment.data > 0 && segment.to.1 == port {
            segment
        } else {
            continue;
        };
        // One packet passes several devices, and is answered once.
        if done.insert((from_client.from, from_client.to)) {
            let socket = if from_client.from.0.is_ipv4() { &v4 } else { &v6 };
            socket
                .send_to(&from_client.reset(), &SocketAddr::new(from_client.from.0, 0).into())
                .context("sending a reset")?;
        }
    }
}

/// A TCP segment that passes.
#[derive(Debug, PartialEq, Eq)]
struct Segment {
    from: (IpAddr, u16),
    to: (IpAddr, u16),
    sequence: u32,
    acknowledgement: u32,
    flags: u8,
    data: u32,
}

impl Segment {
    /// Of an IPv4 or IPv6 packet (without extension headers), from its IP header on.
    fn parse(packet: &[u8]) -> Option<Self> {
        let (from, to, tcp) = match packet.first()? >> 4 {
            4 => {
                let header = usize::from(packet[0] & 0xf) * 4;
                let total = usize::from(u16::from_be_bytes(packet.get(2..4)?.try_into().ok()?));
                let from: [u8; 4] = packet.get(12..16)?.try_into().ok()?;
                let to: [u8; 4] = packet.get(16..20)?.try_into().ok()?;
                let is_tcp = *packet.get(9)? == libc::IPPROTO_TCP as u8;
                (
                    IpAddr::V4(from.into()),
                    IpAddr::V4(to.into()),
                    is_tcp.then(|| packet.get(header..total)).flatten()?,
                )
            }
            6 => {
                let from: [u8; 16] = packet.get(8..24)?.try_into().ok()?;
                let to: [u8; 16] = packet.get(24..40)?.try_into().ok()?;
                let is_tcp = *packet.get(6)? == libc::IPPROTO_TCP as u8;
                (
                    IpAddr::V6(from.into()),
                    IpAddr::V6(to.into()),
                    is_tcp.then(|| packet.get(40..)).flatten()?,
                )
            }
            _ => return None,
        };
        let two = |at: usize| Some(u16::from_be_bytes(tcp.get(at..at + 2)?.try_into().ok()?));
        let four = |at: usize| Some(u32::from_be_bytes(tcp.get(at..at + 4)?.try_into().ok()?));
        let header = usize::from(*tcp.get(12)? >> 4) * 4;
        Some(Self {
            from: (from, two(0)?),
            to: (to, two(2)?),
            sequence: four(4)?,
            acknowledgement: four(8)?,
            flags: *tcp.get(13)?,
            data: tcp.len().checked_sub(header)? as u32,
        })
    }

    /// What the receiver of this SYN-ACK says next.
    fn reversed(&self) -> Self {
        Self {
            from: self.to,
            to: self.from,
            sequence: self.acknowledgement,
            acknowledgement: self.sequence.wrapping_add(1),
            flags: 0,
            data: 0,
        }
    }

    /// The packet, from its IP header on, that ends this connection for its sender as if the other end had.
    fn reset(&self) -> Vec<u8> {
        let acknowledged = self.sequence.wrapping_add(self.data);
        let mut tcp = [
            &self.to.1.to_be_bytes()[..],
            &self.from.1.to_be_bytes(),
            &self.acknowledgement.to_be_bytes(),
            &acknowledged.to_be_bytes(),
            &[5 << 4, RST_ACK, 0, 0, 0, 0, 0, 0],
        ]
        .concat();
        let addresses = [octets(self.to.0), octets(self.from.0)].concat();
        let pseudo = [
            &addresses[..],
            &(tcp.len() as u32).to_be_bytes(),
            &[0, 0, 0, libc::IPPROTO_TCP as u8],
        ]
        .concat();
        let sum = checksum(&[&pseudo[..], &tcp].concat());
        tcp[16..18].copy_from_slice(&sum.to_be_bytes());
        // The kernel fills in length, identification and checksum of an IPv4 header.
        let head = match self.from.0 {
            IpAddr::V4(_) => vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, libc::IPPROTO_TCP as u8, 0, 0],
            IpAddr::V6(_) => vec![0x60, 0, 0, 0, 0, tcp.len() as u8, libc::IPPROTO_TCP as u8, 64],
        };
        [head, addresses, tcp].concat()
    }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(address) => Ipv4Addr::octets(&address).to_vec(),
        IpAddr::V6(address) => Ipv6Addr::octets(&address).to_vec(),
    }
}

/// The Internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0)))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reset_goes_back_with_the_numbers_its_receiver_expects() {
        let a = (IpAddr::from([10, 90, 1, 2]), 40000);
        let c = (IpAddr::from([10, 90, 2, 2]), 80);
        let request = Segment {
            from: a,
            to: c,
            sequence: 100,
            acknowledgement: 7,
            flags: 0x18,
            data: 5,
        };
        let mut reset = request.reset();
        let length = reset.len() as u16;
        reset[2..4].copy_from_slice(&length.to_be_bytes());
        let reset = Segment::parse(&reset).unwrap();
        assert_eq!(
            reset,
            Segment {
                from: c,
                to: a,
                sequence: 7,
                acknowledgement: 105,
                flags: RST_ACK,
                data: 0
            }
        );
    }

    #[test]
    fn a_sum_over_bytes_with_their_checksum_is_zero() {
        let bytes = [0x45, 0, 0, 0x1c, 0x12, 0x34];
        let sum = checksum(&bytes);
        assert_eq!(checksum(&[&bytes[..], &sum.to_be_bytes()].concat()), 0);
    }
}
