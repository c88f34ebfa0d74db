//! A report as one screen: the answer first, then what proves it, then what was looked at.

use super::paper::{INDENT, Ink, Paper, TextLine, TextPage, wrap, wrap_pieces};
use super::phrases;
use super::untrusted_text::name;
use model::attempt::{self, Attempt};
use model::missing::Missing;
use model::protocol::BpfCost;
use model::report::{Conclusion, Direction, Happened, Hop, Report, Severity, Verdict};

/// Missing things shown on one screen; `-o wide` shows all.
const MISSING_SHOWN: usize = 4;

/// A report on paper.
#[derive(Clone, Copy, Debug)]
pub struct Sheet {
    /// What it is written on.
    pub paper: Paper,
    /// With every hop, probe and missing thing.
    pub wide: bool,
}

impl Sheet {
    /// The report as lines.
    pub fn report(&self, report: &Report) -> TextPage {
        let mut sheet = self.headline(report);
        let (causes, others): (Vec<&Verdict>, Vec<&Verdict>) = report
            .verdicts
            .iter()
            .partition(|verdict| verdict.cause && verdict.severity != Severity::Info);
        for cause in &causes {
            sheet.blank();
            self.cause(cause, &report.headline, report.nodes.len() > 1, &mut sheet);
        }
        let others: Vec<String> = others.into_iter().map(aside).collect();
        sheet.append(self.block("besides", &others));
        if report.outcome == Conclusion::Inconclusive {
            sheet.append(self.missing(report));
        }
        // Of a fault only what it leaves intact is worth a line, and the headline of a healthy path has the first.
        let skip = usize::from(report.outcome == Conclusion::Healthy);
        sheet.append(self.block("proven", report.proven.get(skip..).unwrap_or_default()));
        let path = self.path(report);
        if path.is_empty() && !report.attempts.is_empty() {
            sheet.blank();
        }
        sheet.append(path);
        let attempts = attempts(&report.attempts, self.paper.width - INDENT);
        sheet.append(self.block("attempts", &attempts));
        if report.outcome != Conclusion::Inconclusive {
            sheet.append(self.missing(report));
        }
        sheet.append(self.block("looked", &self.looked(report)));
        sheet
    }

    /// What was looked at.
    pub fn looked(&self, report: &Report) -> Vec<String> {
        looked(report, self.wide)
    }

    /// A labelled part after an empty line; nothing when there is nothing to say.
    pub fn block(&self, label: &str, paragraphs: &[String]) -> TextPage {
        let lines = self.paper.labelled(label, paragraphs);
        if lines.is_empty() || matches!(label, "attempts" | "looked" | "proven" | "seen") {
            return lines;
        }
        let mut page = TextPage::new();
        page.blank();
        page.append(lines);
        page
    }

    /// The answer.
    pub fn headline(&self, report: &Report) -> TextPage {
        let (mark, ink) = match report.outcome {
            Conclusion::Healthy => ("✓", Ink::Good),
            Conclusion::Fault => ("✗", Ink::Bad),
            Conclusion::Inconclusive => ("?", Ink::Open),
        };
        // What goes on in a second line stands where neither a mark nor a label does: names in it cannot forge one.
        let lines = wrap(&report.headline, self.paper.width.saturating_sub(4));
        let line = |(index, text): (usize, &String)| match index {
            0 => TextLine::default().ink(ink, mark).plain(" ").ink(Ink::Strong, text),
            _ => TextLine::default().plain("    ").ink(Ink::Strong, text),
        };
        lines.iter().enumerate().map(line).collect()
    }

    /// A cause, what proves it, and what to do; under this headline, and of one of several nodes.
    pub fn cause(&self, verdict: &Verdict, headline: &str, several: bool, sheet: &mut TextPage) {
        let place = phrases::place(&verdict.place);
        let unsaid = |node: &&String| several && verdict.place.netns.as_ref() != Some(*node);
        let node = verdict.place.node.as_ref().filter(unsaid);
        let node = node.map_or_else(String::new, |node| format!(" (node {node})"));
        let separator = if place.is_empty() { "" } else { ", " };
        let mut what = vec![format!("{}{separator}{place}{node}", verdict.rule)];
        what.extend(verdict.place.rule.as_ref().map(phrases::rule));
        // The headline says the first one's sentence already.
        if !headline.contains(&verdict.says) {
            what.push(verdict.says.clone());
        }
        // The rule's own text stands above already.
        let shown = verdict.place.rule.as_ref().map_or("", |rule| rule.text.as_str());
        let repeats = |fact: &&String| !shown.is_empty() && fact.contains(shown);
        let proof: Vec<String> = verdict.because.iter().filter(|fact| !repeats(fact)).cloned().collect();
        let remedy = [verdict.remedy.clone()];
        let label = if verdict.severity == Severity::Warning {
            "warning"
        } else {
            "cause"
        };
        sheet.append(self.paper.labelled(label, &what));
        sheet.append(self.paper.labelled("because", &proof));
        if !verdict.remedy.is_empty() {
            sheet.append(self.paper.labelled("remedy", &remedy));
        }
    }

