//! The sink `remote-write=URL`: numbers by Prometheus' remote write, version 1: protobuf, compressed with Snappy.

use super::http_push::PushServer;
use super::metric_set::MetricSet;
use super::sink_queue::SinkBatch;
use super::sink_runner::{DeliveryError, ExportSink};
use model::series::SeriesKind;
use prost::Message;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The API's own path.
pub const PATH: &str = "/api/v1/write";
/// Samples of one request.
const REQUEST: usize = 2_000;
/// What a server reads as the end of a series (Prometheus, `value.StaleNaN`).
const STALE: u64 = 0x7ff0_0000_0000_0002;

/// A series by its labels, its name among them, in order.
type SeriesKey = Vec<(String, String)>;

/// A server that takes remote write.
#[derive(Debug)]
pub struct RemoteWrite {
    server: PushServer,
    /// The series of the last reading that went out whole.
    known: BTreeMap<SeriesKey, u64>,
    /// The reading that is going out, and how many of its requests went.
    under_way: Option<(u64, usize)>,
    /// The last reading that is done with.
    newest: Option<u64>,
}

impl RemoteWrite {
    /// This one.
    pub fn new(server: PushServer) -> Self {
        Self {
            server,
            known: BTreeMap::new(),
            under_way: None,
            newest: None,
        }
    }

    /// Lets one reading go out, from where it stopped before.
    async fn write(&mut self, set: &Arc<MetricSet>) -> Result<(), DeliveryError> {
        let now = series(set);
        let ended = self.known.keys().filter(|key| !now.contains_key(*key));
        let all: Vec<(&SeriesKey, u64)> = now
            .iter()
            .map(|(key, value)| (key, *value))
            .chain(ended.map(|key| (key, STALE)))
            .collect();
        let begun = match self.under_way {
            Some((at_ns, gone)) if at_ns == set.at_ns => gone,
            _ => 0,
        };
        for (number, part) in all.chunks(REQUEST).enumerate().skip(begun) {
            send(&self.server, part, set.at_ns / 1_000_000).await?;
            self.under_way = Some((set.at_ns, number + 1));
        }
        self.under_way = None;
        self.known = now;
        Ok(())
    }
}

async fn send(server: &PushServer, series: &[(&SeriesKey, u64)], at_ms: u64) -> Result<(), DeliveryError> {
    let body = snap::raw::Encoder::new()
        .compress_vec(&request(series, at_ms))
        .map_err(|error| DeliveryError::lasting(format!("compressing failed: {error}")))?;
    server.post_as("application/x-protobuf", "snappy", body).await.map(drop)
}

/// All series of a reading, each with the bits of its value.
fn series(set: &MetricSet) -> BTreeMap<SeriesKey, u64> {
    let mut all = BTreeMap::new();
    for family in set.families.values() {
        let suffix = if family.name.kind == SeriesKind::Counter {
            "_total"
        } else {
            ""
        };
        for sample in &family.samples {
            let mut key: SeriesKey = sample.pairs().collect();
            key.push(("__name__".to_owned(), format!("{}{suffix}", family.name.family)));
            key.sort();
            all.insert(key, sample.value.float().to_bits());
        }
        for histogram in &family.histograms {
            for (ending, bound, value) in histogram.series() {
                let mut key: SeriesKey = histogram.pairs().collect();
                key.extend(bound.map(|bound| ("le".to_owned(), bound)));
                key.push(("__name__".to_owned(), format!("{}{ending}", family.name.family)));
                key.sort();
                all.insert(key, value.to_bits());
            }
        }
    }
    all
}

/// `WriteRequest` of `prompb/remote.proto`.
#[derive(Clone, PartialEq, Message)]
struct WriteRequest {
    #[prost(message, repeated, tag = "1")]
    timeseries: Vec<TimeSeries>,
}

