//! Numbers over time made into answers: whose they are, what they come to in a view's columns, and what of them hurts. Pure.
//!
//! It may use the model, names of the inventory, and the state of the conversation; it neither asks nor prints.

pub mod comparison;
pub mod counterparts;
pub mod distribution;
pub mod holders;
pub mod hurts;
pub mod inspection;
pub mod latency;
pub mod parts;
pub mod place;
pub mod slowest_stage;
pub mod top;
pub mod views;

pub use place::{NumbersPlace, PlaceNames};
