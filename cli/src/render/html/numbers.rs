//! Who suffers, and where time passes, as pages: a row for each place or stage, with its distribution drawn beside it.

use super::{HtmlPage, escaped, not_seen, table};
use crate::render::phrases;
use crate::render::top::{cell, says};
use model::views::{Latency, LatencyPlace, LatencyStage, TableHolder, Top, TopColumn};

const STYLE: &str = "
.chart { vertical-align: middle; }
.chart rect { fill: var(--line); }
.chart line { stroke: var(--line); stroke-width: 0.5; }
";

/// The page of who suffers.
pub fn top(top: &Top, all_columns: &[TopColumn]) -> String {
    let shown: Vec<&TopColumn> = all_columns.iter().filter(|column| says(&top.pods, column)).collect();
    let mut headings = vec!["place", "node", "worst"];
    headings.extend(shown.iter().map(|column| column.heading));
    let rows: Vec<(bool, Vec<String>)> = top
        .pods
        .iter()
        .map(|row| {
            let name = match row.namespace.as_str() {
                "" => row.name.clone(),
                namespace => format!("{namespace}/{}", row.name),
            };
            let name = row.part.iter().fold(name, |name, part| format!("{name}: {part}"));
            let worst = row.worst.as_deref().unwrap_or_default();
            let texts = [escaped(&name), escaped(&row.node), escaped(worst)];
            let numbers = shown
                .iter()
                .map(|column| cell(column.unit, row.values.get(column.key).copied()));
            (row.worst.is_some(), texts.into_iter().chain(numbers).collect())
        })
        .collect();
    let suffer = top.pods.iter().filter(|row| row.worst.is_some()).count();
    let body = format!(
        "<h1>Who suffers</h1>\n<p class=\"quiet\">{} · {:.1} s · {}, of which {suffer} suffer</p>\n{}{}{}",
        escaped(&top.at),
        top.seconds,
        diagnoses::words::count(top.pods.len(), "place"),
        table(&headings, 3, &rows),
        holders(&top.holders),
        not_seen(&top.missing)
    );
    written("Who suffers", body)
}

/// Who holds the tables of tracked connections; nothing where none was looked through.
fn holders(all: &[TableHolder]) -> String {
    if all.is_empty() {
        return String::new();
    }
    let row = |holder: &TableHolder| {
        let any = if holder.others { "all others" } else { "anywhere" };
        let end = |end: &Option<String>| escaped(end.as_deref().unwrap_or(any));
        let cells = vec![
            escaped(&holder.table),
            end(&holder.source),
            end(&holder.destination),
            holder.entries.to_string(),
            holder
                .growth
                .map_or_else(|| "?".to_owned(), |growth| format!("{growth:+}")),
        ];
        (false, cells)
    };
    let rows: Vec<(bool, Vec<String>)> = all.iter().map(row).collect();
    let headings = ["table of", "connections from", "to", "entries", "grew"];
    format!(
        "<h2>Who holds tables of tracked connections</h2>\n{}",
        table(&headings, 3, &rows)
    )
}

/// The page of where time passes.
pub fn latency(latency: &Latency) -> String {
    let places: String = latency.places.iter().map(place).collect();
    let body = format!(
        "<h1>Where time passes</h1>\n<p class=\"quiet\">{} · {:.1} s · half of all, 99 of 100 and the slowest; each at most an eighth too much</p>\n{places}{}",
        escaped(&latency.at),
        latency.seconds,
        not_seen(&latency.missing)
    );
    written("Where time passes", body)
}

fn written(title: &str, body: String) -> String {
    HtmlPage {
        title: title.to_owned(),
        styles: &[STYLE],
        body,
        ..HtmlPage::default()
    }
    .write()
}

fn place(place: &LatencyPlace) -> String {
    let heading = match place.node.as_str() {
        "" => escaped(&place.name),
        node => format!(
            "{} <span class=\"quiet\">on {}</span>",
            escaped(&place.name),
            escaped(node)
        ),
    };
    if place.stages.is_empty() {
        return format!("<h2>{heading}</h2>\n<p>Nothing to measure: there was no traffic in this time.</p>\n");
    }
    let rows: Vec<(bool, Vec<String>)> = place
        .stages
        .iter()
        .map(|stage| {
            let time = |us: f64| phrases::time((us * 1e3) as u64);
            let cells = vec![
                escaped(&stage.stage),
                escaped(&stage.location),
                chart(stage),
                stage.count.to_string(),
                time(stage.p50_us),
                time(stage.p99_us),
                time(stage.max_us),
            ];
            (false, cells)
        })
        .collect();
    let headings = ["stage", "where", "1 us to 10 s", "count", "p50", "p99", "max"];
    format!("<h2>{heading}</h2>\n{}", table(&headings, 3, &rows))
}

/// Decades that are drawn, from a microsecond on, and their pixels.
const DECADES: usize = 7;
const DECADE: usize = 30;
const HEIGHT: f64 = 26.0;

/// How the values spread over decades: bars beside the longest of them, none so short that it is not seen.
fn chart(stage: &LatencyStage) -> String {
    let mut bars = vec![0_u64; DECADES * DECADE / 3];
    for (from, to, count) in &stage.buckets {
        let at = f64::midpoint(*from, *to).log10().max(0.0) * (DECADE / 3) as f64;
        let last = bars.len() - 1;
        bars[(at as usize).min(last)] += count;
    }
    let most = bars.iter().copied().max().unwrap_or_default().max(1) as f64;
    let drawn = bars
        .iter()
        .enumerate()
        .filter(|(_, count)| **count > 0)
        .map(|(at, count)| {
            let height = (*count as f64 / most * HEIGHT).max(2.0);
            let (left, top) = (at * 3, HEIGHT - height);
            format!("<rect x=\"{left}\" y=\"{top:.1}\" width=\"2.5\" height=\"{height:.1}\"/>")
        });
    let marks = (0..=DECADES).map(|decade| {
        let left = decade * DECADE;
        format!("<line x1=\"{left}\" x2=\"{left}\" y1=\"0\" y2=\"{HEIGHT}\"/>")
    });
    format!(
        "<svg class=\"chart\" role=\"img\" aria-label=\"distribution\" width=\"{wide}\" height=\"{HEIGHT}\" viewBox=\"0 0 {wide} {HEIGHT}\">{}{}</svg>",
        marks.collect::<String>(),
        drawn.collect::<String>(),
        wide = DECADES * DECADE
    )
}
