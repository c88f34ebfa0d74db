//! DNS over TCP: queries and answers with their length before them (RFC 1035, 4.2.2).

use crate::attempts::socket::{self, Reserved};
use crate::attempts::task::Wait;
use model::flow::{Flow, TCP};
use nix::poll::PollFlags;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

/// The connection waits so long for its tuple to be watched; a trail without its first packets is better than none.
const WATCH_PATIENCE_NS: u64 = 200_000_000;

/// A connection to a name server.
pub struct DnsStream {
    to: SocketAddr,
    reserved: Reserved,
    stage: Stage,
    out: Vec<u8>,
    input: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    /// Its tuple is announced.
    Announced {
        until_ns: u64,
    },
    Connecting,
    Open,
}

impl DnsStream {
    /// Chooses its source port.
    pub fn new(to: SocketAddr, queries: &[Vec<u8>], now_ns: u64) -> io::Result<Self> {
        let reserved = socket::reserve(socket2::Type::STREAM, to)?;
        let mut out = Vec::new();
        for query in queries {
            out.extend((query.len() as u16).to_be_bytes());
            out.extend(query);
        }
        Ok(Self {
            to,
            reserved,
            stage: Stage::Announced {
                until_ns: now_ns + WATCH_PATIENCE_NS,
            },
            out,
            input: Vec::new(),
        })
    }

    /// The tuple it will use.
    pub fn flow(&self) -> Flow {
        Flow::new(TCP, self.reserved.source, self.to)
    }

    /// Its tuple is watched now.
    pub fn watched(&mut self, flow: &Flow) {
        if *flow == self.flow() && self.stage != Stage::Open && self.stage != Stage::Connecting {
            self.stage = Stage::Announced { until_ns: 0 };
        }
    }

    /// Does all it can without waiting.
    pub fn advance(&mut self, now_ns: u64) -> io::Result<()> {
        let socket = &self.reserved.socket;
        if let Stage::Announced { until_ns } = self.stage {
            if now_ns < until_ns {
                return Ok(());
            }
            socket::connect(socket, self.to)?;
            self.stage = Stage::Connecting;
        }
        if self.stage == Stage::Connecting {
            if let Some(error) = socket.take_error()? {
                return Err(error);
            }
            if socket.peer_addr().is_err() {
                return Ok(());
            }
            self.stage = Stage::Open;
        }
        while !self.out.is_empty() {
            match socket.send_with_flags(&self.out, libc::MSG_NOSIGNAL) {
                Ok(bytes) => drop(self.out.drain(..bytes)),
                Err(error) if socket::not_yet(&error) => break,
                Err(error) => return Err(error),
            }
        }
        let mut buffer = [0; 16 * 1024];
        loop {
            match (&mut &*socket).read(&mut buffer) {
                Ok(0) => return Err(io::ErrorKind::ConnectionReset.into()),
                Ok(bytes) => self.input.extend_from_slice(&buffer[..bytes]),
                Err(error) if socket::not_yet(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Whole messages that have come.
    pub fn messages(&mut self) -> Vec<Vec<u8>> {
        let mut messages = Vec::new();
        while let [high, low, rest @ ..] = self.input.as_slice() {
            let length = usize::from(u16::from_be_bytes([*high, *low]));
            let Some(message) = rest.get(..length) else { break };
            messages.push(message.to_vec());
            self.input.drain(..2 + length);
        }
        messages
    }

    /// What it waits for now.
    pub fn waits_for<'a>(&'a self, wait: &mut Wait<'a>) {
        let flags = match self.stage {
            Stage::Announced { until_ns } => {
                wait.until_ns = wait.until_ns.map(|other| other.min(until_ns)).or(Some(until_ns));
                return;
            }
            Stage::Connecting => PollFlags::POLLOUT,
            Stage::Open if self.out.is_empty() => PollFlags::POLLIN,
            Stage::Open => PollFlags::POLLIN | PollFlags::POLLOUT,
        };
        wait.sockets.push((self.reserved.socket.as_fd(), flags));
    }
}
