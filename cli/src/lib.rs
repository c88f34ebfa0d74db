//! `kubectl-skoop`: asks a helper on each node that matters, lets the rules judge, and prints the answer.

mod capture;
mod commands;
mod conversation;
mod evidence;
mod exit;
mod export;
mod inquiry;
mod interrupt;
mod kubernetes;
mod names;
mod numbers;
mod one_end;
mod private_file;
mod program;
mod recording;
mod render;
mod report;
mod site;
mod traffic_map;
mod typed;

pub use commands::{KUBECTL_COMPLETION, command, completion_script};
pub use conversation::reply_stream::ReplyStream;
pub use export::metric_names::{MetricName, MetricScale, of as metric_name, of_events as event_metric_name};
pub use program::{main, replay};
pub use recording::ended as ended_recording;
pub use render::schema::report_schema;

/// The report of evidence that was gathered elsewhere, as a recording or a test has it.
#[must_use]
pub fn report_of(evidence: model::evidence::Evidence) -> model::report::Report {
    report::of(evidence, model::report::Timing::default())
}

/// The page of HTML of a document that was printed as JSON, as a test has it: of a diagnosis or a map.
///
/// # Errors
///
/// Where it is neither.
pub fn page_of(document: &str) -> serde_json::Result<String> {
    render::page_of(document)
}
