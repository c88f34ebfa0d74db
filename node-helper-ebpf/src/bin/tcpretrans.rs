//! `tcpretrans`: segments that TCP sends again, or could not, and SYN-ACKs that it sends again.
#![no_std]
#![no_main]

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use model::flow::TCP;
use model::word::What;
use node_helper_ebpf::draft::draft;
use node_helper_ebpf::fields::{args__tcp_retransmit_skb, field, given, has, sk_buff__cb, sk_buff__len};
use node_helper_ebpf::send::Tail;
use node_helper_ebpf::{netns, socket};

node_helper_ebpf::license!();

#[raw_tracepoint(tracepoint = "tcp_retransmit_skb")]
fn tcp_retransmit_skb(context: RawTracePointContext) -> i32 {
    // Since 6.18 it also tells of attempts that failed; before, only of those that left.
    let error: i32 = if given(&args__tcp_retransmit_skb) > 2 {
        context.arg(2)
    } else {
        0
    };
    again(context.arg(0), context.arg(1), error);
    0
}

#[inline(always)]
fn again(sk: u64, skb: u64, error: i32) -> Option<()> {
    let draft = draft(0)?;
    draft.begin(skb, sk);
    if !draft.of_socket(sk, TCP) {
        return None;
    }
    // The segment has no headers yet; its control block starts with the sequence number.
    draft.tail.seq = if has(&sk_buff__cb) {
        field(skb, &sk_buff__cb).unwrap_or(0)
    } else {
        0
    };
    draft.tail.ack = 0;
    draft.tail.len = field(skb, &sk_buff__len).unwrap_or(0);
    draft.tail.ip_id = 0;
    draft.tail.window = 0;
    draft.tail.tcp_flags = 0;
    draft.tail.ttl = 0;
    draft.tail.inner = 0;
    draft.tail.fragment = 0;
    let errno = if error < 0 { (-error) as u16 } else { error as u16 };
    draft.say(What::Retransmit {
        state: socket::state(sk),
        errno,
    });
    draft.finish(Tail::Packet, u64::from(errno), None);
    Some(())
}

#[raw_tracepoint(tracepoint = "tcp_retransmit_synack")]
fn tcp_retransmit_synack(context: RawTracePointContext) -> i32 {
    synack_again(context.arg(0), context.arg(1));
    0
}

#[inline(always)]
fn synack_again(listener: u64, request: u64) -> Option<()> {
    let draft = draft(1)?;
    draft.begin(0, listener);
    // A request starts with the part that sockets share.
    if !draft.of_socket(request, TCP) {
        return None;
    }
    if let Some(place) = netns::of_socket(listener) {
        draft.at(place);
    }
    draft.record.cgroup = socket::cgroup(listener);
    draft.say(What::RetransmitSynAck);
    draft.finish(Tail::None, 0, None);
    Some(())
}
