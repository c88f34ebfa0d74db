//! `socketlatency`: how long data that is ready waits in a socket until the program reads it, how long writes take, and how long
//! connects do.
//!
//! A wait begins when data comes and none that came before is waiting to be timed; it ends when the program takes the first of it.
//! TCP is judged by its sequence numbers: what came out of order is not ready, an end of the stream is no data, and a read that
//! takes nothing ends no wait. UDP is judged by how many datagrams are left in the socket's queues.
//!
//! A write begins when the socket is about to take the first of it, and ends when the program is told how much was taken: it is
//! long where the socket's buffer is full.
#![no_std]
#![no_main]

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::helpers::{bpf_get_current_pid_tgid, bpf_ktime_get_ns};
use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::{Array, HashMap};
use aya_ebpf::programs::BtfTracePointContext;
use model::flow::{Flow, TCP, UDP};
use model::histogram::Measure;
use model::word::What;
use node_helper_ebpf::atomic::add;
use node_helper_ebpf::budget::losses;
use node_helper_ebpf::direct_access::{address, load, load_at};
use node_helper_ebpf::draft::current_pid;
use node_helper_ebpf::fields::*;
use node_helper_ebpf::histograms::count;
use node_helper_ebpf::netns::NetnsInterface;
use node_helper_ebpf::slow::{self, Waiter};
use node_helper_ebpf::{filter, netns, socket};

node_helper_ebpf::license!();

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const SOCK_STREAM: u16 = 1;
const SOCK_DGRAM: u16 = 2;
const LISTEN: u8 = 10;
const ESTABLISHED: u32 = 1;
const SYN_SENT: u32 = 2;
const CLOSE: u32 = 7;
/// Bit of a socket's flags: the far end has sent all (`SOCK_DONE`).
const DONE: u64 = 1 << 1;
const MSG_PEEK: i32 = 2;

/// What waits in a socket.
#[repr(C)]
#[derive(Clone, Copy)]
struct Wait {
    /// Since when; 0 where nothing waits, or only what came with other data, so that it is not known since when.
    at_ns: u64,
    /// Of UDP: which socket this is; its place in memory may be another's by now. 0 of TCP, which tells of its end.
    cookie: u64,
    /// Of TCP: the number of the first byte that waits since then.
    first: u64,
    /// Of TCP: the number of the byte that is to come next. Of UDP: how many datagrams came later.
    later: u64,
}

/// Sockets with unread data, and some of those that had some.
#[map]
static WAITS: HashMap<u64, Wait> = HashMap::with_max_entries(2048, 0);

/// Who writes what: a thread to a socket.
#[repr(C)]
#[derive(Clone, Copy)]
struct Writer {
    thread: u64,
    place: u64,
}

/// When writes began that are not over; 0 where one is.
#[map]
static WRITES: HashMap<Writer, u64> = HashMap::with_max_entries(512, 0);

/// How many entries of connections [`WAITS`] has, and how many [`WRITES`] has.
#[map]
static KNOWN: Array<u64> = Array::with_max_entries(2, 0);
/// Of so many connections and writers the entry stays when nothing waits any more: to put in and take out costs more than all the
/// rest. Others find room beside them.
const STAYING: u64 = 256;

#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
enum Map {
    Waits,
    Writes,
}

/// An entry more or less.
#[inline(always)]
fn known(map: Map, more: i64) {
    if let Some(known) = KNOWN.get_ptr_mut(map as u32) {
        // SAFETY: a value of the map.
        unsafe { add(known, more) };
    }
}

/// Whether there are so few entries that one may stay.
#[inline(always)]
fn may_stay(map: Map) -> bool {
    // SAFETY: an aligned word; one more or less does not matter.
    KNOWN
        .get_ptr(map as u32)
        .is_some_and(|known| unsafe { core::ptr::read_volatile(known) } <= STAYING)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Tcp,
    Udp,
    Other,
}

/// TCP or UDP over IP, and no raw socket of their numbers.
#[inline(always)]
fn kind(sk: *const u8) -> Kind {
    let family: u16 = load(sk, &sock_common__skc_family);
    if family != AF_INET && family != AF_INET6 {
        return Kind::Other;
    }
    let protocol: u16 = load(sk, &sock__sk_protocol);
    let of: u16 = load(sk, &sock__sk_type);
    if protocol == u16::from(TCP) && of == SOCK_STREAM {
        Kind::Tcp
    } else if protocol == u16::from(UDP) && of == SOCK_DGRAM {
        Kind::Udp
    } else {
        Kind::Other
    }
}

