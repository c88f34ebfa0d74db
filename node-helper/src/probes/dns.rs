//! `dns`: queries and answers over UDP.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::Probe;
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "dns",
    about: "DNS over UDP: queries, answers with their code and latency, and queries that nobody answered",
    cost: "about 0.02 us per packet and device (0.1 us before 6.17), 2 us for each DNS message",
    elf: programs::DNS,
    places: &[
        &[ProgramHook::Typed {
            at: "net_dev_queue",
            program: "net_dev_queue",
        }],
        &[ProgramHook::Typed {
            at: "netif_receive_skb",
            program: "netif_receive_skb",
        }],
    ],
    details: &[],
    ring_bytes: 512 * 1024,
};
