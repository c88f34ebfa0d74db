//! Metrics as Protocol Buffers: a row of `MetricFamily` messages (`io.prometheus.client`, `metrics.proto` of Prometheus' client model),
//! each after its length. Pure.

use super::metric_histogram::{MetricHistogram, bounds_s};
use super::metric_set::{MetricFamily, MetricSet};
use model::series::SeriesKind;
use prost::Message;

/// As HTTP says it.
pub const CONTENT_TYPE: &str =
    "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited";

#[derive(Clone, PartialEq, Message)]
struct Family {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    help: String,
    /// Left out where it is 0, as for a reader that is a counter's.
    #[prost(int32, optional, tag = "3")]
    kind: Option<i32>,
    #[prost(message, repeated, tag = "4")]
    metric: Vec<Metric>,
    #[prost(string, tag = "5")]
    unit: String,
}

#[derive(Clone, PartialEq, Message)]
struct Metric {
    #[prost(message, repeated, tag = "1")]
    label: Vec<LabelPair>,
    #[prost(message, optional, tag = "2")]
    gauge: Option<Number>,
    #[prost(message, optional, tag = "3")]
    counter: Option<Number>,
    #[prost(message, optional, tag = "7")]
    histogram: Option<Histogram>,
}

#[derive(Clone, PartialEq, Message)]
struct LabelPair {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

/// A counter's or a gauge's.
#[derive(Clone, Copy, PartialEq, Message)]
struct Number {
    #[prost(double, optional, tag = "1")]
    value: Option<f64>,
}

#[derive(Clone, PartialEq, Message)]
struct Histogram {
    #[prost(uint64, tag = "1")]
    sample_count: u64,
    #[prost(double, tag = "2")]
    sample_sum: f64,
    #[prost(message, repeated, tag = "3")]
    bucket: Vec<Bucket>,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Bucket {
    #[prost(uint64, tag = "1")]
    cumulative_count: u64,
    #[prost(double, tag = "2")]
    upper_bound: f64,
}

/// The whole body.
pub fn encoded(set: &MetricSet) -> Vec<u8> {
    let families = set.families.iter().map(|(name, family)| message(name, family));
    families
        .flat_map(|family| family.encode_length_delimited_to_vec())
        .collect()
}

fn message(name: &str, family: &MetricFamily) -> Family {
    // `enum MetricType`, and the name under which a server keeps the samples.
    let (kind, suffix) = match family.name.kind {
        SeriesKind::Counter => (0, "_total"),
        SeriesKind::Gauge => (1, ""),
        SeriesKind::Histogram => (4, ""),
    };
    let numbers = family.samples.iter().map(|sample| {
        let number = Some(Number {
            value: Some(sample.value.float()),
        });
        let of = |wanted: SeriesKind| number.filter(|_| family.name.kind == wanted);
        Metric {
            label: labels(sample.pairs()),
            gauge: of(SeriesKind::Gauge),
            counter: of(SeriesKind::Counter),
            histogram: None,
        }
    });
    let histograms = family.histograms.iter().map(|histogram| Metric {
        label: labels(histogram.pairs()),
        histogram: Some(distribution(histogram)),
        ..Metric::default()
    });
    Family {
        name: format!("{name}{suffix}"),
        help: family.name.help.clone(),
        kind: Some(kind),
        metric: numbers.chain(histograms).collect(),
        unit: family.name.unit.to_string(),
    }
}

fn distribution(histogram: &MetricHistogram) -> Histogram {
    let bounds = bounds_s().chain([f64::INFINITY]);
    let counts = histogram.below.iter().copied().chain([histogram.count]);
    Histogram {
        sample_count: histogram.count,
        sample_sum: histogram.sum_s(),
        bucket: bounds
            .zip(counts)
            .map(|(upper_bound, cumulative_count)| Bucket {
                cumulative_count,
                upper_bound,
            })
            .collect(),
    }
}

fn labels(pairs: impl Iterator<Item = (String, String)>) -> Vec<LabelPair> {
    pairs.map(|(name, value)| LabelPair { name, value }).collect()
}

#[cfg(test)]
mod tests {
    use super::super::metric_set::MetricSet;
    use super::super::metric_set::tests::{measured, place, series};
    use super::{Family, encoded};
    use prost::Message as _;

    #[test]
    fn each_family_has_its_kind_its_samples_and_the_name_that_a_server_keeps() {
        let numbers = [
            (series("netdev.rx_bytes", &[("interface", "eth0")]), 7),
            (series("fd.open", &[("process", "a\"b\n")]), 9),
        ];
        let waits = series("socketlatency.read", &[("protocol", "tcp")]);
        let places = [place(("shop", "web-1", 7), &numbers), measured(("web-2", 8), &waits)];
        let mut set = MetricSet::with_room(0, 1_000);
        set.add_places(&places);
        set.settle();
        let body = encoded(&set);
        let (mut left, mut families) = (body.as_slice(), Vec::new());
        while !left.is_empty() {
            families.push(Family::decode_length_delimited(&mut left).unwrap());
        }
        let of = |name: &str| families.iter().find(|family| family.name == name).unwrap();
        let received = of("skoop_netdev_rx_bytes_total");
        assert_eq!((received.kind, received.unit.as_str()), (Some(0), "bytes"));
        assert_eq!(received.metric[0].counter.unwrap().value, Some(7.0));
        assert!(received.metric[0].label.iter().any(|label| label.value == "eth0"));
        let open = &of("skoop_fd_open").metric[0];
        assert_eq!(open.gauge.unwrap().value, Some(9.0));
        assert!(
            open.label.iter().any(|label| label.value == "a\"b\n"),
            "letters go as they are"
        );
        let waits = &of("skoop_socketlatency_read_seconds").metric[0];
        let waits = waits.histogram.as_ref().unwrap();
        let last = waits.bucket.last().unwrap();
        assert_eq!((waits.sample_count, last.cumulative_count), (3, 3));
        assert!(last.upper_bound.is_infinite() && waits.bucket[0].cumulative_count == 2);
    }
}
