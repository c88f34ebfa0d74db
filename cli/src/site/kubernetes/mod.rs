//! A live cluster: a short-lived helper pod on each node that matters, spoken to by attach, and gone afterwards.
//!
//! Nothing stays, by layers: the client deletes on every way out; a helper ends when its input closes or its client is
//! silent; a Job has a deadline and a TTL; what earlier runs left is swept by its labels.

mod attach;
mod gone;
pub mod image;
mod inject;
mod manifest;
mod options;
mod owned;
mod reason;
mod run;
mod start;
pub mod suggest;
mod sweep;
#[cfg(test)]
mod tests;
mod watch;

pub use options::{HelperOptions, NAME_IT, OWN_NAMESPACE};
pub use run::Helpers;
pub use start::{Unfit, unfit};
pub use sweep::{SWEPT_MAX, Swept, sweep};
