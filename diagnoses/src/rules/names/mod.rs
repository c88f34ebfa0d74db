//! Causes in name resolution: what the lookups of a run met, and what was seen of their answers.
//!
//! They read `case/lookups.rs`, and are asked only where a question is about a name. A fault below DNS (a route, a firewall) is
//! that layer's, and what is said here becomes its symptom.

pub mod dns_answer_lost;
pub mod dns_name_not_found;
pub mod dns_search_amplification;
pub mod dns_server_error;
pub mod dns_server_unreachable;
pub mod dns_tcp_blocked;
pub mod dns_upstream_slow;
