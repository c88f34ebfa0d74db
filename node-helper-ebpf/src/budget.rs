//! How many events may still be sent, and what was not sent.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray};

/// Programs of one probe at most.
pub const SLOTS: u32 = 8;

/// What was not sent.
#[repr(C)]
pub struct Losses {
    /// Events for which the ring had no room.
    pub ring_full: u64,
    /// Events over the budget.
    pub over_budget: u64,
    /// How many events of a watched flow the ring had no room for.
    pub of_watched: u64,
    /// Totals that found no place and are in none.
    pub uncounted: u64,
}

#[map]
static LOSSES: PerCpuArray<Losses> = PerCpuArray::with_max_entries(SLOTS, 0);
/// Events that may still be sent until the helper refills it. No clock is read here.
#[map]
static BUDGET: Array<i64> = Array::with_max_entries(1, 1 << 10);

/// What program number `slot` lost on this CPU.
#[inline(always)]
pub fn losses(slot: u32) -> Option<&'static mut Losses> {
    let losses = LOSSES.get_ptr_mut(slot)?;
    // SAFETY: this CPU's and program's own.
    Some(unsafe { &mut *losses })
}

/// Notes that the ring was full.
#[inline(always)]
pub fn lose_full(slot: u32, watched: bool) {
    if let Some(losses) = losses(slot) {
        losses.ring_full += 1;
        losses.of_watched += u64::from(watched);
    }
}

/// Whether events may be sent now.
#[inline(always)]
pub fn has_budget() -> bool {
    let Some(budget) = BUDGET.get_ptr(0) else { return false };
    // SAFETY: an aligned word.
    unsafe { core::ptr::read_volatile(budget) > 0 }
}

/// Takes one event from the budget; `false` (and counted) when it is used up.
#[inline(always)]
pub fn spend(slot: u32) -> bool {
    let Some(budget) = BUDGET.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: an aligned word; two CPUs may lose one of two decrements, which lets one event more through.
    let left = unsafe { core::ptr::read_volatile(budget) };
    if left <= 0 {
        if let Some(losses) = losses(slot) {
            losses.over_budget += 1;
        }
        return false;
    }
    // SAFETY: as above.
    unsafe { core::ptr::write_volatile(budget, left - 1) };
    true
}
