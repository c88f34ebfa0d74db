//! `netdev`: what interfaces count, by interface: bytes, packets, and what each layer lost.

use crate::readings::ReadingProbe;
use model::facts::LinkStats;

/// See [`crate::readings::READINGS`].
pub const NETDEV: ReadingProbe = ReadingProbe {
    name: "netdev",
    about: "traffic and losses by interface: of the device, its driver, the stack",
    cost: "some 30 us a namespace and round, 5 us more an interface",
    sources: &["RTM_GETLINK"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        for link in place.links()?.iter() {
            let LinkStats {
                rx_packets,
                tx_packets,
                rx_bytes,
                tx_bytes,
                rx_errors,
                tx_errors,
                rx_dropped,
                tx_dropped,
                rx_missed,
                rx_fifo,
                tx_fifo,
                rx_nohandler,
                carrier_changes,
            } = link.stats;
            let of = [("interface", link.name.as_str())];
            for (name, value) in [
                ("netdev.rx_packets", rx_packets),
                ("netdev.tx_packets", tx_packets),
                ("netdev.rx_bytes", rx_bytes),
                ("netdev.tx_bytes", tx_bytes),
                ("netdev.rx_errors", rx_errors),
                ("netdev.tx_errors", tx_errors),
                ("netdev.rx_dropped", rx_dropped),
                ("netdev.tx_dropped", tx_dropped),
                ("netdev.rx_missed", rx_missed),
                ("netdev.rx_fifo", rx_fifo),
                ("netdev.tx_fifo", tx_fifo),
                ("netdev.rx_nohandler", rx_nohandler),
                ("netdev.carrier_changes", carrier_changes),
            ] {
                sink.set(name, &of, value);
            }
        }
        Ok(())
    },
};
