//! All metrics of one reading: what the numbers of all places come to, in families, bounded. Pure.

use super::metric_histogram::{BOUNDS, MetricHistogram};
use super::metric_names::{self, MetricName, MetricScale};
use super::place_labels::{PlaceLabels, labels_of};
use crate::numbers::NumbersPlace;
use crate::numbers::place::POD;
use model::series::{SeriesKind, Unit};
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;

/// All metrics of one reading.
#[derive(Clone, Debug, Default)]
pub struct MetricSet {
    /// When it was read, Unix time in nanoseconds.
    pub at_ns: u64,
    /// Families by name, which stand for all samples of a name.
    pub families: BTreeMap<String, MetricFamily>,
    /// Samples in all.
    series: usize,
    /// The most of them.
    most: usize,
    /// Samples that are left out: more than there is room for, or two for one name.
    pub left_out: u64,
}

/// All samples of one name.
#[derive(Clone, Debug)]
pub struct MetricFamily {
    /// Its name, unit and meaning.
    pub name: MetricName,
    /// Its samples.
    pub samples: Vec<MetricSample>,
    /// Its distributions, where it is one.
    pub histograms: Vec<MetricHistogram>,
}

/// One number at one place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricSample {
    /// Whose it is.
    pub place: Arc<PlaceLabels>,
    /// Which of several.
    pub labels: Vec<(String, String)>,
    /// What it is.
    pub value: MetricValue,
}

/// A number, exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricValue {
    /// The number as it was read.
    pub read: u64,
    /// The divisor that brings it to base units.
    pub scale: MetricScale,
}

impl MetricSet {
    /// An empty set with room for `most` samples.
    pub fn with_room(at_ns: u64, most: usize) -> Self {
        Self {
            at_ns,
            most,
            ..Self::default()
        }
    }

    /// Samples in all.
    pub const fn len(&self) -> usize {
        self.series
    }

    /// The numbers of places. What counts since whenever is told so, what is a level as it is.
    pub fn add_places(&mut self, places: &[NumbersPlace]) {
        let labels = labels_of(places);
        // Most places have the same numbers.
        let mut names: HashMap<(&str, Unit), MetricName> = HashMap::new();
        for (place, labels) in places.iter().zip(labels) {
            for moved in &place.movements {
                // A distribution is told with its buckets.
                if moved.series.kind == SeriesKind::Histogram {
                    continue;
                }
                // Whose a number is, the place's labels tell.
                let own = moved.series.labels.iter().filter(|(name, _)| *name != POD);
                let own = own.map(|(name, value)| (metric_names::label(name), value.clone()));
                let sample = (Arc::clone(&labels), own.collect(), moved.now);
                let known = names.entry((&moved.series.name, moved.series.unit));
                self.add(known.or_insert_with(|| metric_names::of(moved.series)), sample);
            }
            for grown in &place.histograms {
                let own = grown.series.labels.iter();
                let own = own.map(|(name, value)| (metric_names::label(name), value.clone()));
                let histogram = MetricHistogram::new(Arc::clone(&labels), own.collect(), &grown.now);
                self.add_histogram(&metric_names::of(grown.series), histogram);
            }
        }
    }

    /// One more number, if there is room.
    pub fn add(&mut self, name: &MetricName, sample: (Arc<PlaceLabels>, Vec<(String, String)>, u64)) {
        if self.series >= self.most {
            self.left_out += 1;
        } else {
            self.put(name, sample);
        }
    }

    /// One more distribution, if there is room for all of its samples.
    fn add_histogram(&mut self, name: &MetricName, histogram: MetricHistogram) {
        // A sample for each bound, for what is beyond, for the sum and for the number.
        let samples = BOUNDS + 3;
        let family = self
            .families
            .entry(name.family.clone())
            .or_insert_with(|| MetricFamily::of(name));
        if self.series + samples > self.most || family.name.kind != name.kind {
            self.left_out += samples as u64;
            return;
        }
        self.series += samples;
        family.histograms.push(histogram);
    }

