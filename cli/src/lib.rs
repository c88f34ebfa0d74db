//! `kubectl-skoop`: asks a helper on each node that matters, lets the rules judge, and prints the answer.

mod bounds;
mod commands;
pub mod completion;
mod elsewhere;
mod ends;
mod exit;
mod gather;
mod in_order;
mod inquiry;
mod interrupt;
mod kernels;
mod kubernetes;
pub mod lines;
pub mod look;
mod names;
mod passive;
mod plan;
mod private;
mod program;
mod render;
mod report;
mod session;
mod site;
mod target;
mod walk;
mod wanted;
mod watch;
pub mod weight;
mod window;

pub use program::{command, main, replay};
pub use render::schema::report_schema;
pub use site::ended_recording;

/// The report of evidence that was gathered elsewhere, as a recording or a test has it.
#[must_use]
pub fn report_of(evidence: model::evidence::Evidence) -> model::report::Report {
    report::of(evidence, model::report::Timing::default())
}
