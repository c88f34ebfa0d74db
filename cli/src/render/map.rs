//! Who talks to whom, as a table: a row for each edge, what suffers first, and below it where packets were lost and what denies it.

use super::map_labels::{EndLabels, how_known, round_trip, traffic, volume};
use super::numbers_parts::{aligned, amount, foot};
use super::paper::{Ink, Paper, TextLine, TextPage};
use super::untrusted_text::{CELL, shown};
use diagnoses::words::count;
use model::traffic_map::{EdgeRuling, MapEdge, TrafficMap};

/// A column of amounts: its heading, and what it says of an edge; nothing where that is zero.
type AmountColumn = (&'static str, fn(&MapEdge) -> String);

const AMOUNTS: &[AmountColumn] = &[
    ("CONNS", |edge| amount(edge.connections)),
    ("LOOKUPS", |edge| amount(edge.lookups)),
    ("FAILED", |edge| amount(edge.failed)),
    ("OPEN", |edge| amount(edge.open)),
    ("RETRANS", |edge| amount(edge.retransmits)),
    ("RESET", |edge| amount(edge.resets)),
    ("DROPS", |edge| amount(edge.dropped())),
    ("RTT p50", round_trip),
    ("SENT", |edge| volume(edge.sent_bytes)),
    ("RECEIVED", |edge| volume(edge.received_bytes)),
];

/// The page.
pub fn page(map: &TrafficMap, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    let labels = EndLabels::of(map);
    let seen = map.edges.iter().filter(|edge| edge.is_observed()).count();
    let suffer = map.edges.iter().filter(|edge| edge.suffers()).count();
    let suffering = match suffer {
        0 => "nothing failed".to_owned(),
        1 => "1 suffers".to_owned(),
        many => format!("{many} suffer"),
    };
    page.line(TextLine::default().ink(
        Ink::Quiet,
        &format!(
            "{:.1} s · {} between {} · {suffering}",
            map.window_ms as f64 / 1e3,
            count(seen, "edge"),
            count(map.ends.len(), "end")
        ),
    ));
    if map.edges.is_empty() {
        page.line(
            TextLine::default()
                .ink(Ink::Open, "? ")
                .plain("nobody was seen to talk to anybody"),
        );
    } else {
        table(&mut page, map, &labels, paper);
    }
    foot(&mut page, false, &map.missing);
    if let Some(worst) = map.edges.iter().find(|edge| edge.suffers())
        && let Some(command) = labels.next_command(worst)
    {
        page.line(TextLine::default().ink(Ink::Quiet, "next: ").plain(&command));
    }
    page
}

fn table(page: &mut TextPage, map: &TrafficMap, labels: &EndLabels, paper: Paper) {
    let says = |column: &&AmountColumn| map.edges.iter().any(|edge| !(column.1)(edge).is_empty());
    let amounts: Vec<&AmountColumn> = AMOUNTS.iter().filter(says).collect();
    // Where there is no API, all that is known was seen.
    let tells_how = map
        .edges
        .iter()
        .any(|edge| !edge.is_observed() || edge.ruling != EdgeRuling::Unknown);
    let texts = if tells_how { 3 } else { 2 };
    let heading = ["FROM", "TO", "HOW KNOWN"]
        .into_iter()
        .take(texts)
        .chain(amounts.iter().map(|column| column.0));
    let mut lines: Vec<Vec<String>> = vec![heading.map(str::to_owned).collect()];
    for edge in &map.edges {
        let to = format!("{}:{}", labels.of_end(&edge.destination), traffic(edge));
        let texts = [labels.of_end(&edge.source).to_owned(), to, how_known(edge)]
            .into_iter()
            .take(texts);
        let texts = texts.map(|text| shown(&text, CELL));
        lines.push(texts.chain(amounts.iter().map(|column| (column.1)(edge))).collect());
    }
    let rows = aligned(&lines, texts);
    let rows: Vec<&str> = rows.iter().map(|row| row.trim_end()).collect();
    page.line(TextLine::default().ink(Ink::Strong, &format!("  {}", rows[0])));
    for (edge, text) in map.edges.iter().zip(&rows[1..]) {
        page.line(match (edge.suffers(), edge.is_observed()) {
            (true, _) => TextLine::default().ink(Ink::Bad, "✗ ").plain(text),
            (false, true) => TextLine::default().plain(&format!("  {text}")),
            (false, false) => TextLine::default().ink(Ink::Quiet, &format!("  {text}")),
        });
        for reason in reasons(edge) {
            for line in super::paper::wrap(&reason, paper.width.saturating_sub(4)) {
                page.line(TextLine::default().ink(Ink::Quiet, &format!("    {line}")));
            }
        }
    }
}

/// What is said of an edge below its row.
fn reasons(edge: &MapEdge) -> Vec<String> {
    let drops = edge.drops.iter().map(|drop| {
        format!(
            "{} dropped at {}: {}",
            count(drop.packets as usize, "packet"),
            shown(&drop.place, CELL),
            shown(&drop.why, CELL)
        )
    });
    let denied = (!edge.denied_by.is_empty()).then(|| format!("denied by {}", shown(&edge.denied_by.join(", "), CELL)));
    drops.chain(denied).collect()
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::render::paper::Paper;
    use crate::render::samples::traffic_map;
    use model::traffic_map::TrafficMap;

    fn drawn(map: &TrafficMap) -> String {
        let paper = Paper {
            colour: false,
            width: 120,
        };
        paper.write(&page(map, paper))
    }

    #[test]
    fn an_edge_is_a_row_and_says_below_where_it_is_lost() {
        insta::assert_snapshot!(drawn(&traffic_map()));
    }

    #[test]
    fn nothing_seen_is_said() {
        assert_eq!(
            drawn(&TrafficMap::default()),
            "0.0 s · 0 edges between 0 ends · nothing failed\n? nobody was seen to talk to anybody\n"
        );
    }
}
