//! An event as people and rules read it: the record with its numbers turned into names.

use crate::flow::Flow;
use crate::owner::Owner;
use crate::word::Hook;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One thing seen by a probe, at a time and a place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// When, in nanoseconds of the node's `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// The probe that said it.
    pub probe: String,
    /// The node it happened on, where there are several; told by the client, not by the helper.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub node: String,
    /// Inode of the network namespace; 0 when unknown.
    pub netns: u32,
    /// Interface index in that namespace; 0 when there is none.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub ifindex: u32,
    /// The interface's name, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// Process, only for events that happen in its context.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub pid: u32,
    /// That process's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<String>,
    /// To whom it belongs.
    #[serde(default)]
    pub owner: Owner,
    /// The tuple at this place.
    pub flow: Flow,
    /// Address of the skb as an opaque identity, 0 when there is none.
    #[serde(default, skip_serializing_if = "is_zero64")]
    pub skb: u64,
    /// Address of the socket as an opaque identity, 0 when there is none.
    #[serde(default, skip_serializing_if = "is_zero64")]
    pub sk: u64,
    /// The packet's own marks, for events about a packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub packet: Option<Packet>,
    /// What a connection that ends has exchanged, where the kernel tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exchanged: Option<Exchanged>,
    /// The tuple that an ICMP error quotes or a tunnel's packet carries, for events about such a packet: it may be of a watched flow where `flow` is not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<Flow>,
    /// The attempt whose flow this is, in either direction and under whatever translation, as the kernel side followed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// What was seen.
    pub seen: Seen,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_zero64(number: &u64) -> bool {
    *number == 0
}

/// What tells one packet of a flow from its neighbours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Packet {
    /// TCP sequence number, or that of an ICMP echo.
    pub seq: u32,
    /// TCP acknowledgement number.
    pub ack: u32,
    /// Length of the IP packet, in bytes.
    pub len: u32,
    /// IPv4 identification.
    pub ip_id: u16,
    /// TCP window field.
    pub window: u16,
    /// TCP flags (FIN 1, SYN 2, RST 4, PSH 8, ACK 16); for ICMP its type.
    pub tcp_flags: u8,
    /// TTL or hop limit.
    pub ttl: u8,
    /// These are the inner headers of an encapsulated packet.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inner: bool,
    /// An IP fragment; for ICMP its code.
    #[serde(default)]
    pub fragment: u8,
}

/// Bytes of payload that a TCP connection has exchanged, of each direction up to 4 GiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Exchanged {
    /// Sent, those sent again among them.
    pub sent_bytes: u32,
    /// Received in order.
    pub received_bytes: u32,
}

/// A TCP state, in the kernel's numbering (`include/net/tcp_states.h`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
#[expect(missing_docs, reason = "RFC 9293 names them")]
pub enum TcpState {
    Established,
    SynSent,
    SynRecv,
    FinWait1,
    FinWait2,
    TimeWait,
    Close,
    CloseWait,
    LastAck,
    Listen,
    Closing,
    NewSynRecv,
    /// Not told, or a number this version does not know.
    Unknown,
}

impl TcpState {
    /// The state of a kernel number; 0 and numbers beyond 12 are `Unknown`.
    #[must_use]
    pub fn from_number(number: u8) -> Self {
        const STATES: [TcpState; 12] = [
            TcpState::Established,
            TcpState::SynSent,
            TcpState::SynRecv,
            TcpState::FinWait1,
            TcpState::FinWait2,
            TcpState::TimeWait,
            TcpState::Close,
            TcpState::CloseWait,
            TcpState::LastAck,
            TcpState::Listen,
            TcpState::Closing,
            TcpState::NewSynRecv,
        ];
        STATES
            .get(usize::from(number).wrapping_sub(1))
            .copied()
            .unwrap_or(Self::Unknown)
    }

    /// Both ends agreed on a connection: it was made (RFC 9293, 3.3.2).
    #[must_use]
    pub const fn is_synchronized(self) -> bool {
        matches!(self, Self::Established | Self::CloseWait) || self.has_closed()
    }

    /// A connection that was made, and that this end has closed: it sends no more.
    #[must_use]
    pub const fn has_closed(self) -> bool {
        matches!(
            self,
            Self::FinWait1 | Self::FinWait2 | Self::Closing | Self::LastAck | Self::TimeWait
        )
    }
}

