//! What a cluster's API says: how the cluster is reached, which objects the names of a question stand for, and what the user
//! may do there.
//!
//! It may use what is asked (`inquiry`). It reads and starts nothing: helpers are started by `site`.

pub mod agent_pods;
pub mod calls;
pub mod capture_scope;
mod chosen_port;
pub mod cluster;
pub mod conversation_ends;
mod ends_inventory;
#[cfg(test)]
pub mod fake_server;
pub mod list;
mod map_objects;
mod named_object;
pub mod new_pods;
pub mod one_end;
pub mod other_policies;
mod plain_objects;
pub mod refusal;
pub mod resolved_ends;
mod resource;
pub mod rights;
mod service_backends;
mod similar_names;
#[cfg(test)]
mod tests;