#[derive(Clone, PartialEq, Message)]
struct TimeSeries {
    #[prost(message, repeated, tag = "1")]
    labels: Vec<Label>,
    #[prost(message, repeated, tag = "2")]
    samples: Vec<Sample>,
}

#[derive(Clone, PartialEq, Message)]
struct Label {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    value: String,
}

#[derive(Clone, Copy, PartialEq, Message)]
struct Sample {
    #[prost(double, tag = "1")]
    value: f64,
    /// In milliseconds.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

fn request(series: &[(&SeriesKey, u64)], at_ms: u64) -> Vec<u8> {
    let one = |(key, bits): &(&SeriesKey, u64)| {
        let label = |(name, value): &(String, String)| Label {
            name: name.clone(),
            value: value.clone(),
        };
        let sample = Sample {
            value: f64::from_bits(*bits),
            timestamp: at_ms.cast_signed(),
        };
        TimeSeries {
            labels: key.iter().map(label).collect(),
            samples: vec![sample],
        }
    };
    let timeseries = series.iter().map(one).collect();
    WriteRequest { timeseries }.encode_to_vec()
}

impl ExportSink for RemoteWrite {
    async fn deliver(&mut self, batch: &SinkBatch) -> Result<u64, DeliveryError> {
        let mut refused = 0;
        for set in &batch.readings {
            // What went out before it failed is not sent again.
            if self.newest.is_some_and(|newest| set.at_ns <= newest) {
                continue;
            }
            match self.write(set).await {
                Err(error) if error.again => return Err(error),
                // One reading that a server refuses for good hinders no later one.
                Err(error) if batch.readings.len() == 1 => return Err(error),
                Err(_) => refused += 1,
                Ok(()) => {}
            }
            self.newest = Some(set.at_ns);
        }
        Ok(refused)
    }

    /// Nobody looks any more: what was last is not what is now.
    async fn end(&mut self) -> Result<(), DeliveryError> {
        let all: Vec<(&SeriesKey, u64)> = self.known.keys().map(|key| (key, STALE)).collect();
        let at_ms = self.newest.unwrap_or_default() / 1_000_000 + 1;
        for part in all.chunks(REQUEST) {
            send(&self.server, part, at_ms).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{STALE, request, series};
    use crate::export::metric_set::MetricSet;
    use crate::export::metric_set::tests::{place, series as described};

    #[test]
    fn a_request_is_what_the_protocol_says_byte_for_byte() {
        let key = vec![("__name__".to_owned(), "up".to_owned())];
        let bytes = request(&[(&key, 1.5_f64.to_bits()), (&key, STALE)], 300);
        let one = |value: [u8; 8]| {
            let label = [&[0x0a, 14, 0x0a, 8][..], b"__name__", &[0x12, 2], b"up"].concat();
            let sample = [&[0x12, 12, 0x09][..], &value, &[0x10, 0xac, 0x02]].concat();
            let series = [label, sample].concat();
            [&[0x0a, series.len() as u8][..], &series].concat()
        };
        let stale = [2, 0, 0, 0, 0, 0, 0xf0, 0x7f];
        assert_eq!(bytes, [one(1.5_f64.to_le_bytes()), one(stale)].concat());
    }

    #[test]
    fn labels_are_in_order_and_a_counter_has_its_suffix() {
        let numbers = [(described("netdev.rx_bytes", &[("interface", "eth0")]), 7)];
        let places = [place(("shop", "web-1", 7), &numbers)];
        let mut set = MetricSet::with_room(0, 10);
        set.add_places(&places);
        set.settle();
        let all = series(&set);
        let (key, bits) = all.first_key_value().unwrap();
        let labels: Vec<String> = key.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(
            labels,
            [
                "__name__=skoop_netdev_rx_bytes_total",
                "interface=eth0",
                "namespace=shop",
                "node=n1",
                "pod=web-1"
            ]
        );
        assert_eq!(*bits, 7.0_f64.to_bits());
    }
}
