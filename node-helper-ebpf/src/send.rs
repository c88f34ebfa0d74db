//! Sends what was drafted: each record is counted in the exact totals, and sent if it is of a watched flow or the budget allows.

use crate::budget::{lose_full, spend};
use crate::draft::Draft;
use crate::filter;
use crate::packet::Layer4;
use crate::totals::{add, last};
use crate::trail;
use crate::watched_flows::{self, Watch};
use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::map;
use aya_ebpf::maps::RingBuf;
use model::flow::Flow;
use model::record::{PacketTail, Record};

/// Records on their way to the helper. The loader sets its size.
#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(256 * 1024, 0);

const RECORD_BYTES: usize = size_of::<Record>();
const TAIL_BYTES: usize = size_of::<PacketTail>();
const QUOTE_BYTES: usize = size_of::<Flow>();
const EXCHANGED_BYTES: usize = 8;
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
    /// What a connection has sent and received: the first two numbers of the marks.
    Exchanged,
}

impl Draft {
    /// Counts it, if the filter lets it through or it is watched, and sends it, if it is watched or the budget lasts.
    /// `counted_b` stands for the word's second number in the totals. `found` describes the packet's headers, where the
    /// word is about a packet. Tells whether it was counted and belongs to no watched flow.
    #[inline(always)]
    pub fn finish(&mut self, tail: Tail, counted_b: u64, found: Option<Layer4>) -> bool {
        let mut whose = Watch::NOBODY;
        if let Some(marks) = watched_flows::marks() {
            whose = watched_flows::of(marks, self.record.netns, &self.record.flow);
            whose = whose.forgotten(&mut self.memo);
            if !whose.is_somebody()
                && let Some(found) = found
            {
                whose = trail::recognise(self, self.record.skb, found);
                whose = whose.forgotten(&mut self.memo);
            }
            if !whose.is_somebody() && tail == Tail::Quoting {
                whose = watched_flows::of(marks, self.record.netns, &self.quoted);
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
            Tail::Exchanged => self.output::<{ RECORD_BYTES + EXCHANGED_BYTES }>(EXCHANGED_BYTES),
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
