//! Answers as pages of HTML to attach to a ticket: each is one file that loads nothing, light or dark as its reader likes it, and
//! readable on paper and on a telephone.
//!
//! Text that others wrote gets in by [`escaped`] alone. It may use all of `render`.

mod map;
mod map_layout;
mod numbers;
mod path;
mod report;

pub use map::page as map;
pub use numbers::{comparison, inspection, latency, top};
pub use report::{one_end, report};

use super::untrusted_text::{CELL, PARAGRAPH, shown};
use model::missing::Missing;

/// What all pages look like.
const STYLE: &str = "
:root { color-scheme: light dark; --ink: #1b1f24; --paper: #fff; --quiet: #5d6670; --line: #8a94a0; --bad: #c62828; --good: #1b7f3b; --open: #9a6700; --box: #f3f5f7; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ed; --paper: #14171a; --quiet: #9aa4af; --line: #6b7580; --bad: #ff7b72; --good: #56d364; --open: #e3b341; --box: #23282e; } }
body { font: 14px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--paper); margin: 24px auto; max-width: 1180px; padding: 0 16px; overflow-wrap: anywhere; }
body.wide { max-width: none; }
h1 { font-size: 22px; line-height: 1.3; } h2 { font-size: 16px; margin: 28px 0 8px; }
code, pre { font: 13px/1.5 ui-monospace, monospace; }
pre { background: var(--box); padding: 8px 12px; border-radius: 6px; white-space: pre-wrap; }
ul { margin: 4px 0; padding-left: 20px; }
.quiet { color: var(--quiet); }
.bad { color: var(--bad); } .good { color: var(--good); } .open { color: var(--open); }
table { border-collapse: collapse; margin-top: 12px; }
th, td { text-align: left; padding: 3px 16px 3px 0; vertical-align: top; border-bottom: 1px solid color-mix(in srgb, var(--line) 35%, transparent); }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
details { margin-top: 20px; } summary { cursor: pointer; font-weight: 600; }
@media (max-width: 640px) {
  thead { display: none; }
  tr { display: block; padding: 8px 0; border-bottom: 1px solid var(--line); }
  td, td.number { display: flex; justify-content: space-between; gap: 12px; text-align: right; border: none; padding: 1px 0; }
  td::before { content: attr(data-label); color: var(--quiet); text-align: left; flex: none; }
  td:empty { display: none; }
}
";

/// One page.
#[derive(Debug, Default)]
struct HtmlPage {
    title: String,
    /// Its own rules beside those of all.
    styles: &'static [&'static str],
    script: &'static str,
    is_wide: bool,
    body: String,
}

impl HtmlPage {
    fn write(&self) -> String {
        let Self {
            title,
            styles,
            script,
            is_wide,
            body,
        } = self;
        let class = if *is_wide { " class=\"wide\"" } else { "" };
        let script = if script.is_empty() {
            String::new()
        } else {
            format!("<script>{script}</script>\n")
        };
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'\">\n\
             <title>{}</title>\n<style>{STYLE}{}</style>\n</head>\n<body{class}>\n{body}{script}</body>\n</html>\n",
            escaped(title),
            styles.concat()
        )
    }
}

/// A table: headings, and rows of cells that are markup already. Cells of numbers stand to the right.
fn table(headings: &[&str], numbers_from: usize, rows: &[(bool, Vec<String>)]) -> String {
    let head = format!("<th>{}</th>", headings.join("</th><th>"));
    let body = rows.iter().map(|(is_bad, cells)| {
        let cells = cells.iter().zip(headings).enumerate().map(|(at, (cell, heading))| {
            let class = match at {
                0 if *is_bad => " class=\"bad\"",
                at if at >= numbers_from => " class=\"number\"",
                _ => "",
            };
            format!("<td{class} data-label=\"{heading}\">{cell}</td>")
        });
        format!("<tr>{}</tr>\n", cells.collect::<String>())
    });
    format!(
        "<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n{}</tbody>\n</table>\n",
        body.collect::<String>()
    )
}

/// What could not be seen.
fn not_seen(missing: &[Missing]) -> String {
    let lines: Vec<String> = missing
        .iter()
        .map(|missing| format!("{}: {}", missing.what, missing.reason()))
        .collect();
    section("Not seen", &lines)
}

/// A list under a heading; nothing where there is nothing to say.
fn section(heading: &str, lines: &[String]) -> String {
    if lines.is_empty() {
        return String::new();
    }
    format!("<h2>{heading}</h2>\n{}", list(lines))
}

fn list(lines: &[String]) -> String {
    let lines = lines.iter().map(|line| format!("<li>{}</li>\n", paragraph(line)));
    format!("<ul>\n{}</ul>\n", lines.collect::<String>())
}

/// A name or a short text, as markup.
fn escaped(text: &str) -> String {
    markup(&shown(text, CELL))
}

/// A longer text, as markup.
fn paragraph(text: &str) -> String {
    markup(&shown(text, PARAGRAPH))
}

/// Plain letters as text of HTML, in an attribute as well.
fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            other => safe.push(other),
        }
    }
    safe
}
