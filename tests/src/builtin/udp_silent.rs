//! `udp-silent`: binds and never reads, so that its receive buffer overflows.
use std::thread;

use anyhow::{Context as _, Result};

use super::arguments::{Arguments, Listen};
use super::{Builtin, ready};

/// The registry's entry.
pub const UDP_SILENT: Builtin = Builtin {
    name: "udp-silent",
    usage: "[ADDRESS:]PORT [rcvbuf=BYTES]   binds and never reads (receive buffer 2304 bytes without rcvbuf)",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["rcvbuf"]);
    let listen: Listen = arguments.next_as("port")?;
    let rcvbuf = arguments.value("rcvbuf", 2304)?;
    arguments.end()?;
    let socket = listen.udp()?;
    socket.set_recv_buffer_size(rcvbuf).context("setting SO_RCVBUF")?;
    ready()?;
    loop {
        thread::park();
    }
}
