//! `tcp-silent`: accepts and reads, and never answers.
use anyhow::Result;

use super::arguments::Arguments;
use super::{Builtin, accept};

/// The registry's entry.
pub const TCP_SILENT: Builtin = Builtin {
    name: "tcp-silent",
    usage: "[ADDRESS:]PORT   accepts, reads, never answers",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &[]);
    let listen = arguments.next_as("port")?;
    arguments.end()?;
    accept::each(listen, |stream| {
        let _ = std::io::copy(&mut &stream, &mut std::io::sink());
    })
}
