//! Times, counted where they are measured: for each namespace and measure, and each of several things of it, a number for each bucket that is not empty.

use crate::atomic::add;
use crate::budget::losses;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuHashMap;
use model::histogram::{BucketKey, Measure, bucket};

/// Some twenty namespaces in which times are as different as they usually are. With the rest of a probe that measures this stays
/// below 512 KiB where there are two processors; a further one takes 12 KiB.
#[map]
static HISTOGRAMS: PerCpuHashMap<BucketKey, u64> = PerCpuHashMap::with_max_entries(1536, 1);

/// One value more. What finds no place is counted as lost by program number `slot`.
#[inline(always)]
pub fn count(netns: u32, measure: Measure, value: u64, slot: u32) {
    count_of(netns, measure, 0, value, slot);
}

/// Counts a value of one of several things (devices), which [`BucketKey::of`] tells apart.
#[inline(always)]
pub fn count_of(netns: u32, measure: Measure, of: u32, value: u64, slot: u32) {
    let key = BucketKey {
        netns,
        of,
        measure: measure as u16,
        bucket: bucket(value) as u16,
    };
    if add_known(&key) || HISTOGRAMS.insert(&key, &1, 1).is_ok() {
        return;
    }
    // Between the two, another CPU may have put it there.
    if !add_known(&key)
        && let Some(losses) = losses(slot)
    {
        losses.uncounted += 1;
    }
}

#[inline(always)]
fn add_known(key: &BucketKey) -> bool {
    let Some(count) = HISTOGRAMS.get_ptr_mut(key) else {
        return false;
    };
    // SAFETY: this CPU's own; an interrupt may count the same meanwhile.
    unsafe { add(count, 1) };
    true
}
