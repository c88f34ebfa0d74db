//! The short-lived privileged program that looks at one node: probes in the kernel, facts, and packets of its own, for
//! as long as its client speaks to it and not a moment longer.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files of their own"))]

pub mod armed;
pub mod armer;
pub mod attempts;
pub mod btf;
pub mod capabilities;
pub mod cgroups;
pub mod clock;
/// What our own programs cost the kernel.
pub mod cost;
/// DNS messages as a dialogue.
pub mod dialogue;
/// The one door to files.
pub mod door;
pub mod facts;
pub mod filter;
/// Constants of this kernel, written into programs.
pub mod fold;
pub mod host_sockets;
pub mod input;
pub mod islands;
pub mod load;
pub mod namespaces;
pub mod netlink;
pub mod netns;
pub mod owner;
pub mod owners;
/// Names for the places where events happen.
pub mod places;
pub mod privileges;
pub mod probe;
pub mod probes;
pub mod programs;
pub mod pump;
pub mod readers;
pub mod resolve;
pub mod seccomp;
pub mod servant;
pub mod session;
pub mod sockopt;
pub mod symbols;
pub mod sys;
pub mod totals;
pub mod usher;
pub mod window;
pub mod words;
pub mod writer;
