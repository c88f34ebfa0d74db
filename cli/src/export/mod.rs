//! Numbers and events to where people keep them: what a reading comes to as metrics, one file for each sink, and the queue
//! between a run and its sinks, which are never waited for.
//!
//! It may use numbers made into places, the state of a conversation, and events as they are rendered. It knows neither where
//! helpers are nor a cluster's API, and prints nothing.

pub mod credentials;
mod elasticsearch;
mod event_places;
mod exported_event;
pub mod feed;
pub mod http_push;
mod json_lines;
mod kubeskoop_names;
pub mod lines_file;
mod loki;
mod metric_histogram;
pub mod metric_names;
mod metric_set;
mod metrics_protobuf;
mod openmetrics_file;
mod openmetrics_text;
mod otlp;
mod place_labels;
mod prometheus_server;
mod remote_write;
mod sink_queue;
mod sink_runner;
pub mod sinks;
mod stdout_lines;
