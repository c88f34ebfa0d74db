//! The numbers of all places as they came: what each was first, the time before, and last. Pure.

use model::histogram::BUCKETS;
use model::missing::Missing;
use model::series::{Round, Sample, Series, SeriesKind, Whose};
use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

/// Numbers that are kept, of all places.
const VALUES_MAX: usize = 400_000;
/// Places whose numbers are kept.
const PLACES_MAX: usize = 8_192;
/// A reading that begins later than it should by more than this part of the time between two is late: a quarter.
const LATE_PART: u32 = 4;

/// The numbers of all places.
#[derive(Debug, Default)]
pub struct Numbers {
    described: BTreeMap<(usize, u32, u32), Series>,
    places: BTreeMap<(usize, u32), PlaceNumbers>,
    rounds: BTreeMap<usize, Round>,
    /// Places that are gone and were forgotten to make room for others.
    pub forgotten: usize,
}

/// The numbers of one namespace, or of a node.
#[derive(Debug, Default)]
pub struct PlaceNumbers {
    /// Whose it is.
    pub whose: Whose,
    /// What could not be read.
    pub missing: Vec<Missing>,
    window: u32,
    /// It was read since the last round of its node ended.
    is_read: bool,
    /// The last round of its node did not find it any more.
    is_gone: bool,
    first: Reading,
    previous: Reading,
    latest: Reading,
}

/// All numbers of a place at a moment, by id.
#[derive(Clone, Debug, Default)]
struct Reading {
    at_ns: u64,
    values: BTreeMap<u32, u64>,
    buckets: BTreeMap<u32, BTreeMap<u16, u64>>,
}

/// What to reckon growth from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Since {
    /// The window's first reading.
    Opening,
    /// The reading before the last.
    Previous,
}

/// One number of a place and how it moved.
#[derive(Clone, Copy, Debug)]
pub struct Movement<'a> {
    /// What it is.
    pub series: &'a Series,
    /// What it is now.
    pub now: u64,
    /// What it was before, where it was told.
    pub then: Option<u64>,
    /// By how much a counter grew; 0 of a gauge.
    pub growth: u64,
}

/// A histogram of a place, and how many values fell into it.
#[derive(Clone, Debug)]
pub struct BucketGrowth<'a> {
    /// What it is.
    pub series: &'a Series,
    /// By how much each bucket grew that did.
    pub buckets: Vec<(u16, u64)>,
    /// What each bucket holds.
    pub now: Vec<(u16, u64)>,
}

impl Numbers {
    /// A number that samples will tell.
    pub fn describe(&mut self, node: usize, series: Series) {
        self.described.insert((node, series.window, series.id), series);
    }

    /// Takes in a sample; an error where there are more than are kept.
    pub fn take(&mut self, node: usize, sample: Sample) -> Result<(), String> {
        let key = (node, sample.netns);
        let is_full = |numbers: &Self| !numbers.places.contains_key(&key) && numbers.places.len() >= PLACES_MAX;
        if is_full(self) {
            self.forget_gone();
        }
        if is_full(self) {
            return Err(format!(
                "helpers tell numbers of more than {PLACES_MAX} network namespaces"
            ));
        }
        let place = self.places.entry(key).or_default();
        // Another window counts its numbers anew, and so does another place that has the number of one that is gone.
        let is_first = place.window != sample.window || place.is_gone || place.latest.at_ns == 0;
        if is_first {
            *place = PlaceNumbers {
                window: sample.window,
                whose: std::mem::take(&mut place.whose),
                ..PlaceNumbers::default()
            };
        }
        place.is_read = true;
        place.previous = place.latest.clone();
        place.latest.at_ns = sample.at_ns;
        place.latest.values.extend(sample.values);
        for (id, counts) in sample.buckets {
            let there_are = |(bucket, _): &(u16, u64)| usize::from(*bucket) < BUCKETS;
            let known = place.latest.buckets.entry(id).or_default();
            known.extend(counts.into_iter().filter(there_are));
        }
        for id in &sample.gone {
            place.latest.values.remove(id);
            place.latest.buckets.remove(id);
        }
        if is_first {
            place.first = place.latest.clone();
            place.previous = place.latest.clone();
        }
        if let Some(whose) = sample.whose {
            place.whose = whose;
        }
        if !sample.missing.is_empty() {
            place.missing = sample.missing;
        }
        if self.kept() > VALUES_MAX {
            self.forget_gone();
        }
        if self.kept() > VALUES_MAX {
            return Err(format!("helpers tell more than {VALUES_MAX} numbers"));
        }
        Ok(())
    }

