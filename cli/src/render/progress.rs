//! The line on a terminal that shows what goes on, when it takes longer than a second.

use super::untrusted_text::{CELL, shown};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

/// Nobody wants to read about less.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// One line on stderr.
#[derive(Debug)]
pub struct ProgressLine {
    bar: ProgressBar,
    started: Instant,
    shown: bool,
    stage: &'static str,
    /// What goes on at each node, in the order in which they first came up.
    nodes: Vec<(String, String)>,
}

impl ProgressLine {
    /// Nothing shown yet.
    pub fn new() -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg} ({elapsed})") {
            bar.set_style(style);
        }
        Self {
            bar,
            started: Instant::now(),
            shown: false,
            stage: "",
            nodes: Vec::new(),
        }
    }

    /// What is done now.
    pub fn stage(&mut self, what: &'static str) {
        self.stage = what;
        self.nodes.clear();
        self.update_message();
    }

    /// What goes on at one node meanwhile.
    pub fn node(&mut self, name: &str, what: String) {
        match self.nodes.iter_mut().find(|(known, _)| known == name) {
            Some((_, stage)) => *stage = what,
            None => self.nodes.push((name.to_owned(), what)),
        }
        self.update_message();
    }

    fn update_message(&self) {
        let nodes: Vec<String> = self
            .nodes
            .iter()
            .map(|(name, what)| format!("{name}: {what}"))
            .collect();
        let message = if nodes.is_empty() {
            self.stage.to_owned()
        } else {
            format!("{}: {}", self.stage, nodes.join(", "))
        };
        self.bar.set_message(shown(&message, CELL));
    }

    /// Draws it anew; called while waiting.
    pub fn redraw(&mut self) {
        if !self.shown && self.started.elapsed() >= WORTH_TELLING && std::io::stderr().is_terminal() {
            self.bar.set_draw_target(ProgressDrawTarget::stderr());
            self.shown = true;
        }
        if self.shown {
            self.bar.tick();
        }
    }

    /// Leaves the terminal as it was.
    pub fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

impl Drop for ProgressLine {
    fn drop(&mut self) {
        self.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::ProgressLine;
    use model::letter::is_plain;

    #[test]
    fn what_a_node_says_stays_in_its_line() {
        let mut line = ProgressLine::new();
        line.stage("waiting");
        line.node("n1\u{1b}[2J", "pulling\n✓ all is well\u{202e}".to_owned());
        let message = line.bar.message();
        assert!(message.chars().all(is_plain), "{message:?}");
        assert!(message.starts_with("waiting: n1"), "{message:?}");
    }
}
