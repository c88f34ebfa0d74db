//! Events and numbers as JSON lines: an event as `capture -o json` prints it, with the time of day, and of each reading one line
//! a place. Pure.

use super::metric_histogram::bounds_s;
use super::metric_set::MetricSet;
use super::place_labels::PlaceLabels;
use super::sink_queue::SinkBatch;
use model::series::SeriesKind;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::{Duration, UNIX_EPOCH};

/// The numbers of one place in one reading.
#[derive(Serialize)]
struct PlaceLine<'a> {
    kind: &'static str,
    at: &'a str,
    #[serde(flatten)]
    place: BTreeMap<&'static str, String>,
    numbers: Vec<NumberLine<'a>>,
}

#[derive(Serialize)]
struct NumberLine<'a> {
    name: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    labels: BTreeMap<&'a str, &'a str>,
    value: serde_json::Number,
    /// In a distribution: each bound in seconds, and how many values were no more than it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    buckets: Vec<(f64, u64)>,
}

/// A moment as RFC 3339 has it.
pub fn at(unix_ns: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_nanos(unix_ns)).to_string()
}

/// A whole batch, each line with its end.
pub fn lines(batch: &SinkBatch) -> serde_json::Result<String> {
    let mut text = String::new();
    for event in &batch.events {
        // An event's own time is its node's clock since boot, which says nothing to who reads it later.
        let rest = event.json.strip_prefix('{').unwrap_or_default();
        let at = humantime::format_rfc3339_nanos(UNIX_EPOCH + Duration::from_nanos(event.at_ns));
        let _ = writeln!(text, "{{\"at\":\"{at}\",{rest}");
    }
    for set in &batch.readings {
        reading(set, &mut text)?;
    }
    Ok(text)
}

fn reading(set: &MetricSet, text: &mut String) -> serde_json::Result<()> {
    let at = at(set.at_ns);
    let mut places: BTreeMap<&PlaceLabels, Vec<NumberLine>> = BTreeMap::new();
    for family in set.families.values() {
        let suffix = if family.name.kind == SeriesKind::Counter {
            "_total"
        } else {
            ""
        };
        for sample in &family.samples {
            places.entry(&sample.place).or_default().push(NumberLine {
                name: format!("{}{suffix}", family.name.family),
                labels: labels(&sample.labels),
                value: sample.value.json(),
                buckets: Vec::new(),
            });
        }
        for histogram in &family.histograms {
            let below = bounds_s().zip(histogram.below);
            places.entry(&histogram.place).or_default().push(NumberLine {
                name: family.name.family.clone(),
                labels: labels(&histogram.labels),
                value: histogram.count.into(),
                buckets: below.filter(|(_, below)| *below > 0).collect(),
            });
        }
    }
    for (place, numbers) in places {
        let line = PlaceLine {
            kind: "Numbers",
            at: &at,
            place: place.pairs().collect(),
            numbers,
        };
        text.push_str(&crate::render::json_line(&line)?);
        text.push('\n');
    }
    Ok(())
}

fn labels(labels: &[(String, String)]) -> BTreeMap<&str, &str> {
    let labels = labels.iter().filter(|(_, value)| !value.is_empty());
    labels.map(|(name, value)| (name.as_str(), value.as_str())).collect()
}

#[cfg(test)]
mod tests {
    use super::lines;
    use crate::export::exported_event::tests::{RESET, event};
    use crate::export::metric_set::MetricSet;
    use crate::export::metric_set::tests::{place, series};
    use crate::export::sink_queue::SinkBatch;
    use std::sync::Arc;

    #[test]
    fn an_event_is_a_line_and_so_are_the_numbers_of_each_place() {
        let web = [
            (series("Tcp.RetransSegs", &[]), u64::MAX),
            (series("cpu.used", &[]), 1_500_000),
        ];
        let a = [(series("fd.open", &[("process", "a\u{1b}")]), 3)];
        let places = [place(("shop", "web-1", 7), &web), place(("", "netns/a", 8), &a)];
        let mut set = MetricSet::with_room(1_700_000_000_000_000_000, 10);
        set.add_places(&places);
        set.settle();
        let event = event(RESET);
        let json = event
            .json
            .replacen('{', r#"{"at":"2023-11-14T22:13:20.000000000Z","#, 1);
        let batch = SinkBatch {
            events: vec![Arc::new(event)],
            readings: vec![Arc::new(set)],
        };
        let text = lines(&batch).unwrap();
        let expected = [
            json.as_str(),
            r#"{"kind":"Numbers","at":"2023-11-14T22:13:20.000Z","node":"n1","place":"netns/a","numbers":[{"name":"skoop_fd_open","labels":{"process":"a\u001b"},"value":3}]}"#,
            r#"{"kind":"Numbers","at":"2023-11-14T22:13:20.000Z","namespace":"shop","node":"n1","pod":"web-1","numbers":[{"name":"skoop_cpu_used_seconds_total","value":1.5},{"name":"skoop_tcp_RetransSegs_total","value":18446744073709551615}]}"#,
        ];
        assert_eq!(text.lines().collect::<Vec<_>>(), expected);
    }
}
