//! `socketlatency`: how long data waits in sockets until programs read it, and how long programs write.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

const fn typed(at: &'static str) -> ProgramHook {
    ProgramHook::Typed { at, program: at }
}

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "socketlatency",
    about: "how long data that is ready waits in a socket until the program reads it, and how long a program's writes take, as histograms for each namespace",
    cost: "about 0.4 us for each time data is ready and read, and 0.3 us for each write; nothing else",
    elf: programs::SOCKETLATENCY,
    places: &[
        &[typed("sk_data_ready")],
        &[typed("tcp_rcv_space_adjust")],
        &[typed("sock_recv_length")],
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
