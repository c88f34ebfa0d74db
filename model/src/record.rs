//! The one record that crosses the kernel border: a fixed head and a length-prefixed tail.
//!
//! It never changes when a word is added. What a word needs beyond two numbers and a flow goes into the tail.

use crate::flow::Flow;

/// The head of every record. `tail_len` bytes of tail follow it in the ring.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// When, in nanoseconds of `CLOCK_MONOTONIC` (`bpf_ktime_get_ns`).
    pub at_ns: u64,
    /// cgroup v2 id of the socket or, in task context, of the task; 0 when there is none.
    pub cgroup: u64,
    /// Address of the skb, which identifies it while it lives; 0 when there is none.
    pub skb: u64,
    /// Address of the socket; 0 when there is none.
    pub sk: u64,
    /// First number of the word (see [`crate::word::What`]).
    pub a: u64,
    /// Second number of the word.
    pub b: u64,
    /// Inode of the network namespace, as `stat /proc/PID/ns/net` shows it; 0 when unknown.
    pub netns: u32,
    /// Interface index in that namespace; 0 when there is none.
    pub ifindex: u32,
    /// Process, only where the hook runs in its context; else 0.
    pub pid: u32,
    /// The word's number.
    pub tag: u16,
    /// Bytes of tail that follow.
    pub tail_len: u16,
    /// The packet's or socket's tuple, as it is at this hook. On its way to the helper `zero` says whose it is: bit 0 of its first
    /// byte is set for a watched flow, bit 1 for the answer's direction; the other two bytes are the attempt's number, low byte first.
    pub flow: Flow,
}

const _: () = assert!(
    size_of::<Record>() == 104,
    "the kernel side and the helper share this layout"
);

/// The tail of words about one packet: what tells it from its neighbours.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PacketTail {
    /// TCP sequence number, host order; for ICMP echo its sequence number.
    pub seq: u32,
    /// TCP acknowledgement number, host order.
    pub ack: u32,
    /// Length of the IP packet with its header, in bytes.
    pub len: u32,
    /// IPv4 identification; 0 for IPv6 and where DF leaves it so.
    pub ip_id: u16,
    /// TCP window as in the header.
    pub window: u16,
    /// TCP flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16); for ICMP its type.
    pub tcp_flags: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// 1 when these are the inner headers of an encapsulated packet.
    pub inner: u8,
    /// 1 when the packet was cut into IP fragments; ICMP code for ICMP.
    pub fragment: u8,
}

const _: () = assert!(
    size_of::<PacketTail>() == 20,
    "the kernel side and the helper share this layout"
);

/// The longest tail, in bytes: a DNS message up to the end of its first question, or a [`PacketTail`] and a second tuple.
pub const TAIL_MAX_BYTES: usize = 320;
