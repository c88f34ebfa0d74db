//! `udpbuf`: datagrams that a full receive buffer refuses.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "udpbuf",
    about: "UDP datagrams refused because the socket's receive buffer is full",
    cost: "nothing per delivered packet; about 0.5 us for each refused datagram",
    elf: programs::UDPBUF,
    places: &[&[ProgramHook::Raw {
        at: "udp_fail_queue_rcv_skb",
        program: "udp_fail_queue_rcv_skb",
    }]],
    details: &[
        Detail::argument("udp_fail_queue_rcv_skb", 3, "who sent the datagram (since 6.10)"),
        Detail::field("inet_sock", "inet_sport", "the port of a socket that has let go of it"),
        Detail::field("sock", "sk_cgrp_data", "the cgroup of a socket"),
        Detail::field("sock_cgroup_data", "cgroup", "the cgroup of a socket"),
    ],
    ring_bytes: 128 * 1024,
};
