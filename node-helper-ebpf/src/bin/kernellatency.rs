//! `kernellatency`: where packets spend their time inside the kernel.
//!
//! On the way in: from a device's packet entering the stack to its socket, or to the queue of the device that it is forwarded to. On
//! the way out: from TCP sending a segment to the queue of a device, and from there to the device's driver; and, of all of the way there
//! and back, what TCP itself takes for the time to a segment's acknowledgement. Of the node: from a softirq of the network being raised
//! to its run.
#![no_std]
#![no_main]

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::PerCpuArray;
use aya_ebpf::programs::BtfTracePointContext;
use model::flow::{Flow, RST, SYN, TCP, UDP};
use model::histogram::Measure;
use model::word::What;
use node_helper_ebpf::direct_access::{NO_PROTOCOL, address, byte, four, ip_header, load, low_address, network_header};
use node_helper_ebpf::draft::current_pid;
use node_helper_ebpf::fields::*;
use node_helper_ebpf::histograms::count;
use node_helper_ebpf::netns::{self, NetnsInterface};
use node_helper_ebpf::packets_under_way::{NOT_MISSED, PacketUnderWay, earlier, earlier_of, find, find_received, put};
use node_helper_ebpf::slow::{self, Waiter};
use node_helper_ebpf::{filter, packet, packets_under_way};

node_helper_ebpf::license!();

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_DGRAM: u16 = 2;

/// Datagrams that are put into a socket's queue before the kernel calls, at most.
const TOGETHER: usize = 16;
/// No segment is sent so long after TCP said it would be; what says so is no such moment.
const LONGEST_NS: u64 = 1 << 40;

#[inline(always)]
fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// Where a packet is that was received in a namespace: nowhere in particular.
const fn received(netns: u32) -> NetnsInterface {
    NetnsInterface { netns, ifindex: 0 }
}

/// What of a packet's headers matters here.
struct Headers {
    /// The IP header.
    ip: *const u8,
    /// Its length.
    length: usize,
    /// The protocol behind it.
    protocol: u8,
}

#[inline(always)]
fn headers(skb: *const u8, at_data: bool) -> Headers {
    let ip = network_header(skb, at_data);
    let (protocol, length) = ip_header(ip, || byte(ip, 9));
    Headers { ip, length, protocol }
}

/// What the packet in this skb is known by.
#[inline(always)]
fn identity(skb: u64, headers: &Headers) -> u64 {
    let is_v4 = byte(headers.ip, 0) >> 4 == 4;
    let content = packets_under_way::content(headers.ip, headers.length, headers.protocol == TCP, is_v4);
    packets_under_way::identity(skb, content)
}

/// Whether a packet is asked for, beside being of a namespace that is.
#[inline(always)]
fn is_asked_for(netns: u32, header: *const u8) -> bool {
    if given(&set__addresses) == 0 && given(&set__ports) == 0 {
        return true;
    }
    let mut flow = Flow::default();
    packet::tuple(address(header), &mut flow) && filter::lets_through(netns, &flow, 0)
}

/// Counts what a packet's stage took; `before` is what the stage before it took (see [`earlier`]).
#[inline(always)]
fn took(measure: Measure, took_ns: u64, before: u64, waiter: &Waiter, header: u64, slot: u32) {
    count(waiter.place.netns, measure, took_ns, slot);
    let (before, before_ns) = earlier_of(before);
    if slow::is_slow(took_ns + before_ns) {
        let what = What::Slow {
            measure: measure as u16,
            took_ns,
            before,
            before_ns,
        };
        let mut flow = Flow::default();
        packet::tuple(header, &mut flow);
        slow::tell(slot, &what, waiter, &flow);
    }
}

/// A device's packet enters the stack.
#[btf_tracepoint(function = "netif_receive_skb")]
fn netif_receive_skb(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    let netns = netns::of_known_device(load(skb, &sk_buff__dev)).netns;
    if netns == 0 || !filter::holds_namespace(netns) {
        return 0;
    }
    let headers = headers(skb, true);
    let is_awaited = match headers.protocol {
        // What opens or ends a connection comes to no socket that the kernel tells of.
        TCP => byte(headers.ip, headers.length + 13) & (SYN | RST) == 0,
        UDP => true,
        _ => false,
    };
    if is_awaited && is_asked_for(netns, headers.ip) {
        // Most datagrams come to a socket, and where the kernel does not tell of that, they end unseen.
        let ends_unseen = headers.protocol == UDP && given(&args__sk_data_ready) == 0;
        let before = if ends_unseen { NOT_MISSED } else { 0 };
        put(
            identity(address(skb), &headers),
            received(netns),
            now(),
            before,
            false,
            0,
        );
    }
    0
}

