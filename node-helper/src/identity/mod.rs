//! Who lives on this machine, as `/proc` tells it: network namespaces, cgroups, and the pod or container that a process or a
//! namespace belongs to.
//!
//! It uses `system` alone and enters no namespace: what takes a right to find out stands in `discovery`.

pub mod cgroups;
pub mod namespaces;
pub mod owner;
