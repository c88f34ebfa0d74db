//! The checks of the kernel matrix: does the helper see on this kernel what it sees on any other?
//!
//! `kernel-check run` speaks to the helper over its protocol, makes each fault in two namespaces joined by a veth, and
//! prints one JSON line a check; `kernel-check table FILE...` lays such files side by side.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its output is what it is for")]

mod bed;
mod checks;
mod disks;
mod helper;
mod table;

use anyhow::{Context, Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;

fn main() -> ExitCode {
    run().unwrap_or_else(|error| {
        eprintln!("kernel-check: {error:#}");
        ExitCode::from(2)
    })
}

fn run() -> Result<ExitCode> {
    let mut arguments = std::env::args().skip(1);
    match arguments.next().as_deref() {
        Some("run") => {
            let helper = arguments.next().context("run needs the path of the helper")?;
            for check in checks::run(&helper) {
                println!("{}", serde_json::to_string(&check)?);
            }
            Ok(ExitCode::SUCCESS)
        }
        Some("table") => {
            let files: Vec<PathBuf> = arguments.map(PathBuf::from).collect();
            let columns = files
                .iter()
                .map(|file| table::Column::read(file))
                .collect::<Result<Vec<_>>>()?;
            let table = table::Table::of(&columns);
            println!("{table}");
            Ok(ExitCode::from(u8::from(table.failed() > 0)))
        }
        _ => bail!("usage: kernel-check run HELPER | kernel-check table FILE..."),
    }
}
