//! What several processors change at the same time: the compiler has no atomic numbers for this target, the kernel has.

/// Adds to a number; a negative amount takes away.
///
/// # Safety
/// `word` is a number in a value of a map.
#[inline(always)]
pub unsafe fn add(word: *mut u64, amount: i64) {
    // SAFETY: as the caller says; `BPF_XADD`, which every kernel has.
    #[cfg(target_arch = "bpf")]
    unsafe {
        core::arch::asm!("lock *(u64 *)({word} + 0) += {amount}", word = in(reg) word, amount = in(reg) amount);
    }
    #[cfg(not(target_arch = "bpf"))]
    let _ = (word, amount);
}
