//! Packets of our own, sent from inside the source's namespaces, and what each of them met.

/// The session's side of the processes that send.
pub mod workers;

use std::net::{IpAddr, SocketAddr};

/// The source address that the routes of this moment give; connecting a datagram socket sends nothing.
pub fn source_for(to: SocketAddr) -> Option<IpAddr> {
    let any: SocketAddr = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }.parse().ok()?;
    let socket = std::net::UdpSocket::bind(any).ok()?;
    socket
        .connect(SocketAddr::new(to.ip(), if to.port() == 0 { 9 } else { to.port() }))
        .ok()?;
    Some(socket.local_addr().ok()?.ip())
}
