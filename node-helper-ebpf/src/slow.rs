//! Slow ones: a wait that took as long as the user asked about is told by itself, beside being counted.

use crate::budget::{lose_full, spend};
use crate::fields::*;
use crate::netns::NetnsInterface;
use crate::send::EVENTS;
use aya_ebpf::helpers::bpf_ktime_get_ns;
use model::flow::Flow;
use model::record::Record;
use model::word::What;

/// Whether it took as long as the user asked about, or longer; never where nobody asked.
#[inline(always)]
pub fn is_slow(took_ns: u64) -> bool {
    let slow_us = given(&set__slow_us);
    slow_us != 0 && took_ns >= u64::from(slow_us) * 1000
}

/// Who waited: where, which socket, and in which process's context this runs (0: in nobody's).
#[derive(Clone, Copy)]
pub struct Waiter {
    /// Where.
    pub place: NetnsInterface,
    /// Address of the skb; 0 where there is none.
    pub skb: u64,
    /// Address of the socket; 0 where there is none.
    pub sk: u64,
    /// The process.
    pub pid: u32,
}

/// Tells it, as far as the budget of program number `slot` lasts.
#[inline(always)]
pub fn tell(slot: u32, what: &What, waiter: &Waiter, flow: &Flow) {
    if !spend(slot) {
        return;
    }
    let Some(mut entry) = EVENTS.reserve::<Record>(0) else {
        lose_full(slot, false);
        return;
    };
    let (tag, a, b) = what.encode();
    entry.write(Record {
        // SAFETY: no arguments.
        at_ns: unsafe { bpf_ktime_get_ns() },
        cgroup: 0,
        skb: waiter.skb,
        sk: waiter.sk,
        a,
        b,
        netns: waiter.place.netns,
        ifindex: waiter.place.ifindex,
        pid: waiter.pid,
        tag,
        tail_len: 0,
        flow: *flow,
    });
    entry.submit(0);
}
