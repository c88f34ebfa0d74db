//! `drop`: packets that the kernel frees as a loss, with its reason and the place in the kernel.
#![no_std]
#![no_main]

use aya_ebpf::macros::{btf_tracepoint, map, raw_tracepoint};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};
use model::flow::{TCP, UDP};
use model::word::What;
use node_helper_ebpf::direct_access::{self, NO_PROTOCOL, four, ip_header, load, ports};
use node_helper_ebpf::draft::draft;
use node_helper_ebpf::fields::*;
use node_helper_ebpf::netns::{self, NetnsInterface};
use node_helper_ebpf::packet::{self, ARP, IPV4, IPV6};
use node_helper_ebpf::send::Tail;
use node_helper_ebpf::watched_flows::{self, MARK_FLOW};
use node_helper_ebpf::{budget, filter, socket, stand_in, totals, trail};

node_helper_ebpf::license!();

/// Beyond the budget the drops of a run are only counted: no lookup, no call.
#[repr(C)]
struct Run {
    /// The device, which stands for namespace and interface.
    device: u64,
    /// The place in the kernel.
    location: u64,
    /// Reason, protocol and ports; 0 while there is no run.
    kind: u64,
    /// Those of the drop at hand. Beside the run, where the verifier does not follow each way to them.
    next: u64,
    memo: u64,
}

#[map]
static RUNS: PerCpuArray<Run> = PerCpuArray::with_max_entries(2, 0);

/// Numbers of the program and of the one that stands in for it.
const FIRST: u32 = 0;
const AGAIN: u32 = 1;

#[btf_tracepoint(function = "kfree_skb")]
fn kfree_skb_typed(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    let device: *const u8 = load(skb, &sk_buff__dev);
    stand_in::first(&context, direct_access::address(skb));
    typed(&context, device, FIRST);
    0
}

/// Interrupts drop packets while others are dropped.
#[btf_tracepoint(function = "kfree_skb")]
fn kfree_skb_typed_again(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    let device: *const u8 = load(skb, &sk_buff__dev);
    if stand_in::stands_in(&context, direct_access::address(skb)) {
        typed(&context, device, AGAIN);
    }
    0
}

/// Where the verifier allows plain loads, a run costs some nanoseconds a drop. `known_device` is the packet's: where a pointer is loaded
/// from an skb, the verifier searches all types of the kernel, so it is loaded once, before the first branch.
#[inline(always)]
fn typed(context: &BtfTracePointContext, known_device: *const u8, slot: u32) {
    let skb: *const u8 = context.arg(0);
    let location: u64 = context.arg(1);
    let reason: u32 = if given(&args__kfree_skb) > 2 { context.arg(2) } else { 0 };
    let Some(run) = RUNS.get_ptr_mut(slot) else { return };
    // SAFETY: this CPU's and program's own.
    let run = unsafe { &mut *run };
    // May be null, so it is a number from here on.
    let receiver = if given(&args__kfree_skb) > 3 {
        let receiver: *const u8 = context.arg(3);
        forget(&mut run.memo, receiver as u64)
    } else {
        0
    };
    let device = forget(&mut run.memo, known_device as u64);
    // The totals tell a receiving socket's state, at which a run does not look.
    run.next = if runs_are_counted() && receiver == 0 && device != 0 {
        kind(skb, reason)
    } else {
        0
    };
    if goes_on(run, device, location, slot) {
        return;
    }
    run.kind = 0;
    let dropped = Dropped {
        skb: direct_access::address(skb),
        protocol: u16::from_be(load(skb, &sk_buff__protocol)),
        header: forget(&mut run.memo, direct_access::network_header(skb, false) as u64),
        place: netns::of_known_device(known_device),
        location,
        reason,
        receiver,
    };
    if drop(dropped, slot) == Some(true) {
        run.device = device;
        run.location = location;
        run.kind = run.next;
    }
}

/// Whether only what a run looks at is asked for.
#[inline(always)]
fn runs_are_counted() -> bool {
    given(&set__direct) != 0 && filter::is_of_namespaces_only()
}

