//! The built-in servers and tools of the lab, one file each; [`BUILTINS`] is the only list of them.
//!
//! They are one program: called as `lab NAME ARGUMENTS`, or by a link of that NAME, which is how steps find them on PATH.
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::kubernetes::stage;
use crate::{enter, lab};

mod accept;
mod arguments;
mod bpf_program;
mod conntrack_fill;
mod delay;
mod dns;
mod http;
mod reset_injector;
mod tcp_abort;
mod tcp_connect;
mod tcp_echo;
mod tcp_no_accept;
mod tcp_no_read;
mod tcp_silent;
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
    run: fn(&[String]) -> Result<()>,
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

/// Runs the built-in this process was called as, when it was called by the name of one (or as `lab`).
pub fn called() -> Option<ExitCode> {
    let mut arguments: Vec<String> = std::env::args().collect();
    let name = Path::new(arguments.first()?).file_name()?.to_str()?.to_owned();
    arguments.remove(0);
    let result = if name == "lab" {
        if arguments.is_empty() {
            arguments.push("help".to_owned());
        }
        let name = arguments.remove(0);
        run(&name, &arguments)
    } else if BUILTINS.iter().any(|builtin| builtin.name == name) {
        run(&name, &arguments)
    } else {
        return None;
    };
    Some(match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "lab: {error:#}");
            ExitCode::FAILURE
        }
    })
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

fn run(name: &str, arguments: &[String]) -> Result<()> {
    match (name, arguments) {
        ("in", _) => enter::run(arguments),
        ("down", [id]) if id.starts_with("scenario-") => stage::down(id),
        ("down", [id]) => lab::down(id),
        ("help" | "--help" | "-h", _) => help(),
        _ => match BUILTINS.iter().find(|builtin| builtin.name == name) {
            Some(builtin) => (builtin.run)(arguments).with_context(|| format!("running {name}")),
            None => bail!(
                "no built-in `{name}` (they are {})",
                names().skip(1).collect::<Vec<_>>().join(", ")
            ),
        },
    }
}

fn help() -> Result<()> {
    let mut out = std::io::stdout();
    for builtin in BUILTINS {
        writeln!(out, "lab {} {}", builtin.name, builtin.usage)?;
    }
    writeln!(
        out,
        "lab down ID   takes down a lab, or a stage on a cluster, that was kept"
    )?;
    Ok(())
}

/// Says that the built-in can be used now.
fn ready() -> Result<()> {
    let mut out = std::io::stdout();
    writeln!(out, "ready")
        .and_then(|()| out.flush())
        .context("writing `ready`")
}
