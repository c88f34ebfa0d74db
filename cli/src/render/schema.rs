//! The JSON Schema of the report.

/// The schema of what `-o json` prints, as text.
#[must_use]
pub fn report_schema() -> String {
    let schema = schemars::schema_for!(model::report::Report);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
