//! Events as they happen: what of a node's events is let through, by whose names they are told, and in which order they go.
//!
//! It may use a conversation with helpers and the printer of events. It knows neither where helpers are nor a cluster's API.

pub mod event_order;
pub mod filter;
pub mod window;
