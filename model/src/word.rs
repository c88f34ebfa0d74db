//! The vocabulary: what a probe can say. Probes speak it, rules listen to it, neither knows the other.
//!
//! A word is a tag and two numbers. The kernel side calls [`What::encode`], the helper [`What::decode`].

use crate::histogram::Measure;

/// Where on its way a packet was met.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "std",
    derive(serde::Serialize, serde::Deserialize, schemars::JsonSchema),
    serde(rename_all = "kebab-case")
)]
#[repr(u8)]
pub enum Hook {
    /// Handed to a device's queue (`net_dev_queue`).
    Queue = 1,
    /// Leaves through a device's driver (`net_dev_start_xmit`).
    Transmit = 2,
    /// Enters the stack from a device (`netif_receive_skb`).
    Receive = 3,
    /// Read by the application (`skb_copy_datagram_iovec`), or its socket was woken.
    Delivered = 5,
}

impl Hook {
    /// The hook of a number, if it is one.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Queue,
            2 => Self::Transmit,
            3 => Self::Receive,
            5 => Self::Delivered,
            _ => return None,
        })
    }
}

/// One word, with the numbers it carries. TCP states are the kernel's (`include/net/tcp_states.h`), error numbers are positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each word's own line explains its numbers")]
pub enum What {
    /// A packet was freed as a loss. `reason` is this kernel's `enum skb_drop_reason` number, `location` a kernel address.
    /// `state` is the TCP state of the receiving socket, 0 when there was none (or this kernel does not say).
    Drop { reason: u16, state: u8, location: u64 },
    /// TCP sent a reset; the flow is the reset's own, from its sender on. `reason` is this kernel's `enum sk_rst_reason` (0xffff: not told); `active` when no packet provoked it.
    ResetSent { reason: u16, state: u8, active: bool },
    /// TCP accepted a reset in `state`; the flow is the reset's own, from the peer to here.
    ResetReceived { state: u8 },
    /// A segment was sent again, or could not be (`errno` > 0).
    Retransmit { state: u8, errno: u16 },
    /// A SYN-ACK was sent again.
    RetransmitSynAck,
    /// A TCP socket changed state; `since_ns` is the time since it left CLOSE, where known.
    StateChange { old: u8, new: u8, since_ns: u64 },
    /// The kernel sent an ICMP error. `info` is its rest-of-header (the next hop's MTU for "too big"). The flow is that of the offending packet.
    IcmpSent { kind: u8, code: u8, info: u32 },
    /// A socket got an error; `soft` when it is only remembered while connecting goes on.
    SocketError { errno: u16, soft: bool },
    /// A neighbour did not answer: `probes` solicitations so far. The flow's destination is the address asked for; `state` is its `NUD_` state (0x20
    /// when the kernel gave up, 1 or 0x10 while it still asks).
    NeighbourFailed { state: u16, probes: u16 },
    /// A DNS query; the tail is the message.
    DnsQuery,
    /// A DNS answer; the tail is the message. `latency_ns` since the query, 0 when that was not seen.
    DnsAnswer { latency_ns: u64 },
    /// A watched packet was met; the tail is a `PacketTail`, the skb its address. `learned` when the tuple was learned here (a translation).
    Hop { hook: u8, learned: bool },
    /// A receive buffer overflowed; `errno` as the kernel gives it.
    ReceiveBufferFull { errno: u16 },
    /// Something waited as long as the user asked about, or longer: in the stage of that [`crate::histogram::Measure`] so long, after the
    /// stage `before` (0: none that was seen) so long.
    Slow {
        measure: u16,
        took_ns: u64,
        before: u16,
        before_ns: u64,
    },
}

