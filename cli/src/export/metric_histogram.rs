//! Distributions as monitoring keeps them: how many values were no more than each of a few bounds. Pure.
//!
//! The kernel side counts into buckets of an eighth of a power of two ([`model::histogram`]); a bound that is a power of two lies
//! between two of them, so each count here is exact.

use super::place_labels::PlaceLabels;
use model::histogram::bounds;
use std::sync::Arc;

/// Bounds in nanoseconds are 2^10 (one microsecond), 2^11 ... 2^34 (17 seconds).
const FIRST: u32 = 10;
const LAST: u32 = 34;
/// How many of them.
pub const BOUNDS: usize = (LAST - FIRST + 1) as usize;

/// The distribution of one number at one place.
#[derive(Clone, Debug, PartialEq)]
pub struct MetricHistogram {
    /// Whose it is.
    pub place: Arc<PlaceLabels>,
    /// Which of several.
    pub labels: Vec<(String, String)>,
    /// How many values were no more than each bound.
    pub below: [u64; BOUNDS],
    /// All values.
    pub count: u64,
    /// What they come to, in nanoseconds, reckoned from the middles of the kernel side's buckets.
    pub sum_ns: f64,
}

/// The bounds in seconds.
pub fn bounds_s() -> impl Iterator<Item = f64> {
    (FIRST..=LAST).map(|power| (1_u64 << power) as f64 / 1e9)
}

impl MetricHistogram {
    /// A histogram from buckets as the kernel side counts them.
    pub fn new(place: Arc<PlaceLabels>, mut labels: Vec<(String, String)>, counts: &[(u16, u64)]) -> Self {
        labels.sort();
        labels.dedup_by(|one, other| one.0 == other.0);
        let mut histogram = Self {
            place,
            labels,
            below: [0; BOUNDS],
            count: 0,
            sum_ns: 0.0,
        };
        for &(bucket, count) in counts {
            let (from, to) = bounds(bucket.into());
            for (at, below) in histogram.below.iter_mut().enumerate() {
                // `to` is the least value of the next.
                if to <= 1 << (FIRST as usize + at) {
                    *below = below.saturating_add(count);
                }
            }
            histogram.count = histogram.count.saturating_add(count);
            histogram.sum_ns += count as f64 * f64::midpoint(from as f64, to.saturating_sub(1) as f64);
        }
        histogram
    }

    /// What they come to in seconds.
    pub fn sum_s(&self) -> f64 {
        self.sum_ns / 1e9
    }

    /// Its lines as a server keeps them: the ending of the name, a bound where it has one, and the value.
    pub fn series(&self) -> impl Iterator<Item = (&'static str, Option<String>, f64)> {
        let buckets = bounds_s()
            .zip(&self.below)
            .map(|(bound, below)| ("_bucket", Some(bound_text(bound)), *below as f64));
        let all = ("_bucket", Some("+Inf".to_owned()), self.count as f64);
        buckets.chain([all, ("_sum", None, self.sum_s()), ("_count", None, self.count as f64)])
    }

    /// All its labels but the bound.
    pub fn pairs(&self) -> impl Iterator<Item = (String, String)> {
        let place = self.place.pairs().map(|(name, value)| (name.to_owned(), value));
        place.chain(self.labels.iter().filter(|(_, value)| !value.is_empty()).cloned())
    }
}

/// As Prometheus 3 writes a bound that it scrapes, whatever it was served: what is written to it is the same series then.
fn bound_text(bound: f64) -> String {
    if bound >= 1e-4 {
        return format!("{bound:?}");
    }
    let text = format!("{bound:e}");
    match text
        .split_once('e')
        .map(|(digits, exponent)| (digits, exponent.parse::<i32>()))
    {
        Some((digits, Ok(exponent))) => format!("{digits}e{exponent:+03}"),
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{BOUNDS, MetricHistogram, bound_text, bounds_s};
    use model::histogram::bucket;
    use std::sync::Arc;

    #[test]
    fn counts_below_each_bound_are_those_of_the_values() {
        let values = [
            0,
            1,
            900,
            1_023,
            1_024,
            5_000,
            1_000_000,
            200_000_000,
            20_000_000_000,
            u64::MAX,
        ];
        let counts: Vec<(u16, u64)> = values.iter().map(|value| (bucket(*value) as u16, 1)).collect();
        let histogram = MetricHistogram::new(Arc::default(), Vec::new(), &counts);
        for (at, below) in histogram.below.iter().enumerate() {
            let bound = 1_u64 << (at + 10);
            assert_eq!(
                *below,
                values.iter().filter(|value| **value < bound).count() as u64,
                "{bound}"
            );
        }
        assert_eq!((histogram.count, bounds_s().count()), (10, BOUNDS));
    }

    #[test]
    fn bounds_are_written_as_prometheus_writes_them() {
        for (bound, text) in [
            (1.024e-6, "1.024e-06"),
            (6.5536e-5, "6.5536e-05"),
            (0.000_131_072, "0.000131072"),
            (1.0, "1.0"),
        ] {
            assert_eq!(bound_text(bound), text);
        }
    }

    #[test]
    fn what_values_come_to_is_right_within_a_bucket() {
        let histogram = MetricHistogram::new(Arc::default(), Vec::new(), &[(bucket(5_000_000) as u16, 100)]);
        assert!((0.44..0.56).contains(&histogram.sum_s()), "{}", histogram.sum_s());
    }
}
