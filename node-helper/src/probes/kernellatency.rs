//! `kernellatency`: where packets spend their time inside the kernel.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::{Detail, Probe};
use crate::kernel::programs;

const fn typed(at: &'static str) -> ProgramHook {
    ProgramHook::Typed { at, program: at }
}

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "kernellatency",
    about: "where packets spend their time inside the kernel, as histograms for each namespace: from a device to the socket or to the next device, from TCP to the queue of a device, and from there to its driver; from TCP sending a segment to its acknowledgement; and of the node, from a softirq of the network being raised to its run",
    cost: "about 0.4 us for each packet that is sent, 0.3 to 0.6 us for each that is received, 0.2 us for each softirq of the network, and 0.1 us for each packet of others; nothing else",
    elf: programs::KERNELLATENCY,
    places: &[
        &[typed("netif_receive_skb")],
        &[typed("tcp_probe")],
        &[typed("net_dev_queue")],
        &[typed("net_dev_start_xmit")],
        &[typed("softirq_raise")],
        &[typed("softirq_entry")],
        &[ProgramHook::Typed {
            at: "kfree_skb",
            program: "forget_dropped",
        }],
    ],
    details: &[
        Detail::seen_at(
            &[typed("sk_data_ready"), typed("skb_copy_datagram_iovec")],
            "how long datagrams take from a device to their socket: no tracepoint tells that one has come",
        ),
        Detail::field("tcp_sock", "rack", "how long TCP's segments take to be acknowledged"),
        Detail::field("tcp_rack", "rtt_us", "how long TCP's segments take to be acknowledged"),
    ],
    ring_bytes: 0,
};
