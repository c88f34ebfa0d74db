//! Events as they come: aligned lines that can be read while they scroll, or one JSON object a line; a summary at the end.

use super::event_phrases::{self, AddressNames};
use super::paper::{Ink, Paper, TextLine, TextPage, columns, wrap};
use super::untrusted_text::{self, CELL, shown};
use anyhow::{Context as _, Result};
use model::event::{Event, Seen};
use model::evidence::NodeEvidence;
use model::inventory::Pod;
use model::owner::Owner;
use model::protocol::{BpfCost, Hello};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufWriter, Stdout, Write};
use std::time::{Duration, Instant};

/// A line is seen at most this much later than it was written.
const FLUSH_EVERY: Duration = Duration::from_millis(20);
/// Columns of the time and of the word, and the space between columns.
const TIME: usize = 12;
const WHAT: usize = 10;
const GAP: usize = 2;
/// Columns that places and flows have at first, and at most; they grow with what comes.
const fn place_columns(width: usize) -> (usize, usize) {
    (if width < 104 { width / 4 } else { 26 }, width / 3)
}
const fn flow_columns(width: usize) -> (usize, usize) {
    (if width < 120 { width * 3 / 10 } else { 36 }, width / 2)
}

/// How to print events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum EventFormat {
    /// Aligned lines.
    #[default]
    Table,
    /// One JSON object a line.
    Json,
}

/// Names of namespaces, by node and inode.
pub type NetnsNames = BTreeMap<(String, u32), String>;

/// Names that are known before the first event.
#[derive(Clone, Debug, Default)]
pub struct EventNames {
    /// Of addresses.
    pub addresses: AddressNames,
    /// Of namespaces.
    pub netns: NetnsNames,
    /// Of pods, by UID.
    pub pods: event_phrases::PodNamesByUid,
    /// The nodes, where there are several.
    pub nodes: Vec<String>,
}

/// An event with the names of the cluster's objects that it is about.
#[derive(serde::Serialize)]
struct Named<'a> {
    #[serde(flatten)]
    event: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_name: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_name: Option<&'a String>,
}

/// A printer of events.
#[derive(Debug)]
pub struct EventPrinter {
    out: BufWriter<Stdout>,
    flushed: Instant,
    format: EventFormat,
    lines: EventLines,
    /// Events printed.
    pub printed: u64,
    /// Events that were of no consequence.
    pub left_out: u64,
    /// The nodes of those printed, where there are several.
    nodes: BTreeSet<String>,
}

/// What the lines of a stream share.
#[derive(Debug)]
pub(super) struct EventLines {
    paper: Paper,
    names: AddressNames,
    /// Names of namespaces, by node and inode; the node is empty where there is one.
    netns: NetnsNames,
    /// Names of pods, by UID.
    pods: event_phrases::PodNamesByUid,
    /// Columns of the nodes' names; 0 where there is one node.
    node: usize,
    /// Nanoseconds since midnight UTC at `CLOCK_MONOTONIC` zero.
    midnight_ns: i128,
    place: usize,
    flow: usize,
}

