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
mod path;
mod peer;
mod scenarios;
mod start;
mod traffic;

use anyhow::{Context as _, Result};
use figure::Figure;
use std::io::Write as _;

/// A group of figures: its name and what takes it.
type Group = (&'static str, fn() -> Result<Vec<Figure>>);

const GROUPS: &[Group] = &[
    ("start", start::take),
    ("flood", flood::take),
    ("path", path::take),
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

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let first = args.next();
    if first.as_deref() == Some("traffic") {
        return traffic::main(&args.collect::<Vec<_>>());
    }
    let file = first.unwrap_or_else(|| "target/bench.json".into());
    let only: Vec<String> = args.collect();
    let mut figures = Vec::new();
    let usual = GROUPS.iter().map(|group| (group, only.is_empty()));
    for ((name, take), usual) in usual.chain(ON_CLUSTER.iter().map(|group| (group, false))) {
        if usual || only.iter().any(|wanted| wanted == name) {
            eprintln!("bench: {name}");
            figures.extend(take().with_context(|| format!("take the figures of `{name}`"))?);
        }
    }
    println!("{}", figure::table(&figures));
    let mut out = std::fs::File::create(&file).with_context(|| format!("write `{file}`; is its directory there?"))?;
    serde_json::to_writer_pretty(&mut out, &figures)?;
    writeln!(out)?;
    let missed = figures.iter().filter(|figure| figure.reached == Some(false)).count();
    println!("{} figures, {missed} not reached; written to {file}", figures.len());
    Ok(())
}
