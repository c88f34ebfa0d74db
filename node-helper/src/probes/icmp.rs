//! `icmp`: errors that the kernel sends about packets, and errors that sockets get.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "icmp",
    about: "ICMP errors the kernel sends about a packet, and errors that sockets get",
    cost: "about 0.05 us per sent packet (to find errors about IPv6, which have no tracepoint), 0.5 us for each error",
    elf: programs::ICMP,
    places: &[
        &[
            ProgramHook::Raw {
                at: "icmp_send",
                program: "icmp_send",
            },
            ProgramHook::Kprobe {
                at: "__icmp_send",
                program: "icmp_send_function",
            },
        ],
        &[ProgramHook::Raw {
            at: "net_dev_queue",
            program: "net_dev_queue",
        }],
        &[ProgramHook::Raw {
            at: "inet_sk_error_report",
            program: "inet_sk_error_report",
        }],
    ],
    details: &[
        Detail::tracepoint(
            "icmp_send",
            "ICMP errors are seen at a function, not at a tracepoint (before 6.10)",
        ),
        Detail::behind(
            "icmp_send",
            "the MTU in an error about an IPv4 packet (the tracepoint does not tell it)",
        ),
        Detail::field("sock", "sk_protocol", "the protocol of a socket that got an error"),
        Detail::field("inet_sock", "inet_sport", "the port of a socket that has let go of it"),
        Detail::field("sock", "sk_cgrp_data", "the cgroup of a socket"),
        Detail::field("sock_cgroup_data", "cgroup", "the cgroup of a socket"),
    ],
    ring_bytes: 128 * 1024,
};
