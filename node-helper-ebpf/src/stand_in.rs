//! Two programs at one hook: the second stands in where the kernel left the first out.
//!
//! While a program runs, an interrupt may come in which the same hook is met, often many times. The kernel does not start a
//! program that is running already on that CPU: it leaves it out and counts that. But it calls the programs of a hook one
//! after the other, so a second one, which is not running then, is called all the same: it stands in where the first was
//! left out, and has nothing to do otherwise.
//!
//! Whether the first was called for the packet at hand is told by its address, which the first notes and the second takes
//! away. There is a note for a task's stack and one for that of interrupts: a task is interrupted between the two, but no
//! other task runs meanwhile, and what comes in a soft interrupt is not interrupted by another. The first is never called
//! for a packet for which the second stands in; what both were left out of is what the kernel counts for the first less
//! [`Turn::stood_in`].

use crate::direct_access::load;
use crate::fields::{forget, given, set__stack, task_struct__stack};
use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use core::ptr::{from_mut, read_volatile, write_volatile};

/// What the two programs of a CPU tell each other.
#[repr(C)]
pub struct Turn {
    /// The packet the first was called for last and the second was not yet: on a task's stack, and on that of interrupts.
    noted: [u64; 2],
    /// How often the second stood in.
    stood_in: u64,
    /// See [`crate::fields::forget`]; one of each program.
    memos: [u64; 2],
}

#[map]
static TURNS: PerCpuArray<Turn> = PerCpuArray::with_max_entries(1, 0);

/// Whether this runs on a stack of interrupts.
#[inline(always)]
fn is_interrupt(context: &impl EbpfContext, memo: &mut u64) -> bool {
    // SAFETY: no arguments; the verifier knows the task.
    let task = unsafe { bpf_get_current_task_btf() };
    let stack: u64 = load(task.cast(), &task_struct__stack);
    // The arguments of a hook lie on the stack of whom it is met by.
    let here = forget(memo, context.as_ptr() as u64);
    here.wrapping_sub(stack) >= u64::from(given(&set__stack))
}

/// Notes that the first program was called.
#[inline(always)]
pub fn first(context: &impl EbpfContext, skb: u64) {
    let Some(turn) = TURNS.get_ptr_mut(0) else { return };
    // SAFETY: this CPU's own; what an interrupt changes of it is read and written whole.
    let turn = unsafe { &mut *turn };
    let [task, interrupt] = &mut turn.noted;
    // SAFETY: valid references.
    unsafe {
        if is_interrupt(context, &mut turn.memos[0]) {
            write_volatile(from_mut(interrupt), skb);
        } else {
            // What an interrupt left behind is over.
            write_volatile(from_mut(interrupt), 0);
            write_volatile(from_mut(task), skb);
        }
    }
}

/// Whether the second program stands in for the first.
#[inline(always)]
pub fn stands_in(context: &impl EbpfContext, skb: u64) -> bool {
    let Some(turn) = TURNS.get_ptr_mut(0) else {
        return false;
    };
    // SAFETY: as above.
    let turn = unsafe { &mut *turn };
    let [task, interrupt] = &mut turn.noted;
    let noted = if is_interrupt(context, &mut turn.memos[1]) {
        interrupt
    } else {
        task
    };
    // SAFETY: valid references.
    unsafe {
        if read_volatile(noted) == skb {
            write_volatile(noted, 0);
            return false;
        }
    }
    turn.stood_in += 1;
    true
}
