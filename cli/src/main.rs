//! `kubectl-skoop`, also found by kubectl as `kubectl skoop`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<_> = std::env::args_os().collect();
    cli::main(&arguments)
}
