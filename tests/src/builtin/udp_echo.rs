//! `udp-echo`: sends every datagram back.
use std::net::UdpSocket;

use anyhow::Result;

use super::arguments::{Arguments, Listen};
use super::{Builtin, ready};

/// The registry's entry.
pub const UDP_ECHO: Builtin = Builtin {
    name: "udp-echo",
    usage: "[ADDRESS:]PORT   sends every datagram back",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &[]);
    let listen: Listen = arguments.next_as("port")?;
    arguments.end()?;
    let socket: UdpSocket = listen.udp()?.into();
    ready()?;
    let mut datagram = vec![0; 65536];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut datagram) {
            let _ = socket.send_to(&datagram[..length], from);
        }
    }
}
