//! `tcp-abort`: closes while data is unread, which makes its kernel send a reset.
use std::time::Duration;

use anyhow::Result;
use socket2::SockRef;

use super::arguments::Arguments;
use super::{Builtin, accept};

/// The registry's entry.
pub const TCP_ABORT: Builtin = Builtin {
    name: "tcp-abort",
    usage: "[ADDRESS:]PORT [at-once]   closes with unread data (at-once: resets every connection as it is accepted)",
    stays: true,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &[]);
    let at_once = arguments.flag("at-once");
    let listen = arguments.next_as("port")?;
    arguments.end()?;
    accept::each(listen, move |stream| {
        if at_once {
            let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
        } else {
            let _ = stream.peek(&mut [0]);
        }
    })
}