/// Whether it is asked for.
#[inline(always)]
fn is_asked_for(sk: *const u8, protocol: u8, pid: u32) -> bool {
    let netns = netns::of_known_socket(sk);
    if !filter::holds_namespace(netns) {
        return false;
    }
    if given(&set__addresses) == 0 && given(&set__ports) == 0 && given(&set__pids) == 0 {
        return true;
    }
    let mut flow = Flow::default();
    socket::flow(address(sk), protocol, &mut flow) && filter::lets_through(netns, &flow, pid)
}

/// The number of the byte that TCP expects next, without the end of the stream, and of the one that the program reads next.
#[inline(always)]
fn numbers(sk: *const u8, place: u64) -> Option<(u64, u64)> {
    let expected: u32 = field(place, &tcp_sock__rcv_nxt)?;
    let unread: u32 = field(place, &tcp_sock__copied_seq)?;
    let flags: u64 = load(sk, &sock_common__skc_flags);
    let end = if flags & DONE != 0 { 1 } else { 0 };
    Some((u64::from(expected.wrapping_sub(end)), u64::from(unread)))
}

/// Datagrams that no program has taken from the socket.
#[inline(always)]
fn datagrams(sk: *const u8, place: u64) -> u64 {
    let queued: u32 = load_at(sk, given(&sock__sk_receive_queue) + given(&sk_buff_head__qlen));
    let reader = place + u64::from(given(&udp_sock__reader_queue)) + u64::from(given(&sk_buff_head__qlen));
    u64::from(queued) + u64::from(read::<u32>(reader).unwrap_or(0))
}

/// Whether the first of these numbers of bytes, which begin anew after 2^32, comes after the second.
#[inline(always)]
fn is_after(one: u64, other: u64) -> bool {
    ((one as u32).wrapping_sub(other as u32) as i32) > 0
}

#[inline(always)]
fn now() -> u64 {
    // SAFETY: no arguments.
    unsafe { bpf_ktime_get_ns() }
}

/// A program has waited so long, or has let data wait: counts it, and tells a slow one. `pid` is asked which process it is.
#[inline(always)]
fn waited(sk: *const u8, measure: Measure, took_ns: u64, pid: impl FnOnce() -> u32, slot: u32) {
    let netns = netns::of_known_socket(sk);
    count(netns, measure, took_ns, slot);
    if slow::is_slow(took_ns) {
        let what = What::slow_alone(measure, took_ns);
        let waiter = Waiter {
            place: NetnsInterface { netns, ifindex: 0 },
            skb: 0,
            sk: address(sk),
            pid: pid(),
        };
        let protocol = if measure as u16 == Measure::ReadUdp as u16 {
            UDP
        } else {
            TCP
        };
        let mut flow = Flow::default();
        socket::flow(address(sk), protocol, &mut flow);
        slow::tell(slot, &what, &waiter, &flow);
    }
}

#[inline(always)]
fn begin(place: u64, wait: Wait, slot: u32) -> bool {
    if WAITS.insert(&place, &wait, 0).is_ok() {
        return true;
    }
    if let Some(losses) = losses(slot) {
        losses.uncounted += 1;
    }
    false
}

/// The same of a connection, which is not known yet.
#[inline(always)]
fn begin_connection(place: u64, at_ns: u64, (expected, unread): (u64, u64), slot: u32) {
    let wait = Wait {
        at_ns,
        cookie: 0,
        first: unread,
        later: expected,
    };
    if begin(place, wait, slot) {
        known(Map::Waits, 1);
    }
}

#[inline(always)]
fn forget(place: u64) {
    if WAITS.remove(&place).is_ok() {
        known(Map::Waits, -1);
    }
}

#[btf_tracepoint(function = "sk_data_ready")]
fn sk_data_ready(context: BtfTracePointContext) -> i32 {
    let sk: *const u8 = context.arg(0);
    match kind(sk) {
        Kind::Tcp => bytes_are_ready(sk),
        Kind::Udp => datagram_is_ready(sk),
        Kind::Other => None,
    };
    0
}

