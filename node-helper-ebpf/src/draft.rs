//! A record while it is filled in: the bytes that will be sent, and room to read headers into.

use crate::budget::SLOTS;
use crate::netns::NetnsInterface;
use crate::totals::TotalKey;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
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

#[map]
static DRAFTS: PerCpuArray<Draft> = PerCpuArray::with_max_entries(SLOTS, 0);

/// The draft of program number `slot` on this CPU.
#[inline(always)]
pub fn draft(slot: u32) -> Option<&'static mut Draft> {
    let draft = DRAFTS.get_ptr_mut(slot)?;
    // SAFETY: the slot belongs to this CPU and program, and a program is not re-entered on its CPU.
    let draft = unsafe { &mut *draft };
    draft.slot = slot;
    Some(draft)
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
    pub fn at(&mut self, place: NetnsInterface) {
        self.record.netns = place.netns;
        self.record.ifindex = place.ifindex;
    }
}
