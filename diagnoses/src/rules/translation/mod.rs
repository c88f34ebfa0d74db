//! Causes in services' translation and NAT, where one fact alone proves them.
//!
//! What shows only together with other facts (a full table, lost and old entries, exhausted ports of a translator) is `compound/`.

pub mod local_ports_exhausted;
