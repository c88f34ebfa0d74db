//! Scenarios on a real Kubernetes: which cluster, a fresh namespace for each scenario, and a cluster that is well again
//! before the next one.
//!
//! What a scenario says is read in `scenario`; what is run alike in a lab and on a cluster is in `process` and `skoop`.
pub mod audit;
pub mod call;
pub mod cilium_services;
pub mod cleared;
pub mod cluster;
pub mod ground;
pub mod settled;
pub mod stage;
pub mod traces;
pub mod well;
