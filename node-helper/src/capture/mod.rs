//! What comes out of the kernel while probes are attached: records become events with names, DNS messages a dialogue, counters
//! exact totals; and what our own programs cost meanwhile.
//!
//! It uses `kernel`, `probes`, the armer and the usher of `servants`, and the names of `discovery`. It does not know who
//! listens: events go to a sink.

pub mod armed;
/// What our own programs cost the kernel.
pub mod cost;
pub mod decode;
/// DNS messages as a dialogue.
pub mod dns_dialogue;
pub mod pump;
pub mod symbols;
pub mod totals;
