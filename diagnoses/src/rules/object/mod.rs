//! Causes that the cluster's API alone proves: a pod that does not run, a service without endpoints, a node that is not ready.
//!
//! They need no packet to be proven, and read what `kubernetes/` and `case/services.rs` say of the objects. What only shows in
//! packets or in a node's kernel does not belong here, even where an object is to be changed for it (see `policy/`).

pub mod endpoint_dead;
pub mod node_not_ready;
pub mod pod_not_running;
pub mod service_not_found;
pub mod service_port_mismatch;
pub mod service_without_endpoints;
