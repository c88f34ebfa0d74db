//! `tcpretrans`: segments and SYN-ACKs that TCP sends again.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "tcpretrans",
    about: "TCP segments sent again, or that could not be, and SYN-ACKs sent again",
    cost: "nothing per packet; about 0.5 us for each retransmission",
    elf: programs::TCPRETRANS,
    places: &[
        &[ProgramHook::Raw {
            at: "tcp_retransmit_skb",
            program: "tcp_retransmit_skb",
        }],
        &[ProgramHook::Raw {
            at: "tcp_retransmit_synack",
            program: "tcp_retransmit_synack",
        }],
    ],
    details: &[
        Detail::argument(
            "tcp_retransmit_skb",
            3,
            "retransmissions that failed locally (since 6.18)",
        ),
        Detail::field("sk_buff", "cb", "the sequence number of a segment sent again"),
        Detail::field("inet_sock", "inet_sport", "the port of a socket that has let go of it"),
        Detail::field("sock", "sk_cgrp_data", "the cgroup of a socket"),
        Detail::field("sock_cgroup_data", "cgroup", "the cgroup of a socket"),
    ],
    ring_bytes: 128 * 1024,
};
