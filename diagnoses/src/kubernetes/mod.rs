//! What Kubernetes would do, by its API's own definitions: label selectors, network policies.
//!
//! Models of the API belong here: pure functions of its objects. They use `model` alone. What the objects mean for the attempts of
//! a run is `case/`.

pub mod policy;
pub mod selector;