impl What {
    /// A slow wait, of which no stage before was seen.
    #[must_use]
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "BPF programs have no calls to spare")]
    pub const fn slow_alone(measure: Measure, took_ns: u64) -> Self {
        Self::Slow {
            measure: measure as u16,
            took_ns,
            before: 0,
            before_ns: 0,
        }
    }

    /// The word as (tag, a, b).
    #[must_use]
    #[inline(always)]
    #[expect(clippy::inline_always, reason = "BPF programs have no calls to spare")]
    pub const fn encode(self) -> (u16, u64, u64) {
        match self {
            Self::Drop {
                reason,
                state,
                location,
            } => (1, reason as u64 | (state as u64) << 16, location),
            Self::ResetSent { reason, state, active } => {
                (2, reason as u64 | (state as u64) << 16 | (active as u64) << 24, 0)
            }
            Self::ResetReceived { state } => (3, state as u64, 0),
            Self::Retransmit { state, errno } => (4, state as u64, errno as u64),
            Self::RetransmitSynAck => (5, 0, 0),
            Self::StateChange { old, new, since_ns } => (6, old as u64 | (new as u64) << 8, since_ns),
            Self::IcmpSent { kind, code, info } => (7, kind as u64 | (code as u64) << 8, info as u64),
            Self::SocketError { errno, soft } => (8, errno as u64, soft as u64),
            Self::NeighbourFailed { state, probes } => (9, state as u64, probes as u64),
            Self::DnsQuery => (10, 0, 0),
            Self::DnsAnswer { latency_ns } => (11, latency_ns, 0),
            Self::Hop { hook, learned } => (12, hook as u64, learned as u64),
            Self::ReceiveBufferFull { errno } => (13, errno as u64, 0),
            // 48 bits of nanoseconds are three days.
            Self::Slow {
                measure,
                took_ns,
                before,
                before_ns,
            } => (14, measure as u64 | took_ns << 16, before as u64 | before_ns << 16),
        }
    }

    /// The inverse of [`What::encode`]; `None` for a tag this version does not know.
    #[must_use]
    pub const fn decode(tag: u16, a: u64, b: u64) -> Option<Self> {
        Some(match tag {
            1 => Self::Drop {
                reason: a as u16,
                state: (a >> 16) as u8,
                location: b,
            },
            2 => Self::ResetSent {
                reason: a as u16,
                state: (a >> 16) as u8,
                active: (a >> 24) & 1 == 1,
            },
            3 => Self::ResetReceived { state: a as u8 },
            4 => Self::Retransmit {
                state: a as u8,
                errno: b as u16,
            },
            5 => Self::RetransmitSynAck,
            6 => Self::StateChange {
                old: a as u8,
                new: (a >> 8) as u8,
                since_ns: b,
            },
            7 => Self::IcmpSent {
                kind: a as u8,
                code: (a >> 8) as u8,
                info: b as u32,
            },
            8 => Self::SocketError {
                errno: a as u16,
                soft: b == 1,
            },
            9 => Self::NeighbourFailed {
                state: a as u16,
                probes: b as u16,
            },
            10 => Self::DnsQuery,
            11 => Self::DnsAnswer { latency_ns: a },
            12 => Self::Hop {
                hook: a as u8,
                learned: b == 1,
            },
            13 => Self::ReceiveBufferFull { errno: a as u16 },
            14 => Self::Slow {
                measure: a as u16,
                took_ns: a >> 16,
                before: b as u16,
                before_ns: b >> 16,
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::What;

    #[test]
    fn every_word_survives_the_kernel_border() {
        let words = [
            What::Drop {
                reason: 77,
                state: 10,
                location: 0xffff_8000_1234_5678,
            },
            What::ResetSent {
                reason: 0xffff,
                state: 1,
                active: true,
            },
            What::ResetReceived { state: 2 },
            What::Retransmit { state: 2, errno: 16 },
            What::RetransmitSynAck,
            What::StateChange {
                old: 7,
                new: 2,
                since_ns: u64::MAX,
            },
            What::IcmpSent {
                kind: 3,
                code: 4,
                info: 1400,
            },
            What::SocketError { errno: 111, soft: true },
            What::NeighbourFailed { state: 0x20, probes: 3 },
            What::DnsQuery,
            What::DnsAnswer { latency_ns: 1 },
            What::Hop { hook: 3, learned: true },
            What::ReceiveBufferFull { errno: 12 },
            What::Slow {
                measure: 10,
                took_ns: 50_000_000,
                before: 8,
                before_ns: (1 << 48) - 1,
            },
        ];
        for (index, word) in words.into_iter().enumerate() {
            let (tag, a, b) = word.encode();
            assert_eq!(
                usize::from(tag),
                index + 1,
                "tags are dense, so no word is left out of this table"
            );
            assert_eq!(What::decode(tag, a, b), Some(word));
        }
        assert_eq!(What::decode(15, 0, 0), None);
    }
}
