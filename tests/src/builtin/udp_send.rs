//! `udp-send`: datagrams to an address, one after another or as fast as they go.
use std::net::{SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Builtin;
use super::arguments::Arguments;

/// The registry's entry.
pub const UDP_SEND: Builtin = Builtin {
    name: "udp-send",
    usage: "ADDRESS:PORT [count=N] [every=MS] [burst=N] [size=BYTES]   sends datagrams (one of 100 bytes; count=0: for ever; every=0: as fast as it can; burst: so many at once)",
    stays: false,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["count", "every", "burst", "size"]);
    let to: SocketAddr = arguments.next_as("address and port")?;
    let count = arguments.value("count", 1_u64)?;
    let every = Duration::from_millis(arguments.value("every", 0)?);
    let burst = arguments.value("burst", 1_u64)?;
    let size = arguments.value("size", 100_usize)?;
    arguments.end()?;
    let socket = UdpSocket::bind(if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" }).context("opening a socket")?;
    let datagram = vec![b'x'; size];
    let mut sent = 0;
    while count == 0 || sent < count {
        // A refusal met by an earlier datagram is nothing to a sender of noise.
        let _ = socket.send_to(&datagram, to);
        sent += 1;
        if !every.is_zero() && sent % burst.max(1) == 0 {
            thread::sleep(every);
        }
    }
    Ok(())
}
