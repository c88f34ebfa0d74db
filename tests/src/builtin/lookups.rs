//! `lookups`: a program that looks a name up over and over, by the resolv.conf that it finds, and counts what failed.
use std::io::ErrorKind;
use std::net::ToSocketAddrs as _;

use anyhow::Result;

use super::Builtin;
use super::arguments::Arguments;
use super::pace::{KEYS, Pace};

/// The registry's entry.
pub const LOOKUPS: Builtin = Builtin {
    name: "lookups",
    usage: "NAME [every=MS] [count=N]   looks the name up each 100 ms (for ever), as programs do; prints how many were tried and failed",
    stays: false,
    run,
};

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &KEYS);
    let pace = Pace::read(&mut arguments)?;
    let name = arguments.next("name")?;
    arguments.end()?;
    pace.keep(move || {
        let found = (name.as_str(), 0).to_socket_addrs()?.next();
        found.map(drop).ok_or_else(|| ErrorKind::NotFound.into())
    })
}
