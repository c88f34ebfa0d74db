//! All numbers of some places as one screen: by group, what hurts first, each with what it means.

use super::numbers_parts::{foot, place_head};
use super::paper::{Ink, Paper, TextLine, TextPage, columns};
use super::untrusted_text::{CELL, shown};
use diagnoses::words;
use model::series::{SeriesKind, Unit};
use model::views::{Inspect, InspectedPlace, NumberGroup, ShownNumber};

/// The page.
pub fn page(inspect: &Inspect, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    for (at, place) in inspect.places.iter().enumerate() {
        if at > 0 {
            page.blank();
        }
        head(&mut page, place, inspect.seconds);
        for group in &place.groups {
            page.blank();
            self::group(&mut page, group, inspect.seconds, paper);
        }
    }
    foot(&mut page, inspect.places.is_empty(), &inspect.missing);
    page
}

fn head(page: &mut TextPage, place: &InspectedPlace, seconds: f64) {
    place_head(page, &place.name, &place.node, place.netns == 0, seconds);
    for hurt in &place.hurts {
        page.line(TextLine::default().ink(Ink::Bad, "  ✗ ").plain(hurt));
    }
}

fn group(page: &mut TextPage, group: &NumberGroup, seconds: f64, paper: Paper) {
    page.line(
        TextLine::default()
            .ink(Ink::Strong, &group.name)
            .ink(Ink::Quiet, &format!("  {}", group.shown_by)),
    );
    let lines: Vec<(String, String)> = group
        .numbers
        .iter()
        .map(|number| (value(number, seconds), name(number)))
        .collect();
    let widest =
        |of: fn(&(String, String)) -> &String| lines.iter().map(|line| columns(of(line))).max().unwrap_or_default();
    let (values, names) = (widest(|line| &line.0), widest(|line| &line.1));
    let room = paper.width.saturating_sub(values + names + 6);
    for (number, (value, name)) in group.numbers.iter().zip(&lines) {
        let line = TextLine::default();
        let text = format!("  {value:>values$}  ");
        let line = if number.hurts {
            line.ink(Ink::Bad, &text)
        } else {
            line.plain(&text)
        };
        let help = number.help.as_deref().unwrap_or_default();
        // What does not fit beside it is left to `explain`.
        let help = if columns(help) <= room { help } else { "" };
        if help.is_empty() {
            page.line(line.plain(name));
        } else {
            page.line(line.plain(&format!("{name:<names$}  ")).ink(Ink::Quiet, help));
        }
    }
}

/// Its name, and which of several it is.
pub fn name(number: &ShownNumber) -> String {
    let labels: Vec<&str> = number.labels.values().map(String::as_str).collect();
    let labels = if labels.is_empty() {
        String::new()
    } else {
        format!(" ({})", shown(&labels.join(", "), CELL))
    };
    format!("{}{labels}", shown(&number.name, CELL))
}

/// How much it is, or grew.
pub fn value(number: &ShownNumber, seconds: f64) -> String {
    let amount = if number.kind == SeriesKind::Gauge {
        number.now
    } else {
        number.growth
    };
    let text = written(amount, number.unit);
    match number.kind {
        SeriesKind::Gauge => match number.limit {
            Some(limit) => format!("{text} of {}", written(limit, number.unit)),
            None => text,
        },
        SeriesKind::Counter | SeriesKind::Histogram if seconds > 0.0 && number.unit == Unit::Bytes => {
            format!("{}/s", words::bytes((amount as f64 / seconds) as u64))
        }
        SeriesKind::Counter | SeriesKind::Histogram => format!("+{text}"),
    }
}

fn written(amount: u64, unit: Unit) -> String {
    match unit {
        Unit::Count => amount.to_string(),
        Unit::Bytes => words::bytes(amount),
        Unit::Microseconds => words::time(amount.saturating_mul(1_000)),
        Unit::Nanoseconds => words::time(amount),
        Unit::BitsPerSecond => format!("{:.1} Mbit/s", amount as f64 / 1e6),
    }
}