    /// What could not be seen.
    pub fn missing(&self, report: &Report) -> TextPage {
        let shown = if self.wide { report.missing.len() } else { MISSING_SHOWN };
        let mut lines: Vec<String> = report.missing.iter().take(shown).map(unseen).collect();
        if report.missing.len() > shown {
            lines.push(format!("and {} more (-o wide)", report.missing.len() - shown));
        }
        self.block("not seen", &lines)
    }

    fn path(&self, report: &Report) -> TextPage {
        let mut lines = Vec::new();
        let width = self.paper.width - INDENT;
        if self.wide {
            lines.extend(report.path.iter().map(|hop| {
                let at = format!("+{}", phrases::time(hop.at_ns));
                format!(
                    "{at:>9}  {:<16} {} ({} x {})",
                    name(&hop.netns),
                    name(&hop.says),
                    hop.packets,
                    hop.flow
                )
            }));
        } else {
            for PathLine {
                label,
                mut pieces,
                said,
            } in path_lines(report)
            {
                if let Some(piece) = pieces.first_mut() {
                    piece.insert_str(0, &label);
                }
                lines.extend(wrap_pieces(&pieces, " │ ", width));
                let indent = " ".repeat(label.len());
                for said in said {
                    let said = wrap(&said, width.saturating_sub(indent.len()));
                    lines.extend(said.iter().map(|line| format!("{indent}{line}")));
                }
            }
        }
        let mut page = TextPage::new();
        for (index, line) in lines.iter().enumerate() {
            if index == 0 {
                page.blank();
            }
            let head = format!("  {:<10}", if index == 0 { "path" } else { "" });
            page.line(marked(TextLine::default().ink(Ink::Quiet, &head), line));
        }
        page
    }
}

/// One way of the packets: there or back, by attempt and family.
#[derive(Debug)]
pub struct PathLine {
    /// Which way.
    pub label: String,
    /// A piece for each place, with its mark.
    pub pieces: Vec<String>,
    /// Translations and losses, each with its place.
    pub said: Vec<String>,
}

/// All ways, each in its pieces. Names are shown in plain letters.
pub fn path_lines(report: &Report) -> Vec<PathLine> {
    let is_ipv6 = |hop: &Hop| hop.flow.dst().is_ipv6();
    let both_families = report.path.iter().any(is_ipv6) && !report.path.iter().all(is_ipv6);
    let line = |trail: &[Hop]| PathLine {
        label: way(trail, both_families),
        pieces: pieces(trail, &report.attempts)
            .into_iter()
            .chain(never_reached(trail, report))
            .collect(),
        said: translations(trail, &report.attempts),
    };
    trails(&report.path).map(line).collect()
}

/// Our marks in their colours; no name holds one (see [`name`]).
fn marked(line: TextLine, text: &str) -> TextLine {
    text.split_inclusive(['✗', '✓']).fold(line, |line, piece| {
        let (ink, mark) = if piece.ends_with('✗') {
            (Ink::Bad, "✗")
        } else {
            (Ink::Good, "✓")
        };
        match piece.strip_suffix(mark) {
            Some(before) => line.plain(before).ink(ink, mark),
            None => line.plain(piece),
        }
    })
}

/// A symptom, or something worth knowing, in one paragraph.
pub fn aside(verdict: &Verdict) -> String {
    let kind = match verdict.severity {
        Severity::Info => "",
        _ if verdict.cause => "",
        _ => " (follows from it)",
    };
    let remedy = if verdict.severity == Severity::Info && !verdict.remedy.is_empty() {
        format!("; {}", verdict.remedy)
    } else {
        String::new()
    };
    format!("{}{kind}: {}{remedy}", verdict.rule, verdict.says)
}

fn unseen(missing: &Missing) -> String {
    format!("{}: {}", missing.what, missing.reason())
}

/// Hops of one packet each way, in the order given.
fn trails(path: &[Hop]) -> impl Iterator<Item = &[Hop]> {
    path.chunk_by(|one, next| one.attempt == next.attempt && one.direction == next.direction)
}

