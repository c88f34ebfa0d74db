//! `neigh`: neighbours that do not answer.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::Probe;
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "neigh",
    about: "next hops that do not answer ARP or ND: each unanswered solicitation, and the failure",
    cost: "nothing per packet; about 0.5 us for each solicitation that went unanswered",
    elf: programs::NEIGH,
    places: &[&[ProgramHook::Raw {
        at: "neigh_timer_handler",
        program: "neigh_timer_handler",
    }]],
    details: &[],
    ring_bytes: 64 * 1024,
};
