//! The sink `stdout`: JSON lines for the program behind the pipe.

use super::json_lines::lines;
use super::sink_queue::SinkBatch;
use super::sink_runner::{DeliveryError, ExportSink};
use crate::render::{is_broken_pipe, script};

/// Standard output.
#[derive(Debug)]
pub struct StdoutLines;

impl ExportSink for StdoutLines {
    async fn deliver(&mut self, batch: &SinkBatch) -> Result<u64, DeliveryError> {
        let text = lines(batch).map_err(|error| DeliveryError::lasting(format!("writing JSON failed: {error}")))?;
        // A reader that is slow blocks this alone.
        let written = tokio::task::spawn_blocking(move || script(&text)).await;
        match written {
            Ok(Ok(())) => Ok(0),
            Ok(Err(error)) if is_broken_pipe(&error) => Err(DeliveryError::over()),
            Ok(Err(error)) => Err(DeliveryError::lasting(format!("{error:#}"))),
            Err(error) => Err(DeliveryError::lasting(format!(
                "writing to standard output failed: {error}"
            ))),
        }
    }
}
