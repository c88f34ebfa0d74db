//! `socketlatency`: how long data waits in sockets until programs read it.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::Probe;
use crate::kernel::programs;

const fn typed(at: &'static str) -> ProgramHook {
    ProgramHook::Typed { at, program: at }
}

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "socketlatency",
    about: "how long data that is ready waits in a socket until the program reads it, as a histogram for each namespace",
    cost: "about 0.3 us for each time data is ready and read, nothing else",
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
    details: &[],
    ring_bytes: 0,
};
