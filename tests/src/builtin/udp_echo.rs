//! `udp-echo`: sends every datagram back.
use std::net::UdpSocket;

use anyhow::Result;

use super::arguments::{Arguments, Listen};
use super::{Builtin, ready};

/// The registry's entry.
pub const UDP_ECHO: Builtin = Builtin {
    name: "udp-echo",
    usage: "[ADDRESS:]PORT [answers=N] [size=BYTES]   sends every datagram back, N times, made as long as that",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["answers", "size"]);
    let listen: Listen = arguments.next_as("port")?;
    let answers: u32 = arguments.value("answers", 1)?;
    let least: usize = arguments.value("size", 0)?;
    arguments.end()?;
    let socket: UdpSocket = listen.udp()?.into();
    ready()?;
    let mut datagram = vec![0; 65536];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut datagram) {
            let length = length.max(least).min(datagram.len());
            for _ in 0..answers {
                let _ = socket.send_to(&datagram[..length], from);
            }
        }
    }
}
