//! The bottom: what is asked of the operating system, in one place each: files, clocks, netlink, socket options, and the
//! system calls that have no safe face.
//!
//! It uses no other room of this crate, and knows nothing of probes, facts or the client.

pub mod block_device;
pub mod bpf;
pub mod clock;
/// The one door to files.
pub mod door;
pub mod mapped;
pub mod netlink;
pub mod sockopt;
