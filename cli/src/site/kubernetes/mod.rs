//! A live cluster: a short-lived helper pod on each node that matters, spoken to by attach, and gone afterwards.
//!
//! Nothing stays, by layers: the client deletes on every way out; a helper ends when its input closes or its client is
//! silent; a Job has a deadline and a TTL; what earlier runs left is swept by its labels.

mod attach;
mod gone;
mod inject;
mod manifest;
mod options;
mod reason;
mod run;
mod start;
mod sweep;
mod watch;

pub use options::HelperOptions;
pub use run::Helpers;
pub use start::unfit;
pub use sweep::{Swept, sweep};
