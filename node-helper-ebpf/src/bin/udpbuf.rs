//! `udpbuf`: datagrams that a socket's full receive buffer refuses.
#![no_std]
#![no_main]

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use model::flow::UDP;
use model::word::What;
use node_helper_ebpf::draft::draft;
use node_helper_ebpf::fields::{args__udp_fail_queue_rcv_skb, given};
use node_helper_ebpf::packet;
use node_helper_ebpf::send::Tail;

node_helper_ebpf::license!();

#[raw_tracepoint(tracepoint = "udp_fail_queue_rcv_skb")]
fn udp_fail_queue_rcv_skb(context: RawTracePointContext) -> i32 {
    let error: i32 = context.arg(0);
    // The packet came with 6.10; before, only the socket's own end is known.
    let skb: u64 = if given(&args__udp_fail_queue_rcv_skb) > 2 {
        context.arg(2)
    } else {
        0
    };
    refused(error, context.arg(1), skb);
    0
}

#[inline(always)]
fn refused(error: i32, sk: u64, skb: u64) -> Option<()> {
    let draft = draft(0)?;
    draft.begin(skb, sk);
    if !draft.of_socket(sk, UDP) {
        return None;
    }
    let mut found = None;
    if skb != 0 {
        found = packet::headers(draft, packet::network_header(skb, false));
    }
    let tail = if found.is_some() { Tail::Packet } else { Tail::None };
    let errno = if error < 0 { (-error) as u16 } else { error as u16 };
    draft.say(What::ReceiveBufferFull { errno });
    draft.finish(tail, 0, found);
    Some(())
}
