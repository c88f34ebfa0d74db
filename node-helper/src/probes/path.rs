//! `path`: where the packets of watched flows are met.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::Probe;
use crate::kernel::programs;

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "path",
    about: "each place where a packet of a watched flow is met: devices, namespaces, translations, delivery",
    cost: "about 0.02 us per packet and hook for other packets while a flow is watched (0.05 us before 6.17), nothing else",
    elf: programs::PATH,
    places: &[
        &[ProgramHook::Typed {
            at: "net_dev_queue",
            program: "net_dev_queue",
        }],
        &[ProgramHook::Typed {
            at: "netif_receive_skb",
            program: "netif_receive_skb",
        }],
        &[ProgramHook::Typed {
            at: "skb_copy_datagram_iovec",
            program: "skb_copy_datagram_iovec",
        }],
        &[ProgramHook::Typed {
            at: "consume_skb",
            program: "forget_consumed",
        }],
    ],
    details: &[],
    ring_bytes: 1024 * 1024,
};
