//! Grafana dashboards of what `export` gives to Prometheus and Loki, generated from the table of numbers and checked in beside
//! this crate, so that who imports them need not run anything.
//!
//! `UPDATE=1 cargo test -p dashboards` writes them anew.

mod boards;
mod document;
pub mod panel;
mod promql;

pub use boards::BOARDS;
