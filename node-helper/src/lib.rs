//! The short-lived privileged program that looks at one node: probes in the kernel, facts, and packets of its own.

/// Facts: state at a moment, read from the kernel and its tools.
pub mod facts;
/// The network namespaces of this machine.
pub mod namespaces;
/// One small blocking netlink client.
pub mod netlink;
/// Does something inside a network namespace.
pub mod netns;
/// The kernel's description of its structures.
pub mod btf;
/// The maps that all programs share: the user's filter and the watched flows.
pub mod filter;
/// From an embedded ELF to attached programs.
pub mod load;
/// What can be watched in the kernel: the registry of probes, and arming them.
pub mod probes;
/// The kernel-side programs as they were built.
pub mod programs;
/// From the rings to the sink.
pub mod pump;
/// Names of kernel addresses.
pub mod symbols;
/// System calls that have no safe face.
pub mod sys;
/// Exact totals and losses.
pub mod totals;
/// From the kernel's record to an event that people read.
pub mod words;