/// The kernel holds the socket's lock here and where it is read, so nothing changes meanwhile.
#[inline(always)]
fn bytes_are_ready(sk: *const u8) -> Option<()> {
    // To a socket that listens a connection is ready.
    if load::<u8>(sk, &sock_common__skc_state) == LISTEN {
        return None;
    }
    let place = address(sk);
    let (expected, unread) = numbers(sk, place)?;
    if !is_after(expected, unread) {
        return None;
    }
    let Some(known) = WAITS.get_ptr_mut(&place) else {
        if is_asked_for(sk, TCP, 0) {
            begin_connection(place, now(), (expected, unread), 0);
        }
        return None;
    };
    // SAFETY: a value of the map.
    let known = unsafe { &mut *known };
    if is_after(unread, known.later) || is_after(known.later, expected) {
        // Another socket's, the end of which was not seen.
        known.at_ns = now();
        known.first = unread;
    } else if known.at_ns == 0 && is_after(expected, known.later) {
        known.at_ns = now();
        known.first = known.later;
    }
    known.later = expected;
    Some(())
}

/// A program has taken bytes, or looked at them and left them.
#[btf_tracepoint(function = "tcp_rcv_space_adjust")]
fn tcp_rcv_space_adjust(context: BtfTracePointContext) -> i32 {
    bytes_are_read(context.arg(0));
    0
}

#[inline(always)]
fn bytes_are_read(sk: *const u8) -> Option<()> {
    let place = address(sk);
    let Some(known) = WAITS.get_ptr_mut(&place) else {
        // What is left of data that came before this program: what follows it is told from it.
        let (expected, unread) = numbers(sk, place)?;
        if is_after(expected, unread) && is_asked_for(sk, TCP, 0) {
            begin_connection(place, 0, (expected, unread), 1);
        }
        return None;
    };
    // SAFETY: a value of the map.
    let known = unsafe { &mut *known };
    let (expected, unread) = numbers(sk, place)?;
    if known.at_ns != 0 && is_after(unread, known.first) {
        let took = now() - known.at_ns;
        known.at_ns = 0;
        if given(&set__pids) == 0 || is_asked_for(sk, TCP, current_pid()) {
            waited(sk, Measure::ReadTcp, took, current_pid, 1);
        }
    }
    if !is_after(expected, unread) {
        if may_stay(Map::Waits) {
            known.later = expected;
        } else {
            forget(place);
        }
    }
    Some(())
}

/// A connection's socket is gone.
#[btf_tracepoint(function = "tcp_destroy_sock")]
fn forget_connection(context: BtfTracePointContext) -> i32 {
    forget(address(context.arg(0)));
    0
}

/// Datagrams come and are read at the same time: nothing but how many of them are left is certain.
#[inline(always)]
fn datagram_is_ready(sk: *const u8) -> Option<()> {
    let place = address(sk);
    // SAFETY: a socket that the verifier knows.
    let cookie = unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) };
    if let Some(known) = WAITS.get_ptr_mut(&place) {
        // SAFETY: a value of the map.
        let known = unsafe { &mut *known };
        if known.cookie == cookie {
            // SAFETY: an aligned word of it.
            unsafe { add(&raw mut known.later, 1) };
            return None;
        }
    }
    if !is_asked_for(sk, UDP, 0) {
        return None;
    }
    if datagrams(sk, place) == 0 {
        // A program that was about to look anyway took it before the kernel called.
        count(netns::of_known_socket(sk), Measure::ReadUdp, 0, 0);
        return None;
    }
    let wait = Wait {
        at_ns: now(),
        cookie,
        first: 0,
        later: 0,
    };
    begin(place, wait, 0);
    Some(())
}

/// A program has asked for data and got `length` bytes, or an error.
#[btf_tracepoint(function = "sock_recv_length")]
fn sock_recv_length(context: BtfTracePointContext) -> i32 {
    let sk: *const u8 = context.arg(0);
    let length: i32 = context.arg(1);
    let flags: i32 = context.arg(2);
    if flags & MSG_PEEK == 0 && kind(sk) == Kind::Udp {
        datagram_is_read(sk, length);
    }
    0
}

#[inline(always)]
fn datagram_is_read(sk: *const u8, length: i32) -> Option<()> {
    let place = address(sk);
    let known = WAITS.get_ptr(&place)?;
    // SAFETY: a value of the map.
    let known = unsafe { *known };
    // The one that waits is still there if more are left than came after it.
    if datagrams(sk, place) > known.later {
        return None;
    }
    // Of several readers, the one that takes it away has read it. One that the kernel found broken, nobody did.
    let is_ours = WAITS.remove(&place).is_ok() && length >= 0;
    // SAFETY: as above.
    let is_same = known.cookie == unsafe { bpf_get_socket_cookie(sk.cast_mut().cast()) };
    if is_ours && is_same && (given(&set__pids) == 0 || is_asked_for(sk, UDP, current_pid())) {
        waited(sk, Measure::ReadUdp, now() - known.at_ns, current_pid, 2);
    }
    Some(())
}

