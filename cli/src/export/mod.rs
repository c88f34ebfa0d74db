//! Numbers and events to where people keep them: what a reading comes to as metrics, one file for each sink, and the queue
//! between a run and its sinks, which are never waited for.
//!
//! It may use numbers made into places, the state of a conversation, and events as they are rendered. It knows neither where
//! helpers are nor a cluster's API, and prints nothing.

mod metric_names;
pub mod metric_set;
mod openmetrics_file;
mod openmetrics_text;
mod sink_queue;
mod sink_runner;
pub mod sinks;
