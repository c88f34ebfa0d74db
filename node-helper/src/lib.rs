//! The short-lived privileged program that looks at one node: probes in the kernel, facts, and packets of its own, for
//! as long as its client speaks to it and not a moment longer.
//!
//! Each room uses only those below it: `system`; then `processes`, `identity` and `kernel`; then `probes`, `facts` and
//! `attempts`; then `servants`, `discovery`, `readings`, `capture`; and `conversation` at the top.
#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests make files of their own"))]

pub mod attempts;
pub mod capture;
pub mod conversation;
pub mod discovery;
pub mod facts;
pub mod identity;
pub mod kernel;
pub mod probes;
pub mod processes;
pub mod readers;
pub mod readings;
pub mod servants;
pub mod system;
