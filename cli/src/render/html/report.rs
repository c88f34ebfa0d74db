//! A diagnosis as a page: the answer, each cause with its proof and its remedy, the path as a picture, and the evidence folded.

use super::{HtmlPage, escaped, not_seen, paragraph, path, section, table};
use crate::render::numbers_parts::amount;
use crate::render::one_end::{common, worked};
use crate::render::phrases;
use crate::render::table::{aside, attempts, looked};
use model::report::{Conclusion, ConversationReport, OneEndReport, Report, Severity, Verdict};

const STYLE: &str = "
.cause { border: 1px solid var(--line); border-left: 5px solid var(--bad); border-radius: 6px; padding: 4px 16px 10px; margin: 14px 0; }
.cause.warning { border-left-color: var(--open); }
.cause h2 { margin: 8px 0 2px; }
";

/// Columns of an attempt's line before it is broken: a browser breaks it by itself.
const UNBROKEN: usize = 10_000;

/// The page of a diagnosis between two ends.
pub fn report(report: &Report) -> String {
    let others: Vec<String> = asides(&report.verdicts);
    let skip = usize::from(report.outcome == Conclusion::Healthy);
    let mut body = headline(report);
    body += &causes(&report.verdicts, report);
    body += &path::picture(report);
    body += &section("Besides", &others);
    body += &section("Proven", report.proven.get(skip..).unwrap_or_default());
    body += &section("Attempts", &attempts(&report.attempts, UNBROKEN));
    body += &not_seen(&report.missing);
    body += &evidence(report);
    written(report, body)
}

/// The page of a diagnosis of one end.
pub fn one_end(report: &OneEndReport) -> String {
    let common = common(report);
    let mut body = headline(&common);
    body += &causes(&report.verdicts, &common);
    body += &section("Besides", &asides(&report.verdicts));
    body += &section("Seen to work", &[worked(report)]);
    body += &not_seen(&report.missing);
    body += &evidence(&common);
    written(&common, body)
}

fn written(report: &Report, body: String) -> String {
    HtmlPage {
        title: report.headline.clone(),
        styles: &[STYLE, path::STYLE],
        body,
        ..HtmlPage::default()
    }
    .write()
}

fn headline(report: &Report) -> String {
    let (class, mark) = match report.outcome {
        Conclusion::Healthy => ("good", "✓"),
        Conclusion::Fault => ("bad", "✗"),
        Conclusion::Inconclusive => ("open", "?"),
    };
    format!(
        "<h1><span class=\"{class}\">{mark}</span> {}</h1>\n",
        paragraph(&report.headline)
    )
}

fn is_cause(verdict: &Verdict) -> bool {
    verdict.cause && verdict.severity != Severity::Info
}

fn asides(verdicts: &[Verdict]) -> Vec<String> {
    verdicts
        .iter()
        .filter(|verdict| !is_cause(verdict))
        .map(aside)
        .collect()
}

fn causes(verdicts: &[Verdict], report: &Report) -> String {
    verdicts
        .iter()
        .filter(|verdict| is_cause(verdict))
        .map(|verdict| cause(verdict, report))
        .collect()
}

fn cause(verdict: &Verdict, report: &Report) -> String {
    let class = if verdict.severity == Severity::Warning {
        "cause warning"
    } else {
        "cause"
    };
    let place = phrases::place(&verdict.place);
    let unsaid = |node: &&String| report.nodes.len() > 1 && verdict.place.netns.as_ref() != Some(*node);
    let node = verdict.place.node.as_ref().filter(unsaid);
    let node = node.map_or_else(String::new, |node| format!(" (node {node})"));
    let rule = verdict.place.rule.as_ref().map_or_else(String::new, |rule| {
        format!("<pre>{}</pre>\n", paragraph(&phrases::rule(rule)))
    });
    let remedy = if verdict.remedy.is_empty() {
        String::new()
    } else {
        format!(
            "<p><strong>Remedy</strong></p>\n<pre>{}</pre>\n",
            paragraph(&verdict.remedy)
        )
    };
    format!(
        "<section class=\"{class}\">\n<h2>{}</h2>\n<p class=\"quiet\"><code>{}</code> {}</p>\n{rule}<p><strong>Because</strong></p>\n{}{}{remedy}</section>\n",
        paragraph(&verdict.says),
        escaped(&verdict.rule),
        escaped(&format!("{place}{node}")),
        super::list(&verdict.because),
        conversations(&verdict.conversations),
    )
}

fn conversations(all: &[ConversationReport]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let rows: Vec<(bool, Vec<String>)> = all
        .iter()
        .map(|one| {
            let waited = match one.waited_ms {
                0 => String::new(),
                ms => phrases::time(ms * 1_000_000),
            };
            let cells = vec![
                escaped(&one.source),
                escaped(&one.destination),
                escaped(&format!("{}/{}", one.port, one.protocol)),
                one.tried.to_string(),
                one.failed.to_string(),
                amount(u64::from(one.lost)),
                waited,
            ];
            (one.failed > 0, cells)
        })
        .collect();
    format!(
        "<p><strong>Suffers</strong></p>\n{}",
        table(
            &["client", "server", "port", "tried", "failed", "lost", "waited"],
            3,
            &rows
        )
    )
}

/// What was looked at, folded: each hop, each probe, and what took how long.
fn evidence(report: &Report) -> String {
    let hops: Vec<(bool, Vec<String>)> = report
        .path
        .iter()
        .map(|hop| {
            let cells = vec![
                escaped(&hop.netns),
                escaped(hop.interface.as_deref().unwrap_or_default()),
                escaped(&hop.says),
                escaped(&hop.flow.to_string()),
                hop.packets.to_string(),
                format!("+{}", phrases::time(hop.at_ns)),
            ];
            (matches!(hop.happened, model::report::Happened::Dropped), cells)
        })
        .collect();
    let hops = if hops.is_empty() {
        String::new()
    } else {
        table(&["place", "interface", "what", "packet", "packets", "at"], 4, &hops)
    };
    format!(
        "<details>\n<summary>What was looked at</summary>\n{}{hops}</details>\n",
        super::list(&looked(report, true))
    )
}