/// A segment of a connection has come to its socket.
#[btf_tracepoint(function = "tcp_probe")]
fn tcp_probe(context: BtfTracePointContext) -> i32 {
    let (sk, skb): (*const u8, *const u8) = (context.arg(0), context.arg(1));
    let place = received(netns::of_known_socket(sk));
    if place.netns == 0 || !filter::holds_namespace(place.netns) {
        return 0;
    }
    let headers = headers(skb, false);
    if let Some(packet) = find(identity(address(skb), &headers), place) {
        let took_ns = now() - packet.at_ns;
        packet.forget();
        let waiter = Waiter {
            place,
            skb: address(skb),
            sk: address(sk),
            pid: 0,
        };
        took(Measure::ReceiveTcp, took_ns, 0, &waiter, address(headers.ip), 1);
        round_trip(address(sk), &headers, place.netns);
    }
    0
}

/// A segment that acknowledges something has come, and TCP has not seen it yet: what it found by the one before it is counted.
#[inline(always)]
fn round_trip(sk: u64, headers: &Headers, netns: u32) -> Option<()> {
    if !has(&tcp_sock__rack) || !has(&tcp_rack__rtt_us) {
        return None;
    }
    let acknowledges = u32::from_be(four(headers.ip, headers.length + 8));
    let first_unacknowledged: u32 = field(sk, &tcp_sock__snd_una)?;
    if (acknowledges.wrapping_sub(first_unacknowledged) as i32) <= 0 {
        return None;
    }
    let rtt_us: u32 = field(sk + u64::from(given(&tcp_sock__rack)), &tcp_rack__rtt_us)?;
    if rtt_us != 0 {
        count(netns, Measure::RoundTrip, u64::from(rtt_us) * 1000, 1);
    }
    Some(())
}

/// Datagrams have come to their socket: the last ones of its queue.
#[btf_tracepoint(function = "sk_data_ready")]
fn sk_data_ready(context: BtfTracePointContext) -> i32 {
    let sk: *const u8 = context.arg(0);
    let family: u16 = load(sk, &sock_common__skc_family);
    let protocol: u16 = load(sk, &sock__sk_protocol);
    let of: u16 = load(sk, &sock__sk_type);
    if (family != AF_INET && family != AF_INET6) || protocol != u16::from(UDP) || of != SOCK_DGRAM {
        return 0;
    }
    let place = received(netns::of_known_socket(sk));
    if place.netns != 0 && filter::holds_namespace(place.netns) {
        datagrams_have_come(address(sk), place);
    }
    0
}

#[inline(always)]
fn datagrams_have_come(sk: u64, place: NetnsInterface) -> Option<()> {
    let queue = sk + u64::from(given(&sock__sk_receive_queue));
    let mut skb: u64 = field(queue, &sk_buff_head__prev)?;
    for _ in 0..TOGETHER {
        if skb == queue {
            return None;
        }
        let header = packet::network_header(skb, false);
        let first: u8 = read(header)?;
        let is_v4 = first >> 4 == 4;
        let length = if is_v4 { u64::from(first & 0xf) * 4 } else { 40 };
        let identification: u32 = if is_v4 { read(header + 4)? } else { 0 };
        let start: u32 = read(header + length + 8)?;
        let content = u64::from(identification) << 32 | u64::from(start);
        // What is further in front has been met before.
        let packet = find(packets_under_way::identity(skb, content), place)?;
        let took_ns = now() - packet.at_ns;
        packet.forget();
        let waiter = Waiter { place, skb, sk, pid: 0 };
        took(Measure::ReceiveUdp, took_ns, 0, &waiter, header, 2);
        skb = field(skb, &sk_buff__prev)?;
    }
    Some(())
}

/// A program takes a datagram. One that is still under way was taken before the kernel called.
#[btf_tracepoint(function = "skb_copy_datagram_iovec")]
fn skb_copy_datagram_iovec(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    let headers = headers(skb, false);
    if headers.protocol == UDP
        && let Some(packet) = find_received(identity(address(skb), &headers))
    {
        let took_ns = now() - packet.at_ns;
        packet.forget();
        let waiter = Waiter {
            place: received(packet.netns),
            skb: address(skb),
            sk: 0,
            pid: current_pid(),
        };
        took(Measure::ReceiveUdp, took_ns, 0, &waiter, address(headers.ip), 5);
    }
    0
}

/// A packet is dropped.
#[btf_tracepoint(function = "kfree_skb")]
fn forget_dropped(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    let headers = headers(skb, false);
    if headers.protocol != NO_PROTOCOL {
        packets_under_way::forget(identity(address(skb), &headers));
        let (identity, sent_ns) = leaving(skb, &headers);
        if sent_ns != 0 {
            packets_under_way::forget(identity);
        }
    }
    0
}

