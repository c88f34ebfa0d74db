//! What one round reads of one place: numbers by name and labels, each with its id.

use model::numbers;
use model::series::Series;
use std::collections::{BTreeMap, HashMap};

/// Ids of numbers within a session, and those that were not described yet.
#[derive(Debug, Default)]
pub struct SeriesIds {
    known: HashMap<String, u32>,
    fresh: Vec<Series>,
}

/// More different numbers than this are not told; they are counted.
const SERIES_MAX: usize = 100_000;

/// Takes the numbers of one place.
#[derive(Debug)]
pub struct NumberSink<'a> {
    ids: &'a mut SeriesIds,
    /// The numbers, by id.
    pub(super) values: HashMap<u32, u64>,
    /// Histograms, by id.
    pub(super) buckets: HashMap<u32, BTreeMap<u16, u64>>,
    /// Numbers that there was no id left for.
    pub(super) left_out: u64,
    key: String,
}

impl SeriesIds {
    /// Series that were met since the last call.
    pub(super) fn fresh(&mut self) -> Vec<Series> {
        std::mem::take(&mut self.fresh)
    }
}

impl<'a> NumberSink<'a> {
    pub(super) fn new(ids: &'a mut SeriesIds) -> Self {
        Self {
            ids,
            values: HashMap::new(),
            buckets: HashMap::new(),
            left_out: 0,
            key: String::new(),
        }
    }

    /// This number is that now. One that has never been anything but zero is not told.
    pub fn set(&mut self, name: &str, labels: &[(&str, &str)], value: u64) {
        if let Some(id) = self.id(name, labels, value == 0) {
            self.values.insert(id, value);
        }
    }

    /// Sets how many values fell into each bucket.
    pub fn set_buckets(&mut self, name: &str, labels: &[(&str, &str)], buckets: BTreeMap<u16, u64>) {
        if let Some(id) = self.id(name, labels, buckets.is_empty()) {
            self.buckets.insert(id, buckets);
        }
    }

    /// The id of a number; none of one that was always zero, or is one too many.
    fn id(&mut self, name: &str, labels: &[(&str, &str)], is_zero: bool) -> Option<u32> {
        self.key.clear();
        self.key.push_str(name);
        for (label, of) in labels {
            self.key.extend(["\0", label, "\0", of]);
        }
        let known = self.ids.known.get(&self.key).copied();
        if known.is_some() || is_zero {
            return known;
        }
        if self.ids.known.len() >= SERIES_MAX {
            self.left_out += 1;
            return None;
        }
        Some(self.describe(name, labels))
    }

    fn describe(&mut self, name: &str, labels: &[(&str, &str)]) -> u32 {
        let id = self.ids.known.len() as u32 + 1;
        self.ids.known.insert(self.key.clone(), id);
        let (kind, unit) = numbers::shape_of(name);
        let labels: BTreeMap<String, String> = labels
            .iter()
            .map(|(label, of)| ((*label).to_owned(), (*of).to_owned()))
            .collect();
        self.ids.fresh.push(Series {
            window: 0,
            id,
            probe: numbers::probe_of(name).to_owned(),
            name: name.to_owned(),
            kind,
            unit,
            labels,
        });
        id
    }
}

#[cfg(test)]
mod tests {
    use super::{NumberSink, SeriesIds};
    use model::series::SeriesKind;

    #[test]
    fn a_number_is_described_once_for_all_places_and_not_before_it_is_more_than_zero() {
        let mut ids = SeriesIds::default();
        let mut first = NumberSink::new(&mut ids);
        first.set("netdev.rx_bytes", &[("interface", "eth0")], 7);
        first.set("netdev.rx_dropped", &[("interface", "eth0")], 0);
        assert_eq!(first.values.len(), 1);
        let described = ids.fresh();
        assert_eq!(described.len(), 1);
        assert_eq!(
            (described[0].probe.as_str(), described[0].kind),
            ("netdev", SeriesKind::Counter)
        );
        assert_eq!(described[0].labels["interface"], "eth0");
        let mut second = NumberSink::new(&mut ids);
        second.set("netdev.rx_bytes", &[("interface", "eth0")], 9);
        second.set("netdev.rx_bytes", &[("interface", "eth1")], 1);
        assert_eq!(second.values[&described[0].id], 9);
        assert_eq!(ids.fresh().len(), 1, "eth1 alone");
    }
}
