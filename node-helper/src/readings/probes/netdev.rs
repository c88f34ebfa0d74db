//! `netdev`: what interfaces count, by interface: bytes, packets, and what each layer lost.

use crate::readings::ReadingProbe;
use model::facts::{Link, LinkStats};

/// See [`crate::readings::READINGS`].
pub const NETDEV: ReadingProbe = ReadingProbe {
    name: "netdev",
    about: "traffic and losses by interface: of the device, its driver, the stack",
    cost: "some 30 us a namespace and round, 5 us more an interface",
    sources: &["RTM_GETLINK"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        let links = place.links()?;
        for link in links.iter() {
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
                rx_over,
                rx_crc,
                rx_frame,
                rx_length,
                tx_aborted,
                tx_carrier,
                tx_heartbeat,
                tx_window,
                collisions,
                multicast,
                rx_compressed,
                tx_compressed,
            } = link.stats;
            let of = [("interface", link.name.as_str()), ("kind", kind(link, &links))];
            // What leads out by itself has no kind.
            let of = if of[1].1.is_empty() { &of[..1] } else { &of[..] };
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
                ("netdev.rx_over", rx_over),
                ("netdev.rx_crc", rx_crc),
                ("netdev.rx_frame", rx_frame),
                ("netdev.rx_length", rx_length),
                ("netdev.tx_aborted", tx_aborted),
                ("netdev.tx_carrier", tx_carrier),
                ("netdev.tx_heartbeat", tx_heartbeat),
                ("netdev.tx_window", tx_window),
                ("netdev.collisions", collisions),
                ("netdev.multicast", multicast),
                ("netdev.rx_compressed", rx_compressed),
                ("netdev.tx_compressed", tx_compressed),
            ] {
                sink.set(name, of, value);
            }
        }
        Ok(())
    },
};

/// The kind of an interface, so that whoever adds up those of no kind counts each packet once: it passes a bridge, a bond or a tunnel,
/// and a device. A device that belongs to another one (the fast half of a cloud's network card) is counted there, too.
fn kind<'a>(link: &'a Link, all: &[Link]) -> &'a str {
    let is_device = |link: &Link| link.kind.is_empty() && !link.loopback;
    let is_master = |other: &Link| link.master == Some(other.index) && is_device(other);
    if is_device(link) && all.iter().any(is_master) {
        "lower"
    } else {
        &link.kind
    }
}

#[cfg(test)]
mod tests {
    use super::kind;
    use model::facts::Link;

    #[test]
    fn a_device_has_no_kind_unless_it_belongs_to_another_device() {
        let link = |index: u32, of: &str, master: Option<u32>| Link {
            index,
            kind: of.to_owned(),
            master,
            ..Link::default()
        };
        let all = [
            link(2, "", None),
            link(3, "", Some(2)),
            link(4, "bond", None),
            link(5, "", Some(4)),
            link(6, "bridge", None),
            link(7, "veth", Some(6)),
            link(8, "vlan", None),
        ];
        let kinds: Vec<&str> = all.iter().map(|link| kind(link, &all)).collect();
        assert_eq!(kinds, ["", "lower", "bond", "", "bridge", "veth", "vlan"]);
    }
}