    /// One that says how this very reading fared, for which there is always room.
    pub fn add_own(&mut self, name: &MetricName, labels: Vec<(String, String)>, read: u64) {
        self.put(name, (Arc::default(), labels, read));
    }

    fn put(&mut self, name: &MetricName, (place, mut labels, read): (Arc<PlaceLabels>, Vec<(String, String)>, u64)) {
        labels.sort();
        labels.dedup_by(|one, other| one.0 == other.0);
        let value = MetricValue {
            read,
            scale: name.scale,
        };
        let family = self
            .families
            .entry(name.family.clone())
            .or_insert_with(|| MetricFamily::of(name));
        if (family.name.kind, family.name.unit) == (name.kind, name.unit) {
            self.series += 1;
            family.samples.push(MetricSample { place, labels, value });
        } else {
            self.left_out += 1;
        }
    }

    /// In order, and none twice: nobody could tell two samples with the same labels apart.
    pub fn settle(&mut self) {
        for family in self.families.values_mut() {
            family
                .samples
                .sort_by(|one, other| (&one.place, &one.labels).cmp(&(&other.place, &other.labels)));
            let before = family.samples.len();
            family
                .samples
                .dedup_by(|one, other| one.place == other.place && one.labels == other.labels);
            let alike = family.histograms.len();
            family
                .histograms
                .sort_by(|one, other| (&one.place, &one.labels).cmp(&(&other.place, &other.labels)));
            family
                .histograms
                .dedup_by(|one, other| one.place == other.place && one.labels == other.labels);
            let twice = before - family.samples.len() + (alike - family.histograms.len()) * (BOUNDS + 3);
            self.series -= twice;
            self.left_out += twice as u64;
        }
        self.families
            .retain(|_, family| !family.samples.is_empty() || !family.histograms.is_empty());
    }
}

impl MetricFamily {
    /// A family of this name, without samples yet.
    fn of(name: &MetricName) -> Self {
        Self {
            name: name.clone(),
            samples: Vec::new(),
            histograms: Vec::new(),
        }
    }
}

impl MetricSample {
    /// All its labels.
    pub fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        let place = self.place.pairs().map(|(name, value)| (name.to_owned(), value));
        place.chain(self.labels.iter().filter(|(_, value)| !value.is_empty()).cloned())
    }
}

impl MetricValue {
    /// As a float, as servers keep it.
    pub fn float(self) -> f64 {
        let read = self.read as f64;
        match self.scale {
            MetricScale::One => read,
            MetricScale::Eighth => read / 8.0,
            MetricScale::Millionth => read / 1e6,
            MetricScale::Billionth => read / 1e9,
        }
    }
}

impl MetricValue {
    /// As JSON has it: what is whole stays so.
    pub fn json(self) -> serde_json::Number {
        let float = || serde_json::Number::from_f64(self.float());
        let whole = (self.scale == MetricScale::One).then(|| self.read.into());
        whole.or_else(float).unwrap_or_else(|| 0.into())
    }
}

impl fmt::Display for MetricValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (divisor, digits) = match self.scale {
            MetricScale::One => return write!(f, "{}", self.read),
            MetricScale::Eighth => return write!(f, "{}", self.float()),
            MetricScale::Millionth => (1_000_000, 6),
            MetricScale::Billionth => (1_000_000_000, 9),
        };
        let rest = format!("{:0digits$}", self.read % divisor);
        match rest.trim_end_matches('0') {
            "" => write!(f, "{}", self.read / divisor),
            rest => write!(f, "{}.{rest}", self.read / divisor),
        }
    }
}

#[cfg(test)]
pub mod tests {
    use super::{MetricSet, MetricValue};
    use crate::conversation::numbers::{BucketGrowth, Movement};
    use crate::export::metric_names::MetricScale;
    use crate::numbers::NumbersPlace;
    use model::histogram::bucket;
    use model::numbers::shape_of;
    use model::series::Series;
    use std::collections::BTreeMap;
    use std::rc::Rc;

