//! `tcpstate`: how TCP sockets change state.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "tcpstate",
    about: "state changes of TCP sockets, with the time since connect began",
    cost: "nothing per packet; about 0.6 us for each change, some six per connection",
    elf: programs::TCPSTATE,
    places: &[&[ProgramHook::Raw {
        at: "inet_sock_set_state",
        program: "inet_sock_set_state",
    }]],
    details: &[
        Detail::field(
            "sock",
            "sk_protocol",
            "sockets of other protocols are not told from TCP's",
        ),
        Detail::field("inet_sock", "inet_sport", "the port of a socket that has let go of it"),
        Detail::field("tcp_sock", "bytes_sent", "how much a connection has sent"),
        Detail::field("tcp_sock", "bytes_received", "how much a connection has received"),
        Detail::field("sock", "sk_cgrp_data", "the cgroup of a socket"),
        Detail::field("sock_cgroup_data", "cgroup", "the cgroup of a socket"),
    ],
    ring_bytes: 512 * 1024,
};
