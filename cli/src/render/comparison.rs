//! What is different between two places, as a table of two columns.

use super::numbers_parts::foot;
use super::paper::{Ink, Paper, TextLine, TextPage, columns, paragraph};
use super::untrusted_text::{CELL, shown};
use diagnoses::words::count;
use model::views::{Compare, ComparedPlace, Difference};

/// Differences that are shown; `--all` shows the rest.
const SHOWN: usize = 20;

/// The page.
pub fn page(compare: &Compare, all: bool, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    let head = |place: &ComparedPlace| {
        let from = place.recording.as_ref().unwrap_or(&place.node);
        shown(&format!("{} ({from})", place.name), CELL)
    };
    let (one, other) = (head(&compare.one), head(&compare.other));
    let rows: Vec<&Difference> = compare
        .differences
        .iter()
        .take(if all { usize::MAX } else { SHOWN })
        .collect();
    let widest = |of: fn(&Difference) -> &String, least: usize| {
        rows.iter()
            .map(|row| columns(&shown(of(row), CELL)))
            .max()
            .unwrap_or_default()
            .max(least)
    };
    let what = widest(|row| &row.what, 0);
    let (left, right) = (
        widest(|row| &row.one, columns(&one)),
        widest(|row| &row.other, columns(&other)),
    );
    page.line(TextLine::default().ink(
        Ink::Strong,
        format!("  {:what$}  {one:<left$}  {other:<right$}", "").trim_end(),
    ));
    for row in &rows {
        let text = |text: &str| shown(told(text), CELL);
        let cells = format!(
            "{:<what$}  {:<left$}  {:<right$}",
            text(&row.what),
            text(&row.one),
            text(&row.other)
        );
        let line = if row.hurts {
            TextLine::default().ink(Ink::Bad, "✗ ")
        } else {
            TextLine::default().plain("  ")
        };
        let help = row.help.as_deref().unwrap_or_default();
        let room = paper.width.saturating_sub(what + left + right + 8);
        let help = if columns(help) <= room { help } else { "" };
        page.line(match help {
            "" => line.plain(cells.trim_end()),
            help => line.plain(&cells).ink(Ink::Quiet, &format!("  {help}")),
        });
    }
    if rows.len() < compare.differences.len() {
        let rest = compare.differences.len() - rows.len();
        page.line(TextLine::default().ink(Ink::Quiet, &format!("  ... {rest} more (--all)")));
    }
    if compare.differences.is_empty() {
        page.line(TextLine::default().ink(Ink::Good, "✓ ").plain("nothing is different"));
    }
    for place in [&compare.one, &compare.other] {
        for hurt in &place.hurts {
            page.line(TextLine::default().ink(Ink::Bad, "  ✗ ").plain(&format!(
                "{}: {}",
                head(place),
                shown(hurt, CELL)
            )));
        }
    }
    page.line(TextLine::default().ink(
        Ink::Quiet,
        &format!(
            "{} alike, {} different · in {:.1} s",
            count(compare.alike, "fact"),
            compare.differences.len(),
            compare.seconds
        ),
    ));
    if !compare.in_neither.is_empty() {
        let says = format!("read of neither, not compared: {}", compare.in_neither.join(", "));
        for line in paragraph(
            TextLine::default().ink(Ink::Open, "? "),
            &says,
            paper.width.saturating_sub(4),
        ) {
            page.line(line);
        }
    }
    foot(&mut page, false, &compare.missing);
    page
}

/// A value, or that there is none.
pub fn told(value: &str) -> &str {
    if value.is_empty() { "-" } else { value }
}
