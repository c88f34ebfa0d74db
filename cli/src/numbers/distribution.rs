//! What the buckets of a histogram come to: how many values, what half of them and 99 of 100 do not exceed, and the most. Pure.

use model::histogram::bounds;

/// Values by bucket.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Distribution {
    /// Bounds of a bucket that is not empty (the least value, and the least that is too large), and how many values it holds; in
    /// order.
    pub buckets: Vec<(u64, u64, u64)>,
    /// All values.
    pub count: u64,
}

impl Distribution {
    /// Made of numbers of buckets ([`model::histogram`]), each with its values.
    pub fn of(buckets: &[(u16, u64)]) -> Self {
        let mut buckets: Vec<(u64, u64, u64)> = buckets
            .iter()
            .filter(|(_, count)| *count > 0)
            .map(|(bucket, count)| {
                let (from, to) = bounds(usize::from(*bucket));
                (from, to, *count)
            })
            .collect();
        buckets.sort_unstable();
        let count = buckets.iter().map(|(_, _, count)| count).sum();
        Self { buckets, count }
    }

    /// What so many of 100 values do not exceed: the upper bound of the bucket in which the last of them lies, at most an eighth
    /// too much. 0 without values.
    pub fn percentile(&self, percent: u64) -> u64 {
        let rank = (self.count * percent).div_ceil(100).max(1);
        let mut met = 0;
        for (_, to, count) in &self.buckets {
            met += count;
            if met >= rank {
                return *to;
            }
        }
        0
    }

    /// No value exceeds this.
    pub fn max(&self) -> u64 {
        self.percentile(100)
    }
}

#[cfg(test)]
mod tests {
    use super::Distribution;
    use model::histogram::{bounds, bucket};

    fn of(values: impl IntoIterator<Item = u64>) -> Distribution {
        let each: Vec<(u16, u64)> = values.into_iter().map(|value| (bucket(value) as u16, 1)).collect();
        Distribution::of(&each)
    }

    #[test]
    fn percentiles_are_at_most_an_eighth_more_than_the_values_they_stand_for() {
        let all = of((1..=1000).map(|value| value * 1_000));
        assert_eq!(all.count, 1000);
        for (percent, value) in [(50, 500_000), (99, 990_000), (100, 1_000_000)] {
            let told = all.percentile(percent);
            assert!(told > value && told <= value + value / 8 + 1, "{percent}: {told}");
        }
        assert_eq!(all.max(), all.percentile(100));
    }

    #[test]
    fn one_value_is_all_of_them_and_none_is_zero() {
        let (_, to) = bounds(bucket(200_000_000));
        let one = of([200_000_000]);
        assert_eq!((one.percentile(50), one.percentile(99), one.max()), (to, to, to));
        assert_eq!((of([]).percentile(99), of([]).count), (0, 0));
    }

    #[test]
    fn one_slow_value_of_a_hundred_is_not_99_of_them() {
        let all = of(std::iter::repeat_n(1_000, 99).chain([1_000_000_000]));
        assert!(all.percentile(99) < 2_000 && all.max() > 1_000_000_000);
    }
}
