//! One name server as a lookup speaks to it over UDP: a connected socket whose port is known from the start.

use crate::attempts::socket::{self, Reserved};
use model::attempt::IcmpError;
use model::flow::{Flow, UDP};
use socket2::Socket;
use std::io::{self, Read as _};
use std::net::SocketAddr;

/// The largest datagram.
const DATAGRAM_BYTES: usize = 65_536;

/// A name server and our socket towards it.
pub struct NameServer {
    /// Its address.
    pub to: SocketAddr,
    /// The tuple of our queries.
    pub flow: Flow,
    reserved: io::Result<Reserved>,
    connected: bool,
}

/// What came from a server.
pub enum Received {
    /// A datagram.
    Message(Vec<u8>),
    /// What was last sent there is refused.
    Refused(io::Error),
}

impl NameServer {
    /// Reserves a source port.
    pub fn new(to: SocketAddr) -> Self {
        let reserved = socket::reserve(socket2::Type::DGRAM, to);
        let unknown = SocketAddr::new(crate::attempts::any(to.ip()), 0);
        let source = reserved.as_ref().map_or(unknown, |reserved| reserved.source);
        Self {
            to,
            flow: Flow::new(UDP, source, to),
            reserved,
            connected: false,
        }
    }

    /// The socket, if there is one.
    pub fn socket(&self) -> Option<&Socket> {
        self.reserved.as_ref().ok().map(|reserved| &reserved.socket)
    }

    /// Sends a query; an error may also be that of the query before.
    pub fn send(&mut self, query: &[u8]) -> io::Result<()> {
        let Reserved { socket, .. } = match &self.reserved {
            Ok(reserved) => reserved,
            Err(error) => {
                return Err(error
                    .raw_os_error()
                    .map_or_else(|| io::Error::from(error.kind()), io::Error::from_raw_os_error));
            }
        };
        if !self.connected {
            socket::connect(socket, self.to)?;
            self.connected = true;
            self.flow = Flow::new(UDP, socket::local(socket)?, self.to);
        }
        socket.send(query).map(drop)
    }

    /// What has come, if anything has; ICMP errors also go to `icmp`.
    pub fn receive(&self, icmp: &mut Vec<IcmpError>) -> Option<Received> {
        let socket = self.socket()?;
        let mut buffer = vec![0; DATAGRAM_BYTES];
        match (&mut &*socket).read(&mut buffer) {
            Ok(bytes) => {
                buffer.truncate(bytes);
                Some(Received::Message(buffer))
            }
            Err(error) if socket::not_yet(&error) => socket::queued_refusal(socket, icmp).map(Received::Refused),
            Err(error) => {
                // Only now: to drain the queue also clears the socket's error.
                socket::drain_icmp(socket, icmp);
                Some(Received::Refused(error))
            }
        }
    }
}
