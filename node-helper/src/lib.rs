//! The short-lived privileged program that looks at one node: probes in the kernel, facts, and packets of its own.

/// What can be watched in the kernel: the registry of probes, and arming them.
pub mod probes;
/// The kernel-side programs as they were built.
pub mod programs;
