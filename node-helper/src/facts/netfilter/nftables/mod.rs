//! `nf_tables`: read from the kernel by netlink (`dump`), decoded into tables of typed expressions, put into the form that
//! `nft -j list ruleset` prints, and from that form into rules that can be evaluated (`ruleset`).
//!
//! It knows nothing of iptables: what iptables-nft put into `nf_tables` is told apart in `iptables`.

mod attributes;
mod comparison;
pub mod datatypes;
pub mod decode;
pub mod dump;
mod elements;
pub mod expressions;
mod fields;
mod json;
pub mod json_objects;
mod keys;
mod matches;
pub mod program;
mod registers;
pub mod ruleset;
pub mod scope;
mod statements;
pub mod tables;
mod wording;

#[cfg(test)]
pub(super) mod kernel_tests;
#[cfg(test)]
mod ruleset_tests;
