//! diagnoses

/// What a namespace's routing would answer, from its facts.
pub mod route;
/// Address translation a packet may meet.
pub mod translate;
/// The way a packet should take, walked from facts.
pub mod walk;
