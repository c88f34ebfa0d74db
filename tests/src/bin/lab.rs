//! The built-in servers of the lab as a program: `lab http 8080`.
use std::process::ExitCode;

fn main() -> ExitCode {
    tests::program::called().unwrap_or(ExitCode::FAILURE)
}
