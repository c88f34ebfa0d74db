//! `drop`: counts the packets the kernel frees before they reach anybody.
#![no_std]
#![no_main]

use aya_ebpf::{
    macros::{map, raw_tracepoint},
    maps::PerCpuArray,
    programs::RawTracePointContext,
};

node_helper_ebpf::license!();

#[map]
static FREED: PerCpuArray<u64> = PerCpuArray::with_max_entries(1, 0);

#[raw_tracepoint(tracepoint = "kfree_skb")]
fn kfree_skb(_context: RawTracePointContext) -> i32 {
    if let Some(freed) = FREED.get_ptr_mut(0) {
        // SAFETY: the slot belongs to this CPU, and a raw tracepoint program is not re-entered on it.
        unsafe { *freed += 1 };
    }
    0
}
