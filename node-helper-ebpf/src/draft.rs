//! The way out: a record is drafted in place, counted in the exact totals, and sent if it is watched or the budget lasts.

use crate::filter;
use crate::packet::Found;
use crate::place::{self, Place};
use crate::socket;
use crate::trail;
use crate::watch::{self, Watch};
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, PerCpuArray, PerCpuHashMap, RingBuf};
use model::flow::Flow;
use model::record::{PacketTail, Record};
use model::word::What;

/// A record with its tail, and room to read headers into. One per CPU and program, so that the stack stays small.
#[repr(C)]
pub struct Draft {
    /// Head; the first bytes that leave.
    pub record: Record,
    /// Tail of words about a packet.
    pub tail: PacketTail,
    /// The packet that an ICMP error quotes; leaves behind the tail.
    pub quoted: Flow,
    /// Marks of the quoted packet; never leave.
    pub other: PacketTail,
    /// An IP header.
    pub ip: [u8; 40],
    /// A layer-4 header.
    pub l4: [u8; 20],
    /// The key of its total.
    pub key: TotalKey,
    /// The other direction, while learning.
    pub answer: Flow,
    /// See [`crate::fields::forget`].
    pub memo: u64,
    /// Which program's it is.
    pub slot: u32,
    /// The namespace that passed the filter last.
    pub passed: u32,
}

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
pub struct Last {
    /// The key.
    pub key: TotalKey,
    /// How many of them are in no total yet.
    pub count: u64,
    /// How many were over the budget, where they are counted here.
    pub thinned: u64,
}

/// What was not sent.
#[repr(C)]
pub struct Losses {
    /// No room in the ring.
    pub ring_full: u64,
    /// Over the budget.
    pub over_budget: u64,
    /// Of the first, those of a watched flow.
    pub of_watched: u64,
    /// Totals that found no place and are in none.
    pub uncounted: u64,
}

/// Records on their way to the helper. The loader sets its size.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);
#[map]
static DRAFTS: PerCpuArray<Draft> = PerCpuArray::with_max_entries(SLOTS, 0);
#[map]
static TOTALS: PerCpuHashMap<TotalKey, u64> = PerCpuHashMap::with_max_entries(8192, 1);
#[map]
static LAST: PerCpuArray<Last> = PerCpuArray::with_max_entries(SLOTS, 0);
#[map]
static LOSSES: PerCpuArray<Losses> = PerCpuArray::with_max_entries(SLOTS, 0);
/// Events that may still be sent until the helper refills it. No clock is read here.
#[map]
static BUDGET: Array<i64> = Array::with_max_entries(1, 1 << 10);

/// Programs of one probe at most.
const SLOTS: u32 = 8;
const RECORD_BYTES: usize = size_of::<Record>();
const TAIL_BYTES: usize = size_of::<PacketTail>();
const QUOTE_BYTES: usize = size_of::<Flow>();
/// The kernel wakes the helper where it has read all before, and at no other event: a wake-up costs more than the event.
const WAKE_WHO_WAITS: u64 = 0;
/// Ports from here on are clients'.
const EPHEMERAL: u16 = 32768;

/// What leaves behind the head.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Tail {
    /// Nothing.
    None,
    /// The packet's marks.
    Packet,
    /// The packet's marks, and the tuple it quotes.
    Quoting,
}

/// The draft of program number `slot` on this CPU.
#[inline(always)]
pub fn draft(slot: u32) -> Option<&'static mut Draft> {
    let draft = DRAFTS.get_ptr_mut(slot)?;
    // SAFETY: the slot belongs to this CPU and program, and a program is not re-entered on its CPU.
    let draft = unsafe { &mut *draft };
    draft.slot = slot;
    Some(draft)
}

/// What was counted last by program number `slot` on this CPU.
#[inline(always)]
pub fn last(slot: u32) -> Option<&'static mut Last> {
    let last = LAST.get_ptr_mut(slot)?;
    // SAFETY: as above.
    Some(unsafe { &mut *last })
}

/// The process whose context this is.
#[inline(always)]
pub fn current_pid() -> u32 {
    (bpf_get_current_pid_tgid() >> 32) as u32
}

impl Draft {
    /// Clears what not every word sets.
    #[inline(always)]
    pub fn begin(&mut self, skb: u64, sk: u64) {
        self.record.skb = skb;
        self.record.sk = sk;
        self.record.cgroup = 0;
        self.record.pid = 0;
        self.record.netns = 0;
        self.record.ifindex = 0;
    }

    /// The numbers of its word.
    #[inline(always)]
    pub fn say(&mut self, what: What) {
        let (tag, a, b) = what.encode();
        self.record.tag = tag;
        self.record.a = a;
        self.record.b = b;
    }