/// What a packet that leaves is known by, and when TCP sent it; 0 for what TCP did not.
#[inline(always)]
fn leaving(skb: *const u8, headers: &Headers) -> (u64, u64) {
    let sk: *const u8 = load(skb, &sk_buff__sk);
    if headers.protocol == TCP && !sk.is_null() {
        let family: u16 = load(sk, &sock_common__skc_family);
        let sent_ns: u64 = load(skb, &sk_buff__tstamp);
        if (family == AF_INET || family == AF_INET6) && sent_ns != 0 {
            return (sent_ns ^ u64::from(low_address(sk)) << 32, sent_ns);
        }
    }
    (identity(address(skb), headers), 0)
}

/// A packet is about to be put into the queue of a device.
#[btf_tracepoint(function = "net_dev_queue")]
fn net_dev_queue(context: BtfTracePointContext) -> i32 {
    let skb: *const u8 = context.arg(0);
    let place = netns::of_known_device(load(skb, &sk_buff__dev));
    if place.netns == 0 || !filter::holds_namespace(place.netns) {
        return 0;
    }
    let headers = headers(skb, false);
    if headers.protocol == NO_PROTOCOL || !is_asked_for(place.netns, headers.ip) {
        return 0;
    }
    let now = now();
    let (identity, sent_ns) = leaving(skb, &headers);
    let mut before = 0;
    if sent_ns != 0 {
        // One that is paced is sent at a later moment.
        let took_ns = now.saturating_sub(sent_ns);
        if took_ns < LONGEST_NS {
            count(place.netns, Measure::SendTcp, took_ns, 3);
            before = earlier(Measure::SendTcp, took_ns);
        }
    } else if let Some(packet) = find(identity, received(place.netns)) {
        let took_ns = now - packet.at_ns;
        packet.forget();
        count(place.netns, Measure::Forward, took_ns, 3);
        before = earlier(Measure::Forward, took_ns);
    }
    // Segments that TCP sent at the same moment are one to us.
    put(identity, place, now, before, sent_ns != 0, 3);
    0
}

/// A packet leaves the queue of a device for its driver.
#[btf_tracepoint(function = "net_dev_start_xmit")]
fn net_dev_start_xmit(context: BtfTracePointContext) -> i32 {
    let (skb, device): (*const u8, *const u8) = (context.arg(0), context.arg(1));
    let place = netns::of_known_device(device);
    if place.netns == 0 || !filter::holds_namespace(place.netns) {
        return 0;
    }
    let headers = headers(skb, false);
    let (identity, sent_ns) = leaving(skb, &headers);
    if let Some(packet) = find(identity, place) {
        let PacketUnderWay { at_ns, before, .. } = *packet;
        let took_ns = now() - at_ns;
        if sent_ns != 0 {
            packet.has_left();
        } else {
            packet.forget();
        }
        let waiter = Waiter {
            place,
            skb: address(skb),
            sk: 0,
            pid: 0,
        };
        took(Measure::Queue, took_ns, before, &waiter, address(headers.ip), 4);
    }
    0
}

/// When the softirqs of the network were raised on this CPU and have not run yet; 0 where they have.
#[map]
static RAISED: PerCpuArray<[u64; 2]> = PerCpuArray::with_max_entries(1, 0);
const NET_TX: u32 = 2;
const NET_RX: u32 = 3;

/// When that softirq was raised on this CPU; nothing for others.
#[inline(always)]
fn raised(softirq: u32) -> Option<&'static mut u64> {
    if softirq != NET_TX && softirq != NET_RX {
        return None;
    }
    let raised = RAISED.get_ptr_mut(0)?;
    // SAFETY: this CPU's own; what interrupts us here raises the same a moment later, and the first counts.
    let raised = unsafe { &mut *raised };
    Some(&mut raised[(softirq & 1) as usize])
}

#[btf_tracepoint(function = "softirq_raise")]
fn softirq_raise(context: BtfTracePointContext) -> i32 {
    if let Some(raised) = raised(context.arg(0))
        && *raised == 0
    {
        *raised = now();
    }
    0
}

#[btf_tracepoint(function = "softirq_entry")]
fn softirq_entry(context: BtfTracePointContext) -> i32 {
    let softirq: u32 = context.arg(0);
    if let Some(raised) = raised(softirq)
        && *raised != 0
    {
        let took_ns = now() - *raised;
        *raised = 0;
        let measure = if softirq == NET_RX {
            Measure::SoftirqReceive
        } else {
            Measure::SoftirqTransmit
        };
        let waiter = Waiter {
            place: received(0),
            skb: 0,
            sk: 0,
            pid: 0,
        };
        count(0, measure, took_ns, 6);
        if slow::is_slow(took_ns) {
            let what = What::slow_alone(measure, took_ns);
            slow::tell(6, &what, &waiter, &Flow::default());
        }
    }
    0
}
