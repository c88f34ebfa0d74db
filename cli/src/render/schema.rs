//! The JSON Schema of all documents that are printed.

use model::report::{CausesReport, OneEndReport, Report};
use model::traffic_map::TrafficMap;
use model::views::{Compare, Inspect, Latency, Top};
use schemars::JsonSchema;

/// What `diagnose` answers, about a path between two ends or about one end, and what `top`, `inspect`, `compare`, `latency`
/// and `map` show; of `capture` its last line.
#[derive(JsonSchema)]
#[schemars(untagged)]
#[expect(dead_code, reason = "only its shape is asked for")]
#[expect(clippy::large_enum_variant, reason = "nobody makes one")]
enum SkoopDocument {
    /// About a path.
    Path(Report),
    /// About one end.
    OneEnd(OneEndReport),
    /// What a capture proved.
    Causes(CausesReport),
    /// Who suffers.
    Top(Top),
    /// All numbers of some places.
    Inspect(Inspect),
    /// What is different between two places.
    Compare(Compare),
    /// Where time passes.
    Latency(Latency),
    /// Who talks to whom.
    Map(TrafficMap),
}

/// The schema of what `-o json` prints, as text.
#[must_use]
pub fn report_schema() -> String {
    let schema = schemars::schema_for!(SkoopDocument);
    serde_json::to_string_pretty(&schema).unwrap_or_default() + "\n"
}
