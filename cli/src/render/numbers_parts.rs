//! What the pages about numbers have in common: the line above a place, and what could not be read.

use super::paper::{Ink, TextLine, TextPage};
use super::untrusted_text::{CELL, shown};
use model::missing::Missing;

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
