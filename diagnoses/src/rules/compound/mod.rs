//! Causes made of several facts, each of which alone would be another rule's verdict: a limiter that shows as drops, a return
//! route that is missing, a service that is not programmed.
//!
//! They stand above the layers they are made of, so that the whole is named and not its parts. What one fact of one layer proves
//! belongs into that layer's folder.

pub mod conntrack_full;
pub mod conntrack_lost;
pub mod conntrack_stale;
pub mod dns_misconfigured;
pub mod dns_search_captures_name;
pub mod hairpin_broken;
pub mod nat_ports_exhausted;
pub mod no_return_route;
pub mod packet_loss;
pub mod path_mtu_blackhole;
pub mod rate_limited;
pub mod reply_bypasses_nat;
pub mod service_not_programmed;
pub mod service_rules_stale;
pub mod transparent_proxy_broken;
