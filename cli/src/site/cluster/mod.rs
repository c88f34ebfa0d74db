//! A live cluster: a short-lived helper pod on each node that matters, spoken to by attach, and gone afterwards.
//!
//! Nothing stays, by layers: the client deletes on every way out; a helper ends when its input closes or its client is
//! silent; a Job has a deadline and a TTL; what earlier runs left is swept by its labels.

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
