//! `kubectl-skoop`: asks a helper on each node that matters, lets the rules judge, and prints the answer.

mod commands;
mod exit;
mod gather;
mod interrupt;
mod look;
mod names;
mod plan;
mod program;
mod render;
mod session;
mod site;
mod target;
mod verdict;
mod window;

pub use program::{command, main};
pub use render::schema::report_schema;
