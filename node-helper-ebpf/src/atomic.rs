//! What several processors change at the same time: the compiler has no atomic numbers for this target, the kernel has.

/// One more.
///
/// # Safety
/// `word` is a number in a value of a map.
#[inline(always)]
pub unsafe fn add_one(word: *mut u64) {
    // SAFETY: as the caller says; `BPF_XADD`, which every kernel has.
    #[cfg(target_arch = "bpf")]
    unsafe {
        core::arch::asm!("lock *(u64 *)({word} + 0) += {one}", word = in(reg) word, one = in(reg) 1_u64);
    }
    #[cfg(not(target_arch = "bpf"))]
    let _ = word;
}
