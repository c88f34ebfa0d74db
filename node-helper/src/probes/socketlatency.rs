//! `socketlatency`: how long data waits in sockets until programs read it, and how long programs write and connect.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

const fn typed(at: &'static str) -> ProgramHook {
    ProgramHook::Typed { at, program: at }
}

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "socketlatency",
    about: "how long data that is ready waits in a socket until the program reads it, and how long a program's writes and TCP connects take, as histograms for each namespace",
    cost: "about 0.4 us for each time data is ready and read, 0.3 us for each write, and 0.5 us for each TCP connection; nothing else",
    elf: programs::SOCKETLATENCY,
    places: &[
        &[typed("sk_data_ready")],
        &[typed("tcp_rcv_space_adjust")],
        &[typed("sock_recv_length")],
        &[typed("inet_sock_set_state")],
        &[ProgramHook::Typed {
            at: "tcp_destroy_sock",
            program: "forget_connection",
        }],
    ],
    details: &[Detail::seen_at(
        &[typed("tcp_sendmsg_locked"), typed("sock_send_length")],
        "how long writes take",
    )],
    ring_bytes: 0,
};
