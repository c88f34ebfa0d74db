//! Causes in services' translation and NAT, where one fact alone proves them.
//!
//! What shows only together with other facts (a full table, lost and old entries, exhausted ports of a translator) is `compound/`.

pub mod local_ports_exhausted;
pub mod node_port_not_served_here;
pub mod tuple_still_open;
