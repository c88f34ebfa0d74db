//! Lists and explanations: probes and rules.

use super::paper::{Ink, Paper, TextLine, TextPage, wrap};
use anyhow::{Context as _, Result};
use model::protocol::{Hello, ProbeStatus};

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
            for probe in &hello.probes {
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
            Ok(paper.write(&page))
        }
    }
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
    say("hooks", &probe.hooks.join(", "));
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
        ListFormat::Table => {
            let column = rules.iter().map(|(id, _)| id.len()).max().unwrap_or_default() + 2;
            let mut page = TextPage::new();
            for (id, summary) in rules {
                for (index, line) in wrap(summary, paper.width.saturating_sub(column)).iter().enumerate() {
                    let id = format!("{:<column$}", if index == 0 { id } else { "" });
                    page.line(TextLine::default().ink(Ink::Strong, &id).plain(line));
                }
            }
            Ok(paper.write(&page))
        }
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

/// A probe's own words.
pub fn probe(probe: &ProbeStatus, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    page.line(TextLine::default().ink(Ink::Strong, &probe.name));
    page.blank();
    page.append(details(probe, paper));
    page
}
