//! A train of ICMP echo requests: loss, round trips, order, and with DF the largest packet that passes.

use super::mtu;
use super::socket;
use super::task::{Course, Say, Task, Wait};
use crate::system::clock::monotonic_ns;
use model::attempt::{EchoTrain, Outcome};
use model::flow::{Flow, ICMP, ICMPV6};
use nix::poll::PollFlags;
use socket2::{Protocol, Socket, Type};
use std::io::{self, Read as _};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

const ICMP_HEADER_BYTES: u32 = 8;

/// What ping(8) sends when nobody asks for a size.
const SMALL_PAYLOAD_BYTES: u32 = 56;

/// With some answered, those that are missing get this long after the last request, or ten times the longest round trip.
const LATE_NS: u64 = 200_000_000;

/// A train under way. Its requests are numbered from 0.
pub struct Echo {
    to: IpAddr,
    count: u32,
    interval_ns: u64,
    timeout_ns: u64,
    identifier: u16,
    socket: io::Result<Socket>,
    /// Raw IPv4 sockets receive the IP header too.
    with_ip_header: bool,
    course: Course,
    train: EchoTrain,
    sent_ns: Vec<u64>,
    refused: Option<io::Error>,
    /// Requests that an ICMP error answered.
    in_error: usize,
}

impl Echo {
    /// Chooses its identifier.
    pub fn new(
        mut course: Course,
        to: IpAddr,
        count: u32,
        interval_ns: u64,
        packet_bytes: Option<u32>,
        dont_fragment: bool,
        timeout_ns: u64,
    ) -> Self {
        // Trains of one plan differ by their number, other programs' by chance; 0 is what some leave unset.
        let identifier = ((socket::random() as u16).wrapping_add(course.attempt.id as u16)).max(1);
        let target = SocketAddr::new(to, 0);
        let opened = open(target, identifier, dont_fragment);
        let header_bytes = ICMP_HEADER_BYTES + if to.is_ipv4() { 20 } else { 40 };
        let packet_bytes = match packet_bytes {
            None => header_bytes + SMALL_PAYLOAD_BYTES,
            Some(0) => mtu::of_route_towards(to).unwrap_or(1500).min(65_535),
            Some(bytes) => bytes.min(65_535),
        }
        .max(header_bytes);
        let source = socket::source_for(target).unwrap_or_else(|| super::any(to));
        course.attempt.flow = Flow::new(protocol(to), SocketAddr::new(source, identifier), target);
        let raw = opened.as_ref().is_ok_and(|(_, raw)| *raw);
        Self {
            to,
            count: count.min(u16::MAX.into()),
            interval_ns,
            timeout_ns,
            identifier,
            socket: opened.map(|(socket, _)| socket),
            with_ip_header: raw && to.is_ipv4(),
            course,
            train: EchoTrain {
                packet_bytes,
                ..EchoTrain::default()
            },
            sent_ns: Vec::new(),
            refused: None,
            in_error: 0,
        }
    }

    fn next_ns(&self) -> Option<u64> {
        let next = self.sent_ns.len() as u64;
        (next < u64::from(self.count)).then(|| self.course.attempt.started_ns + next * self.interval_ns)
    }

    /// Sends what is due; a socket that refuses is noted, and the train goes on.
    fn send(&mut self, now_ns: u64) {
        while self.next_ns().is_some_and(|next| now_ns >= next) {
            let sequence = self.sent_ns.len() as u16;
            let request = request(self.to, self.identifier, sequence, self.train.packet_bytes);
            self.sent_ns.push(monotonic_ns());
            self.train.rtt_ns.push(None);
            let Ok(socket) = &self.socket else { return };
            // An ICMP error of an earlier request would be the result of this one.
            let _ = socket.take_error();
            let sent = socket.send(&request).or_else(|_| {
                let _ = socket.take_error();
                socket.send(&request)
            });
            match sent {
                Ok(bytes) => self.course.attempt.sent_bytes += bytes as u64 - u64::from(ICMP_HEADER_BYTES),
                Err(error) => {
                    self.in_error += 1;
                    self.refused.get_or_insert(error);
                }
            }
        }
    }

