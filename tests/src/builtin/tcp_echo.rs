//! `tcp-echo`: sends back what it receives.
use std::net::Shutdown;

use anyhow::Result;

use super::arguments::Arguments;
use super::{Builtin, accept};

/// The registry's entry.
pub const TCP_ECHO: Builtin = Builtin {
    name: "tcp-echo",
    usage: "[ADDRESS:]PORT   sends back what it receives",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &[]);
    let listen = arguments.next_as("port")?;
    arguments.end()?;
    accept::each(listen, |stream| {
        let _ = std::io::copy(&mut &stream, &mut &stream);
        let _ = stream.shutdown(Shutdown::Write);
    })
}
