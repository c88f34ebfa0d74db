//! The short-lived privileged program that looks at one node: probes in the kernel, facts, and packets of its own, for
//! as long as its client speaks to it and not a moment longer.

/// Packets of our own.
pub mod attempts;
/// The kernel's description of its structures.
pub mod btf;
/// Which capabilities this process has.
pub mod capabilities;
/// The kernel's clocks.
pub mod clock;
/// Facts: state at a moment, read from the kernel and its tools.
pub mod facts;
/// The maps that all programs share: the user's filter and the watched flows.
pub mod filter;
/// What reaches the session.
pub mod input;
/// From an embedded ELF to attached programs.
pub mod load;
/// The network namespaces of this machine.
pub mod namespaces;
/// One small blocking netlink client.
pub mod netlink;
/// Does something inside a network namespace.
pub mod netns;
/// To whom a process or a namespace belongs.
pub mod owner;
/// What can be watched in the kernel: the registry of probes, and arming them.
pub mod probes;
/// The kernel-side programs as they were built.
pub mod programs;
/// From the rings to the sink.
pub mod pump;
/// What an endpoint is.
pub mod resolve;
/// The conversation with the client.
pub mod session;
/// Names of kernel addresses.
pub mod symbols;
/// System calls that have no safe face.
pub mod sys;
/// Exact totals and losses.
pub mod totals;
/// Windows: from `Plan` and `Arm` over `Go` to `Stop`.
pub mod window;
/// From the kernel's record to an event that people read.
pub mod words;
/// The one writer of numbered lines.
pub mod writer;
