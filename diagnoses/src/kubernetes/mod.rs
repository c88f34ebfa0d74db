//! What Kubernetes would do and what its objects are, by its API's own definitions: label selectors, network policies, pods. And the
//! agents that carry it out on nodes: what in a kernel's tables is theirs.
//!
//! Models of the API belong here: pure functions of its objects, and of the ends and namespaces of a run. They use `model` alone.
//! What the objects mean for the attempts of a run is `case/`.

pub mod agents;
pub mod pods;
pub mod policy;
pub mod policy_chains;
pub mod selector;
