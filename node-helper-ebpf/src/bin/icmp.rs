//! `icmp`: errors that the kernel sends about packets, and errors that sockets get.
#![no_std]
#![no_main]

use aya_ebpf::{
    macros::{kprobe, raw_tracepoint},
    programs::{ProbeContext, RawTracePointContext},
};
use model::flow::ICMPV6;
use model::word::What;
use node_helper_ebpf::draft::draft;
use node_helper_ebpf::fields::{field, has, read, sk_buff__sk, sock__sk_err, sock__sk_err_soft, sock__sk_protocol};
use node_helper_ebpf::send::Tail;
use node_helper_ebpf::{netns, packet};

node_helper_ebpf::license!();

#[raw_tracepoint(tracepoint = "icmp_send")]
fn icmp_send(context: RawTracePointContext) -> i32 {
    let kind: u32 = context.arg(1);
    let code: u32 = context.arg(2);
    sent(0, context.arg(0), kind as u8, code as u8, 0);
    0
}

/// `__icmp_send(skb, type, code, info, ...)` and `icmp6_send` alike.
#[kprobe]
fn icmp_send_function(context: ProbeContext) -> u32 {
    let (Some(skb), Some(kind), Some(code), Some(info)) = (
        context.arg::<u64>(0),
        context.arg::<u32>(1),
        context.arg::<u32>(2),
        context.arg::<u32>(3),
    ) else {
        return 0;
    };
    sent(1, skb, kind as u8, code as u8, info);
    0
}

#[inline(always)]
fn sent(slot: u32, skb: u64, kind: u8, code: u8, info: u32) -> Option<()> {
    let draft = draft(slot)?;
    draft.begin(skb, 0);
    let found = packet::headers(draft, packet::network_header(skb, false))?;
    draft.at(netns::of_packet(skb, 0));
    draft.say(What::IcmpSent { kind, code, info });
    draft.finish(Tail::Packet, u64::from(info), Some(found));
    Some(())
}

/// Errors about IPv6 packets, for which there is no tracepoint: met where they leave this machine's stack, which is where
/// the packet still belongs to the kernel's own ICMP socket.
#[raw_tracepoint(tracepoint = "net_dev_queue")]
fn net_dev_queue(context: RawTracePointContext) -> i32 {
    leaves(context.arg(0));
    0
}

#[inline(always)]
fn leaves(skb: u64) -> Option<()> {
    if packet::ethernet_protocol(skb) != packet::IPV6 {
        return None;
    }
    let header = packet::network_header(skb, false);
    if read::<u8>(header + 6)? != ICMPV6 || field::<u64>(skb, &sk_buff__sk)? == 0 {
        return None;
    }
    let draft = draft(2)?;
    draft.begin(skb, 0);
    let found = packet::headers(draft, header)?;
    let kind = draft.tail.tcp_flags;
    let code = draft.tail.fragment;
    let offender = packet::quoted_at(found, kind);
    if offender == 0 {
        return None;
    }
    let info = u32::from_be(read(found.l4 + 4)?);
    draft.at(netns::of_packet(skb, 0));
    // The flow is that of the offending packet.
    packet::headers(draft, offender)?;
    draft.say(What::IcmpSent { kind, code, info });
    draft.finish(Tail::Packet, u64::from(info), None);
    Some(())
}

#[raw_tracepoint(tracepoint = "inet_sk_error_report")]
fn inet_sk_error_report(context: RawTracePointContext) -> i32 {
    error(context.arg(0));
    0
}

#[inline(always)]
fn error(sk: u64) -> Option<()> {
    let draft = draft(3)?;
    draft.begin(0, sk);
    let protocol = if has(&sock__sk_protocol) {
        field::<u16>(sk, &sock__sk_protocol)? as u8
    } else {
        0
    };
    if !draft.of_socket(sk, protocol) {
        return None;
    }
    // While connecting goes on, the error is only remembered.
    let hard: u32 = field(sk, &sock__sk_err)?;
    let soft: u32 = field(sk, &sock__sk_err_soft)?;
    draft.say(What::SocketError {
        errno: if hard == 0 { soft } else { hard } as u16,
        soft: hard == 0,
    });
    draft.finish(Tail::None, u64::from(hard == 0), None);
    Some(())
}
