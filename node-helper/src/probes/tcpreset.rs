//! `tcpreset`: resets that TCP sends and accepts.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "tcpreset",
    about: "TCP resets sent, with the kernel's reason, and resets accepted",
    cost: "nothing per packet; about 0.5 us for each reset",
    elf: programs::TCPRESET,
    places: &[
        &[ProgramHook::Raw {
            at: "tcp_send_reset",
            program: "tcp_send_reset",
        }],
        &[ProgramHook::Raw {
            at: "tcp_receive_reset",
            program: "tcp_receive_reset",
        }],
    ],
    details: &[
        Detail::argument("tcp_send_reset", 3, "the reason of a reset (since 6.10)"),
        Detail::field("inet_sock", "inet_sport", "the port of a socket that has let go of it"),
        Detail::argument(
            "tcp_send_reset",
            3,
            "resets of packets that no socket is for (before 6.10 they need kprobes)",
        )
        .or_seen_at(&[
            ProgramHook::Kprobe {
                at: "tcp_v4_send_reset",
                program: "send_reset_without_socket",
            },
            ProgramHook::Kprobe {
                at: "tcp_v6_send_reset",
                program: "send_reset_without_socket",
            },
        ]),
        Detail::field("sock", "sk_cgrp_data", "the cgroup of a socket"),
        Detail::field("sock_cgroup_data", "cgroup", "the cgroup of a socket"),
    ],
    ring_bytes: 128 * 1024,
};
