//! Events as they happen: the filter by which a node reports them, the window in which it does, and the order in which they are
//! shown.
//!
//! It may use a conversation with helpers and the printer of events. It knows neither where helpers are nor a cluster's API.

pub mod event_order;
pub mod filter;
pub mod window;
