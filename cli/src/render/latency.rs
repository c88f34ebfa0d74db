//! Where time passes, as a table: a row for each stage, with what half of all took, 99 of 100 and the slowest, and how they spread
//! over decades.

use super::numbers_parts::{aligned, cost, foot, place_head};
use super::paper::{Ink, Paper, TextLine, TextPage, columns};
use super::untrusted_text::{CELL, shown};
use diagnoses::words;
use model::views::{Latency, LatencyPlace, LatencyStage, SentAttempts};

/// Names of decades, each as wide as its columns; the first has all that is less, the last all that is more.
const DECADES: [&str; 7] = ["1us", "10us", "100us", "1ms", "10ms", "100ms", "1s"];
/// Columns of a decade where there is room for its name; else it has one.
const WIDE: usize = 6;
const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The page.
pub fn page(latency: &Latency, paper: Paper) -> TextPage {
    let mut page = tables(latency, paper);
    cost(&mut page, latency.bpf);
    page
}

/// The page without what it cost, where that is said elsewhere.
pub fn tables(latency: &Latency, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    if let Some(worst) = &latency.worst {
        page.line(TextLine::default().ink(Ink::Strong, &shown(worst, CELL)));
    }
    if let Some(sent) = &latency.sent {
        page.line(TextLine::default().ink(Ink::Quiet, &format!("sent: {}", attempts(*sent))));
    }
    for (at, place) in latency.places.iter().enumerate() {
        if at > 0 {
            page.blank();
        }
        self::place(&mut page, place, latency.seconds, paper);
    }
    foot(&mut page, latency.places.is_empty(), &latency.missing);
    page
}

/// `3 attempts, 1 of them failed`.
pub fn attempts(sent: SentAttempts) -> String {
    let made = words::count(sent.made, "attempt");
    match (sent.made, sent.failed) {
        (0, _) => "no attempt was over in this time".to_owned(),
        (_, 0) => format!("{made}, none of them failed"),
        (_, failed) => format!("{made}, {failed} of them failed"),
    }
}

/// Why there is no stage of a place.
pub const fn nothing(place: &LatencyPlace) -> &'static str {
    if place.with.is_some() {
        "nothing to measure: nothing was seen between the two in this time; --send TEXT, --http PATH or --bytes N sends something"
    } else {
        "nothing to measure: nothing was read or written in this time"
    }
}

fn place(page: &mut TextPage, place: &LatencyPlace, seconds: f64, paper: Paper) {
    match &place.with {
        Some(with) => place_head(page, &format!("{} and {with}", place.name), "", false, seconds),
        None => place_head(page, &place.name, &place.node, false, seconds),
    }
    if place.stages.is_empty() {
        page.line(TextLine::default().ink(Ink::Open, "  ? ").plain(nothing(place)));
        return;
    }
    let lines: Vec<[String; 6]> = std::iter::once(["stage", "where", "count", "p50", "p99", "max"].map(str::to_owned))
        .chain(place.stages.iter().map(cells))
        .collect();
    let rows = aligned(&lines, 2);
    let used = columns(&rows[0]) + 2;
    let each = if used + DECADES.len() * WIDE <= paper.width {
        WIDE
    } else {
        1
    };
    let scale = if each == WIDE {
        DECADES.map(|decade| format!("{decade:<WIDE$}")).concat()
    } else {
        "1us..1s".to_owned()
    };
    let charts = std::iter::once(scale).chain(place.stages.iter().map(|stage| chart(stage, each)));
    for (at, (row, chart)) in rows.iter().zip(charts).enumerate() {
        let text = format!("{row}  {chart}");
        let text = text.trim_end();
        page.line(match at {
            0 => TextLine::default().ink(Ink::Strong, text),
            _ => TextLine::default().plain(text),
        });
    }
}

fn cells(stage: &LatencyStage) -> [String; 6] {
    let time = |us: f64| words::time((us * 1e3) as u64);
    [
        shown(&stage.stage, CELL),
        shown(&stage.location, CELL),
        stage.count.to_string(),
        time(stage.p50_us),
        time(stage.p99_us),
        time(stage.max_us),
    ]
}

/// How the values spread: of each part of a decade, how many there are beside the part that has most. One is always seen.
fn chart(stage: &LatencyStage, each: usize) -> String {
    let mut parts = vec![0_u64; DECADES.len() * each];
    for (from, to, count) in &stage.buckets {
        let middle = f64::midpoint(*from, *to);
        let part = (middle.log10().max(0.0) * each as f64) as usize;
        let last = parts.len() - 1;
        parts[part.min(last)] += count;
    }
    let most = parts.iter().copied().max().unwrap_or_default().max(1);
    let bar = |count: u64| match count {
        0 => ' ',
        _ => BARS[((count * BARS.len() as u64).div_ceil(most) as usize).clamp(1, BARS.len()) - 1],
    };
    parts.into_iter().map(bar).collect()
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::render::paper::Paper;
    use model::protocol::BpfCost;
    use model::views::{API_VERSION, Latency, LatencyPlace, LatencyStage};

    fn drawn(width: usize) -> String {
        let stage = LatencyStage {
            stage: "read by application, tcp".to_owned(),
            location: "socket".to_owned(),
            count: 10,
            p50_us: 40.0,
            p99_us: 230_000.0,
            max_us: 230_000.0,
            buckets: vec![(0.5, 0.6, 1), (36.0, 40.0, 8), (200_000.0, 230_000.0, 1)],
        };
        let place = |name: &str, stages: Vec<LatencyStage>| LatencyPlace {
            name: name.to_owned(),
            node: "n1".to_owned(),
            netns: 7,
            with: None,
            stages,
        };
        let latency = Latency {
            api_version: API_VERSION.to_owned(),
            kind: "Latency".to_owned(),
            at: String::new(),
            seconds: 10.0,
            worst: Some("nearly all of the measured time is this".to_owned()),
            sent: None,
            places: vec![place("shop/web", vec![stage]), place("shop/db", Vec::new())],
            bpf: Some(BpfCost {
                ns: 1_400_000,
                ..BpfCost::default()
            }),
            missing: Vec::new(),
        };
        let paper = Paper { colour: false, width };
        paper.write(&page(&latency, paper))
    }

    #[test]
    fn a_row_is_drawn_over_decades_and_a_place_without_traffic_says_so() {
        let wide = "\
nearly all of the measured time is this
shop/web on n1 · in 10.0 s
stage                     where   count    p50     p99     max  1us   10us  100us 1ms   10ms  100ms 1s
read by application, tcp  socket     10  40 us  230 ms  230 ms  ▁        █                     ▁

shop/db on n1 · in 10.0 s
  ? nothing to measure: nothing was read or written in this time
our eBPF used 1.4 ms
";
        assert_eq!(drawn(120), wide);
        let narrow = drawn(80);
        let lines: Vec<&str> = narrow.lines().collect();
        assert!(lines[2].ends_with("max  1us..1s"), "{narrow}");
        assert!(lines[3].ends_with("230 ms  ▁█   ▁"), "{narrow}");
    }
}
