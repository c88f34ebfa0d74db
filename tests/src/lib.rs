//! The lab (namespaces shaped like Kubernetes nodes and pods), its built-in servers, and the scenario runner with its judge.
//!
//! A [`lab::Lab`] is built from a [`topology::Topology`], breaks are steps run inside its namespaces, a
//! [`scenario::Scenario`] says what must come out, and the [`judge`] compares it with the report.
pub mod builtin;
pub mod clocks;
pub mod enter;
pub mod judge;
pub mod kubernetes;
pub mod lab;
pub mod needs;
pub mod process;
pub mod program;
pub mod runner;
pub mod scenario;
pub mod signals;
pub mod skoop;
pub mod summary;
pub mod topology;
