//! Sockets as attempts need them: a source port before the first packet, errors that came back as ICMP, TCP's own
//! account of a connection.

#![expect(unsafe_code, reason = "socket options that no crate wraps")]

use crate::facts::sockets::tcp_info;
use crate::system::netlink::errno;
use model::attempt::{IcmpError, Outcome};
use model::errno::Errno;
use model::facts::TcpInfo;
use nix::errno::Errno as Number;
use nix::sys::socket::{ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg};
use socket2::{Domain, Protocol, SockAddr, Socket, Type};
use std::io::{self, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd as _;

/// ICMP errors kept of one attempt: more of the same tell nothing new.
const ICMP_ERRORS_MAX: usize = 32;

/// A socket whose source port is chosen, and the tuple's source as far as it is known.
pub struct Reserved {
    /// It is bound to the wildcard address: the kernel picks the address when it connects, as for any application.
    pub socket: Socket,
    /// The address it will have by the routes of this moment (unspecified where there is no route), and its port; 0
    /// where none was left, which the kernel will say again, in its own words, when the socket is connected.
    pub source: SocketAddr,
}

/// Opens a socket and chooses its source port.
pub fn reserve(kind: Type, to: SocketAddr) -> io::Result<Reserved> {
    let protocol = if kind == Type::STREAM {
        Protocol::TCP
    } else {
        Protocol::UDP
    };
    let socket = open(to, kind, protocol)?;
    let any = super::any(to.ip());
    // Where every port is taken, bind(2) fails although connect(2) might still share one: then leave it to connect.
    let port = match socket.bind(&SocketAddr::new(any, 0).into()) {
        Ok(()) => local(&socket)?.port(),
        Err(_) => 0,
    };
    Ok(Reserved {
        socket,
        source: SocketAddr::new(source_for(to).unwrap_or(any), port),
    })
}

/// A non-blocking socket of the family of `to`, which keeps the ICMP errors that come back.
pub fn open(to: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), kind.nonblocking().cloexec(), Some(protocol))?;
    if to.is_ipv6() && kind != Type::RAW {
        socket.set_only_v6(true)?;
    }
    keep_icmp(&socket, to, true)?;
    Ok(socket)
}

/// `IP_RECVERR`. On an established TCP connection it turns passing trouble into an error that an application would not
/// see; there it is off.
pub fn keep_icmp(socket: &Socket, to: SocketAddr, on: bool) -> io::Result<()> {
    let (level, option) = match to {
        SocketAddr::V4(_) => (libc::IPPROTO_IP, libc::IP_RECVERR),
        SocketAddr::V6(_) => (libc::IPPROTO_IPV6, libc::IPV6_RECVERR),
    };
    set(socket, level, option, on.into())
}

/// Every packet as large as it is, with DF, whatever the kernel has learned about the path (`IP_PMTUDISC_PROBE`).
pub fn dont_fragment(socket: &Socket, to: SocketAddr) -> io::Result<()> {
    match to {
        SocketAddr::V4(_) => set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE),
        SocketAddr::V6(_) => {
            set(
                socket,
                libc::IPPROTO_IPV6,
                libc::IPV6_MTU_DISCOVER,
                libc::IPV6_PMTUDISC_PROBE,
            )?;
            set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1)
        }
    }
}

fn set(socket: &Socket, level: i32, option: i32, value: i32) -> io::Result<()> {
    // SAFETY: the pointer and length are those of a live i32, which the kernel only reads.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    Number::result(result).map(drop).map_err(io::Error::from)
}

/// The address a socket has.
pub fn local(socket: &Socket) -> io::Result<SocketAddr> {
    socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("the socket's address is not an IP address"))
}

/// The source address that the routes of this moment give; connecting a datagram socket sends nothing.
pub fn source_for(to: SocketAddr) -> Option<IpAddr> {
    let socket = Socket::new(Domain::for_address(to), Type::DGRAM.cloexec(), Some(Protocol::UDP)).ok()?;
    source_by(&socket, to)
}

/// The source address that the routes give to this datagram socket, perhaps of another namespace.
pub fn source_by(socket: &Socket, to: SocketAddr) -> Option<IpAddr> {
    let port = if to.port() == 0 { 9 } else { to.port() };
    let mut target = to;
    target.set_port(port);
    socket.connect(&target.into()).ok()?;
    Some(local(socket).ok()?.ip())
}