    /// What a helper describes as a number of this name, with at most one label.
    pub fn series(name: &str, label: &[(&str, &str)]) -> Series {
        let (kind, unit) = shape_of(name);
        Series {
            name: name.to_owned(),
            kind,
            unit,
            labels: label
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Series::default()
        }
    }

    /// A place with such numbers.
    pub fn place<'a>((namespace, name, netns): (&str, &str, u32), numbers: &'a [(Series, u64)]) -> NumbersPlace<'a> {
        NumbersPlace {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node: "n1".to_owned(),
            netns,
            is_node: netns < 2,
            seconds: 5.0,
            probes: Vec::new(),
            movements: numbers
                .iter()
                .map(|(series, now)| Movement {
                    series,
                    now: *now,
                    then: None,
                    growth: 0,
                })
                .collect(),
            drops: BTreeMap::new(),
            known: Rc::default(),
            lookups_ns: Vec::new(),
            shares_node: false,
            histograms: Vec::new(),
        }
    }

    /// A place with a distribution: two values of 1 us, one of 2 ms.
    pub fn measured<'a>((name, netns): (&str, u32), series: &'a Series) -> NumbersPlace<'a> {
        let counts = vec![(bucket(1_000) as u16, 2), (bucket(2_000_000) as u16, 1)];
        NumbersPlace {
            histograms: vec![BucketGrowth {
                series,
                buckets: Vec::new(),
                now: counts,
            }],
            ..place(("shop", name, netns), &[])
        }
    }

    #[test]
    fn numbers_are_divided_exactly() {
        for (read, scale, text) in [
            (u64::MAX, MetricScale::One, "18446744073709551615"),
            (12, MetricScale::Eighth, "1.5"),
            (1_500_000, MetricScale::Millionth, "1.5"),
            (7, MetricScale::Millionth, "0.000007"),
            (3_000_000, MetricScale::Millionth, "3"),
            (1_000_000_001, MetricScale::Billionth, "1.000000001"),
        ] {
            assert_eq!(MetricValue { read, scale }.to_string(), text);
        }
    }

    #[test]
    fn places_that_are_called_alike_are_told_apart_by_their_network_namespaces() {
        let numbers = [(series("Tcp.InSegs", &[]), 1)];
        let places = [
            place(("", "container/abc", 7), &numbers),
            place(("", "container/abc", 8), &numbers),
            place(("", "container/def", 9), &numbers),
        ];
        let mut set = MetricSet::with_room(0, 100);
        set.add_places(&places);
        set.settle();
        let samples = &set.families["skoop_tcp_InSegs"].samples;
        let netns: Vec<_> = samples.iter().map(|sample| sample.place.netns).collect();
        assert_eq!(netns, [Some(7), Some(8), None]);
        assert_eq!(set.left_out, 0);
    }

    #[test]
    fn what_the_kernel_has_is_told_whatever_grew_meanwhile() {
        let numbers = [(series("Tcp.InSegs", &[]), 1000)];
        let mut places = [place(("shop", "web-1", 7), &numbers)];
        places[0].movements[0].growth = 4;
        let mut set = MetricSet::with_room(0, 1);
        set.add_places(&places);
        assert_eq!(set.families["skoop_tcp_InSegs"].samples[0].value.read, 1000);
    }

    #[test]
    fn beyond_the_room_samples_are_left_out_and_counted_and_none_stands_twice() {
        let numbers = [
            (series("netdev.rx_bytes", &[("interface", "a")]), 1),
            (series("netdev.rx_bytes", &[("interface", "a")]), 2),
            (series("netdev.rx_bytes", &[("interface", "b")]), 3),
            (series("netdev.rx_bytes", &[("interface", "c")]), 4),
        ];
        let places = [place(("shop", "web", 7), &numbers)];
        let mut set = MetricSet::with_room(0, 3);
        set.add_places(&places);
        assert_eq!(set.left_out, 1);
        set.settle();
        let samples = &set.families["skoop_netdev_rx_bytes"].samples;
        assert_eq!((samples.len(), set.left_out), (2, 2));
    }
}
