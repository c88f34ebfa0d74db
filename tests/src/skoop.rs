//! The program under test: where it is, and one run of it inside a bound.
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::judge::PrintedReport;
use crate::process::LabProcess;

const WITHIN: Duration = Duration::from_mins(1);

/// What a run gave.
#[derive(Debug)]
pub struct SkoopRun {
    /// Its report, or why there is none.
    pub report: Result<PrintedReport>,
    /// All of what it printed, where that is a report.
    pub document: Value,
    /// Its exit code, when it ended by itself.
    pub exit_code: Option<i32>,
    /// How long it took.
    pub took: Duration,
    /// What it said on stderr.
    pub stderr: String,
    /// What its helpers said, where that was kept.
    pub recording: Option<PathBuf>,
}

/// `$SKOOP_BIN`, or `kubectl-skoop` beside this program.
pub fn binary() -> Result<PathBuf> {
    if let Some(path) = std::env::var_os("SKOOP_BIN") {
        let path = PathBuf::from(path);
        ensure!(path.is_file(), "SKOOP_BIN is {}, which is no file", path.display());
        return std::path::absolute(&path).context("finding SKOOP_BIN");
    }
    let own = std::env::current_exe().context("finding this program's own path")?;
    let beside = own.with_file_name("kubectl-skoop");
    if !beside.is_file() {
        bail!(
            "no kubectl-skoop beside {}: build it (`cargo build -p cli`), or set SKOOP_BIN",
            own.display()
        );
    }
    Ok(beside)
}

/// The directory of the helper, for scenarios that start it themselves: `$SKOOP_HELPER`'s, or kubectl-skoop's own when one
/// is beside it.
pub fn helper_directory() -> Option<PathBuf> {
    let helper = match std::env::var_os("SKOOP_HELPER") {
        Some(path) => std::path::absolute(path).ok()?,
        None => binary().ok()?.with_file_name("node-helper"),
    };
    helper
        .is_file()
        .then(|| helper.parent().map(Path::to_path_buf))
        .flatten()
}

/// The report of a recording that is replayed.
pub fn replay(recording: &Path, arguments: &str) -> Result<Value> {
    let line = format!(
        "{} {} -o json --replay {}",
        binary()?.display(),
        arguments.trim(),
        recording.display()
    );
    let output = Command::new("/bin/sh")
        .args(["-c", &line])
        .output()
        .context("replaying a recording")?;
    ensure!(
        !output.stdout.is_empty(),
        "a recording could not be replayed: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    serde_json::from_slice(&output.stdout).context("the replay of a recording printed no report")
}

/// One run of a shell command that prints a report, inside the bound; `start` starts it.
pub fn watched(command: &str, directory: &Path, start: impl FnOnce(&str) -> Result<LabProcess>) -> Result<SkoopRun> {
    let (out, err) = (directory.join("report"), directory.join("stderr"));
    let line = format!("{command} >{} 2>{}", out.display(), err.display());
    let started = Instant::now();
    let mut process = start(&line)?;
    let status = process.wait(WITHIN)?;
    let took = started.elapsed();
    drop(process);
    let read = |path: &Path| {
        std::fs::read(path)
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    };
    let stderr = read(&err).trim().to_owned();
    let printed = read(&out);
    let report = match status {
        None => Err(anyhow::anyhow!("it did not end within {} s", WITHIN.as_secs())),
        Some(_) => serde_json::from_str(&printed)
            .context("it printed no report")
            .context(stderr.clone()),
    };
    Ok(SkoopRun {
        report,
        document: serde_json::from_str(&printed).unwrap_or_default(),
        exit_code: status.and_then(|status| status.code()),
        took,
        stderr,
        recording: None,
    })
}