/// TCP's account of a connection.
pub fn tcp_account(socket: &Socket) -> Option<(TcpInfo, Acknowledged)> {
    let mut bytes = [0_u8; 512];
    let mut length = bytes.len() as libc::socklen_t;
    // SAFETY: the buffer is live and `length` is its size; the kernel writes at most that and says how much it wrote.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            libc::TCP_INFO,
            bytes.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    Number::result(result).ok()?;
    let bytes = bytes.get(..length as usize)?;
    let acked = bytes.get(BYTES_ACKED..BYTES_ACKED + 8)?;
    let acked = u64::from_ne_bytes(acked.try_into().ok()?);
    // The SYN counts as one.
    Some((tcp_info(bytes), Acknowledged(acked.saturating_sub(1))))
}

/// Offset of `tcpi_bytes_acked` in `struct tcp_info` (since 4.1).
const BYTES_ACKED: usize = 120;

/// Bytes of a connection that the peer has acknowledged; its FIN would count as one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Acknowledged(pub u64);

/// Moves the ICMP errors that came back into `into`; with each, the start of the packet that it is about.
pub fn drain_icmp(socket: &Socket, into: &mut Vec<IcmpError>) -> Vec<Vec<u8>> {
    let mut about = Vec::new();
    let mut data = [0_u8; 256];
    let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
    loop {
        let mut parts = [IoSliceMut::new(&mut data)];
        let received = recvmsg::<SockaddrStorage>(
            socket.as_raw_fd(),
            &mut parts,
            Some(&mut control),
            MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT,
        );
        let Ok(message) = received else { return about };
        let length = message.bytes;
        let errors: Vec<IcmpError> = message
            .cmsgs()
            .map(|messages| messages.filter_map(|message| icmp_error(&message)).collect())
            .unwrap_or_default();
        if errors.is_empty() {
            continue;
        }
        about.push(data.get(..length).unwrap_or_default().to_vec());
        let room = ICMP_ERRORS_MAX.saturating_sub(into.len());
        into.extend(errors.into_iter().take(room));
    }
}

fn icmp_error(message: &ControlMessageOwned) -> Option<IcmpError> {
    let (error, from) = match *message {
        ControlMessageOwned::Ipv4RecvErr(error, from) => (
            error,
            from.map(|from| IpAddr::V4(Ipv4Addr::from(u32::from_be(from.sin_addr.s_addr)))),
        ),
        ControlMessageOwned::Ipv6RecvErr(error, from) => (
            error,
            from.map(|from| IpAddr::V6(Ipv6Addr::from(from.sin6_addr.s6_addr))),
        ),
        _ => return None,
    };
    let local = error.ee_origin == libc::SO_EE_ORIGIN_LOCAL;
    Some(IcmpError {
        from: from.filter(|from| !local && !from.is_unspecified()),
        kind: error.ee_type,
        code: error.ee_code,
        info: error.ee_info,
        errno: errno(error.ee_errno as i32),
        local,
    })
}

/// The refusal in an error queue, where reading the socket found none: whoever takes the errors one by one also takes
/// the socket's own.
pub fn queued_refusal(socket: &Socket, into: &mut Vec<IcmpError>) -> Option<io::Error> {
    let known = into.len();
    drain_icmp(socket, into);
    let refusal = into.get(known..)?.iter().find(|error| !error.local)?;
    Some(io::Error::from_raw_os_error(refusal.errno.number))
}

/// An outcome from an error of the kernel.
pub fn refused(during: &str, error: &io::Error) -> Outcome {
    Outcome::Error {
        during: during.into(),
        errno: number(error),
    }
}

/// The number of an I/O error; errors without one are called `EIO`.
pub fn number(error: &io::Error) -> Errno {
    errno(error.raw_os_error().unwrap_or(libc::EIO))
}

/// It would have blocked: nothing is wrong.
pub fn not_yet(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

/// Starts to connect: `Ok` when it is done or under way.
pub fn connect(socket: &Socket, to: SocketAddr) -> io::Result<()> {
    match socket.connect(&SockAddr::from(to)) {
        Err(error) if error.raw_os_error() == Some(libc::EINPROGRESS) => Ok(()),
        other => other,
    }
}

/// A number nobody can foresee, for identifiers.
pub fn random() -> u64 {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    // Two runs of one process differ by the counter in it, two processes by the system's randomness.
    RandomState::new().build_hasher().finish()
}
