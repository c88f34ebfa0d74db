//! Causes by which it works badly: loss, delay, order, size, load.
//!
//! They read counters, times and sizes over a whole run. What makes it fail outright belongs into the layer that fails.

pub mod bandwidth_limited;
pub mod checksum_broken;
pub mod mtu_mismatch;
pub mod node_overloaded;
pub mod packet_reordering;
pub mod path_slow;
