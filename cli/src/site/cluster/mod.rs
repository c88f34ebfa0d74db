//! A live cluster: a short-lived helper pod on each node that matters, reached by attach, and deleted afterwards.
//!
//! Nothing stays, for several reasons: the client deletes on every way out; a helper ends when its input closes or its client is
//! silent; a Job has a deadline and a TTL; what earlier runs left is deleted by its labels.
//!
//! It may use the calls of `kubernetes` and makes the links of a conversation. What is asked over them it does not know.

mod attached_pod;
mod helper_start;
pub mod helpers;
pub mod image;
pub mod injectable_images;
mod injection;
mod job_deletion;
mod leftover_jobs;
mod manifest;
mod node_fitness;
mod options;
mod pod_ownership;
mod pod_progress;
mod pod_watch;
mod run;
#[cfg(test)]
mod tests;

pub use helpers::Helpers;
pub use leftover_jobs::{LeftoverJob, SWEPT_MAX, sweep};
pub use node_fitness::{Unfit, unfit};
pub use options::{HEADING, HelperOptions, NAME_IT, OWN_NAMESPACE};
