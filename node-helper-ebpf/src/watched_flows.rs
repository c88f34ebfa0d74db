//! Watched flows: known before their first packet leaves, and what they are translated to, learned on the way.
//!
//! These maps are shared by all programs, so that a drop of a translated packet is known for what it is.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use model::flow::Flow;

/// To whom a watched tuple belongs: [`VALID`], [`REVERSE`], [`KNOWN`] and [`FIRST`], and above them the attempt's number. Nobody's is 0; not an
/// `Option`, because the compiler may compute with the content of a `None`, which the verifier does not forgive.
#[repr(transparent)]
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Watch(pub u32);

/// It belongs to an attempt.
pub const VALID: u32 = 1;
/// The answer's direction.
pub const REVERSE: u32 = 2;
/// A start whose whole tuple is known: another tuple there is a translation.
pub const KNOWN: u32 = 4;
/// A tuple that was not met before: from now on it is known in every namespace.
pub const FIRST: u32 = 8;

impl Watch {
    /// Nobody's.
    pub const NOBODY: Self = Self(0);

    /// Whether it is anybody's.
    #[inline(always)]
    pub fn is_somebody(self) -> bool {
        self.0 != 0
    }

    /// The value, unknown to the verifier; see [`crate::fields::forget`].
    #[inline(always)]
    #[must_use]
    pub fn forgotten(self, memo: &mut u64) -> Self {
        Self(crate::fields::forget(memo, u64::from(self.0)) as u32)
    }
}

/// The start of a flow: all that is certain before an address translation.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Start {
    /// Namespace it starts in.
    pub netns: u32,
    /// Source port, or echo identifier.
    pub sport: u16,
    /// Protocol.
    pub protocol: u8,
    /// No padding.
    pub zero: u8,
}

/// The far end of a flow whose source port nobody knows.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FarEndKey {
    /// Address.
    pub address: [u8; 16],
    /// Port.
    pub port: u16,
    /// Protocol.
    pub protocol: u8,
    /// No padding.
    pub zero: u8,
}

/// To whom a far end belongs, and from where.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FarEndWatch {
    /// To whom.
    pub watch: Watch,
    /// The namespace where its flows are met first; 0 for any.
    pub netns: u32,
    /// The near end's address; zeroes for any.
    pub from: [u8; 16],
}

/// To whom a tuple belongs, and where.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Watched {
    /// To whom.
    pub watch: Watch,
    /// The namespace where it is met first: elsewhere the same addresses are another's. 0 once it was met, and where that
    /// namespace is not of this machine.
    pub netns: u32,
}

/// A byte per port, without a lookup: may this packet be of a watched flow? Byte 0 says whether anything is watched.
#[map]
pub static MARKS: Array<[u8; 65536]> = Array::with_max_entries(1, 1 << 10);

/// A port of a watched flow.
pub const MARK_FLOW: u8 = 1;
/// A port of a tunnel.
pub const MARK_TUNNEL: u8 = 2;

/// Watched tuples, both directions.
#[map]
pub static WATCHED: HashMap<Flow, Watched> = HashMap::with_max_entries(4096, 1);

/// Flows by their start.
#[map]
pub static STARTS: HashMap<Start, Watch> = HashMap::with_max_entries(1024, 1);

/// Flows by their far end.
#[map]
pub static ENDS: HashMap<FarEndKey, FarEndWatch> = HashMap::with_max_entries(256, 1);

/// The marks; `None` while nothing is watched.
#[inline(always)]
pub fn marks() -> Option<&'static mut [u8; 65536]> {
    let marks = MARKS.get_ptr_mut(0)?;
    // SAFETY: the map's only value; bytes are set by several writers and read whole.
    let marks = unsafe { &mut *marks };
    (marks[0] != 0).then_some(marks)
}

/// Whether a port is marked.
#[inline(always)]
pub fn is_marked(marks: &[u8; 65536], flow: &Flow) -> bool {
    (marks[usize::from(flow.sport)] | marks[usize::from(flow.dport)]) & MARK_FLOW != 0 && (flow.sport | flow.dport) != 0
}

/// Whose flow this is, if it is watched.
#[inline(always)]
pub fn exact(netns: u32, flow: &Flow) -> Watch {
    // SAFETY: values are copied out; they are replaced as a whole.
    let Some(found) = (unsafe { WATCHED.get(flow) }) else {
        return Watch::NOBODY;
    };
    if found.netns == 0 {
        return found.watch;
    }
    if found.netns == netns {
        return Watch(found.watch.0 | FIRST);
    }
    Watch::NOBODY
}

/// Whose flow starts like this, if one does. Answers come by the reverse tuple, which is learned with the start.
#[inline(always)]
pub fn start(netns: u32, flow: &Flow) -> Watch {
    let key = Start {
        netns,
        sport: flow.sport,
        protocol: flow.protocol,
        zero: 0,
    };
    // SAFETY: as above.
    let found = unsafe { STARTS.get(&key) };
    match found {
        Some(watch) => *watch,
        None => Watch::NOBODY,
    }
}

/// Whose far end this is, if it is one.
#[inline(always)]
pub fn end(netns: u32, flow: &Flow) -> Watch {
    let mut key = FarEndKey {
        address: flow.daddr,
        port: flow.dport,
        protocol: flow.protocol,
        zero: 0,
    };
    // SAFETY: as above.
    if let Some(ended) = unsafe { ENDS.get(&key) }
        && is_from(ended, netns, &flow.saddr)
    {
        return ended.watch;
    }
    key.address = flow.saddr;
    key.port = flow.sport;
    // SAFETY: as above.
    if let Some(ended) = unsafe { ENDS.get(&key) }
        && is_from(ended, netns, &flow.daddr)
    {
        return Watch(ended.watch.0 | REVERSE);
    }
    Watch::NOBODY
}

#[inline(always)]
fn is_from(ended: &FarEndWatch, netns: u32, address: &[u8; 16]) -> bool {
    (ended.netns == 0 || ended.netns == netns) && (ended.from == [0; 16] || ended.from == *address)
}

/// Puts a tuple and its answer among the watched ones, and marks the client's port.
#[inline(always)]
pub fn learn(flow: &Flow, answer: &mut Flow, watch: Watch, marks: &mut [u8; 65536]) {
    answer.saddr = flow.daddr;
    answer.daddr = flow.saddr;
    answer.sport = flow.dport;
    answer.dport = flow.sport;
    answer.protocol = flow.protocol;
    answer.zero = [0; 3];
    let there = Watch(watch.0 & !(KNOWN | FIRST));
    let back = Watch(there.0 ^ REVERSE);
    let anywhere = |watch| Watched { watch, netns: 0 };
    let _ = WATCHED.insert(flow, anywhere(there), 0);
    let _ = WATCHED.insert(&*answer, anywhere(back), 0);
    let client = if there.0 & REVERSE == 0 { flow.sport } else { flow.dport };
    if client != 0 {
        marks[usize::from(client)] |= MARK_FLOW;
    }
}

/// Whose flow this is, by all that is known of flows; cheap when its ports are not marked.
#[inline(always)]
pub fn of(marks: &[u8; 65536], netns: u32, flow: &Flow) -> Watch {
    if !is_marked(marks, flow) {
        return Watch::NOBODY;
    }
    let watch = exact(netns, flow);
    if watch.is_somebody() {
        return watch;
    }
    let watch = start(netns, flow);
    if watch.is_somebody() {
        return watch;
    }
    end(netns, flow)
}
