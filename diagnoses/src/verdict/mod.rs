//! What a verdict is made of: a claim with its proofs, and a remedy.
//!
//! Rules build findings here, and the judge ranks them. What a verdict says comes from the rules, how its words are made from
//! `words/`; nothing here reads evidence.

pub mod finding;
pub mod remedy;
