//! What is known of Kubernetes: how a cluster is reached, and what its API says.

pub mod connect;
pub mod ends;
#[cfg(test)]
pub mod fake;
mod find;
mod foreign;
mod gathered;
mod inventory;
pub mod list;
pub mod name;
mod near;
pub mod newcomers;
mod port;
mod read;
pub mod refused;
pub mod rights;
pub mod scope;
#[cfg(test)]
mod tests;
mod way;

pub use way::Via;
