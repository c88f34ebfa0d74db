//! The sink `otlp=URL`: numbers and events by the OpenTelemetry protocol, as JSON over HTTP.

use super::exported_event::ExportedEvent;
use super::http_push::PushServer;
use super::metric_histogram::{MetricHistogram, bounds_s};
use super::metric_names::MetricScale;
use super::metric_set::{MetricFamily, MetricSample, MetricSet};
use super::place_labels::PlaceLabels;
use super::sink_queue::SinkBatch;
use super::sink_runner::{DeliveryError, ExportSink};
use model::series::SeriesKind;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The path that takes numbers.
pub const METRICS: &str = "/v1/metrics";
/// The path that takes events.
pub const LOGS: &str = "/v1/logs";

/// A collector.
#[derive(Debug)]
pub struct Otlp {
    metrics: PushServer,
    logs: PushServer,
    cluster: String,
    /// The readings up to this one went out.
    newest: Option<u64>,
}

impl Otlp {
    /// This one, by both its ways.
    pub fn new(metrics: PushServer, logs: PushServer, cluster: String) -> Self {
        Self {
            metrics,
            logs,
            cluster,
            newest: None,
        }
    }
}

fn attribute(name: &str, value: &str) -> Option<Value> {
    (!value.is_empty()).then(|| json!({"key": name, "value": {"stringValue": value}}))
}

/// Whose it is, by the names of the semantic conventions.
fn resource(place: &PlaceLabels, cluster: &str) -> Value {
    let netns = place.netns.map(|netns| netns.to_string()).unwrap_or_default();
    // Prometheus knows a resource by its name and its instance alone, unless it is told otherwise.
    let instance: Vec<String> = place.pairs().map(|(_, value)| value).collect();
    let attributes: Vec<Value> = [
        ("service.name", "kubectl-skoop"),
        ("service.instance.id", &instance.join("/")),
        ("k8s.cluster.name", cluster),
        ("k8s.node.name", &place.node),
        ("k8s.namespace.name", &place.namespace),
        ("k8s.pod.name", &place.pod),
        ("skoop.place", &place.place),
        ("skoop.netns", &netns),
    ]
    .into_iter()
    .filter_map(|(name, value)| attribute(name, value))
    .collect();
    json!({"attributes": attributes})
}

/// A unit as UCUM writes it; none for things that are counted, which are no shares (`1`).
fn unit(unit: &str) -> &str {
    match unit {
        "seconds" => "s",
        "bytes" => "By",
        "bytes_per_second" => "By/s",
        _ => "",
    }
}

fn point(sample: &MetricSample, at_ns: u64) -> Value {
    let attributes: Vec<Value> = sample
        .labels
        .iter()
        .filter_map(|(name, value)| attribute(name, value))
        .collect();
    let whole = i64::try_from(sample.value.read).ok();
    let (key, value) = match (sample.value.scale, whole) {
        // Numbers of 64 bits are text there (Protocol Buffers, "ProtoJSON Format").
        (MetricScale::One, Some(whole)) => ("asInt", Value::from(whole.to_string())),
        _ => ("asDouble", sample.value.float().into()),
    };
    let mut point = Map::new();
    point.insert("timeUnixNano".to_owned(), at_ns.to_string().into());
    point.insert("attributes".to_owned(), attributes.into());
    point.insert(key.to_owned(), value);
    Value::Object(point)
}

