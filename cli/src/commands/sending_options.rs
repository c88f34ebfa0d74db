//! The options that say what to send to the other end: the protocol, what goes over a connection, and how often.

use crate::exit::WrongUsage;
use crate::inquiry::attempt_plan::{ATTEMPTS, Protocol};
use crate::inquiry::named_end::{NamedEnd, NamedPlace};
use anyhow::Result;
use clap::Args;
use model::attempt::Exchange;

/// The most attempts in one round.
const ATTEMPTS_MAX: u32 = 1_000;
/// The most bytes a connection may send: a few seconds of a fast link.
const BYTES_MAX: u64 = 10_000_000_000;
/// The most bytes a datagram may carry (65 535 less IP and UDP headers).
const DATAGRAM_MAX: u64 = 65_507;

/// What to send.
#[derive(Debug, Args)]
pub struct SendingOptions {
    /// What to send [default: the protocol that the port is declared with, else tcp]
    #[arg(long, value_enum)]
    pub protocol: Option<Protocol>,
    /// Send this text, and read the answer to its end
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["http", "bytes"])]
    send: Option<String>,
    /// Send an HTTP request for this path, and read the answer to its end
    #[arg(long, value_name = "PATH", conflicts_with = "bytes")]
    http: Option<String>,
    /// Send this many bytes on each connection. The server must read them
    #[arg(long, value_name = "N")]
    bytes: Option<u64>,
    /// Make this many connections in a round, or send this many datagrams or echo requests
    #[arg(long, value_name = "N", default_value_t = ATTEMPTS)]
    attempts: u32,
}

impl SendingOptions {
    /// It says what is to go over a connection, or in a datagram.
    pub const fn names_content(&self) -> bool {
        self.send.is_some() || self.http.is_some() || self.bytes.is_some()
    }

    /// How many in a round.
    pub fn attempts(&self) -> Result<u32> {
        match self.attempts {
            0 => Err(WrongUsage::error(
                "--attempts 0 sends nothing; use 1 or more, or --passive to watch your own traffic",
            )),
            many if many > ATTEMPTS_MAX => Err(WrongUsage::error(format!(
                "--attempts {many} is too many; use up to {ATTEMPTS_MAX}"
            ))),
            some => Ok(some),
        }
    }

    /// What to exchange with the other end.
    pub fn exchange(&self, destination: &NamedEnd) -> Result<Exchange> {
        let protocol = self.protocol.unwrap_or_default();
        let wrong = |option: &str, only: &str| {
            Err(WrongUsage::error(format!(
                "{option} is for {only}, and --protocol is {}",
                protocol.name()
            )))
        };
        match (&self.send, &self.http, self.bytes, protocol) {
            (None, None, None, _) => Ok(Exchange::None),
            (Some(_), _, _, Protocol::Icmp) => wrong("--send", "tcp and udp"),
            (_, _, Some(_), Protocol::Icmp) => wrong("--bytes", "tcp and udp"),
            (_, Some(_), _, Protocol::Udp | Protocol::Icmp) => wrong("--http", "tcp"),
            (Some(text), ..) => Ok(Exchange::Text(text.clone().into_bytes())),
            (_, Some(path), ..)
                if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) =>
            {
                Err(WrongUsage::error(format!(
                    "`{path}` is no path of an HTTP request; write it as /healthz"
                )))
            }
            (_, Some(path), ..) => {
                // The name is what a virtual host goes by; an address is filled in where there is none.
                let host = match &destination.place {
                    NamedPlace::Name(name) => format!("{name}:{}", destination.port.unwrap_or(80)),
                    _ => String::new(),
                };
                Ok(Exchange::Http {
                    path: path.clone(),
                    host,
                })
            }
            (_, _, Some(0), _) => Err(WrongUsage::error("--bytes 0 sends nothing; use 1 or more")),
            (_, _, Some(count), Protocol::Udp) if count > DATAGRAM_MAX => Err(WrongUsage::error(format!(
                "--bytes {count} is more than a datagram carries; use up to {DATAGRAM_MAX}"
            ))),
            (_, _, Some(count), _) if count > BYTES_MAX => Err(WrongUsage::error(format!(
                "--bytes {count} is too many; use up to {BYTES_MAX}"
            ))),
            (_, _, Some(count), _) => Ok(Exchange::Bytes(count)),
        }
    }
}
