//! Events as JSON, for who keeps them elsewhere than on a screen.

use super::event_lines::{EventLines, EventNames};
use super::paper::Paper;
use anyhow::{Context as _, Result};
use model::event::Event;
use model::inventory::Pod;
use model::protocol::Hello;

/// Writes events as `capture -o json` prints them.
#[derive(Debug)]
pub struct EventJson {
    lines: EventLines,
}

impl EventJson {
    /// With these names.
    pub fn new(known: EventNames, hello: &Hello) -> Self {
        let paper = Paper {
            colour: false,
            width: usize::MAX,
        };
        Self {
            lines: EventLines::new(paper, known, hello),
        }
    }

    /// One JSON object, without the line's end.
    pub fn line(&self, event: &Event) -> Result<String> {
        let mut line = self.lines.json(event).context("writing an event as JSON")?;
        line.truncate(line.trim_end().len());
        Ok(line)
    }

    /// Whether it is of a pod that has no name yet.
    pub fn is_strangers(&self, event: &Event) -> bool {
        !self.lines.knows_pod_of(event)
    }

    /// Pods that have come since.
    pub fn meet(&mut self, pods: &[Pod]) {
        self.lines.name_pods(pods);
    }
}