impl EventPrinter {
    /// Prints to standard output what helpers see, with these names; the clock is that of the first of them.
    pub fn new(format: EventFormat, colour: super::Colour, known: EventNames, hello: &Hello) -> Self {
        let paper = super::paper(colour);
        Self {
            out: BufWriter::with_capacity(1 << 16, std::io::stdout()),
            flushed: Instant::now(),
            format,
            lines: EventLines {
                paper,
                names: known.addresses,
                netns: known.netns,
                pods: known.pods,
                node: known
                    .nodes
                    .iter()
                    .map(|name| columns(name).max("NODE".len()))
                    .max()
                    .unwrap_or_default(),
                midnight_ns: i128::from(hello.wall_ns) - i128::from(hello.monotonic_ns),
                place: place_columns(paper.width).0,
                flow: flow_columns(paper.width).0,
            },
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
        let text = self.lines.paper.write(page);
        self.out
            .write_all(text.as_bytes())
            .context("writing to standard output")
    }

    /// Whether it is of a pod that has no name yet.
    pub fn is_strangers(&self, event: &Event) -> bool {
        matches!(&event.owner, Owner::Pod { uid, .. } if !self.lines.pods.contains_key(uid))
    }

    /// Pods that have come since.
    pub fn meet(&mut self, pods: &[Pod]) {
        for pod in pods {
            let names = event_phrases::PodNames::of(pod);
            if !pod.host_network && pod.phase == "Running" {
                let addresses = pod.addresses.iter().map(|address| (*address, names.name.clone()));
                self.lines.names.extend(addresses);
            }
            self.lines.pods.insert(pod.uid.clone(), names);
        }
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

    /// The summary: to the data's reader as text, beside it when the data is JSON.
    pub fn summary(&mut self, summary: &CaptureSummary<'_>) -> Result<()> {
        let page = summary.page(&self.lines.netns);
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

impl EventLines {
    /// What namespaces are called, for the summary: it has their inodes only.
    fn learn(&mut self, event: &Event) {
        let place = (event.node.clone(), event.netns);
        if self.netns.contains_key(&place) {
            return;
        }
        let whose = event_phrases::OwnerNames {
            netns: &self.netns,
            pods: &self.pods,
        };
        if let Some(name) = event_phrases::netns(event, &whose) {
            self.netns.insert(place, name);
        }
    }

    pub(super) fn event(&mut self, event: &Event) -> TextPage {
        let ink = match event.seen {
            Seen::Drop { .. }
            | Seen::NeighbourFailed { .. }
            | Seen::DnsUnanswered { .. }
            | Seen::ReceiveBufferFull { .. } => Ink::Bad,
            Seen::ResetSent { .. }
            | Seen::ResetReceived { .. }
            | Seen::SocketError { .. }
            | Seen::Retransmit { .. } => Ink::Open,
            _ => Ink::Quiet,
        };
        let whose = event_phrases::OwnerNames {
            netns: &self.netns,
            pods: &self.pods,
        };
        let (place, flow) = (
            event_phrases::place(event, &whose),
            event_phrases::flow(event, &self.names),
        );
        let row = self.row(
            &self.clock(event.at_ns),
            &event.node,
            &place,
            event_phrases::what(&event.seen),
            &flow,
            &event_phrases::why(event),
        );
        row.page(Some(ink))
    }

    fn head(&mut self) -> TextPage {
        let row = self.row("TIME (UTC)", "NODE", "PLACE", "WHAT", "FLOW", "WHY");
        let lines = [row.before + &row.what + &row.behind].into_iter().chain(row.below);
        lines
            .map(|line| TextLine::default().ink(Ink::Strong, line.trim_end()))
            .collect()
    }

    /// One line, or two where it does not fit: then the reason goes below, and nothing is broken inside an address.
    fn row(&mut self, time: &str, node: &str, place: &str, what: &str, flow: &str, why: &str) -> Row {
        let [node, place, flow, why] = [node, place, flow, why].map(|text| shown(text, CELL));
        let width = self.paper.width;
        self.place = self.place.max(columns(&place).min(place_columns(width).1));
        let node = match self.node {
            0 => String::new(),
            width => format!("{node:<width$}  "),
        };
        let before = format!("{time:<TIME$}  {node}{place:<width$}  ", width = self.place);
        let head = columns(&before) + columns(&format!("{what:<WHAT$}")) + GAP;
        let mut row = Row {
            before,
            what: what.to_owned(),
            behind: String::new(),
            below: Vec::new(),
        };
        let gap = " ".repeat(WHAT.saturating_sub(columns(what)) + GAP);
        // A column grows for a flow that then fits into one line; others stand alone and take no space from the rest.
        if head + columns(&flow) + GAP + columns(&why) <= width {
            self.flow = self.flow.max(columns(&flow).min(flow_columns(width).1));
        }
        // One long flow does not have to cost a line: without its padding it may fit.
        let aligned = format!("{gap}{flow:<width$}  {why}", width = self.flow);
        let tight = format!("{}  {why}", format!("{gap}{flow}").trim_end());
        for behind in [aligned.trim_end(), &tight] {
            if columns(&row.before) + columns(what) + columns(behind) <= width {
                behind.clone_into(&mut row.behind);
                return row;
            }
        }
        let below = |text: &str| wrap(text, width.saturating_sub(TIME + GAP));
        if head + columns(&flow) <= width {
            row.behind = gap + &flow;
        } else {
            row.below = below(&flow);
        }
        row.below.extend(below(&why));
        row
    }

    pub(super) fn json(&self, event: &Event) -> serde_json::Result<String> {
        Ok(untrusted_text::json(&serde_json::to_string(&self.named(event))?) + "\n")
    }

    fn named<'a>(&'a self, event: &'a Event) -> Named<'a> {
        let (pod, container) = match &event.owner {
            Owner::Pod { uid, container } => (self.pods.get(uid), container.as_deref()),
            _ => (None, None),
        };
        Named {
            event,
            pod: pod.map(|pod| &pod.name),
            container: pod.and_then(|pod| pod.container(container)),
            src_name: self.names.get(&event.flow.src()),
            dst_name: self.names.get(&event.flow.dst()),
        }
    }

    /// The time of day, UTC.
    fn clock(&self, at_ns: u64) -> String {
        let ms = (self.midnight_ns + i128::from(at_ns)).max(0) / 1_000_000;
        let (s, ms) = (ms / 1000 % 86_400, ms % 1000);
        format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
    }
}

/// A row of the table: its word is coloured after the columns were measured.
struct Row {
    before: String,
    what: String,
    behind: String,
    /// What did not fit, each on a line of its own.
    below: Vec<String>,
}

impl Row {
    fn page(self, ink: Option<Ink>) -> TextPage {
        let first = TextLine::default().plain(&self.before);
        let first = match ink {
            Some(ink) => first.ink(ink, &self.what),
            None => first.plain(&self.what),
        };
        let indent = " ".repeat(TIME + GAP);
        let below = self.below.iter();
        let below = below.map(|line| TextLine::default().plain(&indent).plain(line));
        core::iter::once(first.plain(&self.behind)).chain(below).collect()
    }
}

/// What a capture saw in all.
#[derive(Debug)]
pub struct CaptureSummary<'a> {
    /// What each node brought: exact totals from the kernel, what was lost on the way here, the cost of our own eBPF.
    pub nodes: &'a [NodeEvidence],
    /// Those of them that did not tell their totals and losses.
    pub without_totals: &'a [&'a str],
    /// Events printed.
    pub printed: u64,
    /// Events that were of no consequence.
    pub left_out: u64,
    /// How long it looked.
    pub took: Duration,
    /// The events printed happened on several kernels, each of which counts time by a clock of its own.
    pub several_clocks: bool,
}

impl CaptureSummary<'_> {
    pub(super) fn page(&self, netns: &NetnsNames) -> TextPage {
        let mut rows: Vec<(u64, String, String)> = Vec::new();
        let several = self.nodes.len() > 1;
        let totals = self
            .nodes
            .iter()
            .flat_map(|node| node.totals.iter().map(move |total| (node, total)));
        for (node, total) in totals.filter(|(_, total)| total.count > 0) {
            let labels: Vec<String> = total
                .labels
                .iter()
                .map(|(name, value)| format!("{name} {value}"))
                .collect();
            let labels = if labels.is_empty() {
                String::new()
            } else {
                format!(" ({})", labels.join(", "))
            };
            let what = shown(&format!("{}{labels}", total.what), CELL);
            let name = if several { node.name.clone() } else { String::new() };
            let on = if several { format!(" on {name}") } else { String::new() };
            let place = netns
                .get(&(name, total.netns))
                .map_or_else(|| format!("netns:{}{on}", total.netns), |known| format!("{known}{on}"));
            let place = shown(&place, CELL);
            match rows.iter_mut().find(|(_, other, at)| *other == what && *at == place) {
                Some((count, ..)) => *count += total.count,
                None => rows.push((total.count, what, place)),
            }
        }
        rows.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| one.1.cmp(&other.1)));
        let lost = || self.nodes.iter().flat_map(|node| &node.lost);
        let uncounted: u64 = lost().map(|lost| lost.uncounted).sum();
        let mut lacks = Vec::new();
        if uncounted > 0 {
            let events = super::phrases::count(uncounted, "event");
            lacks.push(format!("{events} of further kinds found no room"));
        }
        lacks.extend(super::phrases::missed(self.nodes.iter().flat_map(|node| &node.lost)));
        match self.without_totals {
            [] => {}
            nodes if several => lacks.push(format!("the totals of {} were not told", nodes.join(", "))),
            _ => lacks.push("the totals were not told".to_owned()),
        }
        let (head, nothing) = if lacks.is_empty() {
            ("exact:".to_owned(), "Nothing was seen.".to_owned())
        } else {
            let lacks = lacks.join("; ");
            (
                format!("at least ({lacks}):"),
                format!("Nothing was seen, but not all was looked at: {lacks}."),
            )
        };
        let mut page = TextPage::new();
        page.blank();
        let line = TextLine::default();
        page.line(match (rows.is_empty(), self.without_totals) {
            (false, _) => line.ink(Ink::Strong, &format!("Totals by cause, {head}")),
            (true, []) => line.plain(&nothing),
            (true, _) => line.plain("The totals were not told."),
        });
        let widest = rows.iter().map(|(_, what, _)| columns(what)).max().unwrap_or_default();
        for (count, what, place) in &rows {
            let row = format!("  {count:>8}  {what:<widest$}  in {place}");
            page.line(TextLine::default().plain(row.trim_end()));
        }
        let ring: u64 = lost().map(|lost| lost.ring_full).sum();
        let ring = match self.without_totals {
            [] => format!("{ring} lost"),
            nodes if several => format!("{ring} lost, and not told by {}", nodes.join(", ")),
            _ => "what was lost was not told".to_owned(),
        };
        let thinned: u64 = lost().map(|lost| lost.over_budget).sum();
        let thinned = if thinned > 0 {
            format!(", {thinned} only counted")
        } else {
            String::new()
        };
        let bpf: Option<BpfCost> = self.nodes.iter().map(|node| node.bpf).sum();
        let bpf = bpf.map_or_else(String::new, |cost| format!(" · {}", super::phrases::cost(cost)));
        let left_out = match self.left_out {
            0 => String::new(),
            count => format!(
                ", {} of no consequence left out (--all-drops)",
                super::phrases::count(count, "drop")
            ),
        };
        let line = format!(
            "{} shown{left_out}, {ring}{thinned} · {}{bpf}",
            super::phrases::count(self.printed, "event"),
            super::phrases::time(self.took.as_nanos() as u64)
        );
        page.line(TextLine::default().ink(Ink::Quiet, &line));
        if self.several_clocks {
            let order = "Events of different nodes are ordered by the nodes' own clocks, which may differ.";
            page.line(TextLine::default().ink(Ink::Quiet, order));
        }
        page
    }
}

