//! How long a diagnosis takes, over the scenarios of the last `make scenarios` that do not watch for a time of their own.

use crate::figure::{Figure, quantile};
use anyhow::{Context as _, Result};

/// The middle and the slow end of `target/scenarios.json`.
pub fn take() -> Result<Vec<Figure>> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/scenarios.json");
    let text = std::fs::read_to_string(path).context("read target/scenarios.json; `make scenarios` writes it")?;
    let table: serde_json::Value = serde_json::from_str(&text).context("understand target/scenarios.json")?;
    let rows = table["scenarios"]
        .as_array()
        .context("find the scenarios in target/scenarios.json")?;
    let watches = |row: &serde_json::Value| row["name"].as_str().is_some_and(|name| name.starts_with("one-end/"));
    let ran = rows
        .iter()
        .filter(|row| !watches(row))
        .filter(|row| row["outcome"].is_string() && row["seconds"].as_f64().is_some_and(|seconds| seconds > 0.0));
    let seconds = |healthy: bool| -> Vec<f64> {
        ran.clone()
            .filter(|row| {
                !healthy
                    || row["expected"]
                        .as_str()
                        .is_some_and(|expected| expected.starts_with("healthy"))
            })
            .filter_map(|row| row["seconds"].as_f64())
            .collect()
    };
    let (all, healthy) = (seconds(false), seconds(true));
    Ok(vec![
        Figure::new(
            format!("wall time of diagnose, {} scenarios, p50", all.len()),
            quantile(&all, 0.5),
            "s",
        )
        .at_most(1.5),
        Figure::new("the same, p95", quantile(&all, 0.95), "s").at_most(3.0),
        Figure::new(
            format!("the same, {} healthy ones, p50", healthy.len()),
            quantile(&healthy, 0.5),
            "s",
        )
        .at_most(0.8),
    ])
}
