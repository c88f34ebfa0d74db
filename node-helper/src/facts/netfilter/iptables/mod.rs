//! iptables: its rules as the kernel has them (tables of iptables-legacy as one block, those of iptables-nft as expressions of
//! `nf_tables`), told in iptables' own words, and what those words mean.
//!
//! It reads the expressions of `nftables`, whose JSON it does not know.

mod clause;
pub mod compat;
pub mod legacy;
mod matches;
#[cfg(test)]
mod quoting;
#[cfg(test)]
pub mod save;
pub mod xt;