    fn receive(&mut self) {
        let Ok(socket) = &self.socket else { return };
        let mut errors = Vec::new();
        let about = socket::drain_icmp(socket, &mut errors);
        let ours = about.iter().zip(errors).filter(|(packet, error)| {
            // Local errors come without the request, and are the result of the send as well.
            error.local || is_ours(packet, self.to, self.identifier)
        });
        for (_, error) in ours {
            self.in_error += usize::from(!error.local);
            if self.course.attempt.icmp.len() < self.count as usize {
                self.course.attempt.icmp.push(error);
            }
        }
        let mut buffer = vec![0; 65_536];
        loop {
            let bytes = match (&mut &*socket).read(&mut buffer) {
                Ok(bytes) => bytes,
                // A pending ICMP error: told above.
                Err(error) if !socket::not_yet(&error) && error.kind() != io::ErrorKind::InvalidInput => {
                    let _ = socket.take_error();
                    return;
                }
                Err(_) => return,
            };
            let Some((sequence, payload)) = answer(&buffer[..bytes], self.to, self.identifier, self.with_ip_header)
            else {
                continue;
            };
            let (Some(sent_ns), Some(rtt_ns)) = (
                self.sent_ns.get(usize::from(sequence)),
                self.train.rtt_ns.get_mut(usize::from(sequence)),
            ) else {
                continue;
            };
            if rtt_ns.is_none() {
                *rtt_ns = Some(monotonic_ns().saturating_sub(*sent_ns).max(1));
                self.train.order.push(sequence);
                self.course.attempt.received_bytes += payload;
                let since = self.course.elapsed_ns();
                self.course.attempt.first_answer_ns.get_or_insert(since);
            }
        }
    }

    /// When nothing more is waited for.
    fn ends_ns(&self) -> u64 {
        let last = self.sent_ns.last().copied().unwrap_or_default();
        let longest = self.train.rtt_ns.iter().flatten().max();
        let patience = longest.map_or(self.timeout_ns, |rtt| (10 * rtt).max(LATE_NS).min(self.timeout_ns));
        last + patience
    }

    fn outcome(&self) -> Outcome {
        if !self.train.order.is_empty() {
            return Outcome::Ok;
        }
        match (
            &self.refused,
            self.course.attempt.icmp.iter().find(|error| !error.local),
        ) {
            (Some(error), _) => socket::refused("send", error),
            (None, Some(error)) => Outcome::Error {
                during: "read".into(),
                errno: error.errno.clone(),
            },
            (None, None) => Outcome::TimedOut { during: "read".into() },
        }
    }

    fn finish(&mut self, outcome: Outcome, say: Say) {
        self.course.attempt.acknowledged_bytes = Some(self.course.attempt.received_bytes);
        self.course.attempt.echo = Some(self.train.clone());
        self.course.finish(outcome, say);
    }
}

impl Task for Echo {
    fn flows(&self) -> Vec<Flow> {
        self.socket.iter().map(|_| self.course.attempt.flow).collect()
    }

    fn start(&mut self, now_ns: u64, say: Say) {
        self.course.start(now_ns);
        let target = SocketAddr::new(self.to, 0);
        let source = match &self.socket {
            Ok(socket) => socket::connect(socket, target)
                .and_then(|()| socket::local(socket))
                .map_err(|error| socket::refused("connect", &error)),
            Err(error) => Err(socket::refused("socket", error)),
        };
        match source {
            Ok(source) => {
                let source = SocketAddr::new(source.ip(), self.identifier);
                self.course.attempt.flow = Flow::new(protocol(self.to), source, target);
            }
            Err(outcome) => self.finish(outcome, say),
        }
    }

    fn advance(&mut self, now_ns: u64, say: Say) {
        if !self.course.runs() {
            return;
        }
        self.send(now_ns);
        self.receive();
        let settled = self.train.order.len() + self.in_error >= self.count as usize;
        if self.next_ns().is_none() && (settled || now_ns >= self.ends_ns()) {
            let outcome = self.outcome();
            self.finish(outcome, say);
        }
    }

    fn waits_for(&self) -> Wait<'_> {
        match &self.socket {
            Ok(socket) if self.course.runs() => {
                let until_ns = self.next_ns().unwrap_or_else(|| self.ends_ns());
                Wait::socket(socket.as_fd(), PollFlags::POLLIN, Some(until_ns))
            }
            _ => Wait::default(),
        }
    }

    fn cancel(&mut self, now_ns: u64, say: Say) {
        if self.course.runs() {
            // Answers that have come are proof, also of a train cut short.
            let outcome = match self.outcome() {
                Outcome::TimedOut { .. } => Outcome::Cancelled,
                other => other,
            };
            self.finish(outcome, say);
        } else {
            self.course.cancel(now_ns, Outcome::Cancelled, say);
        }
    }
}

/// ICMP's number in the family of an address.
const fn protocol(to: IpAddr) -> u8 {
    match to {
        IpAddr::V4(_) => ICMP,
        IpAddr::V6(_) => ICMPV6,
    }
}