/// What tells the kind of a drop; 0 when it is not of a kind that comes in runs. The ports are not those of a watched flow.
#[inline(always)]
fn kind(skb: *const u8, reason: u32) -> u64 {
    let header = direct_access::network_header(skb, false);
    let protocol_of_v4 = || {
        // Flags and offset of fragments, time to live, protocol.
        let middle = four(header, 6).to_le_bytes();
        // A fragment's ports are not where they seem to be.
        let is_fragment = middle[0] & 0x3f | middle[1] != 0;
        if is_fragment { NO_PROTOCOL } else { middle[3] }
    };
    let (protocol, length) = ip_header(header, protocol_of_v4);
    if protocol != UDP && protocol != TCP {
        return 0;
    }
    let (sport, dport) = ports(header, length);
    if let Some(marks) = watched_flows::marks()
        && (marks[sport] | marks[dport]) & MARK_FLOW != 0
    {
        return 0;
    }
    (sport as u64) << 48 | (dport as u64) << 32 | u64::from(protocol) << 24 | u64::from(reason & 0xff_ffff)
}

/// Counts a drop that belongs to the run.
#[inline(always)]
fn goes_on(run: &Run, device: u64, location: u64, slot: u32) -> bool {
    if run.next == 0 || run.next != run.kind || run.location != location || run.device != device || budget::has_budget()
    {
        return false;
    }
    let Some(last) = totals::last(slot) else { return false };
    last.count += 1;
    last.thinned += 1;
    true
}

#[raw_tracepoint(tracepoint = "kfree_skb")]
fn kfree_skb(context: RawTracePointContext) -> i32 {
    stand_in::first(&context, context.arg(0));
    raw(&context, FIRST);
    0
}

/// As above.
#[raw_tracepoint(tracepoint = "kfree_skb")]
fn kfree_skb_again(context: RawTracePointContext) -> i32 {
    if stand_in::stands_in(&context, context.arg(0)) {
        raw(&context, AGAIN);
    }
    0
}

#[inline(always)]
fn raw(context: &RawTracePointContext, slot: u32) {
    let skb: u64 = context.arg(0);
    let location: u64 = context.arg(1);
    // The reason came with 5.17, the receiving socket with 6.11.
    let reason: u32 = if given(&args__kfree_skb) > 2 { context.arg(2) } else { 0 };
    let receiver: u64 = if given(&args__kfree_skb) > 3 { context.arg(3) } else { 0 };
    let dropped = Dropped {
        skb,
        protocol: packet::ethernet_protocol(skb),
        header: packet::network_header(skb, false),
        place: NetnsInterface { netns: 0, ifindex: 0 },
        location,
        reason,
        receiver,
    };
    drop(dropped, slot);
}

/// A packet that is thrown away, as far as its hook knows it.
#[derive(Clone, Copy)]
struct Dropped {
    skb: u64,
    protocol: u16,
    /// Address of the network header.
    header: u64,
    /// That of its device; zeroes where it is not known yet.
    place: NetnsInterface,
    location: u64,
    reason: u32,
    receiver: u64,
}

/// Tells whether it was counted and belongs to no watched flow.
#[inline(always)]
fn drop(dropped: Dropped, slot: u32) -> Option<bool> {
    let Dropped {
        skb,
        protocol,
        header,
        location,
        reason,
        receiver,
        ..
    } = dropped;
    // The tracepoint also speaks of unix, netlink and packet sockets.
    if protocol != IPV4 && protocol != IPV6 && protocol != ARP {
        return None;
    }
    let draft = draft(slot)?;
    draft.begin(skb, receiver);
    let mut place = dropped.place;
    if place.netns == 0 {
        place = netns::of_packet(skb, receiver);
    }
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
        packet::arp(draft, header);
        draft.finish(Tail::None, location, None);
        return None;
    }
    let mut found = packet::headers(draft, header);
    if found.is_none() {
        found = packet::headers(draft, packet::network_header(skb, true));
    }
    let found = found?.forgotten(&mut draft.memo);
    // A tunnel's packet belongs to whom the packet within does.
    let within = packet::quoted_at(found, draft.tail.tcp_flags) | packet::inner_at(found, draft.record.flow.dport);
    let within = forget(&mut draft.memo, within);
    let found = found.forgotten(&mut draft.memo);
    let quotes = within != 0 && packet::quoted(draft, within).is_some();
    let quotes = forget(&mut draft.memo, u64::from(quotes)) != 0;
    let tail = if quotes { Tail::Quoting } else { Tail::Packet };
    let counted = draft.finish(tail, location, Some(found));
    trail::forget(skb);
    Some(counted)
}