#[cfg(test)]
impl EventLines {
    /// Without any name, since midnight.
    pub(super) fn sample(width: usize) -> Self {
        Self {
            paper: Paper { colour: false, width },
            names: AddressNames::new(),
            netns: BTreeMap::new(),
            pods: BTreeMap::new(),
            node: 0,
            midnight_ns: 0,
            place: place_columns(width).0,
            flow: flow_columns(width).0,
        }
    }

    /// With these names.
    pub(super) fn name(
        &mut self,
        addresses: impl IntoIterator<Item = (std::net::IpAddr, String)>,
        pods: impl IntoIterator<Item = (String, event_phrases::PodNames)>,
    ) {
        self.node = 4;
        self.names.extend(addresses);
        self.pods.extend(pods);
    }
}

#[cfg(test)]
mod tests {
    use super::{EventLines, Paper, columns};

    #[test]
    fn a_row_that_does_not_fit_breaks_between_columns_and_never_in_an_address() {
        let flow = "[fd90:1:1:1:1:1:1:2]:41234 -> [fd90:2:2:2:2:2:2:2]:80 tcp SYN";
        let row = EventLines::sample(72).row(
            "12:03:07.412",
            "",
            "netns/x up0",
            "drop",
            flow,
            "NETFILTER_DROP nft_do_chain",
        );
        let row = Paper {
            colour: false,
            width: 72,
        }
        .write(&row.page(None));
        assert!(row.lines().all(|line| columns(line) <= 72), "{row}");
        for address in ["[fd90:1:1:1:1:1:1:2]:41234", "[fd90:2:2:2:2:2:2:2]:80"] {
            assert!(row.lines().any(|line| line.contains(address)), "{row}");
        }
    }

    #[test]
    fn the_time_of_day_is_that_of_the_node() {
        let mut lines = EventLines::sample(120);
        lines.midnight_ns = 20_000 * 86_400_000_000_000 + 43_200_000_000_000;
        assert_eq!(lines.clock(187_412_000_000), "12:03:07.412");
    }
}
