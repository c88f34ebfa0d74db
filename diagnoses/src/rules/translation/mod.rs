//! Causes in services' translation, NAT and connection tracking, where one entry or one table alone proves them.
//!
//! What shows only together with other facts (a full table, lost entries, exhausted ports of a translator) is `compound/`.

pub mod conntrack_stale;
pub mod local_ports_exhausted;
