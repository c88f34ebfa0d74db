//! `kubectl-skoop`, also found by kubectl as `kubectl skoop`.

use std::process::ExitCode;

fn main() -> ExitCode {
    cli::main(std::env::args_os().collect())
}
