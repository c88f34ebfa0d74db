//! `traffic`: a client as users have them, which connects and has an exchange over and over, and counts what failed.
use std::io::{Error, ErrorKind, Read as _, Result as IoResult, Write as _};
use std::net::{Shutdown, SocketAddr, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::Builtin;
use super::arguments::Arguments;
use super::pace::{KEYS, Pace};

/// The registry's entry.
pub const TRAFFIC: Builtin = Builtin {
    name: "traffic",
    usage: "ADDRESS:PORT[,ADDRESS:PORT...] [every=MS] [count=N] [limit=MS] [bytes=N] [bare] [udp]   a connection each 100 ms (for ever) to the first of these addresses that takes it, on each a request by HTTP (bytes: sends that and wants it back; bare: nothing; udp: a datagram that wants an answer), given up after 1000 ms; prints how many were tried and failed",
    stays: false,
    run,
};

#[derive(Clone)]
struct Client {
    to: Vec<SocketAddr>,
    limit: Duration,
    exchange: Exchange,
}

#[derive(Clone, Copy)]
enum Exchange {
    Http,
    Bare,
    Bytes(usize),
    Datagram(usize),
}

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &[&KEYS[..], &["limit", "bytes"]].concat());
    let pace = Pace::read(&mut arguments)?;
    let client = Client::read(&mut arguments)?;
    arguments.end()?;
    pace.keep(move || client.once())
}

impl Client {
    fn read(arguments: &mut Arguments) -> Result<Self> {
        let limit = Duration::from_millis(arguments.value("limit", 1000)?);
        let bytes: usize = arguments.value("bytes", 0)?;
        let exchange = match (arguments.flag("udp"), arguments.flag("bare"), bytes) {
            (true, ..) => Exchange::Datagram(bytes.max(1)),
            (_, true, _) => Exchange::Bare,
            (.., 0) => Exchange::Http,
            (.., bytes) => Exchange::Bytes(bytes),
        };
        let to = arguments.next("address and port")?;
        let to = to
            .split(',')
            .map(|one| one.parse().with_context(|| format!("`{one}` is no address and port")));
        Ok(Self {
            to: to.collect::<Result<_>>()?,
            limit,
            exchange,
        })
    }

    fn once(&self) -> IoResult<()> {
        let mut met = Err(ErrorKind::InvalidInput.into());
        for to in &self.to {
            met = match self.exchange {
                Exchange::Datagram(bytes) => return self.datagram(*to, bytes),
                _ => TcpStream::connect_timeout(to, self.limit),
            };
            if met.is_ok() {
                break;
            }
        }
        let stream = met?;
        match self.exchange {
            Exchange::Bare => Ok(()),
            Exchange::Bytes(bytes) => self.echo(&stream, bytes),
            _ => self.request(&stream),
        }
    }

    /// Asks for `/` and reads the answer to its end.
    fn request(&self, mut stream: &TcpStream) -> IoResult<()> {
        stream.write_all(b"GET / HTTP/1.0\r\n\r\n")?;
        let answer = self.read_up_to(stream, usize::MAX)?;
        let head = answer.get(..5).unwrap_or_default();
        if head == b"HTTP/" { Ok(()) } else { Err(closed_early()) }
    }

    /// Sends bytes and wants all of them back.
    fn echo(&self, mut stream: &TcpStream, bytes: usize) -> IoResult<()> {
        stream.set_write_timeout(Some(self.limit))?;
        thread::scope(|scope| {
            let sent = scope.spawn(move || stream.write_all(&vec![b'x'; bytes]));
            let got = self.read_up_to(stream, bytes);
            // Whoever gives up sends no more.
            let _ = got.is_err().then(|| stream.shutdown(Shutdown::Both));
            let sent = sent.join().unwrap_or_else(|_| Err(ErrorKind::Other.into()));
            if got?.len() < bytes { Err(closed_early()) } else { sent }
        })
    }

    /// What comes until there is so much of it or the other end closes, within the limit.
    fn read_up_to(&self, mut stream: &TcpStream, most: usize) -> IoResult<Vec<u8>> {
        let started = Instant::now();
        let mut got = Vec::new();
        let mut buffer = [0; 16384];
        while got.len() < most {
            let left = self.limit.checked_sub(started.elapsed()).filter(|left| !left.is_zero());
            stream.set_read_timeout(Some(left.ok_or(ErrorKind::TimedOut)?))?;
            match stream.read(&mut buffer).map_err(too_long)? {
                0 => break,
                length => got.extend_from_slice(&buffer[..length]),
            }
        }
        Ok(got)
    }

    /// Sends a datagram and wants an answer.
    fn datagram(&self, to: SocketAddr, bytes: usize) -> IoResult<()> {
        let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" })?;
        socket.connect(to)?;
        socket.set_read_timeout(Some(self.limit))?;
        socket.send(&vec![b'x'; bytes])?;
        socket.recv(&mut [0; 4096]).map(drop).map_err(too_long)
    }
}

/// A read that waits too long is called by another name on sockets with a limit.
fn too_long(error: Error) -> Error {
    match error.kind() {
        ErrorKind::WouldBlock => ErrorKind::TimedOut.into(),
        _ => error,
    }
}

fn closed_early() -> Error {
    ErrorKind::UnexpectedEof.into()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    fn client(text: &str) -> Client {
        let words: Vec<_> = text.split_whitespace().map(str::to_owned).collect();
        Client::read(&mut Arguments::read(&words, &["limit", "bytes"])).unwrap()
    }

    /// A server on loopback that answers each connection with this, and its address.
    fn server(answer: &'static [u8]) -> SocketAddr {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let mut stream = stream;
                let _ = stream.read(&mut [0; 64]);
                let _ = stream.write_all(answer);
            }
        });
        address
    }

    /// An address of loopback at which nobody listens.
    fn nobody() -> SocketAddr {
        TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
    }

    #[test]
    fn an_exchange_fails_as_users_see_it_fail() {
        let (web, mute) = (server(b"HTTP/1.1 200 OK\r\n\r\nok"), server(b""));
        assert!(client(&web.to_string()).once().is_ok());
        assert!(client(&format!("{web} bare")).once().is_ok());
        assert_eq!(
            client(&mute.to_string()).once().unwrap_err().kind(),
            ErrorKind::UnexpectedEof
        );
        assert_eq!(
            client(&nobody().to_string()).once().unwrap_err().kind(),
            ErrorKind::ConnectionRefused
        );
        let echo = server(b"xxxxx");
        assert!(client(&format!("{echo} bytes=5")).once().is_ok());
        assert!(client(&format!("{echo} bytes=6")).once().is_err());
        // It is in the listener's queue, and nobody answers.
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let stuck = format!("{} limit=20", listener.local_addr().unwrap());
        assert_eq!(client(&stuck).once().unwrap_err().kind(), ErrorKind::TimedOut);
    }

    #[test]
    fn the_first_address_that_takes_it_is_enough() {
        let web = server(b"HTTP/1.1 200 OK\r\n\r\nok");
        assert!(client(&format!("{},{web}", nobody())).once().is_ok());
        assert!(client(&format!("{},{}", nobody(), nobody())).once().is_err());
    }

    #[test]
    fn a_datagram_wants_an_answer() {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        assert_eq!(
            client(&format!("{address} udp limit=20")).once().unwrap_err().kind(),
            ErrorKind::TimedOut
        );
        thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let _ = socket.send_to(&buffer[..length], from);
            }
        });
        assert!(client(&format!("{address} udp")).once().is_ok());
    }
}
