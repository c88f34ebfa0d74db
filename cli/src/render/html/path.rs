//! The way of packets as a picture: a box for each place they passed, an arrow from one to the next, and a mark where they were
//! lost. Boxes wrap as words do, so that nothing overlaps on any screen.

use super::escaped;
use crate::render::table::{PathLine, path_lines};
use model::report::Report;

/// How it looks.
pub const STYLE: &str = "
.way { display: flex; flex-wrap: wrap; align-items: center; gap: 6px; margin: 6px 0 2px; }
.way .label { color: var(--quiet); min-width: 52px; }
.way .place { background: var(--box); border: 1px solid var(--line); border-radius: 6px; padding: 4px 10px; }
.way .lost { border: 2px solid var(--bad); }
.way .lost::after { content: ' ✗'; color: var(--bad); font-weight: 700; }
.way .reached { border: 2px solid var(--good); }
.way .never { border-style: dashed; color: var(--quiet); }
.way .arrow { color: var(--quiet); }
.said { color: var(--quiet); margin: 0 0 6px 58px; }
p.said.bad { color: var(--bad); }
@media (max-width: 640px) { .said { margin-left: 0; } }
";

/// All ways, there and back.
pub fn picture(report: &Report) -> String {
    let ways: String = path_lines(report).iter().map(way).collect();
    if ways.is_empty() {
        return ways;
    }
    format!("<h2>Path</h2>\n{ways}")
}

fn way(line: &PathLine) -> String {
    let places = line.pieces.iter().map(|piece| {
        let (class, text) = if let Some(place) = piece.strip_suffix(" never reached") {
            (" never", format!("{place} never reached"))
        } else if let Some((place, how)) = piece.split_once(" ✗") {
            (" lost", format!("{place}{how}"))
        } else if let Some(place) = piece.strip_suffix(" ✓") {
            (" reached", place.to_owned())
        } else {
            ("", piece.clone())
        };
        format!("<span class=\"place{class}\">{}</span>", escaped(&text))
    });
    let places: Vec<String> = places.collect();
    let said = line.said.iter().map(|said| {
        let lost = said.starts_with('✗');
        let class = if lost { "said bad" } else { "said" };
        format!(
            "<p class=\"{class}\">{}</p>\n",
            escaped(said.trim_start_matches(['✗', ' ']))
        )
    });
    format!(
        "<div class=\"way\"><span class=\"label\">{}</span>{}</div>\n{}",
        escaped(line.label.trim()),
        places.join("<span class=\"arrow\">→</span>"),
        said.collect::<String>()
    )
}
