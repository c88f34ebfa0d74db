//! What a capture saw in all, under its last event: totals by cause, and what was lost or left out. Pure.

use super::event_lines::NetnsNames;
use super::paper::{Ink, TextLine, TextPage, columns};
use super::untrusted_text::{CELL, shown};
use model::evidence::NodeEvidence;
use model::numbers;
use model::protocol::BpfCost;
use std::time::Duration;

/// What a capture saw in all.
#[derive(Debug)]
pub struct CaptureTotals<'a> {
    /// What each node brought: exact totals from the kernel, what was lost on the way here, the cost of our own eBPF.
    pub nodes: &'a [NodeEvidence],
    /// Those of them that did not report their totals and losses.
    pub without_totals: &'a [&'a str],
    /// Events printed.
    pub printed: u64,
    /// Events that were of no consequence.
    pub left_out: u64,
    /// How long it looked.
    pub took: Duration,
    /// Times were measured, too: what of them was not is told with them.
    pub measured_times: bool,
    /// The events printed happened on several kernels, each of which counts time by a clock of its own.
    pub several_clocks: bool,
}

impl CaptureTotals<'_> {
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
        let of_events = lost().filter(|lost| !numbers::measures_times(&lost.probe));
        let uncounted: u64 = of_events.map(|lost| lost.uncounted).sum();
        let mut lacks = Vec::new();
        if uncounted > 0 {
            let events = super::phrases::count(uncounted, "event");
            lacks.push(format!("{events} of other causes did not fit into the totals"));
        }
        lacks.extend(super::phrases::missed(lost()));
        lacks.extend(super::phrases::nested(lost()));
        match self.without_totals {
            [] => {}
            nodes if several => lacks.push(format!("the totals of {} are not known", nodes.join(", "))),
            _ => lacks.push("the totals are not known".to_owned()),
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
        match (rows.is_empty(), self.without_totals) {
            (false, _) => page.line(line.ink(Ink::Strong, &format!("Totals by cause, {head}"))),
            (true, []) if self.measured_times && lacks.is_empty() => {}
            (true, []) => page.line(line.plain(&nothing)),
            (true, _) => page.line(line.plain("The totals are not known.")),
        }
        let widest = rows.iter().map(|(_, what, _)| columns(what)).max().unwrap_or_default();
        for (count, what, place) in &rows {
            let row = format!("  {count:>8}  {what:<widest$}  in {place}");
            page.line(TextLine::default().plain(row.trim_end()));
        }
        let ring: u64 = lost().map(|lost| lost.ring_full).sum();
        let ring = match self.without_totals {
            [] => format!("{ring} lost"),
            nodes if several => format!("{ring} lost, not known for {}", nodes.join(", ")),
            _ => "how many were lost is not known".to_owned(),
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
