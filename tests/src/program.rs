//! The program `lab`: the built-ins by their names, a shell command inside a lab, and what takes a kept lab down.
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

use crate::builtin::{BUILTINS, names};
use crate::kubernetes::stage;
use crate::{enter, lab};

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
