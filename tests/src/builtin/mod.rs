//! The built-in servers and tools of the lab, one file each; [`BUILTINS`] is the only list of them.
//!
//! They are one program: called as `lab NAME ARGUMENTS`, or by a link of that NAME, which is how steps find them on PATH.
use std::io::Write as _;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

mod accept;
mod arguments;
mod bpf_program;
mod conntrack_fill;
mod delay;
mod dns;
mod http;
mod lookups;
mod pace;
mod reset_injector;
mod tcp_abort;
mod tcp_connect;
mod tcp_echo;
mod tcp_no_accept;
mod tcp_no_read;
mod tcp_silent;
mod traffic;
mod udp_echo;
mod udp_send;
mod udp_silent;

/// One built-in.
pub struct Builtin {
    /// How steps call it.
    pub name: &'static str,
    /// Its arguments, and what it does, in a line.
    pub usage: &'static str,
    /// Whether it stays until it is ended (then it prints `ready` when it can be used).
    pub stays: bool,
    /// Does it.
    pub run: fn(&[String]) -> Result<()>,
}

/// All built-ins.
pub const BUILTINS: &[Builtin] = &[
    http::HTTP,
    tcp_echo::TCP_ECHO,
    udp_echo::UDP_ECHO,
    tcp_silent::TCP_SILENT,
    tcp_no_accept::TCP_NO_ACCEPT,
    tcp_no_read::TCP_NO_READ,
    tcp_abort::TCP_ABORT,
    udp_silent::UDP_SILENT,
    dns::DNS,
    delay::DELAY,
    reset_injector::RESET_INJECTOR,
    conntrack_fill::CONNTRACK_FILL,
    bpf_program::BPF_PROGRAM,
    tcp_connect::TCP_CONNECT,
    udp_send::UDP_SEND,
    traffic::TRAFFIC,
    lookups::LOOKUPS,
];

/// The names by which the program may be called: its own and every built-in's.
pub fn names() -> impl Iterator<Item = &'static str> {
    std::iter::once("lab").chain(BUILTINS.iter().map(|builtin| builtin.name))
}

/// The built-in that a step's command calls, if its first word is one (`http 80`, `lab http 80`).
pub fn called_by(command: &str) -> Option<&'static Builtin> {
    let first = command.split_whitespace().find(|word| *word != "lab")?;
    BUILTINS.iter().find(|builtin| builtin.name == first)
}

/// The program that carries the built-ins: this one when it can, else `lab` beside it or one directory up.
pub fn program() -> Result<PathBuf> {
    let own = std::env::current_exe().context("finding this program's own path")?;
    if own
        .file_name()
        .is_some_and(|name| ["lab", "scenario", "demo"].into_iter().any(|known| name == known))
    {
        return Ok(own);
    }
    let beside = own
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("lab"))
        .find(|path| path.is_file());
    beside.with_context(|| {
        format!(
            "no `lab` beside {}: build it with `cargo build -p tests --bin lab`",
            own.display()
        )
    })
}

/// Says that the built-in can be used now.
fn ready() -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ready")
        .and_then(|()| out.flush())
        .context("writing `ready`")
}
