//! Breaks something on this machine, lets kubectl-skoop find it, and checks that it did.
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use tests::lab::Lab;
use tests::{program, signals, topology};

const DIAGNOSE: &str = "diagnose pod-to-pod {a} {c}:80";
const BREAK: &str =
    "iptables-legacy -w -A FORWARD -d 10.90.2.2 -p tcp --dport 80 -m comment --comment 'lockdown 2024-11' -j DROP";

fn main() -> ExitCode {
    if let Some(code) = program::called() {
        return code;
    }
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    signals::take_down_labs()?;
    let mut out = std::io::stdout();
    let topology = topology::named("two-nodes").context("finding the topology")?;
    let lab = Lab::build(&topology)?;
    let mut server = lab.start("c", "http 80", Path::new("/"))?;
    server.ready(Duration::from_secs(10))?;
    lab.run("x", BREAK, Duration::from_secs(10))?;
    writeln!(
        out,
        "Two nodes, x and y, stand on this machine as network namespaces; pod a is on x, pod c on y and serves HTTP."
    )?;
    writeln!(out, "Then somebody ran this on node x:\n\n  {BREAK}\n")?;
    writeln!(out, "Why can a not reach c? Ask:\n")?;
    let command = lab.diagnosis(DIAGNOSE, "")?;
    writeln!(out, "  $ {command}\n")?;
    out.flush()?;
    let status = Command::new("/bin/sh")
        .args(["-c", &command])
        .stdin(Stdio::null())
        .status()
        .context("starting kubectl-skoop")?;
    ensure!(
        status.code() == Some(1),
        "a fault was to be found (exit code 1), and it ended with {status}"
    );
    let report = lab
        .diagnose(DIAGNOSE, Path::new("/"))?
        .report
        .context("asking again for the report as JSON")?;
    let cause = report.causes().next().map_or("no cause", |cause| cause.rule.as_str());
    ensure!(
        cause == "netfilter-drop",
        "the cause is netfilter-drop, and the report says {cause}"
    );
    writeln!(
        out,
        "\nThat is the truth: {cause}, by the rule above. The lab is taken down again."
    )?;
    Ok(())
}
