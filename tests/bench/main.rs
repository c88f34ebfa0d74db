//! The figures: what kubectl-skoop costs, as ratios taken in one run, against peers where there are any.
//!
//! `bench [FILE]` prints a table and writes the same as JSON. `tests/bench/README.md` says how each is taken.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a table for people, progress beside it"
)]

mod capture;
mod cluster;
mod decode;
mod figure;
mod flood;
mod helper;
mod kept;
mod measured_times;
mod path;
mod peer;
mod readings;
mod scenarios;
mod start;
mod traffic;

use anyhow::{Context as _, Result, ensure};
use figure::Figure;
use std::io::Write as _;
use std::process::ExitCode;

/// A group of figures: its name and what takes it.
type Group = (&'static str, fn() -> Result<Vec<Figure>>);

const GROUPS: &[Group] = &[
    ("start", start::take),
    ("flood", flood::take),
    ("path", path::take),
    ("times", measured_times::take),
    ("readings", readings::take),
    ("scenarios", scenarios::take),
    ("decode", decode::take),
];

/// The most memory a process has had so far.
fn peak_kb(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    peak.and_then(|text| text.trim().trim_end_matches(" kB").parse().ok())
        .unwrap_or_default()
}

/// Those that need a cluster are taken only when they are named.
const ON_CLUSTER: &[Group] = &[("cluster", cluster::take), ("capture", capture::take)];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let result = match args.split_first() {
        Some((first, rest)) if first == "traffic" => traffic::main(rest).map(|()| true),
        Some((file, only)) => run(file, only),
        None => run("target/bench.json", &[]),
    };
    match result {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("bench: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Takes the groups named by `only`, or all usual ones; tells whether each could be taken.
fn run(file: &str, only: &[String]) -> Result<bool> {
    let known = || GROUPS.iter().chain(ON_CLUSTER);
    for name in only {
        ensure!(
            known().any(|(known, _)| known == name),
            "no group `{name}` (they are {})",
            known().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
        );
    }
    let (mut figures, mut not_taken) = (Vec::new(), Vec::new());
    let usual = GROUPS.iter().map(|group| (group, only.is_empty()));
    for ((name, take), usual) in usual.chain(ON_CLUSTER.iter().map(|group| (group, false))) {
        if usual || only.iter().any(|wanted| wanted == name) {
            eprintln!("bench: {name}");
            match take() {
                Ok(taken) => figures.extend(taken),
                Err(error) => not_taken.push(format!("`{name}` was not taken: {error:#}")),
            }
        }
    }
    println!("{}", figure::table(&figures));
    let mut out = std::fs::File::create(file).with_context(|| format!("write `{file}`; is its directory there?"))?;
    serde_json::to_writer_pretty(&mut out, &figures)?;
    writeln!(out)?;
    let missed = figures.iter().filter(|figure| figure.reached == Some(false)).count();
    println!("{} figures, {missed} not reached; written to {file}", figures.len());
    for why in &not_taken {
        println!("{}", why.replace('\n', " "));
    }
    Ok(not_taken.is_empty())
}