    /// Numbers that are kept.
    fn kept(&self) -> usize {
        self.places.values().map(|place| place.latest.len()).sum()
    }

    /// Makes room: of what is gone nothing more will be told.
    fn forget_gone(&mut self) {
        let before = self.places.len();
        self.places.retain(|_, place| !place.is_gone);
        self.forgotten += before - self.places.len();
    }

    /// Forgets all readings, but not whose the places are.
    pub fn forget(&mut self) {
        self.forgotten = 0;
        self.rounds.clear();
        self.described.clear();
        for place in self.places.values_mut() {
            *place = PlaceNumbers {
                whose: std::mem::take(&mut place.whose),
                ..PlaceNumbers::default()
            };
        }
    }

    /// A node has read all its places once more. It tells of each, whether or not anything changed there: the others are gone.
    pub fn end_round(&mut self, node: usize, round: Round) {
        for (_, place) in self.places.range_mut((node, 0)..=(node, u32::MAX)) {
            place.is_gone = !std::mem::take(&mut place.is_read);
        }
        self.rounds.insert(node, round);
    }

    /// The last round of a node that is complete.
    pub fn round(&self, node: usize) -> Option<Round> {
        self.rounds.get(&node).copied()
    }

    /// Nodes whose last reading began late, where there should be so much time between two; each with how late.
    pub fn late(&self, interval: Duration) -> impl Iterator<Item = (usize, Duration)> {
        let late = self
            .rounds
            .iter()
            .map(|(node, round)| (*node, Duration::from_micros(round.late_us)));
        late.filter(move |(_, late)| *late > interval / LATE_PART)
    }

    /// Time on CPUs that the last reading took, of all nodes together.
    pub fn cpu_us(&self) -> u64 {
        self.rounds.values().map(|round| round.cpu_us).sum()
    }

    /// The places of that time: node, namespace (0 for the node itself), numbers. What is gone was there when the window opened, as
    /// long as there is room for it, and between the last two readings it was not.
    pub fn places(&self, since: Since) -> impl Iterator<Item = (usize, u32, &PlaceNumbers)> {
        let there = self
            .places
            .iter()
            .filter(move |(_, place)| since == Since::Opening || !place.is_gone);
        there.map(|((node, netns), place)| (*node, *netns, place))
    }

    /// The numbers of a place, each with how it moved.
    pub fn movements(&self, node: usize, netns: u32, since: Since) -> impl Iterator<Item = Movement<'_>> {
        let place = self.places.get(&(node, netns));
        place.into_iter().flat_map(move |place| {
            let before = place.before(since);
            place.latest.values.iter().filter_map(move |(id, now)| {
                let series = self.described.get(&(node, place.window, *id))?;
                let then = before.values.get(id).copied();
                let growth = match series.kind {
                    SeriesKind::Gauge => 0,
                    // What counts less than before began anew.
                    SeriesKind::Counter | SeriesKind::Histogram => match then {
                        Some(then) if then <= *now => now - then,
                        _ => *now,
                    },
                };
                Some(Movement {
                    series,
                    now: *now,
                    then,
                    growth,
                })
            })
        })
    }
}

impl Numbers {
    /// The histograms of a place, each with how its buckets grew.
    pub fn histograms(&self, node: usize, netns: u32, since: Since) -> impl Iterator<Item = BucketGrowth<'_>> {
        let place = self.places.get(&(node, netns));
        place.into_iter().flat_map(move |place| {
            let before = place.before(since);
            place.latest.buckets.iter().filter_map(move |(id, counts)| {
                let series = self.described.get(&(node, place.window, *id))?;
                let then = before.buckets.get(id);
                let growth = counts.iter().map(|(bucket, now)| {
                    let then = then.and_then(|then| then.get(bucket)).copied().unwrap_or_default();
                    // As with a counter: one that fell has begun again.
                    (*bucket, now.checked_sub(then).unwrap_or(*now))
                });
                let buckets = growth.filter(|(_, growth)| *growth > 0).collect();
                let now = counts.iter().map(|(bucket, now)| (*bucket, *now)).collect();
                Some(BucketGrowth { series, buckets, now })
            })
        })
    }
}

