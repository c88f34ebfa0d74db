//! `drop`: packets that the kernel frees as a loss.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "drop",
    about: "packets the kernel throws away: its reason, the function, the receiving socket's state",
    cost: "nothing per delivered packet; about 0.3 us for each packet that is dropped",
    elf: programs::DROP,
    places: &[&[
        ProgramHook::Typed {
            at: "kfree_skb",
            program: "kfree_skb_typed",
        },
        ProgramHook::Raw {
            at: "kfree_skb",
            program: "kfree_skb",
        },
    ]],
    details: &[
        Detail::argument(
            "kfree_skb",
            3,
            "the reason of a drop (kernels before 5.17 give only the function)",
        ),
        Detail::argument("kfree_skb", 4, "the state of the receiving socket (since 6.11)"),
    ],
    ring_bytes: 256 * 1024,
};
