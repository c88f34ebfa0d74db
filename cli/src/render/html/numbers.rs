//! Numbers as pages: who suffers, all of a place's, what is different between two, and where time passes, with distributions drawn.

use super::{HtmlPage, escaped, not_seen, paragraph, section, table};
use crate::render::comparison::told;
use crate::render::inspection::{name, value};
use crate::render::latency::{attempts, nothing};
use crate::render::phrases;
use crate::render::top::{cell, says};
use diagnoses::words::count;
use model::views::{
    Compare, Inspect, InspectedPlace, Latency, LatencyPlace, LatencyStage, NumberGroup, TableHolder, Top, TopColumn,
};

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
        count(top.pods.len(), "place"),
        table(&headings, 3, &rows),
        holders(&top.holders),
        not_seen(&top.missing)
    );
    written("Who suffers", body)
}

/// The page of all numbers of some places.
pub fn inspection(inspect: &Inspect) -> String {
    let group = |group: &NumberGroup| {
        let rows: Vec<(bool, Vec<String>)> = group
            .numbers
            .iter()
            .map(|number| {
                let help = number.help.as_deref().unwrap_or_default();
                let value = escaped(&value(number, inspect.seconds));
                (number.hurts, vec![escaped(&name(number)), paragraph(help), value])
            })
            .collect();
        format!(
            "<h3>{} <code class=\"quiet\">{}</code></h3>\n{}",
            escaped(&group.name),
            escaped(&group.shown_by),
            table(&["number", "what it means", "value"], 2, &rows)
        )
    };
    let place = |place: &InspectedPlace| {
        let groups: String = place.groups.iter().map(group).collect();
        format!(
            "<h2>{}</h2>\n{}{groups}",
            heading(&place.name, &place.node),
            hurts(&place.hurts)
        )
    };
    let body = format!(
        "<h1>All that the kernel counts</h1>\n<p class=\"quiet\">{} · in {:.1} s</p>\n{}{}",
        escaped(&inspect.at),
        inspect.seconds,
        inspect.places.iter().map(place).collect::<String>(),
        not_seen(&inspect.missing)
    );
    written("All that the kernel counts", body)
}

/// The page of what is different.
pub fn comparison(compare: &Compare) -> String {
    let rows: Vec<(bool, Vec<String>)> = compare
        .differences
        .iter()
        .map(|row| {
            let help = row.help.as_deref().unwrap_or_default();
            let [what, one, other] = [&row.what, &row.one, &row.other].map(|text| escaped(told(text)));
            (row.hurts, vec![what, one, other, paragraph(help)])
        })
        .collect();
    let (one, other) = (&compare.one, &compare.other);
    let [of_one, of_other] = [one, other].map(|place| escaped(&format!("{} ({})", place.name, place.node)));
    let different = match rows.as_slice() {
        [] => "<p class=\"good\">Nothing is different.</p>\n".to_owned(),
        rows => table(&["what", &of_one, &of_other, "what it means"], usize::MAX, rows),
    };
    let place = |name: &str, own: &[String]| {
        let named: Vec<String> = own.iter().map(|hurt| format!("{name}: {hurt}")).collect();
        hurts(&named)
    };
    let body = format!(
        "<h1>What is different</h1>\n<p class=\"quiet\">{} · in {:.1} s · {} alike, {} different</p>\n{}{}{different}{}",
        escaped(&compare.at),
        compare.seconds,
        count(compare.alike, "fact"),
        compare.differences.len(),
        place(&one.name, &one.hurts),
        place(&other.name, &other.hurts),
        not_seen(&compare.missing)
    );
    written("What is different", body)
}

/// What hurts, as a list.
fn hurts(hurts: &[String]) -> String {
    match section("What hurts", hurts) {
        list if list.is_empty() => list,
        list => format!("<div class=\"bad\">{list}</div>\n"),
    }
}

/// A place, and the node that it is on.
fn heading(name: &str, node: &str) -> String {
    match node {
        "" => escaped(name),
        node => format!("{} <span class=\"quiet\">on {}</span>", escaped(name), escaped(node)),
    }
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
    let paragraph = |text: &str| format!("<p>{}</p>\n", escaped(text));
    let worst = latency.worst.as_deref().map(paragraph).unwrap_or_default();
    let sent = latency
        .sent
        .map(|sent| paragraph(&format!("Sent: {}.", attempts(sent))));
    let body = format!(
        "<h1>Where time passes</h1>\n<p class=\"quiet\">{} · {:.1} s · p50, p99 and maximum, at most 12.5 % too high</p>\n{worst}{}{places}{}",
        escaped(&latency.at),
        latency.seconds,
        sent.unwrap_or_default(),
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
    let heading = match &place.with {
        Some(with) => format!("{} and {}", escaped(&place.name), escaped(with)),
        None => heading(&place.name, &place.node),
    };
    if place.stages.is_empty() {
        return format!("<h2>{heading}</h2>\n<p>{}</p>\n", escaped(nothing(place)));
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
