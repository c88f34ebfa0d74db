//! Causes in ARP and ND: a next hop that does not answer, an entry that is stale, an address that two hosts bear.
//!
//! They read neighbour tables and solicitations. Whether the next hop is the right one is `routing/`.

pub mod address_conflict;
pub mod neighbour_stale;
pub mod neighbour_unreachable;
