//! `tcp-no-accept`: listens and never accepts, so that its queue fills.
use std::thread;

use anyhow::Result;

use super::arguments::{Arguments, Listen};
use super::{Builtin, ready};

/// The registry's entry.
pub const TCP_NO_ACCEPT: Builtin = Builtin {
    name: "tcp-no-accept",
    usage: "[ADDRESS:]PORT BACKLOG   listens and never accepts",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &[]);
    let listen: Listen = arguments.next_as("port")?;
    let backlog = arguments.next_as("backlog")?;
    arguments.end()?;
    let _listener = listen.listener(backlog)?;
    ready()?;
    loop {
        thread::park();
    }
}
