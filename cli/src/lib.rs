//! `kubectl-skoop`: asks a helper on each node that matters, lets the rules judge, and prints the answer.

mod commands;
mod ends;
mod exit;
mod gather;
mod interrupt;
mod look;
mod names;
mod plan;
mod program;
mod render;
mod report;
mod session;
mod site;
mod target;
mod walk;
mod watch;
mod window;

pub use program::{command, main};
pub use render::schema::report_schema;
