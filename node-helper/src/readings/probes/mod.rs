//! The probes that read, one file each; `tcp.rs` and `sock.rs` hold those that read the same files.
//!
//! Each uses what `facts` reads already, at one place, and says numbers of `model::numbers` by their names. None knows another, nor
//! when it is called, nor who listens.

pub mod conntrack;
pub mod cpu;
pub mod fd;
pub mod holders;
pub mod io;
pub mod netdev;
pub mod peers;
pub mod process;
pub mod qdisc;
pub mod sock;
pub mod softnet;
pub mod tcp;
pub mod tcpsummary;
