//! `udp-echo`: sends every datagram back, once or many times.
use std::net::UdpSocket;

use anyhow::Result;

use super::arguments::{Arguments, Listen};
use super::{Builtin, ready};

/// The registry's entry.
pub const UDP_ECHO: Builtin = Builtin {
    name: "udp-echo",
    usage: "[ADDRESS:]PORT [times=N]   sends every datagram back, N times",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["times"]);
    let listen: Listen = arguments.next_as("port")?;
    let times: u32 = arguments.value("times", 1)?;
    arguments.end()?;
    let socket: UdpSocket = listen.udp()?.into();
    ready()?;
    let mut datagram = vec![0; 65536];
    loop {
        if let Ok((length, from)) = socket.recv_from(&mut datagram) {
            for _ in 0..times {
                let _ = socket.send_to(&datagram[..length], from);
            }
        }
    }
}
