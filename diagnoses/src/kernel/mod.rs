//! What the kernel would do, computed from facts: routing, netfilter, translation, the whole way of a packet.
//!
//! Models of the kernel belong here: pure functions of what a helper read, without a run, without attempts, without a judgement.
//! They use `model` and `words`. What cannot be told is an answer of its own here, never a guess. What was seen of watched
//! packets is `case/`, what it proves is `rules/`.

pub mod drops;
pub mod firewall;
pub mod interfaces;
pub mod route;
pub mod translate;
pub mod tunnel;
pub mod walk;
