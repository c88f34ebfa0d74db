//! The JSON Schema of the report is the one checked in, and reports are as it says.

use model::evidence::Evidence;
use std::path::Path;

const CHECKED_IN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/report.schema.json");

#[test]
fn the_checked_in_schema_is_the_one_that_is_printed() {
    let printed = cli::report_schema();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(Path::new(CHECKED_IN), &printed).unwrap();
    }
    let there = std::fs::read_to_string(CHECKED_IN).unwrap_or_default();
    assert!(
        there == printed,
        "docs/report.schema.json is outdated: run `UPDATE=1 cargo test -p cli --test schema`"
    );
}

#[test]
fn a_report_is_as_the_schema_says() {
    let schema = serde_json::from_str(&cli::report_schema()).unwrap();
    let schema = jsonschema::validator_for(&schema).unwrap();
    let report = cli::report_of(Evidence::default());
    let report = serde_json::to_value(report).unwrap();
    let wrong: Vec<String> = schema.iter_errors(&report).map(|error| error.to_string()).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
    let mut other = report;
    other["outcome"] = "splendid".into();
    assert!(!schema.is_valid(&other), "the schema says nothing");
}
