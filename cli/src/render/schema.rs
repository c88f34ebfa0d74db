//! The JSON Schema of the report.

use model::report::{OneEndReport, Report};
use schemars::JsonSchema;

/// What `diagnose` answers: about a path between two ends, or about one end.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is asked for")]
#[expect(clippy::large_enum_variant, reason = "nobody makes one")]
enum Diagnosis {
    /// About a path.
    Path(Report),
    /// About one end.
    OneEnd(OneEndReport),
}

/// The schema of what `-o json` prints, as text.
#[must_use]
pub fn report_schema() -> String {
    let schema = schemars::schema_for!(Diagnosis);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
