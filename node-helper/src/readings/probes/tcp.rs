//! `tcp`, `udp`, `tcpext`, `ip`: every counter of the kernel's tables `snmp`, `netstat` and `snmp6`.

use crate::readings::{NumberSink, ReadPlace, ReadingProbe};
use crate::servants::usher::KernelFile;
use model::numbers;

const COST: &str = "some 50 us a namespace and round; nothing in between";

/// TCP's counters of RFC 1213 and later ones of that table.
pub const TCP: ReadingProbe = ReadingProbe {
    name: "tcp",
    about: "TCP's counters: connects, segments, resets, segments sent again",
    cost: COST,
    sources: &["/proc/net/snmp"],
    lacking: None,
    of_node: false,
    read: |place, sink| read(place, sink, "tcp", &[KernelFile::Snmp]),
};

/// UDP's, over IPv4 and IPv6.
pub const UDP: ReadingProbe = ReadingProbe {
    name: "udp",
    about: "UDP's counters: datagrams, full buffers, ports where nobody listens",
    cost: COST,
    sources: &["/proc/net/snmp", "/proc/net/snmp6"],
    lacking: None,
    of_node: false,
    read: |place, sink| read(place, sink, "udp", &[KernelFile::Snmp, KernelFile::Snmp6]),
};

/// Linux's own TCP counters.
pub const TCPEXT: ReadingProbe = ReadingProbe {
    name: "tcpext",
    about: "Linux's own TCP counters: queues that overflowed, timeouts, why connections were given up",
    cost: COST,
    sources: &["/proc/net/netstat"],
    lacking: None,
    of_node: false,
    read: |place, sink| read(place, sink, "tcpext", &[KernelFile::Netstat]),
};

/// IP's and ICMP's, over IPv4 and IPv6.
pub const IP: ReadingProbe = ReadingProbe {
    name: "ip",
    about: "IP's and ICMP's counters: packets without a route, broken ones, fragments, errors",
    cost: COST,
    sources: &["/proc/net/snmp", "/proc/net/netstat", "/proc/net/snmp6"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        read(
            place,
            sink,
            "ip",
            &[KernelFile::Snmp, KernelFile::Netstat, KernelFile::Snmp6],
        )
    },
};

/// The counters of these files that are this probe's.
fn read(place: &mut ReadPlace, sink: &mut NumberSink, probe: &str, files: &[KernelFile]) -> anyhow::Result<()> {
    for file in files {
        let all = place.counters(*file)?;
        for (name, value) in all.iter().filter(|(name, _)| numbers::probe_of(name) == probe) {
            sink.set(name, &[], *value);
        }
    }
    Ok(())
}