/// The vocabulary, readable. See [`crate::word::What`] for what each word means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "what", rename_all = "kebab-case")]
pub enum Seen {
    /// A packet was freed as a loss.
    Drop {
        /// Name from the node's own `enum skb_drop_reason`, e.g. `NETFILTER_DROP`; `NOT_SPECIFIED` before 5.17.
        reason: String,
        /// Kernel function, e.g. `nft_do_chain`; absent where the kernel hides its symbols.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        location: Option<String>,
        /// State of the receiving socket, where there was one.
        state: TcpState,
    },
    /// TCP sent a reset.
    ResetSent {
        /// Name from the node's own `enum sk_rst_reason`, e.g. `NO_SOCKET`; absent before 6.10.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// State of the socket that sent it.
        state: TcpState,
        /// No packet provoked it: the application or a timer did.
        active: bool,
    },
    /// TCP accepted a reset; or data came for a socket that its program had closed, by which the kernel ends it in the same way
    /// (`tcp_rcv_state_process`): only where `state` says that this end had closed.
    ResetReceived {
        /// State it was in.
        state: TcpState,
    },
    /// A segment was sent again; with `errno` it could not be.
    Retransmit {
        /// State of the socket.
        state: TcpState,
        /// 0 when it left; else the error, e.g. 16 (still in the local queue), 1 (refused locally), 113 (no route).
        errno: u16,
    },
    /// A SYN-ACK was sent again.
    RetransmitSynAck,
    /// A TCP socket changed state.
    StateChange {
        /// From.
        old: TcpState,
        /// To.
        new: TcpState,
        /// Since the socket left CLOSE, in nanoseconds; 0 when that was not seen.
        since_ns: u64,
    },
    /// The kernel sent an ICMP error about this flow.
    IcmpSent {
        /// ICMP or `ICMPv6` type.
        kind: u8,
        /// Its code.
        code: u8,
        /// The rest of its header: the MTU of "fragmentation needed" and "packet too big".
        info: u32,
    },
    /// A socket got an error.
    SocketError {
        /// The error number.
        errno: u16,
        /// Only remembered: connecting goes on.
        soft: bool,
    },
    /// A neighbour did not answer; the flow's destination is the address asked for.
    NeighbourFailed {
        /// Its `NUD_` state (0x20 is failed).
        state: u16,
        /// Solicitations that went unanswered.
        probes: u16,
    },
    /// A DNS query left or arrived.
    DnsQuery {
        /// Message id.
        id: u16,
        /// The name asked for, without the final dot.
        name: String,
        /// Its type, e.g. `AAAA`.
        qtype: String,
    },
    /// A DNS answer left or arrived.
    DnsAnswer {
        /// Message id.
        id: u16,
        /// The name asked for.
        name: String,
        /// Its type.
        qtype: String,
        /// Response code, e.g. `NXDOMAIN`.
        rcode: String,
        /// Number of answer records.
        answers: u16,
        /// The truncation bit.
        truncated: bool,
        /// Since the query, in nanoseconds; 0 when that was not seen.
        latency_ns: u64,
    },
    /// A query whose answer was not seen until the window closed or `waited_ns` had passed.
    DnsUnanswered {
        /// Message id.
        id: u16,
        /// The name asked for.
        name: String,
        /// Its type.
        qtype: String,
        /// How long it was waited for, in nanoseconds.
        waited_ns: u64,
    },
    /// A watched packet was met here.
    Hop {
        /// Where in the stack.
        hook: Hook,
        /// The tuple was learned here: an address translation.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        learned: bool,
    },
    /// A receive buffer overflowed.
    ReceiveBufferFull {
        /// The error number the kernel gives.
        errno: u16,
    },
    /// Something waited as long as was asked about, or longer.
    Slow {
        /// How long, in nanoseconds, all of its stages together.
        took_ns: u64,
        /// Where that time went, in the order in which it went.
        stages: Vec<SlowStage>,
        /// The block device, where it waited for one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        device: Option<String>,
    },
}

/// One of the stages in which something waited.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SlowStage {
    /// The number that measures it, such as `socketlatency.read` (see [`crate::numbers`]).
    pub stage: String,
    /// How long, in nanoseconds.
    pub took_ns: u64,
}