    /// Puts it where the packet or socket is.
    #[inline(always)]
    pub fn at(&mut self, place: Place) {
        self.record.netns = place.netns;
        self.record.ifindex = place.ifindex;
    }

    /// Fills tuple, place and cgroup from a socket; `false` when it is none of IPv4 or IPv6.
    #[inline(always)]
    pub fn of_socket(&mut self, sk: u64, protocol: u8) -> bool {
        if !socket::flow(sk, protocol, &mut self.record.flow) {
            return false;
        }
        if let Some(place) = place::of_socket(sk) {
            self.at(place);
        }
        self.record.cgroup = socket::cgroup(sk);
        true
    }

    /// Counts it, if the filter lets it through or it is watched, and sends it, if it is watched or the budget lasts.
    /// `counted_b` stands for the word's second number in the totals. `found` describes the packet's headers, where the
    /// word is about a packet. Tells whether it was counted and belongs to no watched flow.
    #[inline(always)]
    pub fn finish(&mut self, tail: Tail, counted_b: u64, found: Option<Found>) -> bool {
        let mut whose = Watch::NOBODY;
        if let Some(marks) = watch::marks() {
            whose = watch::of(marks, self.record.netns, &self.record.flow);
            whose = whose.forgotten(&mut self.memo);
            if !whose.is_somebody()
                && let Some(found) = found
            {
                whose = trail::recognise(self, self.record.skb, found);
                whose = whose.forgotten(&mut self.memo);
            }
            if !whose.is_somebody() && tail == Tail::Quoting {
                whose = watch::of(marks, self.record.netns, &self.quoted);
            }
            whose = whose.forgotten(&mut self.memo);
        }
        if !whose.is_somebody() && !self.passes() {
            return false;
        }
        self.count(counted_b);
        if whose.is_somebody() || spend(self.slot) {
            self.send(tail, whose);
        }
        !whose.is_somebody()
    }

    /// Whether the filter lets it through.
    #[inline(always)]
    fn passes(&mut self) -> bool {
        let netns = self.record.netns;
        if filter::is_of_namespaces_only() && netns != 0 && netns == self.passed {
            return true;
        }
        let passes = filter::lets_through(netns, &self.record.flow, self.record.pid);
        if passes {
            self.passed = netns;
        }
        passes
    }

    /// Adds one to its exact total.
    #[inline(always)]
    pub fn count(&mut self, counted_b: u64) {
        self.key.a = self.record.a;
        self.key.b = counted_b;
        self.key.netns = self.record.netns;
        self.key.tag = self.record.tag;
        self.key.dport = if self.record.flow.dport < EPHEMERAL {
            self.record.flow.dport
        } else {
            0
        };
        self.key.protocol = u32::from(self.record.flow.protocol);
        self.key.slot = self.slot;
        let Some(last) = last(self.slot) else { return };
        if last.key != self.key {
            if last.count != 0 {
                add(&last.key, last.count);
            }
            last.key = self.key;
            last.count = 0;
        }
        last.count += 1;
    }

    /// Sends it; a full ring is counted.
    #[inline(always)]
    pub fn send(&mut self, tail: Tail, whose: Watch) {
        // SAFETY: no arguments.
        self.record.at_ns = unsafe { bpf_ktime_get_ns() };
        // Only after the last lookup: the tuple is a key of maps without it.
        let code = whose.0;
        self.record.flow.zero = [code as u8, (code >> 8) as u8, (code >> 16) as u8];
        let sent = match tail {
            Tail::None => self.output::<RECORD_BYTES>(0),
            Tail::Packet => self.output::<{ RECORD_BYTES + TAIL_BYTES }>(TAIL_BYTES),
            Tail::Quoting => self.output::<{ RECORD_BYTES + TAIL_BYTES + QUOTE_BYTES }>(TAIL_BYTES + QUOTE_BYTES),
        };
        if !sent {
            lose_full(self.slot, whose.is_somebody());
        }
    }

    #[inline(always)]
    fn output<const N: usize>(&mut self, tail_len: usize) -> bool {
        self.record.tail_len = tail_len as u16;
        // SAFETY: record, tail and quoted tuple lie behind one another (repr(C), asserted below).
        let bytes: &[u8; N] = unsafe { &*core::ptr::from_ref(self).cast() };
        EVENTS.output::<[u8]>(bytes.as_slice(), WAKE_WHO_WAITS).is_ok()
    }
}

const _: () = assert!(core::mem::offset_of!(Draft, tail) == RECORD_BYTES);
const _: () = assert!(core::mem::offset_of!(Draft, quoted) == RECORD_BYTES + TAIL_BYTES);

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