/// Which way a trail goes, and over which family where both were tried; all labels of a path are of one length.
fn way(trail: &[Hop], both_families: bool) -> String {
    let answer = trail.first().is_some_and(|hop| hop.direction == Direction::Answer);
    let over = match trail.first() {
        Some(hop) if both_families && hop.flow.dst().is_ipv6() => ", IPv6",
        Some(_) if both_families => ", IPv4",
        _ => "",
    };
    if answer {
        format!("back{over}:  ")
    } else {
        format!("there{over}: ")
    }
}

/// One piece for each namespace on the way, with the interfaces there and how it ended.
fn pieces(trail: &[Hop], attempts: &[Attempt]) -> Vec<String> {
    let mut pieces: Vec<String> = Vec::new();
    let mut at: Option<(&str, &str)> = None;
    let vanished = |hop: &Hop| {
        let ends = matches!(
            hop.happened,
            Happened::Dropped | Happened::NoSocket | Happened::LastSeen
        );
        ends && !came_back(hop, attempts)
    };
    // A line has one mark, at the farthest place where packets were lost; each place has a line of its own below.
    let farthest = trail.iter().rposition(vanished);
    for (index, hop) in trail.iter().enumerate() {
        let interface = hop.interface.as_deref().unwrap_or_default();
        let shown = name(interface);
        match at {
            Some((netns, last)) if netns == hop.netns => {
                if last != interface
                    && !interface.is_empty()
                    && let Some(piece) = pieces.last_mut()
                {
                    *piece += &format!(" ─ {shown}");
                }
            }
            _ => pieces.push(format!("{} {shown}", name(&hop.netns)).trim_end().to_owned()),
        }
        let end = match hop.happened {
            _ if vanished(hop) && farthest != Some(index) => "",
            _ if came_back(hop, attempts) => "",
            Happened::Dropped => " ✗",
            Happened::NoSocket => " ✗ no socket",
            Happened::Delivered => " ✓",
            Happened::LastSeen => " ✗ last seen here",
            Happened::Sent | Happened::Left | Happened::Arrived => "",
        };
        if let Some(piece) = pieces.last_mut()
            && !piece.ends_with(end)
        {
            *piece += end;
        }
        let kept = if interface.is_empty() {
            at.map_or("", |(_, last)| last)
        } else {
            interface
        };
        at = Some((&hop.netns, kept));
    }
    pieces
}

/// The answer was not lost here, although its packet was freed: the asker got it. TCP reads a refusal where no probe sees it,
/// and a copy of an echo reply goes to a socket that does not exist.
fn came_back(hop: &Hop, attempts: &[Attempt]) -> bool {
    let attempt = attempts.iter().find(|attempt| attempt.id == hop.attempt);
    let Some(attempt) = attempt.filter(|_| hop.direction == Direction::Answer) else {
        return false;
    };
    let ended = matches!(attempt.outcome, attempt::Outcome::Ok | attempt::Outcome::Error { .. });
    // Where a connection was made, the first answers came all the way.
    let came = ended || attempt.connected_ns.is_some() || attempt.first_answer_ns.is_some();
    match hop.happened {
        Happened::NoSocket => ended,
        Happened::LastSeen => came,
        _ => false,
    }
}

/// The far end, where the packets were dropped before it.
fn never_reached(trail: &[Hop], report: &Report) -> Option<String> {
    let last = trail.last()?;
    let end = report.destination.netns?;
    let request = last.direction == Direction::Request && last.happened == Happened::Dropped;
    let reached = trail.iter().any(|hop| hop.netns_id == end);
    (request && !reached).then(|| format!("{} never reached", name(&report.destination.name)))
}

/// Where addresses were translated, and what was dropped why.
fn translations(trail: &[Hop], attempts: &[Attempt]) -> Vec<String> {
    let mut lines = Vec::new();
    for hop in trail {
        if let Some(from) = hop.translated_from {
            let by = hop.translated_in.as_ref();
            let by = by.map_or_else(String::new, |by| format!(", in {}", name(by)));
            lines.push(format!("in {}: {from} became {}{by}", name(&hop.netns), hop.flow));
        }
        if matches!(hop.happened, Happened::Dropped | Happened::NoSocket) && !came_back(hop, attempts) {
            lines.push(format!(
                "✗ in {}: {} ({})",
                name(&hop.netns),
                name(&hop.says),
                phrases::count(u64::from(hop.packets), "packet")
            ));
        }
    }
    lines.dedup();
    lines
}

