//! `tcpstate`: how TCP sockets change state, and how long connecting took.
#![no_std]
#![no_main]

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::LruHashMap;
use aya_ebpf::programs::RawTracePointContext;
use model::flow::TCP;
use model::word::What;
use node_helper_ebpf::draft::{current_pid, draft};
use node_helper_ebpf::fields::{field, has, sock__sk_protocol, tcp_sock__bytes_received, tcp_sock__bytes_sent};
use node_helper_ebpf::send::Tail;

node_helper_ebpf::license!();

const ESTABLISHED: u8 = 1;
const SYN_SENT: u8 = 2;
const CLOSE: u8 = 7;

/// When a socket left CLOSE, and for whom.
#[repr(C)]
#[derive(Clone, Copy)]
struct Birth {
    at_ns: u64,
    pid: u64,
}

#[map]
static BIRTHS: LruHashMap<u64, Birth> = LruHashMap::with_max_entries(4096, 0);

#[raw_tracepoint(tracepoint = "inet_sock_set_state")]
fn inet_sock_set_state(context: RawTracePointContext) -> i32 {
    let old: u32 = context.arg(1);
    let new: u32 = context.arg(2);
    change(context.arg(0), old as u8, new as u8);
    0
}

#[inline(always)]
fn change(sk: u64, old: u8, new: u8) -> Option<()> {
    // Other protocols use the same states.
    if has(&sock__sk_protocol) && field::<u16>(sk, &sock__sk_protocol)? != u16::from(TCP) {
        return None;
    }
    let draft = draft(0)?;
    draft.begin(0, sk);
    if !draft.of_socket(sk, TCP) {
        return None;
    }
    // SAFETY: no arguments.
    let now = unsafe { bpf_ktime_get_ns() };
    let mut since_ns = 0;
    if old == CLOSE && new == SYN_SENT {
        // The only change that is certain to happen in the caller's context.
        let pid = current_pid();
        let birth = Birth {
            at_ns: now,
            pid: u64::from(pid),
        };
        let _ = BIRTHS.insert(&sk, &birth, 0);
        draft.record.pid = pid;
    } else if let Some(birth) = BIRTHS.get_ptr(&sk) {
        // SAFETY: a value of the map; it never changes once written.
        let birth = unsafe { *birth };
        since_ns = now - birth.at_ns;
        draft.record.pid = birth.pid as u32;
        if new == CLOSE {
            let _ = BIRTHS.remove(&sk);
        }
    }
    draft.say(What::StateChange { old, new, since_ns });
    if old == ESTABLISHED && has(&tcp_sock__bytes_sent) && has(&tcp_sock__bytes_received) {
        draft.tail.seq = capped(field(sk, &tcp_sock__bytes_sent)?);
        draft.tail.ack = capped(field(sk, &tcp_sock__bytes_received)?);
        draft.finish(Tail::Exchanged, 0, None);
    } else {
        draft.finish(Tail::None, 0, None);
    }
    Some(())
}

/// A number of bytes, up to 4 GiB.
#[inline(always)]
fn capped(bytes: u64) -> u32 {
    if bytes > u64::from(u32::MAX) {
        u32::MAX
    } else {
        bytes as u32
    }
}
