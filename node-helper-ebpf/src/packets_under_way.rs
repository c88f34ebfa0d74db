//! Packets on their way through the kernel: since when each is where it is. A fixed table, so that nothing is allocated and nothing can
//! fill up: each packet has four places, and takes that which was taken longest ago.
//!
//! A packet is known by the address of its skb and by what no translation changes in it: the address alone will be another packet's
//! when this one has come to its end where nobody looked. What goes on in another skb (a clone for a second socket, a segment of a
//! larger one) is not found, and not measured. A segment that TCP sends is known by its socket and the moment of that, which
//! segmentation leaves as they are.

use crate::budget::losses;
use crate::direct_access::four;
use crate::netns::NetnsInterface;
use aya_ebpf::macros::map;
use aya_ebpf::maps::Array;
use model::histogram::Measure;

/// A packet that is somewhere.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PacketUnderWay {
    /// What it is known by.
    identity: u64,
    /// Since when; 0 where there is none.
    pub at_ns: u64,
    /// How long it took to get there ([`earlier`]); 0 where that is not known.
    pub before: u64,
    /// Its namespace.
    pub netns: u32,
    /// The interface in whose queue it is; 0 for one that was received.
    ifindex: u32,
}

const WAYS: usize = 4;
const SETS: u32 = 1024;

#[map]
static PACKETS: Array<[PacketUnderWay; WAYS]> = Array::with_max_entries(SETS, 0);

/// A packet that was met so long ago has come to its end, most likely at a place where nobody looks. Whoever takes its place takes it from
/// nobody.
const SOON_NS: u64 = 2_000_000_000;
/// Bit of what a packet's [`PacketUnderWay::before`] holds: it has left, and others of the same identity may follow.
const HAS_LEFT: u64 = 1 << 15;
/// For [`put`]: nobody will miss it.
pub const NOT_MISSED: u64 = HAS_LEFT;

/// How long a packet took in the stage before: the measure, and nanoseconds.
#[inline(always)]
pub const fn earlier(measure: Measure, took_ns: u64) -> u64 {
    measure as u64 | took_ns << 16
}

/// The measure of [`earlier`], and the nanoseconds.
#[inline(always)]
pub const fn earlier_of(before: u64) -> (u16, u64) {
    ((before & !HAS_LEFT) as u16, before >> 16)
}

/// What the packet at that IP header is known by, beside the address of its skb: of TCP the sequence number, else the start of the
/// content, and of IPv4 the identification. `behind` is the length of the IP header.
#[inline(always)]
pub fn content(header: *const u8, behind: usize, is_tcp: bool, is_v4: bool) -> u64 {
    if is_tcp {
        return u64::from(four(header, behind + 4));
    }
    let identification = if is_v4 { four(header, 4) } else { 0 };
    u64::from(identification) << 32 | u64::from(four(header, behind + 8))
}

/// The identity of a packet by the address of its skb and its [`content`].
#[inline(always)]
pub const fn identity(skb: u64, content: u64) -> u64 {
    skb ^ content.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[inline(always)]
fn set_of(identity: u64) -> Option<&'static mut [PacketUnderWay; WAYS]> {
    // Fibonacci hashing.
    let hash = identity.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 54;
    let set = PACKETS.get_ptr_mut(hash as u32 & (SETS - 1))?;
    // SAFETY: a value of the map. Others may write to it at the same time: then what is read there is no packet, or one of theirs,
    // which is told by its identity, and was written at the same moment.
    Some(unsafe { &mut *set })
}

impl PacketUnderWay {
    #[inline(always)]
    fn is(&self, identity: u64, place: NetnsInterface) -> bool {
        self.identity == identity && self.netns == place.netns && self.ifindex == place.ifindex && self.at_ns != 0
    }

    /// It has left the place where it was.
    #[inline(always)]
    pub fn forget(&mut self) {
        self.at_ns = 0;
    }

    /// It has left the place where it was, and others of its identity may follow.
    #[inline(always)]
    pub fn has_left(&mut self) {
        self.before |= HAS_LEFT;
    }
}

/// The packet of that identity that is at that place.
#[inline(always)]
#[expect(clippy::manual_find, reason = "a loop over four, which becomes four comparisons")]
pub fn find(identity: u64, place: NetnsInterface) -> Option<&'static mut PacketUnderWay> {
    let set = set_of(identity)?;
    for packet in set {
        if packet.is(identity, place) {
            return Some(packet);
        }
    }
    None
}

/// The received packet of that identity, in whichever namespace.
#[inline(always)]
#[expect(clippy::manual_find, reason = "a loop over four, which becomes four comparisons")]
pub fn find_received(identity: u64) -> Option<&'static mut PacketUnderWay> {
    let set = set_of(identity)?;
    for packet in set {
        if packet.identity == identity && packet.ifindex == 0 && packet.at_ns != 0 {
            return Some(packet);
        }
    }
    None
}

/// A packet has come to its end.
#[inline(always)]
pub fn forget(identity: u64) {
    let Some(set) = set_of(identity) else { return };
    for packet in set {
        if packet.identity == identity {
            packet.forget();
        }
    }
}

/// A packet is at a place since now. One that is there already stays as it is if `first_counts`. Program number `slot` answers for the
/// one that loses its place.
#[inline(always)]
pub fn put(identity: u64, place: NetnsInterface, now_ns: u64, before: u64, first_counts: bool, slot: u32) {
    let Some(set) = set_of(identity) else {
        return;
    };
    let mut taken = 0;
    let mut oldest = u64::MAX;
    for (way, packet) in set.iter().enumerate() {
        if packet.is(identity, place) {
            if first_counts {
                return;
            }
            taken = way;
            oldest = 0;
            break;
        }
        if packet.at_ns < oldest {
            oldest = packet.at_ns;
            taken = way;
        }
    }
    let packet = &mut set[taken & (WAYS - 1)];
    if oldest != 0
        && now_ns.wrapping_sub(oldest) < SOON_NS
        && packet.before & HAS_LEFT == 0
        && let Some(losses) = losses(slot)
    {
        losses.uncounted += 1;
    }
    *packet = PacketUnderWay {
        identity,
        at_ns: now_ns,
        before,
        netns: place.netns,
        ifindex: place.ifindex,
    };
}