fn metric(family: &MetricFamily, samples: &[&MetricSample], at_ns: u64) -> Value {
    let points: Vec<Value> = samples.iter().map(|sample| point(sample, at_ns)).collect();
    let name = &family.name;
    let (key, data) = match name.kind {
        // 2 is cumulative.
        SeriesKind::Counter => (
            "sum",
            json!({"aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points}),
        ),
        SeriesKind::Gauge | SeriesKind::Histogram => ("gauge", json!({"dataPoints": points})),
    };
    described(family, key, data)
}

fn described(family: &MetricFamily, key: &str, data: Value) -> Value {
    let name = &family.name;
    let mut metric = Map::from_iter([(key.to_owned(), data)]);
    for (key, text) in [
        ("name", name.family.as_str()),
        ("description", &name.help),
        ("unit", unit(name.unit)),
    ] {
        metric.insert(key.to_owned(), text.into());
    }
    Value::Object(metric)
}

/// A `HistogramDataPoint`: how many values fell between two bounds, with one more for those beyond the last.
fn distribution(histogram: &MetricHistogram, at_ns: u64) -> Value {
    let attributes = histogram
        .labels
        .iter()
        .filter_map(|(name, value)| attribute(name, value));
    let mut before = 0;
    let within = histogram.below.into_iter().chain([histogram.count]).map(|below| {
        let count = below - before;
        before = below;
        count.to_string()
    });
    json!({
        "timeUnixNano": at_ns.to_string(),
        "attributes": attributes.collect::<Vec<_>>(),
        "count": histogram.count.to_string(),
        "sum": histogram.sum_s(),
        "bucketCounts": within.collect::<Vec<_>>(),
        "explicitBounds": bounds_s().collect::<Vec<_>>(),
    })
}

/// An `ExportMetricsServiceRequest`.
fn metrics(set: &MetricSet, cluster: &str) -> Value {
    let mut places: BTreeMap<&PlaceLabels, Vec<Value>> = BTreeMap::new();
    for family in set.families.values() {
        let mut of: BTreeMap<&PlaceLabels, Vec<&MetricSample>> = BTreeMap::new();
        for sample in &family.samples {
            of.entry(&sample.place).or_default().push(sample);
        }
        let mut distributions: BTreeMap<&PlaceLabels, Vec<&MetricHistogram>> = BTreeMap::new();
        for histogram in &family.histograms {
            distributions.entry(&histogram.place).or_default().push(histogram);
        }
        for (place, histograms) in distributions {
            let points: Vec<Value> = histograms.iter().map(|one| distribution(one, set.at_ns)).collect();
            // 2 is cumulative.
            let data = json!({"aggregationTemporality": 2, "dataPoints": points});
            places
                .entry(place)
                .or_default()
                .push(described(family, "histogram", data));
        }
        for (place, samples) in of {
            places
                .entry(place)
                .or_default()
                .push(metric(family, &samples, set.at_ns));
        }
    }
    let resources: Vec<Value> = places
        .into_iter()
        .map(|(place, metrics)| {
            json!({
                "resource": resource(place, cluster),
                "scopeMetrics": [{"scope": {"name": "skoop"}, "metrics": metrics}],
            })
        })
        .collect();
    json!({"resourceMetrics": resources})
}

/// An `ExportLogsServiceRequest`.
fn logs(batch: &SinkBatch, cluster: &str) -> Value {
    let mut places: BTreeMap<&PlaceLabels, Vec<Value>> = BTreeMap::new();
    for event in &batch.events {
        places.entry(&event.place).or_default().push(record(event));
    }
    let resources: Vec<Value> = places
        .into_iter()
        .map(|(place, records)| {
            json!({
                "resource": resource(place, cluster),
                "scopeLogs": [{"scope": {"name": "skoop"}, "logRecords": records}],
            })
        })
        .collect();
    json!({"resourceLogs": resources})
}

fn record(event: &ExportedEvent) -> Value {
    let flow = &event.event.flow;
    let (src, dst) = (flow.src().to_string(), flow.dst().to_string());
    let (sport, dport) = (flow.sport.to_string(), flow.dport.to_string());
    let attributes: Vec<Value> = [
        ("skoop.probe", event.event.probe.as_str()),
        ("skoop.what", &event.what),
        ("skoop.reason", &event.reason),
        ("container.id", event.container()),
        (
            "network.interface.name",
            event.event.interface.as_deref().unwrap_or_default(),
        ),
        ("source.address", &src),
        ("source.port", &sport),
        ("destination.address", &dst),
        ("destination.port", &dport),
    ]
    .into_iter()
    .filter_map(|(name, value)| attribute(name, value))
    .collect();
    json!({
        "timeUnixNano": event.at_ns.to_string(),
        "observedTimeUnixNano": event.at_ns.to_string(),
        "severityNumber": 9,
        "severityText": "INFO",
        "body": {"stringValue": event.json},
        "attributes": attributes,
    })
}

/// What a collector refuses for good of what it took.
fn refused(answer: &[u8], key: &str) -> u64 {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    let refused = &answer["partialSuccess"][key];
    let text = || refused.as_str().and_then(|text| text.parse().ok());
    refused.as_u64().or_else(text).unwrap_or_default()
}

impl ExportSink for Otlp {
    async fn deliver(&mut self, batch: &SinkBatch) -> Result<u64, DeliveryError> {
        let mut lost = 0;
        for set in &batch.readings {
            // What went out before something failed is not sent again.
            if self.newest.is_some_and(|newest| set.at_ns <= newest) {
                continue;
            }
            let body = metrics(set, &self.cluster).to_string().into_bytes();
            let answer = self.metrics.post("application/json", &body).await?;
            // A reading of which something is missing is no whole one.
            lost += refused(&answer, "rejectedDataPoints").min(1);
            self.newest = Some(set.at_ns);
        }
        if !batch.events.is_empty() {
            let body = logs(batch, &self.cluster).to_string().into_bytes();
            let answer = self.logs.post("application/json", &body).await?;
            lost += refused(&answer, "rejectedLogRecords");
        }
        Ok(lost)
    }
}

#[cfg(test)]
mod tests {
    use super::{logs, metrics, refused};
    use crate::export::exported_event::tests::{RESET, event, event_in};
    use crate::export::metric_set::MetricSet;
    use crate::export::metric_set::tests::{place, series};
    use crate::export::sink_queue::SinkBatch;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn counters_are_cumulative_sums_in_units_of_ucum_and_large_numbers_are_text() {
        let numbers = [
            (series("cpu.used", &[]), 1_500_000),
            (series("netdev.rx_bytes", &[("interface", "eth0")]), 1 << 60),
            (series("tcpsummary.unread", &[]), 3),
        ];
        let places = [place(("shop", "web-1", 7), &numbers)];
        let mut set = MetricSet::with_room(5, 10);
        set.add_places(&places);
        set.settle();
        let text = |value: &str| json!({"stringValue": value});
        assert_eq!(
            metrics(&set, "prod"),
            json!({"resourceMetrics": [{
                "resource": {"attributes": [
                    {"key": "service.name", "value": text("kubectl-skoop")},
                    {"key": "service.instance.id", "value": text("n1/shop/web-1")},
                    {"key": "k8s.cluster.name", "value": text("prod")},
                    {"key": "k8s.node.name", "value": text("n1")},
                    {"key": "k8s.namespace.name", "value": text("shop")},
                    {"key": "k8s.pod.name", "value": text("web-1")},
                ]},
                "scopeMetrics": [{"scope": {"name": "skoop"}, "metrics": [
                    {"name": "skoop_cpu_used_seconds", "description": "time on a CPU", "unit": "s", "sum": {
                        "aggregationTemporality": 2, "isMonotonic": true,
                        "dataPoints": [{"timeUnixNano": "5", "attributes": [], "asDouble": 1.5}]}},
                    {"name": "skoop_netdev_rx_bytes", "description": "bytes received by an interface", "unit": "By", "sum": {
                        "aggregationTemporality": 2, "isMonotonic": true,
                        "dataPoints": [{"timeUnixNano": "5", "asInt": "1152921504606846976",
                            "attributes": [{"key": "interface", "value": text("eth0")}]}]}},
                    {"name": "skoop_tcpsummary_unread_bytes", "unit": "By",
                        "description": "bytes that came and no program has read yet",
                        "gauge": {"dataPoints": [{"timeUnixNano": "5", "attributes": [], "asInt": "3"}]}},
                ]}],
            }]})
        );
    }

    #[test]
    fn an_event_is_a_record_of_its_pod() {
        let batch = SinkBatch {
            events: vec![Arc::new(event(RESET))],
            readings: Vec::new(),
        };
        let logs = logs(&batch, "");
        let of = &logs["resourceLogs"][0];
        assert_eq!(of["resource"]["attributes"].as_array().unwrap().len(), 5);
        let record = &of["scopeLogs"][0]["logRecords"][0];
        assert_eq!(record["timeUnixNano"], "1700000000000000000");
        assert!(record["body"]["stringValue"].as_str().unwrap().contains("NO_SOCKET"));
        let reason = json!({"key": "skoop.reason", "value": {"stringValue": "NO_SOCKET"}});
        let attributes = record["attributes"].as_array().unwrap();
        assert!(attributes.contains(&reason), "{record}");
        assert!(
            attributes.iter().all(|attribute| attribute["key"] != "container.id"),
            "{record}"
        );
    }

    #[test]
    fn the_container_is_told_where_it_is_known() {
        let batch = SinkBatch {
            events: vec![Arc::new(event_in("4f2a", RESET))],
            readings: Vec::new(),
        };
        let logs = logs(&batch, "");
        let record = &logs["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0];
        let container = json!({"key": "container.id", "value": {"stringValue": "4f2a"}});
        assert!(
            record["attributes"].as_array().unwrap().contains(&container),
            "{record}"
        );
    }

    #[test]
    fn what_a_collector_refuses_of_a_request_is_counted() {
        for (answer, lost) in [
            (
                r#"{"partialSuccess":{"rejectedLogRecords":"3","errorMessage":"no"}}"#,
                3,
            ),
            (r#"{"partialSuccess":{}}"#, 0),
            ("{}", 0),
            ("", 0),
        ] {
            assert_eq!(refused(answer.as_bytes(), "rejectedLogRecords"), lost);
        }
    }
}
