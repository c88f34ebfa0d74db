//! `drop`: packets that the kernel frees as a loss, with its reason and the place in the kernel.
#![no_std]
#![no_main]

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use model::word::What;
use node_helper_ebpf::draft::{Tail, draft};
use node_helper_ebpf::fields::{args__kfree_skb, given};
use node_helper_ebpf::packet::{self, ARP, IPV4, IPV6};
use node_helper_ebpf::{place, socket, trail};

node_helper_ebpf::license!();

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

#[inline(always)]
fn drop(skb: u64, location: u64, reason: u32, receiver: u64) -> Option<()> {
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
        return Some(());
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
    }
    draft.finish(tail, location, Some(found));
    trail::forget(skb);
    Some(())
}
