//! What is asked of Prometheus about a number. Pure.
//!
//! A helper does not tell a number that has always been zero, so a counter begins in the middle of a window, with the first
//! fault: `increase` alone would not see that one, and a dashboard without data would look like one that is broken. What is
//! always there for each place that is read (the kernel's least retransmission timeout) says that it was read and was zero.

use cli::{MetricName, metric_name};
use model::numbers::shape_of;
use model::series::{Series, SeriesKind};

/// The labels that say whose a number is.
const PLACE: &str = "node, namespace, pod, place, netns";
/// Grafana's word for a time in which a few readings fall.
const INTERVAL: &str = "$__rate_interval";

/// The metric of a number.
pub fn metric_of(number: &str) -> MetricName {
    let (kind, unit) = shape_of(number);
    metric_name(&Series {
        name: number.to_owned(),
        kind,
        unit,
        ..Series::default()
    })
}

/// As its samples are called.
fn samples_of(number: &str) -> String {
    let metric = metric_of(number);
    let suffix = if metric.kind == SeriesKind::Counter {
        "_total"
    } else {
        ""
    };
    format!("{}{suffix}", metric.family)
}

/// A selector that asks for these labels, too.
pub fn narrowed(selector: &str, labels: &str) -> String {
    match selector.strip_suffix('}') {
        Some(open) if !labels.is_empty() => format!("{open}, {labels}}}"),
        _ => selector.to_owned(),
    }
}

/// What is always there for a place that is read.
fn read(selector: &str) -> String {
    format!("{}{selector}", samples_of("Tcp.RtoMin"))
}

/// Summed up; zero for a place that is read and of which nothing of it was told.
fn summed(by: &str, all: &str, selector: &str) -> String {
    let places: Vec<&str> = by
        .split(", ")
        .filter(|label| PLACE.split(", ").any(|other| other == *label))
        .collect();
    let places = places.join(", ");
    format!(
        "sum by ({by}) ({all}) or on ({places}) sum by ({places}) (0 * {})",
        read(selector)
    )
}

/// How much it has grown in an interval, from its first time on.
pub fn growth(number: &str, by: &str, selector: &str) -> String {
    let counter = format!("{}{selector}", samples_of(number));
    let born = format!(
        "({counter} unless {counter} offset {INTERVAL}) and on ({PLACE}) ({} offset {INTERVAL})",
        read(selector)
    );
    summed(by, &format!("({born}) or increase({counter}[{INTERVAL}])"), selector)
}

/// How much more there is each second.
pub fn rate(number: &str, by: &str, selector: &str) -> String {
    summed(
        by,
        &format!("rate({}{selector}[{INTERVAL}])", samples_of(number)),
        selector,
    )
}

/// How much there is.
pub fn level(number: &str, by: &str, selector: &str) -> String {
    summed(by, &format!("{}{selector}", samples_of(number)), selector)
}

/// No more than this for so many of all (`0.99`).
pub fn quantile(share: &str, number: &str, by: &str, selector: &str) -> String {
    let comma = if by.is_empty() { "" } else { ", " };
    format!(
        "histogram_quantile({share}, sum by (le{comma}{by}) (rate({}_bucket{selector}[{INTERVAL}])))",
        samples_of(number)
    )
}

/// How many events of a probe were met in an interval. They are counted from when the export begins, so a new one began at zero.
pub fn events(probe: &str, by: &str, selector: &str) -> String {
    let counter = format!("{}_total{selector}", cli::event_metric_name(probe).family);
    summed(
        by,
        &format!("({counter} unless {counter} offset {INTERVAL}) or increase({counter}[{INTERVAL}])"),
        selector,
    )
}

/// The same of what an export says of itself.
pub fn of_export(family: &str) -> String {
    format!("sum by (sink) (increase({family}_total[{INTERVAL}]))")
}

#[cfg(test)]
mod tests {
    use super::{events, growth, narrowed, quantile};

    #[test]
    fn a_counter_that_begins_grows_from_zero_where_its_place_was_read_before() {
        assert_eq!(
            growth("Tcp.OutRsts", "node", "{node=~\"$node\"}"),
            "sum by (node) (((skoop_tcp_OutRsts_total{node=~\"$node\"} unless skoop_tcp_OutRsts_total{node=~\"$node\"} offset $__rate_interval) \
             and on (node, namespace, pod, place, netns) (skoop_tcp_RtoMin{node=~\"$node\"} offset $__rate_interval)) \
             or increase(skoop_tcp_OutRsts_total{node=~\"$node\"}[$__rate_interval])) or on (node) sum by (node) (0 * skoop_tcp_RtoMin{node=~\"$node\"})"
        );
    }

    #[test]
    fn a_selector_asks_for_further_labels_where_there_are_some() {
        let all = "{node=~\"$node\"}";
        assert_eq!(narrowed(all, ""), all);
        assert_eq!(narrowed(all, "kind=\"\""), "{node=~\"$node\", kind=\"\"}");
    }

    #[test]
    fn names_are_those_of_the_export() {
        assert_eq!(
            quantile("0.5", "socketlatency.read", "", ""),
            "histogram_quantile(0.5, sum by (le) (rate(skoop_socketlatency_read_seconds_bucket[$__rate_interval])))"
        );
        assert!(events("tcpreset", "what", "").contains("skoop_tcpreset_events_total offset"));
    }
}
