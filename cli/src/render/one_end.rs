//! The report about one end as one screen: the outcome, the causes by what they cost with the conversations they explain, what
//! was seen to work, and what was looked at.

use super::paper::{Ink, TextLine, TextPage};
use super::phrases;
use super::table::Sheet;
use super::untrusted_text::name;
use diagnoses::conversations::{attempt_noun, traffic_words};
use model::report::{CausesReport, ConversationReport, OneEndReport, Report, Severity, Verdict};

/// Causes that are shown in full.
const IN_FULL: usize = 3;
/// Conversations of a cause that are shown.
const CONVERSATIONS_SHOWN: usize = 5;

impl Sheet {
    /// The report as lines; with `all`, every cause in full.
    pub fn one_end(&self, report: &OneEndReport, all: bool) -> TextPage {
        let common = common(report);
        let mut sheet = self.headline(&common);
        let is_cause = |verdict: &&Verdict| verdict.cause && verdict.severity != Severity::Info;
        let (causes, others): (Vec<&Verdict>, Vec<&Verdict>) = report.verdicts.iter().partition(is_cause);
        self.suffered(&causes, all, &common.headline, common.nodes.len() > 1, &mut sheet);
        let others: Vec<String> = others.into_iter().map(short).collect();
        sheet.append(self.block("besides", &others));
        sheet.append(self.missing(&common));
        sheet.blank();
        sheet.append(self.block("seen", &[worked(report)]));
        let mut looked = self.looked(&common);
        if let Some(first) = looked.first_mut().filter(|_| !report.nodes.is_empty()) {
            *first += " · nothing was sent";
        }
        sheet.append(self.block("looked", &looked));
        sheet
    }

    /// Causes with the conversations that suffer from each: all in full, or the first ones and of the others a line each.
    fn suffered(&self, causes: &[&Verdict], all: bool, headline: &str, several: bool, sheet: &mut TextPage) {
        let in_full = if all { causes.len() } else { IN_FULL };
        for cause in causes.iter().take(in_full) {
            sheet.blank();
            self.cause(cause, headline, several, sheet);
            sheet.append(self.paper.labelled("suffers", &conversations(cause, all)));
        }
        let further: Vec<String> = causes.iter().skip(in_full).map(|cause| short(cause)).collect();
        sheet.append(self.block("also", &further));
    }

    /// What a capture proved, if anything, and what it did not; on one of several nodes.
    pub fn causes(&self, report: &CausesReport, several: bool) -> TextPage {
        let mut sheet = TextPage::new();
        let causes: Vec<&Verdict> = report.verdicts.iter().collect();
        if !causes.is_empty() {
            let were = if causes.len() == 1 { "was" } else { "were" };
            let count = phrases::count(causes.len() as u64, "cause");
            sheet.blank();
            let line = TextLine::default().ink(Ink::Bad, "✗");
            sheet.line(line.ink(Ink::Strong, &format!(" {count} {were} proven by what was seen")));
            self.suffered(&causes, true, "", several, &mut sheet);
        }
        if let Some(worst) = report.unexplained.first() {
            let count = phrases::count(report.unexplained.len() as u64, "conversation");
            let line = format!(
                "{count} failed, and what was seen proves no cause: {}; `diagnose` follows them hop by hop",
                in_words(worst)
            );
            sheet.append(self.block("unproven", &[line]));
        }
        sheet
    }
}

/// The parts that both kinds of report have.
pub fn common(report: &OneEndReport) -> Report {
    Report {
        api_version: report.api_version.clone(),
        kind: report.kind.clone(),
        intent: report.intent,
        source: report.source.clone(),
        destination: model::endpoint::Endpoint::default(),
        outcome: report.outcome,
        headline: report.headline.clone(),
        verdicts: Vec::new(),
        proven: Vec::new(),
        path: Vec::new(),
        attempts: Vec::new(),
        missing: report.missing.clone(),
        nodes: report.nodes.clone(),
        timing: report.timing,
    }
}

/// What was seen to work.
pub fn worked(report: &OneEndReport) -> String {
    // What failed was traffic, too.
    let failed = report.verdicts.iter().any(|verdict| !verdict.conversations.is_empty());
    let none = if failed { "nothing that worked" } else { "no traffic" };
    traffic_words(&report.seen).unwrap_or_else(|| none.to_owned())
}

/// A cause in a line, with the conversation that suffers most.
fn short(verdict: &Verdict) -> String {
    let worst = verdict
        .conversations
        .first()
        .map_or_else(String::new, |worst| format!(" ({})", in_words(worst)));
    format!("{}: {}{worst}", verdict.rule, verdict.says)
}

fn conversations(verdict: &Verdict, all: bool) -> Vec<String> {
    let shown = if all {
        verdict.conversations.len()
    } else {
        CONVERSATIONS_SHOWN
    };
    let mut lines: Vec<String> = verdict.conversations.iter().take(shown).map(in_words).collect();
    let more = verdict.conversations.len().saturating_sub(shown);
    if more > 0 {
        lines.push(format!(
            "and {} (--all)",
            phrases::count(more as u64, "more conversation")
        ));
    }
    lines
}

/// A conversation and what it cost.
fn in_words(conversation: &ConversationReport) -> String {
    let ConversationReport {
        source,
        destination,
        port,
        protocol,
        tried,
        failed,
        lost,
        waited_ms,
    } = conversation;
    let noun = attempt_noun(conversation);
    let mut cost = vec![format!(
        "{failed} of {} failed",
        phrases::count(u64::from(*tried), noun)
    )];
    if *lost > 0 {
        cost.push(format!("{} lost", phrases::count(u64::from(*lost), "packet")));
    }
    if *waited_ms > 0 {
        cost.push(format!("{} waited", phrases::time(waited_ms * 1_000_000)));
    }
    format!(
        "{} -> {}:{port} {protocol}: {}",
        name(source),
        name(destination),
        cost.join(", ")
    )
}
