//! `tcpreset`: resets that TCP sends, with its reason where this kernel tells one, and resets that it accepts.
#![no_std]
#![no_main]

use aya_ebpf::{
    macros::{kprobe, raw_tracepoint},
    programs::{ProbeContext, RawTracePointContext},
};
use model::flow::TCP;
use model::word::What;
use node_helper_ebpf::draft::draft;
use node_helper_ebpf::fields::{args__tcp_send_reset, given};
use node_helper_ebpf::send::Tail;
use node_helper_ebpf::{netns, packet, socket};

node_helper_ebpf::license!();

const NOT_TOLD: u16 = 0xffff;

#[raw_tracepoint(tracepoint = "tcp_send_reset")]
fn tcp_send_reset(context: RawTracePointContext) -> i32 {
    // The reason came with 6.10, and with it the resets that no socket sends.
    let reason: u32 = if given(&args__tcp_send_reset) > 2 {
        context.arg(2)
    } else {
        u32::from(NOT_TOLD)
    };
    sent(0, context.arg(0), context.arg(1), reason as u16);
    0
}

/// `tcp_v4_send_reset(sk, skb)` and its like for IPv6: where the tracepoint keeps silent without a socket.
#[kprobe]
fn send_reset_without_socket(context: ProbeContext) -> u32 {
    if let (Some(0u64), Some(skb)) = (context.arg::<u64>(0), context.arg::<u64>(1)) {
        sent(2, 0, skb, NOT_TOLD);
    }
    0
}

/// The reset's own direction: from the socket, or back to where the packet came from.
#[inline(always)]
fn sent(slot: u32, sk: u64, skb: u64, reason: u16) -> Option<()> {
    let draft = draft(slot)?;
    draft.begin(skb, sk);
    let known = sk != 0 && draft.of_socket(sk, TCP);
    if !known {
        packet::headers(draft, packet::network_header(skb, false))?;
        packet::reverse(draft);
        draft.at(netns::of_packet(skb, sk));
    }
    let state = if sk == 0 { 0 } else { socket::state(sk) };
    draft.say(What::ResetSent {
        reason,
        state,
        active: skb == 0,
    });
    draft.finish(Tail::None, 0, None);
    Some(())
}

#[raw_tracepoint(tracepoint = "tcp_receive_reset")]
fn tcp_receive_reset(context: RawTracePointContext) -> i32 {
    received(context.arg(0));
    0
}

/// As the packet came: from the peer to the socket.
#[inline(always)]
fn received(sk: u64) -> Option<()> {
    let draft = draft(1)?;
    draft.begin(0, sk);
    if !draft.of_socket(sk, TCP) {
        return None;
    }
    packet::reverse(draft);
    draft.say(What::ResetReceived {
        state: socket::state(sk),
    });
    draft.finish(Tail::None, 0, None);
    Some(())
}