/// One line for the attempts that were the same and ended the same way.
pub fn attempts(attempts: &[Attempt], width: usize) -> Vec<String> {
    let mut groups: Vec<(String, Vec<&Attempt>)> = Vec::new();
    for attempt in attempts {
        let what = phrases::sending(attempt);
        let same = groups.iter_mut().find(|(other, members)| {
            *other == what && members.first().is_some_and(|first| first.outcome == attempt.outcome)
        });
        match same {
            Some((_, members)) => members.push(attempt),
            None => groups.push((what, vec![attempt])),
        }
    }
    let left: Vec<String> = groups
        .iter()
        .map(|(what, members)| format!("{} x {what}", members.len()))
        .collect();
    let column = left.iter().map(|text| text.chars().count()).max().unwrap_or_default();
    groups
        .iter()
        .zip(&left)
        .map(|((_, members), left)| {
            let met = phrases::met(members);
            if column + 3 + met.chars().count() <= width {
                format!("{left:<column$}   {met}")
            } else {
                format!("{left}: {met}")
            }
        })
        .collect()
}

/// Where it was looked, how long, and what it cost.
pub fn looked(report: &Report, wide: bool) -> Vec<String> {
    let nodes = &report.nodes;
    if nodes.is_empty() {
        let took = phrases::time(report.timing.total_ms * 1_000_000);
        return vec![format!("what the API says, and no node · {took} · nothing was sent")];
    }
    let mut kernels: Vec<&str> = nodes.iter().map(|node| node.kernel.as_str()).collect();
    kernels.retain(|kernel| !kernel.is_empty());
    kernels.dedup();
    if kernels.is_empty() {
        kernels.push("not known");
    }
    let events: u64 = nodes.iter().map(|node| node.events).sum();
    let lost: u64 = nodes
        .iter()
        .flat_map(|node| &node.lost)
        .map(|lost| lost.ring_full)
        .sum();
    let thinned: u64 = nodes
        .iter()
        .flat_map(|node| &node.lost)
        .map(|lost| lost.over_budget)
        .sum();
    let thinned = if thinned > 0 {
        format!(", {thinned} only counted")
    } else {
        String::new()
    };
    let missed = phrases::missed(nodes.iter().flat_map(|node| &node.lost));
    let missed = missed.map_or_else(String::new, |missed| format!(", {missed}"));
    let cost: Option<BpfCost> = nodes.iter().map(|node| node.bpf).sum();
    let cost = cost.map_or_else(|| "our eBPF time is not known".to_owned(), phrases::cost);
    let mut lines = vec![format!(
        "{} · kernel {} · {} · {}, {lost} lost{thinned}{missed} · {cost}",
        phrases::count(nodes.len() as u64, "node"),
        kernels.join(", "),
        phrases::time(report.timing.total_ms * 1_000_000),
        phrases::count(events, "event"),
    )];
    if wide {
        let timing = report.timing;
        lines.push(format!(
            "ends {} ms, facts {} ms, arming {} ms, window {} ms, facts again and verdict {} ms",
            timing.hello_ms, timing.facts_ms, timing.armed_ms, timing.window_ms, timing.verdict_ms
        ));
        for node in nodes {
            for probe in &node.probes {
                let state = match &probe.unsupported {
                    Some(missing) => format!("off: {}", missing.why),
                    None => probe.hooks.join(", "),
                };
                lines.push(format!("probe {} on {}: {state}", probe.name, node.name));
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::translations;
    use model::report::Hop;
    use serde_json::json;

    #[test]
    fn a_translation_is_told_with_its_place_and_in_connect_where_it_was_done_there() {
        let flow = |to: &str| json!({"src": "10.90.1.2", "sport": 40_000, "dst": to, "dport": 80, "protocol": "tcp"});
        let hop = |translated_in: Option<&str>| -> Hop {
            let hop = json!({
                "direction": "request", "attempt": 0, "node": "", "netns": "netns/a", "netns_id": 1, "happened": "left",
                "flow": flow("10.90.2.2"), "translated_from": flow("10.96.0.20"), "translated_in": translated_in,
                "at_ns": 0, "packets": 1, "says": "",
            });
            serde_json::from_value(hop).unwrap()
        };
        let told = translations(&[hop(None), hop(Some("connect()"))], &[]);
        let plain = "in netns/a: 10.90.1.2:40000 -> 10.96.0.20:80 tcp became 10.90.1.2:40000 -> 10.90.2.2:80 tcp";
        assert_eq!(told, [plain.to_owned(), format!("{plain}, in connect()")]);
    }
}
