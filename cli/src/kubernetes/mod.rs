//! What is known of Kubernetes: how a cluster is reached, and what its API says.

pub mod connect;
pub mod refused;
