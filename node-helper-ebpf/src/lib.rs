//! What the kernel-side programs share: reading kernel objects by offsets found at load, headers, the filter, watched
//! flows, how a record is counted and sent (ring, budget, totals), how times are counted (histograms), and slow ones told.
#![no_std]
#![cfg_attr(target_arch = "bpf", feature(asm_experimental_arch))]

pub mod atomic;
pub mod budget;
pub mod direct_access;
pub mod draft;
pub mod fields;
pub mod filter;
pub mod histograms;
pub mod meeting;
pub mod netns;
pub mod packet;
pub mod packets_under_way;
pub mod send;
pub mod slow;
pub mod socket;
pub mod stand_in;
pub mod totals;
pub mod trail;
pub mod watched_flows;

/// Never reached: the verifier refuses a program with a path to it. The compiler wants it all the same.
#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo) -> ! {
    loop {}
}

/// Declares the licence of a program. Helpers such as `bpf_probe_read_kernel` are given to GPL-compatible programs only.
#[macro_export]
macro_rules! license {
    () => {
        #[unsafe(link_section = "license")]
        #[unsafe(no_mangle)]
        static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
    };
}
