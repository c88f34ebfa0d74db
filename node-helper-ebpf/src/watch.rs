//! Watched flows: known before their first packet leaves, and what they are translated to, learned on the way.
//!
//! These maps are shared by all programs, so that a drop of a translated packet is known for what it is.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap};
use model::flow::Flow;

/// To whom a watched tuple belongs.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Watch {
    /// The attempt.
    pub attempt: u32,
    /// 1 for the answer's direction.
    pub reverse: u32,
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
pub struct End {
    /// Address.
    pub address: [u8; 16],
    /// Port.
    pub port: u16,
    /// Protocol.
    pub protocol: u8,
    /// No padding.
    pub zero: u8,
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
pub static WATCHED: HashMap<Flow, Watch> = HashMap::with_max_entries(4096, 1);

/// Flows by their start.
#[map]
pub static STARTS: HashMap<Start, Watch> = HashMap::with_max_entries(1024, 1);

/// Flows by their far end.
#[map]
pub static ENDS: HashMap<End, Watch> = HashMap::with_max_entries(256, 1);

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
pub fn exact(flow: &Flow) -> Option<Watch> {
    // SAFETY: values are copied out; they never change once written.
    unsafe { WATCHED.get(flow) }.copied()
}

/// Whose flow starts like this, if one does.
#[inline(always)]
pub fn start(netns: u32, flow: &Flow) -> Option<Watch> {
    let key = Start {
        netns,
        sport: flow.sport,
        protocol: flow.protocol,
        zero: 0,
    };
    // SAFETY: as above.
    if let Some(watch) = unsafe { STARTS.get(&key) } {
        return Some(*watch);
    }
    let key = Start {
        netns,
        sport: flow.dport,
        protocol: flow.protocol,
        zero: 0,
    };
    // SAFETY: as above.
    unsafe { STARTS.get(&key) }.map(|watch| Watch {
        attempt: watch.attempt,
        reverse: 1,
    })
}

/// Whose far end this is, if it is one.
#[inline(always)]
pub fn end(flow: &Flow) -> Option<Watch> {
    let mut key = End {
        address: flow.daddr,
        port: flow.dport,
        protocol: flow.protocol,
        zero: 0,
    };
    // SAFETY: as above.
    if let Some(watch) = unsafe { ENDS.get(&key) } {
        return Some(*watch);
    }
    key.address = flow.saddr;
    key.port = flow.sport;
    // SAFETY: as above.
    unsafe { ENDS.get(&key) }.map(|watch| Watch {
        attempt: watch.attempt,
        reverse: 1,
    })
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
    let back = Watch {
        attempt: watch.attempt,
        reverse: watch.reverse ^ 1,
    };
    let _ = WATCHED.insert(flow, &watch, 0);
    let _ = WATCHED.insert(&*answer, &back, 0);
    let client = if watch.reverse & 1 == 0 { flow.sport } else { flow.dport };
    if client != 0 {
        marks[usize::from(client)] |= MARK_FLOW;
    }
}

/// Whether a flow is watched, by all that is known of it; cheap when its ports are not marked.
#[inline(always)]
pub fn is_watched(netns: u32, flow: &Flow) -> bool {
    let Some(marks) = marks() else { return false };
    is_marked(marks, flow) && (exact(flow).is_some() || start(netns, flow).is_some() || end(flow).is_some())
}
