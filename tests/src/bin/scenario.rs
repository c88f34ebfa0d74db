//! Runs scenarios, each in a lab of its own, and judges what kubectl-skoop says about them.
use std::collections::BTreeMap;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, Result, bail, ensure};
use clap::Parser;
use regex::Regex;
use tests::runner::{Outturn, Runner};
use tests::scenario::ScenarioFile;
use tests::scenario::network::is_own;
use tests::{program, scenario, signals, skoop, summary};

/// Runs scenario files and judges what kubectl-skoop says about each of them.
#[derive(Parser)]
#[command(name = "scenario")]
struct Args {
    /// Scenario files, or directories of them.
    #[arg(required = true)]
    paths: Vec<PathBuf>,
    /// Also write the results as JSON.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Only scenarios whose name matches.
    #[arg(long, value_name = "REGEX")]
    only: Option<Regex>,
    /// Only scenarios that are for this network of a cluster, or this policy engine, and not for the bridge alone.
    #[arg(long, value_name = "NETWORK")]
    own: Option<String>,
    /// Run so many at once, where most of the time nothing but waiting is done.
    #[arg(long, value_name = "N", default_value_t = 1)]
    jobs: usize,
    /// Leave each broken lab or namespace standing, and say how to enter it.
    #[arg(long)]
    keep: bool,
    /// Only read the files, and say of each whether it can be understood.
    #[arg(long)]
    check: bool,
}

fn main() -> ExitCode {
    if let Some(code) = program::called() {
        return code;
    }
    match run(&Args::parse()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "scenario: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(args: &Args) -> Result<bool> {
    signals::take_down_labs()?;
    let mut found = scenario::find(&args.paths)?;
    if let Some(only) = &args.only {
        found.retain(|found| only.is_match(&found.name));
        ensure!(!found.is_empty(), "no scenario matches {only}");
    }
    if let Some(network) = &args.own {
        found.retain(|found| found.scenario.as_ref().is_ok_and(|scenario| is_own(scenario, network)));
        ensure!(!found.is_empty(), "no scenario is for {network} alone");
    }
    let mut out = std::io::stdout();
    if args.check {
        return check(&mut out, &found);
    }
    skoop::binary()?;
    let outturns = run_all(args, found)?;
    summary::table(&mut out, &outturns)?;
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&summary::json(&outturns))?;
        std::fs::write(path, text + "\n").with_context(|| format!("writing {}", path.display()))?;
    }
    Ok(summary::all_right(&outturns))
}

/// Runs them, each job one after another; what came of each is told as soon as it is known, and returned in their order.
fn run_all(args: &Args, found: Vec<ScenarioFile>) -> Result<Vec<Outturn>> {
    let waiting = Mutex::new(found.into_iter().enumerate());
    let done: Mutex<BTreeMap<usize, Outturn>> = Mutex::default();
    let next = || waiting.lock().unwrap_or_else(PoisonError::into_inner).next();
    let job = || -> Result<()> {
        let runner = Runner::new(args.keep);
        while let Some((place, found)) = next() {
            let outturn = runner.run(found);
            let mut done = done.lock().unwrap_or_else(PoisonError::into_inner);
            summary::line(&mut std::io::stdout(), &outturn)?;
            done.insert(place, outturn);
        }
        Ok(())
    };
    std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..args.jobs.max(1)).map(|_| scope.spawn(job)).collect();
        let ended = jobs
            .into_iter()
            .map(|job| job.join().unwrap_or_else(|_| bail!("a job panicked")));
        ended.collect::<Result<()>>()
    })?;
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    Ok(done.into_values().collect())
}

/// Says which of the files cannot be understood; none of them is run.
fn check(out: &mut impl Write, found: &[ScenarioFile]) -> Result<bool> {
    let mut bad = 0;
    for one in found {
        if let Err(error) = one.understood() {
            writeln!(out, "BROKEN  {}: {error:#}", one.name)?;
            bad += 1;
        }
    }
    writeln!(out, "{} scenarios read, {bad} broken", found.len())?;
    Ok(bad == 0)
}
