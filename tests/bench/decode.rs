//! How many events one core decodes, attributes and prints; taken by criterion in `node-helper/benches`.

use crate::figure::Figure;
use anyhow::{Context as _, Result};
use std::process::Command;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

/// Runs the criterion bench and reads its estimate.
pub fn take() -> Result<Vec<Figure>> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let status = Command::new(cargo)
        .current_dir(ROOT)
        .args([
            "bench",
            "-q",
            "-p",
            "node-helper",
            "--bench",
            "pump",
            "--",
            "--quick",
            "--noplot",
        ])
        .stdout(std::process::Stdio::null())
        .status()
        .context("run `cargo bench -p node-helper --bench pump`")?;
    anyhow::ensure!(status.success(), "`cargo bench -p node-helper --bench pump` failed");
    let path = format!("{ROOT}/target/criterion/decode_attribute_json/new/estimates.json");
    let estimates: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(&path).with_context(|| format!("read `{path}`"))?)?;
    let ns = estimates["median"]["point_estimate"]
        .as_f64()
        .context("find criterion's median")?;
    let benchmark: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(path.replace("estimates", "benchmark"))?)?;
    let events = benchmark["throughput"]["Elements"].as_f64().unwrap_or(1.0);
    Ok(vec![
        Figure::new(
            "events decoded, attributed and printed as JSON by one core",
            events / ns * 1e9,
            "events/s",
        )
        .at_least(300_000.0),
    ])
}
