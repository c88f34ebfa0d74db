//! From a question to the evidence that the rules judge: both ends completed by the helpers, the facts of every network
//! namespace on the way, and the window in which attempts are sent and watched.
//!
//! It may use a conversation with helpers and what is asked of them. It knows neither where helpers are nor a cluster's API.

mod attempt_window;
pub mod both_ends;
pub mod flow_forms;
pub mod gathering;
mod later_attempts;
mod passive_connections;
pub mod path_facts;
mod translated_target;
mod tunnel_way;
