//! `dns`: queries and answers over UDP, as they leave and enter devices. The helper finds out what belongs together, and
//! what was never answered.
#![no_std]
#![no_main]

use aya_ebpf::helpers::{bpf_ktime_get_ns, generated::bpf_probe_read_kernel};
use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::BtfTracePointContext;
use model::flow::UDP;
use model::record::Record;
use model::word::What;
use node_helper_ebpf::direct_access::{address, byte, ip_header, network_header, ports};
use node_helper_ebpf::draft::draft;
use node_helper_ebpf::fields::{pointer, read, sk_buff__sk};
use node_helper_ebpf::send::EVENTS;
use node_helper_ebpf::watched_flows::{self, Watch};
use node_helper_ebpf::{budget, filter, netns, packet};

node_helper_ebpf::license!();

const PORT: usize = 53;
const MESSAGE_BYTES: usize = 256;
/// Behind which the message starts: ports, length, checksum.
const UDP_BYTES: u64 = 8;

/// A record and its message.
#[repr(C)]
struct Letter {
    record: Record,
    message: [u8; MESSAGE_BYTES],
}

#[map]
static LETTERS: PerCpuArray<Letter> = PerCpuArray::with_max_entries(2, 0);

#[btf_tracepoint(function = "net_dev_queue")]
fn net_dev_queue(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    if is_dns(skb, false) {
        told(address(skb), false, 0);
    }
    0
}

#[btf_tracepoint(function = "netif_receive_skb")]
fn netif_receive_skb(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    if is_dns(skb, true) {
        told(address(skb), true, 1);
    }
    0
}

/// UDP, from or to the port of DNS.
#[inline(always)]
fn is_dns(skb: *const u8, at_data: bool) -> bool {
    let header = network_header(skb, at_data);
    let (protocol, length) = ip_header(header, || byte(header, 9));
    if protocol != UDP {
        return false;
    }
    let (sport, dport) = ports(header, length);
    sport == PORT || dport == PORT
}

#[inline(always)]
fn told(skb: u64, at_data: bool, slot: u32) -> Option<()> {
    let draft = draft(slot)?;
    draft.begin(skb, 0);
    let found = packet::headers(draft, packet::network_header(skb, at_data))?;
    if found.l4 == 0 {
        return None;
    }
    let place = netns::of_packet(skb, 0);
    draft.at(place);
    let mut whose = Watch::NOBODY;
    if let Some(marks) = watched_flows::marks() {
        whose = watched_flows::of(marks, draft.record.netns, &draft.record.flow);
    }
    if !whose.is_somebody() && !filter::lets_through(draft.record.netns, &draft.record.flow, 0) {
        return None;
    }
    let is_query = draft.record.flow.dport as usize == PORT;
    draft.say(if is_query {
        What::DnsQuery
    } else {
        What::DnsAnswer { latency_ns: 0 }
    });
    // Counted once, where its sender lives; it passes many devices.
    let sender = pointer(skb, &sk_buff__sk).and_then(netns::of_socket);
    if !at_data && sender.is_some_and(|sender| sender.netns == place.netns) {
        draft.count(0);
    }
    if !whose.is_somebody() && !budget::spend(slot) {
        return None;
    }
    let letter = LETTERS.get_ptr_mut(slot)?;
    // SAFETY: this CPU's and program's own.
    let letter = unsafe { &mut *letter };
    letter.record = draft.record;
    letter.record.flow.zero = [whose.0 as u8, (whose.0 >> 8) as u8, (whose.0 >> 16) as u8];
    // SAFETY: no arguments.
    letter.record.at_ns = unsafe { bpf_ktime_get_ns() };
    let udp_length = u16::from_be(read(found.l4 + 4)?);
    let mut length = u64::from(udp_length).wrapping_sub(UDP_BYTES) & 0xffff;
    if length > MESSAGE_BYTES as u64 {
        length = MESSAGE_BYTES as u64;
    }
    letter.record.tail_len = length as u16;
    // SAFETY: the buffer holds that many bytes; the helper checks the address.
    let refused = unsafe {
        bpf_probe_read_kernel(
            letter.message.as_mut_ptr().cast(),
            length as u32,
            (found.l4 + UDP_BYTES) as *const _,
        )
    };
    if refused != 0 {
        letter.record.tail_len = 0;
    }
    // SAFETY: plain bytes.
    let bytes: &[u8; size_of::<Letter>()] = unsafe { &*core::ptr::from_ref(letter).cast() };
    if EVENTS.output::<[u8]>(bytes.as_slice(), 1).is_err() {
        budget::lose_full(slot, whose.is_somebody());
    }
    Some(())
}