/// A socket is about to take a part of what a program writes.
#[btf_tracepoint(function = "tcp_sendmsg_locked")]
fn tcp_sendmsg_locked(context: BtfTracePointContext) -> i32 {
    let sk: *const u8 = context.arg(0);
    if kind(sk) == Kind::Tcp {
        write_begins(sk);
    }
    0
}

#[inline(always)]
fn write_begins(sk: *const u8) {
    let writer = writer(sk);
    if let Some(began) = WRITES.get_ptr_mut(&writer) {
        // SAFETY: a value of the map, and this thread's own.
        let began = unsafe { &mut *began };
        // The place in memory may be another socket's by now, which is not asked for.
        if *began == 0 && (filter::is_of_namespaces_only() || is_asked_for(sk, TCP, current_pid())) {
            *began = now();
        }
    } else if is_asked_for(sk, TCP, current_pid()) {
        if WRITES.insert(&writer, &now(), 0).is_ok() {
            known(Map::Writes, 1);
        } else if let Some(losses) = losses(3) {
            losses.uncounted += 1;
        }
    }
}

/// A write is over: a socket has taken `length` bytes, or there is an error.
#[btf_tracepoint(function = "sock_send_length")]
fn sock_send_length(context: BtfTracePointContext) -> i32 {
    let sk: *const u8 = context.arg(0);
    let length: i32 = context.arg(1);
    let writer = writer(sk);
    if let Some(known) = WRITES.get_ptr_mut(&writer) {
        // SAFETY: a value of the map, and this thread's own.
        let known = unsafe { &mut *known };
        let began = *known;
        *known = 0;
        if length > 0 && began != 0 {
            waited(sk, Measure::WriteTcp, now() - began, current_pid, 3);
        }
        if !may_stay(Map::Writes) && WRITES.remove(&writer).is_ok() {
            self::known(Map::Writes, -1);
        }
    }
    0
}

#[inline(always)]
fn writer(sk: *const u8) -> Writer {
    Writer {
        thread: bpf_get_current_pid_tgid(),
        place: address(sk),
    }
}

/// A connect that is not over.
#[repr(C)]
#[derive(Clone, Copy)]
struct Connect {
    at_ns: u64,
    pid: u64,
}

/// Sockets that connect.
#[map]
static CONNECTS: HashMap<u64, Connect> = HashMap::with_max_entries(1024, 1);

/// A socket changes its state: it begins to connect, or has done that.
#[btf_tracepoint(function = "inet_sock_set_state")]
fn inet_sock_set_state(context: BtfTracePointContext) -> i32 {
    let sk: *const u8 = context.arg(0);
    let (old, new): (u32, u32) = (context.arg(1), context.arg(2));
    if (old == SYN_SENT || new == SYN_SENT) && kind(sk) == Kind::Tcp {
        if new == SYN_SENT {
            connect_begins(sk);
        } else {
            connect_ends(sk, new);
        }
    }
    0
}

#[inline(always)]
fn connect_begins(sk: *const u8) {
    if !filter::holds_namespace(netns::of_known_socket(sk)) {
        return;
    }
    let connect = Connect {
        at_ns: now(),
        pid: u64::from(current_pid()),
    };
    if CONNECTS.insert(&address(sk), &connect, 0).is_err()
        && let Some(losses) = losses(4)
    {
        losses.uncounted += 1;
    }
}

/// Now that its port is known it is asked whether it is asked for.
#[inline(always)]
fn connect_ends(sk: *const u8, new: u32) -> Option<()> {
    let place = address(sk);
    // SAFETY: a value of the map, which never changes once written.
    let connect = unsafe { *CONNECTS.get_ptr(&place)? };
    let _ = CONNECTS.remove(&place);
    let measure = match new {
        ESTABLISHED => Measure::Connect,
        CLOSE => Measure::ConnectFailed,
        // Both ends connect to each other.
        _ => return None,
    };
    let pid = connect.pid as u32;
    if is_asked_for(sk, TCP, pid) {
        waited(sk, measure, now() - connect.at_ns, || pid, 4);
    }
    Some(())
}
