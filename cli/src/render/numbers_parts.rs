//! What the pages about numbers have in common: the line above a place, what could not be read, and what looking cost.

use super::paper::{Ink, TextLine, TextPage, columns};
use super::untrusted_text::{CELL, shown};
use model::missing::Missing;
use model::protocol::BpfCost;

/// The line above a place: its name, the node where that is another one, and how long it was looked at.
pub fn place_head(page: &mut TextPage, name: &str, node: &str, whole: bool, seconds: f64) {
    let whole = if whole { " as a whole" } else { "" };
    let on = if node.is_empty() || node == name {
        String::new()
    } else {
        format!(" on {}", shown(node, CELL))
    };
    page.line(
        TextLine::default()
            .ink(Ink::Strong, &format!("{}{whole}{on}", shown(name, CELL)))
            .ink(Ink::Quiet, &format!(" · in {seconds:.1} s")),
    );
}

/// A number, or nothing for zero.
pub fn amount(number: u64) -> String {
    if number == 0 { String::new() } else { number.to_string() }
}

/// Lines of cells as text: so many columns of texts, which begin in one column each, and numbers behind them, which end in one.
pub fn aligned<L: AsRef<[String]>>(lines: &[L], texts: usize) -> Vec<String> {
    let lines = lines.iter().map(AsRef::as_ref);
    let count = lines.clone().map(<[String]>::len).max().unwrap_or_default();
    let width = |at: usize| {
        lines
            .clone()
            .filter_map(|line| line.get(at))
            .map(|cell| columns(cell))
            .max()
    };
    let widths: Vec<usize> = (0..count).map(|at| width(at).unwrap_or_default()).collect();
    let text = |line: &[String]| {
        let padded = line.iter().zip(&widths).enumerate().map(|(at, (cell, width))| {
            if at < texts {
                format!("{cell:<width$}")
            } else {
                format!("{cell:>width$}")
            }
        });
        padded.collect::<Vec<_>>().join("  ")
    };
    lines.clone().map(text).collect()
}

/// That there is no place at all, where there is none; and what could not be read.
pub fn foot(page: &mut TextPage, is_empty: bool, missing: &[Missing]) {
    if is_empty {
        page.line(TextLine::default().ink(Ink::Open, "? ").plain("nothing was read"));
    }
    for missing in missing {
        page.line(TextLine::default().ink(Ink::Open, "? ").plain(&format!(
            "{}: {}",
            shown(&missing.what, CELL),
            shown(&missing.reason(), CELL)
        )));
    }
}

/// What our own programs cost, where that is known.
pub fn cost(page: &mut TextPage, bpf: Option<BpfCost>) {
    if let Some(cost) = bpf {
        page.line(TextLine::default().ink(Ink::Quiet, &super::phrases::cost(cost)));
    }
}