impl Reading {
    /// Numbers in it.
    fn len(&self) -> usize {
        self.values.len() + self.buckets.values().map(|buckets| 1 + buckets.len()).sum::<usize>()
    }
}

impl PlaceNumbers {
    /// Seconds between the two readings: the time that was measured, not the one that was asked for.
    pub fn seconds(&self, since: Since) -> f64 {
        let ns = self.latest.at_ns.saturating_sub(self.before(since).at_ns);
        ns as f64 / 1e9
    }

    /// From when to when events belong to this window, by the node's clock. What is told as the whole window closes is of it, too.
    pub const fn window_ns(&self, since: Since) -> Range<u64> {
        let end = match since {
            Since::Opening => u64::MAX,
            Since::Previous => self.latest.at_ns,
        };
        self.before(since).at_ns..end
    }

    const fn before(&self, since: Since) -> &Reading {
        match since {
            Since::Opening => &self.first,
            Since::Previous => &self.previous,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Numbers, Since, VALUES_MAX};
    use model::series::{Round, Sample, Series, SeriesKind};
    use std::time::Duration;

    fn told(window: u32, at_ns: u64, values: &[(u32, u64)]) -> Sample {
        Sample {
            window,
            netns: 7,
            at_ns,
            values: values.to_vec(),
            ..Sample::default()
        }
    }

    fn numbers(window: u32) -> Numbers {
        let mut numbers = Numbers::default();
        for (id, kind) in [
            (1, SeriesKind::Counter),
            (2, SeriesKind::Gauge),
            (3, SeriesKind::Counter),
        ] {
            numbers.describe(
                0,
                Series {
                    window,
                    id,
                    name: id.to_string(),
                    kind,
                    ..Series::default()
                },
            );
        }
        numbers
    }

    fn growth(numbers: &Numbers, since: Since) -> Vec<(u32, u64, u64)> {
        let all = numbers.movements(0, 7, since);
        all.map(|moved| (moved.series.id, moved.now, moved.growth)).collect()
    }

    #[test]
    fn growth_is_reckoned_from_what_was_told_before_and_what_was_not_told_was_zero() {
        let mut numbers = numbers(1);
        numbers.take(0, told(1, 1_000_000_000, &[(1, 100), (2, 5)])).unwrap();
        numbers.take(0, told(1, 2_000_000_000, &[(1, 110), (3, 4)])).unwrap();
        numbers.take(0, told(1, 4_500_000_000, &[(1, 115), (2, 9)])).unwrap();
        assert_eq!(growth(&numbers, Since::Opening), [(1, 115, 15), (2, 9, 0), (3, 4, 4)]);
        assert_eq!(growth(&numbers, Since::Previous), [(1, 115, 5), (2, 9, 0), (3, 4, 0)]);
        let (_, _, place) = numbers.places(Since::Previous).next().unwrap();
        assert!((place.seconds(Since::Opening) - 3.5).abs() < 1e-9);
        assert!((place.seconds(Since::Previous) - 2.5).abs() < 1e-9);
    }

    #[test]
    fn a_counter_that_began_anew_grew_by_what_it_is_now_and_what_is_gone_is_not_shown() {
        let mut numbers = numbers(1);
        numbers.take(0, told(1, 1, &[(1, 100), (3, 50)])).unwrap();
        let mut sample = told(1, 2, &[(1, 7)]);
        sample.gone.push(3);
        numbers.take(0, sample).unwrap();
        assert_eq!(growth(&numbers, Since::Opening), [(1, 7, 7)]);
    }

    #[test]
    fn a_bucket_grew_by_what_it_holds_more_than_before_and_one_that_cannot_be_is_none() {
        let mut numbers = numbers(1);
        let with = |at_ns: u64, buckets: &[(u16, u64)]| Sample {
            buckets: vec![(3, buckets.to_vec())],
            ..told(1, at_ns, &[])
        };
        numbers.take(0, with(1, &[(80, 4), (90, 1)])).unwrap();
        numbers.take(0, with(2, &[(80, 6), (100, 3), (60_000, 7)])).unwrap();
        numbers.take(0, with(3, &[(100, 5)])).unwrap();
        let grown = |since| {
            let all = numbers.histograms(0, 7, since);
            all.map(|grown| grown.buckets).collect::<Vec<_>>()
        };
        assert_eq!(grown(Since::Opening), [[(80, 2), (100, 5)]]);
        assert_eq!(grown(Since::Previous), [[(100, 2)]]);
    }

    fn there(numbers: &Numbers, since: Since) -> Vec<u32> {
        numbers.places(since).map(|(_, netns, _)| netns).collect()
    }

    #[test]
    fn a_place_that_a_round_does_not_tell_of_is_gone_and_was_there_when_the_window_opened() {
        let mut numbers = numbers(1);
        let of = |netns: u32, at_ns: u64, values: &[(u32, u64)]| Sample {
            netns,
            ..told(1, at_ns, values)
        };
        for (netns, value) in [(7, 100), (8, 1)] {
            numbers.take(0, of(netns, 1, &[(1, value)])).unwrap();
        }
        // Another node's rounds are its own.
        numbers.take(1, of(9, 1, &[])).unwrap();
        numbers.end_round(0, Round::default());
        numbers.take(0, of(7, 2, &[(1, 130)])).unwrap();
        // Nothing moved there, and it is told of.
        numbers.take(0, of(8, 2, &[])).unwrap();
        numbers.end_round(0, Round::default());
        assert_eq!(there(&numbers, Since::Previous), [7, 8, 9]);
        numbers.take(0, of(8, 3, &[])).unwrap();
        assert_eq!(there(&numbers, Since::Previous), [7, 8, 9], "the round goes on");
        numbers.end_round(0, Round::default());
        assert_eq!(there(&numbers, Since::Previous), [8, 9]);
        assert_eq!(there(&numbers, Since::Opening), [7, 8, 9]);
        assert_eq!(growth(&numbers, Since::Opening), [(1, 130, 30)]);
        // A place that comes to have its number begins anew.
        numbers.take(0, of(7, 4, &[(1, 5)])).unwrap();
        assert_eq!(there(&numbers, Since::Previous), [7, 8, 9]);
        assert_eq!(growth(&numbers, Since::Previous), [(1, 5, 0)]);
    }

    #[test]
    fn a_reading_is_late_by_more_than_a_quarter_of_the_time_between_two() {
        let mut numbers = Numbers::default();
        for (node, late_us) in [(0, 0), (1, 500_000), (2, 500_001)] {
            let round = Round {
                late_us,
                ..Round::default()
            };
            numbers.end_round(node, round);
        }
        let late: Vec<_> = numbers.late(Duration::from_secs(2)).collect();
        assert_eq!(late, [(2, Duration::from_micros(500_001))]);
    }

    #[test]
    fn what_is_gone_makes_room() {
        let mut numbers = Numbers::default();
        let many: Vec<(u32, u64)> = (0..=VALUES_MAX as u32 / 2).map(|id| (id, 1)).collect();
        for netns in 1..4 {
            let sample = Sample {
                netns,
                ..told(1, u64::from(netns), &many)
            };
            numbers.take(0, sample).unwrap();
            numbers.end_round(0, Round::default());
            numbers.end_round(0, Round::default());
        }
        assert_eq!(there(&numbers, Since::Opening), [3]);
        assert_eq!(numbers.forgotten, 2);
    }

    #[test]
    fn another_window_counts_its_numbers_anew() {
        let mut numbers = numbers(2);
        numbers.take(0, told(1, 1, &[(1, 100)])).unwrap();
        numbers.take(0, told(2, 2, &[(1, 3)])).unwrap();
        assert_eq!(growth(&numbers, Since::Opening), [(1, 3, 0)]);
    }
}
