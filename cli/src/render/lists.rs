//! Lists and explanations: probes and rules.

use super::paper::{Ink, Paper, wrap};
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
        ListFormat::Json => {
            Ok(serde_json::to_string_pretty(&hello.probes).context("writing the probes as JSON")? + "\n")
        }
        ListFormat::Yaml => super::yaml(&hello.probes).context("writing the probes as YAML"),
        ListFormat::Table => {
            let mut text = format!("Probes on {}, kernel {} ({}):\n", hello.node, hello.kernel, hello.arch);
            for probe in &hello.probes {
                let (mark, ink) = if probe.unsupported.is_some() {
                    ("✗", Ink::Bad)
                } else {
                    ("✓", Ink::Good)
                };
                text += &format!("\n{} {}\n", paper.ink(ink, mark), paper.ink(Ink::Strong, &probe.name));
                text += &details(probe, paper);
            }
            Ok(text)
        }
    }
}

fn details(probe: &ProbeStatus, paper: Paper) -> String {
    let mut text = String::new();
    let mut say = |label: &str, what: &str| {
        if !what.is_empty() {
            text += &paper.labelled(label, &[what.to_owned()]);
        }
    };
    say("sees", &probe.about);
    say("costs", &probe.cost);
    say("hooks", &probe.hooks.join(", "));
    if let Some(missing) = &probe.unsupported {
        say("cannot run", &missing.reason());
    }
    say("lacks", &probe.lacks.join(", "));
    text
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
        ListFormat::Json => Ok(serde_json::to_string_pretty(&listed()).context("writing the rules as JSON")? + "\n"),
        ListFormat::Yaml => serde_yaml::to_string(&listed()).context("writing the rules as YAML"),
        ListFormat::Table => {
            let column = rules.iter().map(|(id, _)| id.len()).max().unwrap_or_default() + 2;
            let mut text = String::new();
            for (id, summary) in rules {
                for (index, line) in wrap(summary, paper.width.saturating_sub(column)).iter().enumerate() {
                    let id = format!("{:<column$}", if index == 0 { id } else { "" });
                    text += &format!("{}{line}\n", paper.ink(Ink::Strong, &id));
                }
            }
            Ok(text)
        }
    }
}

/// A rule's own words.
pub fn rule(id: &str, head: &str, paper: Paper) -> String {
    let mut text = paper.ink(Ink::Strong, id) + "\n\n";
    for paragraph in head.split("\n\n") {
        for part in parts(paragraph) {
            text += &wrap(&part, paper.width).join("\n");
            text.push('\n');
        }
        text.push('\n');
    }
    text.trim_end().to_owned() + "\n"
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
pub fn probe(probe: &ProbeStatus, paper: Paper) -> String {
    format!("{}\n\n{}", paper.ink(Ink::Strong, &probe.name), details(probe, paper))
}
