//! `tcp-no-read`: accepts and never reads, so that its window closes.
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::arguments::{Arguments, Listen};
use super::{Builtin, ready};

/// The registry's entry.
pub const TCP_NO_READ: Builtin = Builtin {
    name: "tcp-no-read",
    usage: "[ADDRESS:]PORT [rcvbuf=BYTES]   accepts and never reads (receive buffer 4096 bytes without rcvbuf)",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["rcvbuf"]);
    let listen: Listen = arguments.next_as("port")?;
    let rcvbuf = arguments.value("rcvbuf", 4096)?;
    arguments.end()?;
    let socket = listen.tcp()?;
    // Accepted sockets inherit it, and only before `listen` does it bound the window that is offered.
    socket.set_recv_buffer_size(rcvbuf).context("setting SO_RCVBUF")?;
    socket.listen(1024).context("listening")?;
    ready()?;
    let mut held = Vec::new();
    loop {
        match socket.accept() {
            Ok((stream, _)) => held.push(stream),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
}
