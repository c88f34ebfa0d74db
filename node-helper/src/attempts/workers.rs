//! The session's side of the processes that send.

use crate::input::Input;
use crate::writer::Writer;
use model::attempt::{AttemptSpec, WatchedFlow};
use model::missing::Missing;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// The processes of one plan.
pub struct Workers;

impl Workers {
    /// Reserves.
    pub fn plan(
        _id: u32,
        attempts: &[AttemptSpec],
        _writer: &Arc<Writer>,
        _tell: &SyncSender<Input>,
    ) -> (Self, Vec<WatchedFlow>, Vec<Missing>) {
        let missing = attempts
            .iter()
            .map(|spec| Missing::new(format!("attempt {}", spec.id), "this build sends nothing yet"))
            .collect();
        (Self, Vec::new(), missing)
    }

    /// What is watched.
    pub fn flows(&self) -> &[WatchedFlow] {
        &[]
    }

    /// Starts.
    pub fn go(&mut self, _at_ns: u64) {}

    /// Acknowledges.
    pub fn watched(&mut self, _flow: &WatchedFlow) {}

    /// Ends.
    pub fn stop(&mut self) {}
}
