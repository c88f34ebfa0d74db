//! Causes in what a namespace's routing decides: no route, one that refuses, forwarding that is off, a source that is rejected,
//! a packet that goes round.
//!
//! They read routes, policy rules and sysctls through `kernel/route`. A route that is missing only for the answers, which shows
//! as something else, is `compound/`.

pub mod forwarding_disabled;
pub mod martian_source;
pub mod no_route;
pub mod reverse_path_filtered;
pub mod route_rejects;
pub mod routing_loop;
pub mod ttl_too_small;
