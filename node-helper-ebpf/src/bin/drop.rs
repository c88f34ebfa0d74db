//! `drop`: packets that the kernel frees as a loss, with its reason and the place in the kernel.
#![no_std]
#![no_main]

use aya_ebpf::macros::{btf_tracepoint, map, raw_tracepoint};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};
use model::flow::{TCP, UDP};
use model::word::What;
use node_helper_ebpf::draft::{self, Tail, TotalKey, draft};
use node_helper_ebpf::fast::{self, byte, load, port};
use node_helper_ebpf::fields::*;
use node_helper_ebpf::packet::{self, ARP, IPV4, IPV6};
use node_helper_ebpf::watch::{self, MARK_FLOW};
use node_helper_ebpf::{place, socket, trail};

node_helper_ebpf::license!();

/// Drops come in runs of one kind. Beyond the budget a run is only counted, here, and added to its total when another kind
/// follows, or by the helper at the end: no lookup, no call.
#[repr(C)]
struct Run {
    key: TotalKey,
    /// Drops since the run was begun.
    count: u64,
    /// The device, which stands for namespace and interface.
    device: u64,
    /// The place in the kernel.
    location: u64,
    /// Reason, protocol and ports; 0 while there is no run.
    kind: u64,
    memo: u64,
}

#[map]
static RUNS: PerCpuArray<Run> = PerCpuArray::with_max_entries(1, 0);

/// Where the verifier allows plain loads, a run costs some nanoseconds a drop.
#[btf_tracepoint(function = "kfree_skb")]
fn kfree_skb_typed(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    let location: u64 = context.arg(1);
    let reason: u32 = if given(&args__kfree_skb) > 2 { context.arg(2) } else { 0 };
    let Some(run) = RUNS.get_ptr_mut(0) else { return 0 };
    // SAFETY: this CPU's and program's own.
    let run = unsafe { &mut *run };
    // May be null, so it is a number from here on.
    let receiver = if given(&args__kfree_skb) > 3 {
        let receiver: *const u8 = context.arg(3);
        forget(&mut run.memo, receiver as u64)
    } else {
        0
    };
    // The totals tell a receiving socket's state, at which a run does not look.
    if receiver == 0 && goes_on(run, skb, location, reason) {
        return 0;
    }
    if drop(fast::address(skb), location, reason, receiver) == Some(true) && receiver == 0 {
        begin(run, skb, location, reason);
    }
    0
}

/// Whether only what a run looks at is asked for.
#[inline(always)]
fn runs_are_counted() -> bool {
    given(&set__direct) != 0 && given(&set__addresses) == 0 && given(&set__ports) == 0 && given(&set__pids) == 0
}

/// What tells the kind of a drop; 0 when it is not of a kind that comes in runs. The ports are not those of a watched flow.
#[inline(always)]
fn kind(skb: *const u8, reason: u32) -> u64 {
    let header = fast::network_header(skb, false);
    let first = byte(header, 0);
    let (protocol, length) = match first >> 4 {
        4 => (byte(header, 9), usize::from(first & 0xf) * 4),
        6 => (byte(header, 6), 40),
        _ => return 0,
    };
    // A fragment's ports are not where they seem to be.
    let is_fragment = first >> 4 == 4 && (byte(header, 6) & 0x3f | byte(header, 7)) != 0;
    if protocol != UDP && protocol != TCP || is_fragment {
        return 0;
    }
    let (sport, dport) = (port(header, length), port(header, length + 2));
    if let Some(marks) = watch::marks()
        && (marks[sport] | marks[dport]) & MARK_FLOW != 0
    {
        return 0;
    }
    (sport as u64) << 48 | (dport as u64) << 32 | u64::from(protocol) << 24 | u64::from(reason & 0xff_ffff)
}

/// Counts a drop that belongs to the run.
#[inline(always)]
fn goes_on(run: &mut Run, skb: *const u8, location: u64, reason: u32) -> bool {
    if !runs_are_counted() || run.kind == 0 || run.location != location || draft::has_budget() {
        return false;
    }
    let device: *const u8 = load(skb, &sk_buff__dev);
    let device = forget(&mut run.memo, device as u64);
    if device != run.device || kind(skb, reason) != run.kind {
        return false;
    }
    run.count += 1;
    if let Some(losses) = draft::losses() {
        losses.over_budget += 1;
    }
    true
}

/// Begins a run with a drop that was just counted.
#[inline(always)]
fn begin(run: &mut Run, skb: *const u8, location: u64, reason: u32) {
    if !runs_are_counted() {
        return;
    }
    if run.count != 0 {
        draft::add(&run.key, run.count);
        run.count = 0;
    }
    run.kind = 0;
    let device: *const u8 = load(skb, &sk_buff__dev);
    run.device = forget(&mut run.memo, device as u64);
    // Without a device the namespace is the socket's, which a run does not look at.
    if run.device == 0 {
        return;
    }
    if let Some(draft) = draft(0) {
        run.key = draft.key;
        run.location = location;
        run.kind = kind(skb, reason);
    }
}

#[raw_tracepoint(tracepoint = "kfree_skb")]
fn kfree_skb(context: RawTracePointContext) -> i32 {
    let skb: u64 = context.arg(0);
    let location: u64 = context.arg(1);
    // The reason came with 5.17, the receiving socket with 6.11.
    let reason: u32 = if given(&args__kfree_skb) > 2 { context.arg(2) } else { 0 };
    let receiver: u64 = if given(&args__kfree_skb) > 3 { context.arg(3) } else { 0 };
    drop(skb, location, reason, receiver);
    0
}

/// Tells whether it was counted and belongs to no watched flow.
#[inline(always)]
fn drop(skb: u64, location: u64, reason: u32, receiver: u64) -> Option<bool> {
    // The tracepoint also speaks of unix, netlink and packet sockets.
    let protocol = packet::ethernet_protocol(skb);
    if protocol != IPV4 && protocol != IPV6 && protocol != ARP {
        return None;
    }
    let draft = draft(0)?;
    draft.begin(skb, receiver);
    let place = place::of_packet(skb, receiver);
    draft.at(place);
    // Reasons of subsystems (above 16 bits) carry the subsystem's number: kept apart by the highest bit.
    let reason = if reason > 0xffff {
        0x8000 | (reason >> 16 << 8) as u16 & 0x7f00 | (reason & 0xff) as u16
    } else {
        reason as u16
    };
    let state = if receiver == 0 { 0 } else { socket::state(receiver) };
    draft.say(What::Drop {
        reason,
        state,
        location,
    });
    if protocol == ARP {
        packet::arp(draft, packet::network_header(skb, false));
        draft.finish(Tail::None, location, None);
        return None;
    }
    let mut found = packet::headers(draft, packet::network_header(skb, false));
    if found.is_none() {
        found = packet::headers(draft, packet::network_header(skb, true));
    }
    let found = found?;
    let mut tail = Tail::Packet;
    if let Some(address) = packet::quoted_at(found, draft.tail.tcp_flags)
        && packet::quoted(draft, address).is_some()
    {
        tail = Tail::Quoting;
    } else if let Some(address) = packet::inner_at(found, draft.record.flow.dport)
        && packet::quoted(draft, address).is_some()
    {
        // A tunnel's packet belongs to whom the packet within does.
        tail = Tail::Quoting;
    }
    let counted = draft.finish(tail, location, Some(found));
    trail::forget(skb);
    Some(counted)
}
