//! The short-lived privileged program that looks at one node: probes in the kernel, facts, and packets of its own.

/// Facts: state at a moment, read from the kernel and its tools.
pub mod facts;
/// The network namespaces of this machine.
pub mod namespaces;
/// One small blocking netlink client.
pub mod netlink;
/// Does something inside a network namespace.
pub mod netns;
/// What can be watched in the kernel: the registry of probes, and arming them.
pub mod probes;
/// The kernel-side programs as they were built.
pub mod programs;
