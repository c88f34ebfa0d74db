//! Lists and explanations: probes and rules.

use super::paper::{Ink, Paper, TextLine, TextPage, wrap};
use anyhow::{Context as _, Result};
use model::numbers;
use model::predecessor::{PREDECESSOR_PROBES, PredecessorProbe};
use model::protocol::{Hello, ProbeStatus};
use model::series::{SeriesKind, Unit};

/// How to print a list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ListFormat {
    /// For reading.
    #[default]
    Table,
    /// As JSON.
    Json,
    /// As YAML.
    Yaml,
}

/// The probes of a node.
pub fn probes(hello: &Hello, format: ListFormat, paper: Paper) -> Result<String> {
    match format {
        ListFormat::Json => super::json(&hello.probes).context("writing the probes as JSON"),
        ListFormat::Yaml => super::yaml(&hello.probes).context("writing the probes as YAML"),
        ListFormat::Table => {
            let mut page = TextPage::new();
            let head = format!("Probes on {}, kernel {} ({}):", hello.node, hello.kernel, hello.arch);
            page.line(TextLine::default().plain(&head));
            for (heading, reads) in [
                ("Events, as they happen", false),
                ("Numbers, read again and again", true),
            ] {
                page.blank();
                page.line(TextLine::default().ink(Ink::Strong, heading));
                page.append(of_kind(hello, reads, paper));
            }
            page.append(by_predecessors_names(paper));
            Ok(paper.write(&page))
        }
    }
}

/// The predecessor's probes that have another name here, or are not here.
fn by_predecessors_names(paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    page.blank();
    page.line(TextLine::default().ink(
        Ink::Strong,
        "By the names that KubeSkoop, the predecessor, had for them",
    ));
    page.blank();
    let renamed = PREDECESSOR_PROBES.iter().filter(|probe| !probe.has_same_name());
    let rows: Vec<(&str, String)> = renamed.map(|probe| (probe.name(), became(probe))).collect();
    page.append(two_columns(&rows, paper));
    page
}

/// Names, and a text beside each.
fn two_columns(rows: &[(&str, String)], paper: Paper) -> TextPage {
    let column = rows.iter().map(|(name, _)| name.len()).max().unwrap_or_default() + 2;
    let mut page = TextPage::new();
    for (name, text) in rows {
        for (index, line) in wrap(text, paper.width.saturating_sub(column)).iter().enumerate() {
            let name = format!("{:<column$}", if index == 0 { name } else { "" });
            page.line(TextLine::default().ink(Ink::Strong, &name).plain(line));
        }
    }
    page
}

/// What became of a probe: which one it is here, or why it is none.
fn became(probe: &PredecessorProbe) -> String {
    match probe.ours {
        [] => probe.says.to_owned(),
        ours => format!("{}: {}", ours.join(", "), probe.says),
    }
}

/// What became of a probe of the predecessor.
pub fn predecessor(probe: &PredecessorProbe, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    page.line(TextLine::default().ink(Ink::Strong, probe.name()));
    page.blank();
    page.append(paper.labelled("is", &["a probe of KubeSkoop, the predecessor".to_owned()]));
    page.append(paper.labelled("here", &[became(probe)]));
    page.blank();
    page
}

/// The probes that read, or those that report.
fn of_kind(hello: &Hello, reads: bool, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    for probe in hello.probes.iter().filter(|probe| probe.reads == reads) {
        let (mark, ink) = if probe.unsupported.is_some() {
            ("✗", Ink::Bad)
        } else {
            ("✓", Ink::Good)
        };
        page.blank();
        page.line(
            TextLine::default()
                .ink(ink, mark)
                .plain(" ")
                .ink(Ink::Strong, &probe.name),
        );
        page.append(details(probe, paper));
    }
    page
}

fn details(probe: &ProbeStatus, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    let mut say = |label: &str, what: &str| {
        if !what.is_empty() {
            page.append(paper.labelled(label, &[what.to_owned()]));
        }
    };
    say("sees", &probe.about);
    say("costs", &probe.cost);
    say(if probe.reads { "reads" } else { "hooks" }, &probe.hooks.join(", "));
    if let Some(missing) = &probe.unsupported {
        say("cannot run", &missing.reason());
    }
    say("lacks", &probe.lacks.join(", "));
    page
}

/// The rules, each with its first sentence.
pub fn rules(rules: &[(&str, String)], format: ListFormat, paper: Paper) -> Result<String> {
    let listed = || {
        rules
            .iter()
            .map(|(id, summary)| serde_json::json!({"id": id, "summary": summary}))
            .collect::<Vec<_>>()
    };
    match format {
        ListFormat::Json => super::json(&listed()).context("writing the rules as JSON"),
        ListFormat::Yaml => super::yaml(&listed()).context("writing the rules as YAML"),
        ListFormat::Table => Ok(paper.write(&two_columns(rules, paper))),
    }
}

/// A rule's own words.
pub fn rule(id: &str, head: &str, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    page.line(TextLine::default().ink(Ink::Strong, id));
    for paragraph in head.trim_end().split("\n\n") {
        page.blank();
        for part in parts(paragraph) {
            for line in wrap(&part, paper.width) {
                page.line(TextLine::default().plain(&line));
            }
        }
    }
    page
}

/// Lines of one sentence are joined; a list keeps its lines.
fn parts(paragraph: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    for line in paragraph.lines() {
        let item = line.starts_with("- ") || line.starts_with("* ");
        match parts.last_mut() {
            Some(last) if !item => *last = format!("{last} {line}"),
            _ => parts.push(line.to_owned()),
        }
    }
    parts
}

/// What a number means, and which probe reads it.
pub fn number(name: &str, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    page.line(TextLine::default().ink(Ink::Strong, name));
    page.blank();
    let (kind, unit) = numbers::shape_of(name);
    let moves = match kind {
        SeriesKind::Counter => "a counter: what matters is by how much it grows",
        SeriesKind::Gauge => "a level: what it is now",
        SeriesKind::Histogram => "a distribution: how many values fell into each range",
    };
    let help =
        numbers::help_of(name).unwrap_or("a counter of the kernel's own tables, for which this version has no words");
    let units = match unit {
        Unit::Count => "",
        Unit::Bytes => ", in bytes",
        Unit::Microseconds => ", in microseconds",
        Unit::Nanoseconds => ", in nanoseconds",
        Unit::BitsPerSecond => ", in bits a second",
    };
    let hurts = numbers::hurts(name);
    let mut say = |label: &str, what: &str| {
        if !what.is_empty() {
            page.append(paper.labelled(label, &[what.to_owned()]));
        }
    };
    say("means", help);
    say("is", &format!("{moves}{units}"));
    say(
        "hurts",
        if hurts {
            "where it grows something was lost, refused or late"
        } else {
            ""
        },
    );
    say("read by", &format!("probe {}", numbers::probe_of(name)));
    page
}

/// A probe's own words.
pub fn probe(probe: &ProbeStatus, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    page.line(TextLine::default().ink(Ink::Strong, &probe.name));
    page.blank();
    page.append(details(probe, paper));
    page
}
