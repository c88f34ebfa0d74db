//! What the built-ins understand as arguments: `80`, `127.0.0.1:80`, `[::1]:80`, `size=100`, and words like `truncate`.
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use socket2::{Domain, Protocol, Socket, Type};

/// Arguments, with those of the form `key=value` apart. Asking for one takes it, so what is left over was not understood.
pub struct Arguments {
    words: Vec<String>,
    values: BTreeMap<String, String>,
}

impl Arguments {
    /// Reads them; only the keys named are taken as such.
    pub fn read(arguments: &[String], keys: &[&str]) -> Self {
        let mut read = Self {
            words: Vec::new(),
            values: BTreeMap::new(),
        };
        for argument in arguments {
            match argument.split_once('=') {
                Some((key, value)) if keys.contains(&key) => {
                    read.values.insert(key.to_owned(), value.to_owned());
                }
                _ => read.words.push(argument.clone()),
            }
        }
        read
    }

    /// The next word.
    pub fn next(&mut self, what: &str) -> Result<String> {
        ensure!(!self.words.is_empty(), "{what} is missing");
        Ok(self.words.remove(0))
    }

    /// The next word, as a value of its type.
    pub fn next_as<T: FromStr>(&mut self, what: &str) -> Result<T> {
        let word = self.next(what)?;
        word.parse().map_err(|_| anyhow!("`{word}` is no {what}"))
    }

    /// Whether this word is there.
    pub fn flag(&mut self, word: &str) -> bool {
        let before = self.words.len();
        self.words.retain(|known| known != word);
        before != self.words.len()
    }

    /// The value of a key, or the default if the key was not given.
    pub fn value<T: FromStr>(&mut self, key: &str, without: T) -> Result<T> {
        match self.values.remove(key) {
            Some(text) => text
                .parse()
                .map_err(|_| anyhow!("`{key}={text}`: {text} is no value for {key}")),
            None => Ok(without),
        }
    }

    /// The value of a key, when it is there.
    pub fn optional(&mut self, key: &str) -> Option<String> {
        self.values.remove(key)
    }

    /// All words that are left.
    pub fn rest(&mut self) -> Vec<String> {
        std::mem::take(&mut self.words)
    }

    /// Fails when something is left over.
    pub fn end(self) -> Result<()> {
        match self.words.first().or(self.values.keys().next()) {
            Some(word) => bail!("`{word}` is not understood"),
            None => Ok(()),
        }
    }
}

/// Where a server listens: a port on both families, or an address and a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(Option<IpAddr>, u16);

impl FromStr for Listen {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        if let Ok(port) = text.parse() {
            return Ok(Self(None, port));
        }
        let address: SocketAddr = text
            .parse()
            .with_context(|| format!("`{text}` is neither a port nor an address and a port"))?;
        Ok(Self(Some(address.ip()), address.port()))
    }
}

impl Listen {
    /// A bound TCP socket that is not listening yet.
    pub fn tcp(self) -> Result<Socket> {
        self.bound(Type::STREAM, Protocol::TCP)
    }

    /// A listening TCP socket.
    pub fn listener(self, backlog: i32) -> Result<std::net::TcpListener> {
        let socket = self.tcp()?;
        socket
            .listen(backlog)
            .with_context(|| format!("listening on {self:?}"))?;
        Ok(socket.into())
    }

    /// A bound UDP socket.
    pub fn udp(self) -> Result<Socket> {
        self.bound(Type::DGRAM, Protocol::UDP)
    }

    fn bound(self, kind: Type, protocol: Protocol) -> Result<Socket> {
        let Self(address, port) = self;
        // One socket for both families where IPv6 is there, else IPv4 alone.
        let candidates = match address {
            Some(address) => vec![address],
            None => vec![Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()],
        };
        let mut failed = anyhow!("no address");
        for candidate in candidates {
            match bind(SocketAddr::new(candidate, port), address.is_some(), kind, protocol) {
                Ok(socket) => return Ok(socket),
                Err(error) => {
                    failed = anyhow!(error).context(format!("binding {candidate} port {port}"));
                }
            }
        }
        Err(failed)
    }
}

fn bind(address: SocketAddr, only_v6: bool, kind: Type, protocol: Protocol) -> std::io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind, Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(only_v6)?;
    }
    if kind == Type::STREAM {
        socket.set_reuse_address(true)?;
    }
    socket.bind(&address.into())?;
    Ok(socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_port_or_an_address_and_a_port() {
        assert_eq!("80".parse::<Listen>().unwrap(), Listen(None, 80));
        assert_eq!(
            "127.0.0.1:80".parse::<Listen>().unwrap(),
            Listen(Some([127, 0, 0, 1].into()), 80)
        );
        assert_eq!(
            "[::1]:80".parse::<Listen>().unwrap(),
            Listen(Some(Ipv6Addr::LOCALHOST.into()), 80)
        );
        assert!("http".parse::<Listen>().is_err());
    }

    #[test]
    fn what_is_not_understood_is_named() {
        let mut read = Arguments::read(&words("80 size=5 truncate often"), &["size"]);
        assert_eq!(read.next_as::<u16>("port").unwrap(), 80);
        assert_eq!(read.value("size", 0).unwrap(), 5);
        assert!(read.flag("truncate"));
        assert!(read.end().unwrap_err().to_string().contains("often"));
    }
}
