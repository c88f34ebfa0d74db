//! Exact totals: every event is counted here, whether it is sent or not.

use crate::budget::{SLOTS, losses};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{PerCpuArray, PerCpuHashMap};

/// What is counted exactly. Numbers that differ each time (addresses of sockets, times) are left out.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TotalKey {
    /// First number of the word.
    pub a: u64,
    /// Second number of the word.
    pub b: u64,
    /// Namespace.
    pub netns: u32,
    /// The word.
    pub tag: u16,
    /// Destination port; 0 for an ephemeral one.
    pub dport: u16,
    /// Protocol.
    pub protocol: u32,
    /// Which program counts: on one CPU, one may be interrupted by another while it adds.
    pub slot: u32,
}

/// What comes often comes in runs of one key: a run is counted here and added to its total when another key follows, or by
/// the helper at the end.
#[repr(C)]
pub struct LastTotal {
    /// The key.
    pub key: TotalKey,
    /// How many of them are in no total yet.
    pub count: u64,
    /// How many were over the budget, where they are counted here.
    pub thinned: u64,
}

#[map]
static TOTALS: PerCpuHashMap<TotalKey, u64> = PerCpuHashMap::with_max_entries(8192, 1);
#[map]
static LAST: PerCpuArray<LastTotal> = PerCpuArray::with_max_entries(SLOTS, 0);

/// What was counted last by program number `slot` on this CPU.
#[inline(always)]
pub fn last(slot: u32) -> Option<&'static mut LastTotal> {
    let last = LAST.get_ptr_mut(slot)?;
    // SAFETY: as above.
    Some(unsafe { &mut *last })
}

/// Adds to an exact total.
#[inline(always)]
pub fn add(key: &TotalKey, count: u64) {
    if add_known(key, count) || TOTALS.insert(key, count, 1).is_ok() {
        return;
    }
    // Between the two, another CPU may have put it there.
    if !add_known(key, count)
        && let Some(losses) = losses(key.slot)
    {
        losses.uncounted += count;
    }
}

#[inline(always)]
fn add_known(key: &TotalKey, count: u64) -> bool {
    let Some(total) = TOTALS.get_ptr_mut(key) else {
        return false;
    };
    // SAFETY: this CPU's and program's own.
    unsafe { *total += count };
    true
}