/// A raw socket, or without `CAP_NET_RAW` a ping socket (icmp(7)), whose port is the identifier. True for the raw one.
fn open(to: SocketAddr, identifier: u16, dont_fragment: bool) -> io::Result<(Socket, bool)> {
    let protocol = if to.is_ipv4() {
        Protocol::ICMPV4
    } else {
        Protocol::ICMPV6
    };
    let (socket, raw) = match socket::open(to, Type::RAW, protocol) {
        Ok(socket) => (socket, true),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            let socket = socket::open(to, Type::DGRAM, protocol)?;
            socket.bind(&SocketAddr::new(super::any(to.ip()), identifier).into())?;
            (socket, false)
        }
        Err(error) => return Err(error),
    };
    if dont_fragment {
        socket::dont_fragment(&socket, to)?;
    }
    Ok((socket, raw))
}

// RFC 792 and RFC 4443.
const ECHO_REPLY: u8 = 0;
const ECHO_REQUEST: u8 = 8;
const ECHO_REQUEST_V6: u8 = 128;
const ECHO_REPLY_V6: u8 = 129;

/// An echo request that makes an IP packet of this size.
fn request(to: IpAddr, identifier: u16, sequence: u16, packet_bytes: u32) -> Vec<u8> {
    let ip_header_bytes = if to.is_ipv4() { 20 } else { 40 };
    let mut request = vec![0; (packet_bytes - ip_header_bytes) as usize];
    request[0] = if to.is_ipv4() { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
    request[4..6].copy_from_slice(&identifier.to_be_bytes());
    request[6..8].copy_from_slice(&sequence.to_be_bytes());
    for (at, byte) in request[8..].iter_mut().enumerate() {
        *byte = at as u8;
    }
    // The kernel fills in the checksum of ICMPv6, which covers addresses.
    if to.is_ipv4() {
        let sum = checksum(&request);
        request[2..4].copy_from_slice(&sum.to_be_bytes());
    }
    request
}

/// RFC 1071.
fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 = bytes
        .chunks(2)
        .map(|pair| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or(0)])))
        .sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Sequence number and payload length of a reply that answers this train.
fn answer(packet: &[u8], to: IpAddr, identifier: u16, with_ip_header: bool) -> Option<(u16, u64)> {
    let icmp = if with_ip_header {
        packet.get(usize::from(packet.first()? & 0x0f) * 4..)?
    } else {
        packet
    };
    let reply = if to.is_ipv4() { ECHO_REPLY } else { ECHO_REPLY_V6 };
    let header = icmp.get(..8)?;
    let is = header[0] == reply && header[4..6] == identifier.to_be_bytes();
    is.then(|| (u16::from_be_bytes([header[6], header[7]]), icmp.len() as u64 - 8))
}

/// Whether the packet that an ICMP error is about is a request of this train. Raw IPv4 sockets see its IP header too.
fn is_ours(packet: &[u8], to: IpAddr, identifier: u16) -> bool {
    let request = if to.is_ipv4() { ECHO_REQUEST } else { ECHO_REQUEST_V6 };
    let is = |icmp: &[u8]| icmp.len() >= 6 && icmp[0] == request && icmp[4..6] == identifier.to_be_bytes();
    let behind_header = packet
        .first()
        .filter(|first| **first >> 4 == 4)
        .and_then(|first| packet.get(usize::from(first & 0x0f) * 4..));
    is(packet) || behind_header.is_some_and(is)
}

#[cfg(test)]
mod tests {
    use super::{answer, checksum, is_ours, request};
    use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

    const V4: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
    const V6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

    #[test]
    fn a_request_has_its_size_and_a_true_checksum() {
        let v4 = request(V4, 7, 3, 84);
        assert_eq!((v4.len(), checksum(&v4)), (64, 0));
        assert_eq!(request(V4, 7, 3, 1501).len(), 1481);
        assert_eq!(request(V6, 7, 3, 1500).len(), 1460);
        assert!(is_ours(&v4, V4, 7) && !is_ours(&v4, V4, 8) && !is_ours(&[], V4, 7));
    }

    #[test]
    fn only_replies_with_our_identifier_answer() {
        let mut reply = request(V4, 7, 3, 84);
        assert_eq!(answer(&reply, V4, 7, false), None, "a request is no answer");
        reply[0] = 0;
        assert_eq!(answer(&reply, V4, 7, false), Some((3, 56)));
        assert_eq!(answer(&reply, V4, 8, false), None);
        let mut with_header = vec![0x45; 20];
        with_header.extend(&reply);
        assert_eq!(answer(&with_header, V4, 7, true), Some((3, 56)));
        assert_eq!(answer(&with_header[..22], V4, 7, true), None, "cut short");
        assert_eq!(answer(&[], V4, 7, true), None);
    }
}
