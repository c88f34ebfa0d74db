//! `qdisc`: queueing disciplines by the interfaces of their own namespace: what passed, what waits, what was dropped.

use crate::facts::qdiscs;
use crate::readings::ReadingProbe;
use std::collections::HashMap;

/// See [`crate::readings::READINGS`].
pub const QDISC: ReadingProbe = ReadingProbe {
    name: "qdisc",
    about: "queueing disciplines: packets sent, dropped, held back, waiting, and the rate",
    cost: "some 40 us a namespace and round",
    sources: &["RTM_GETQDISC", "RTM_GETLINK"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        let links = place.links()?;
        let names: HashMap<u32, &str> = links.iter().map(|link| (link.index, link.name.as_str())).collect();
        for (index, qdisc) in qdiscs::read(place.route()?)? {
            // It came after the interfaces were listed.
            let Some(interface) = names.get(&index) else { continue };
            let of = [
                ("interface", *interface),
                ("kind", qdisc.kind.as_str()),
                ("handle", qdisc.handle.as_str()),
            ];
            for (name, value) in [
                ("qdisc.packets", qdisc.packets),
                ("qdisc.bytes", qdisc.bytes),
                ("qdisc.drops", qdisc.drops),
                ("qdisc.overlimits", qdisc.overlimits),
                ("qdisc.requeues", qdisc.requeues),
                ("qdisc.backlog_bytes", qdisc.backlog_bytes),
                ("qdisc.backlog_packets", qdisc.qlen),
                ("qdisc.rate", qdisc.rate_bits.unwrap_or_default()),
            ] {
                sink.set(name, &of, value);
            }
        }
        Ok(())
    },
};
