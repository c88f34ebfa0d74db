//! `node-helper`: speaks `model::protocol` on stdin and stdout, see the library beside it.

use flate2::Compression;
use flate2::write::ZlibEncoder;
use node_helper::conversation::session;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

const USAGE: &str = "usage: node-helper [--deadline SECONDS] [--deflate] | --version\n\
    It is started by kubectl-skoop, speaks JSON lines on stdin and stdout, and ends when stdin does.\n\
    With --deflate what it says is compressed (RFC 1950), for a way that is longer than a pipe.\n";

/// How long a helper lives at most when nobody says otherwise.
const DEADLINE: Duration = Duration::from_hours(24);

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["--version"] => {
            let line = format!(
                "node-helper {} (protocol {})\n",
                env!("CARGO_PKG_VERSION"),
                model::protocol::VERSION
            );
            match std::io::stdout().write_all(line.as_bytes()) {
                Ok(()) => ExitCode::SUCCESS,
                Err(_) => ExitCode::from(3),
            }
        }
        options => serve(options),
    }
}

fn serve(mut options: &[&str]) -> ExitCode {
    let mut deadline = DEADLINE;
    let mut deflate = false;
    loop {
        match options {
            [] => break,
            ["--deflate", rest @ ..] => {
                deflate = true;
                options = rest;
            }
            ["--deadline", seconds, rest @ ..] => match seconds.parse() {
                Ok(seconds @ 1..) => {
                    deadline = Duration::from_secs(seconds);
                    options = rest;
                }
                _ => return wrong(&format!("--deadline takes a number of seconds, not `{seconds}`\n")),
            },
            _ => return wrong(USAGE),
        }
    }
    let out = std::io::stdout();
    if deflate {
        session::run(deadline, Box::new(ZlibEncoder::new(out, Compression::fast())))
    } else {
        session::run(deadline, Box::new(out))
    }
}

fn wrong(text: &str) -> ExitCode {
    let _ = std::io::stderr().write_all(text.as_bytes());
    ExitCode::from(2)
}
