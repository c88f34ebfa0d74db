//! Scenarios on a real Kubernetes: which cluster, a fresh namespace for each scenario, and a cluster that is well again
//! before the next one.
pub mod audit;
pub mod call;
pub mod cleared;
pub mod cluster;
pub mod ground;
pub mod settled;
pub mod stage;
pub mod traces;
pub mod well;
