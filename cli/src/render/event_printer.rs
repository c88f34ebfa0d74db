//! A printer of events as they come, on standard output, with a summary at the end.

use super::capture_totals::CaptureTotals;
use super::event_lines::{EventLines, EventNames};
use super::paper::{Paper, TextPage};
use super::table::Sheet;
use anyhow::{Context as _, Result};
use model::event::Event;
use model::inventory::Pod;
use model::protocol::Hello;
use model::report::CausesReport;
use model::views::Latency;
use std::collections::BTreeSet;
use std::io::{BufWriter, Stdout, Write};
use std::time::{Duration, Instant};

/// A line is seen at most this much later than it was written.
const FLUSH_EVERY: Duration = Duration::from_millis(20);

/// How to print events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EventFormat {
    /// Aligned lines.
    #[default]
    Table,
    /// One JSON object per line.
    Json,
}

/// A printer of events.
#[derive(Debug)]
pub struct EventPrinter {
    out: BufWriter<Stdout>,
    flushed: Instant,
    format: EventFormat,
    paper: Paper,
    lines: EventLines,
    /// Events printed.
    pub printed: u64,
    /// Events that were of no consequence.
    pub left_out: u64,
    /// The nodes of those printed, where there are several.
    nodes: BTreeSet<String>,
}

impl EventPrinter {
    /// Prints to standard output what helpers see, with these names; the clock is that of the first of them.
    pub fn new(format: EventFormat, colour: super::Colour, known: EventNames, hello: &Hello) -> Self {
        let paper = super::paper(colour);
        Self {
            out: BufWriter::with_capacity(1 << 16, std::io::stdout()),
            flushed: Instant::now(),
            format,
            paper,
            lines: EventLines::new(paper, known, hello),
            printed: 0,
            left_out: 0,
            nodes: BTreeSet::new(),
        }
    }

    /// The names of the columns.
    pub fn head(&mut self) -> Result<()> {
        if self.format == EventFormat::Table {
            let head = self.lines.head();
            self.write(&head)?;
        }
        self.flush()
    }

    /// One event.
    pub fn event(&mut self, event: &Event) -> Result<()> {
        self.printed += 1;
        if !self.nodes.contains(&event.node) {
            self.nodes.insert(event.node.clone());
        }
        self.lines.learn(event);
        match self.format {
            EventFormat::Json => {
                let line = self.lines.json(event).context("writing an event as JSON")?;
                self.out
                    .write_all(line.as_bytes())
                    .context("writing to standard output")
            }
            EventFormat::Table => {
                let page = self.lines.event(event);
                self.write(&page)
            }
        }
    }

    fn write(&mut self, page: &TextPage) -> Result<()> {
        let text = self.paper.write(page);
        self.out
            .write_all(text.as_bytes())
            .context("writing to standard output")
    }

    /// Whether it is of a pod that has no name yet.
    pub fn is_strangers(&self, event: &Event) -> bool {
        !self.lines.knows_pod_of(event)
    }

    /// Pods that have come since.
    pub fn meet(&mut self, pods: &[Pod]) {
        self.lines.name_pods(pods);
    }

    /// One that is only counted.
    pub fn leave_out(&mut self, event: &Event) {
        self.left_out += 1;
        self.lines.learn(event);
    }

    /// Events of this node were printed.
    pub fn has_shown(&self, node: &str) -> bool {
        self.nodes.contains(node)
    }

    /// Shows what was written, now and then; called whenever there is time.
    pub fn show(&mut self) -> Result<()> {
        if self.flushed.elapsed() >= FLUSH_EVERY {
            self.flush()
        } else {
            Ok(())
        }
    }

    /// Shows what was written.
    pub fn flush(&mut self) -> Result<()> {
        self.flushed = Instant::now();
        self.out.flush().context("writing to standard output")
    }

    /// What was measured beside the events: a table to their reader, one more object where they are JSON.
    pub fn times(&mut self, times: &Latency) -> Result<()> {
        match self.format {
            EventFormat::Json => self.object(times),
            EventFormat::Table => {
                let mut page = TextPage::new();
                page.blank();
                self.write(&page)?;
                self.write(&super::latency::tables(times, self.paper))
            }
        }
    }

    /// What was proven by the way, on one of several nodes: text where there is something to say, always one more object where
    /// events are JSON.
    pub fn causes(&mut self, causes: &CausesReport, several: bool) -> Result<()> {
        match self.format {
            EventFormat::Json => self.object(causes),
            EventFormat::Table => {
                let sheet = Sheet {
                    paper: self.paper,
                    wide: false,
                };
                self.write(&sheet.causes(causes, several))
            }
        }
    }

    /// One more object where events are JSON.
    fn object(&mut self, object: &impl serde::Serialize) -> Result<()> {
        let line = super::json_line(object).context("writing what was seen as JSON")?;
        writeln!(self.out, "{line}").context("writing to standard output")
    }

    /// The summary: to the data's reader as text, beside it when the data is JSON.
    pub fn summary(&mut self, summary: &CaptureTotals<'_>) -> Result<()> {
        let page = summary.page(self.lines.netns());
        match self.format {
            EventFormat::Table => {
                self.write(&page)?;
                self.flush()
            }
            EventFormat::Json => {
                self.flush()?;
                super::notes(&page);
                Ok(())
            }
        }
    }
}
