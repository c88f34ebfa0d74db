//! Follows a packet by the address of its skb: what its headers said when it was last met is remembered, so that a translation
//! is noticed and learned. The address alone proves nothing, because it is used again; the headers decide at every hook.

use crate::draft::Draft;
use crate::fields::read;
use crate::packet::Layer4;
use crate::watched_flows::{self, Watch};
use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, LruHashMap};
use model::flow::{TCP, UDP};

/// What a watched packet looked like when it was last met.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PacketSight {
    /// What no translation changes: sequence and acknowledgement of TCP, else the first bytes of the content.
    identity: u64,
    watch: Watch,
    len: u32,
    ip_id: u16,
    sport: u16,
    dport: u16,
    protocol: u8,
    tcp_flags: u8,
}

/// Last sights by address.
#[map]
pub static SIGHTS: LruHashMap<u64, PacketSight> = LruHashMap::with_max_entries(4096, 0);

/// A byte per hash of an address, without a lookup: may this be a packet that was met?
#[map]
pub static SEEN: Array<[u8; SLOTS]> = Array::with_max_entries(1, 0);

/// How many bytes: enough for a few hundred packets on their way, few enough to stay in the processor's cache.
pub const SLOTS: usize = 16384;

/// The place of an address among the bytes, from its lower half.
#[inline(always)]
pub fn slot(low_address: u32) -> usize {
    // Addresses of skbs are multiples of 32; Fibonacci hashing of the rest.
    ((u64::from(low_address) >> 5).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 50) as usize & (SLOTS - 1)
}

/// The bytes.
#[inline(always)]
pub fn seen() -> Option<&'static mut [u8; SLOTS]> {
    let seen = SEEN.get_ptr_mut(0)?;
    // SAFETY: the map's only value; single bytes are written.
    Some(unsafe { &mut *seen })
}

/// What no translation changes.
#[inline(always)]
fn identity(draft: &Draft, found: Layer4) -> u64 {
    if found.protocol == TCP {
        return u64::from(draft.tail.seq) << 32 | u64::from(draft.tail.ack);
    }
    if found.l4 == 0 {
        return 0;
    }
    // Behind the header, whose checksum and ports a translation changes; all three have eight bytes of it.
    read::<u64>(found.l4 + 8).unwrap_or(0)
}

/// Whose packet this is, if it was met before under another tuple: the new one is learned. `found` describes the headers
/// in the draft.
#[inline(always)]
pub fn recognise(draft: &mut Draft, skb: u64, found: Layer4) -> Watch {
    let Some(seen) = seen() else { return Watch::NOBODY };
    if seen[slot(skb as u32)] == 0 {
        return Watch::NOBODY;
    }
    let Some(sight) = SIGHTS.get_ptr(&skb) else {
        return Watch::NOBODY;
    };
    // SAFETY: a value of the map; a race makes it differ from the packet, which is asked here.
    let sight = unsafe { &*sight };
    let flow = &draft.record.flow;
    let same = sight.protocol == flow.protocol
        && sight.len == draft.tail.len
        && sight.tcp_flags == draft.tail.tcp_flags
        && sight.identity == identity(draft, found)
        && (sight.ip_id == draft.tail.ip_id || sight.ip_id == 0 || draft.tail.ip_id == 0);
    // Two empty datagrams look alike: then one port must have stayed.
    let told = flow.protocol != UDP || draft.tail.ip_id != 0 || sight.sport == flow.sport || sight.dport == flow.dport;
    if !same || !told {
        return Watch::NOBODY;
    }
    let watch = sight.watch;
    let Some(marks) = watched_flows::marks() else {
        return Watch::NOBODY;
    };
    let Draft { record, answer, .. } = draft;
    watched_flows::learn(&record.flow, answer, watch, marks);
    watch
}

/// Notes how a watched packet looks here.
#[inline(always)]
pub fn remember(draft: &Draft, skb: u64, found: Layer4, watch: Watch) {
    let sight = PacketSight {
        identity: identity(draft, found),
        watch,
        len: draft.tail.len,
        ip_id: draft.tail.ip_id,
        sport: draft.record.flow.sport,
        dport: draft.record.flow.dport,
        protocol: draft.record.flow.protocol,
        tcp_flags: draft.tail.tcp_flags,
    };
    let _ = SIGHTS.insert(&skb, &sight, 0);
    if let Some(seen) = seen() {
        seen[slot(skb as u32)] = 1;
    }
}

/// A packet's end: its address will be used again.
#[inline(always)]
pub fn forget(skb: u64) {
    let _ = SIGHTS.remove(&skb);
    if let Some(seen) = seen() {
        seen[slot(skb as u32)] = 0;
    }
}
