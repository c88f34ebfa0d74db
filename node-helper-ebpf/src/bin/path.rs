//! `path`: where the packets of watched flows are met, hook by hook, and what they are translated to.
#![no_std]
#![no_main]

use aya_ebpf::{macros::btf_tracepoint, programs::BtfTracePointContext};
use model::word::Hook;
use node_helper_ebpf::direct_access::{address, low_address};
use node_helper_ebpf::meeting::{may_concern, met};
use node_helper_ebpf::{trail, watched_flows};

node_helper_ebpf::license!();

#[btf_tracepoint(function = "net_dev_queue")]
fn net_dev_queue(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    if may_concern(skb, false) {
        met(address(skb), Hook::Queue, 0);
    }
    0
}

#[btf_tracepoint(function = "netif_receive_skb")]
fn netif_receive_skb(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    if may_concern(skb, true) {
        met(address(skb), Hook::Receive, 1);
    }
    0
}

#[btf_tracepoint(function = "skb_copy_datagram_iovec")]
fn skb_copy_datagram_iovec(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    if may_concern(skb, false) {
        met(address(skb), Hook::Delivered, 2);
    }
    0
}

/// The end of a packet, whose address will be used again. An end that is missed (interrupts free packets while others are freed)
/// leaves a note behind that no other packet fits.
#[btf_tracepoint(function = "consume_skb")]
fn forget_consumed(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    if watched_flows::marks().is_some()
        && let Some(seen) = trail::seen()
        && seen[trail::slot(low_address(skb))] != 0
    {
        trail::forget(address(skb));
    }
    0
}
