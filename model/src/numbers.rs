//! The one table of numbers: what each is called, which probe reads it, how it moves, and what it means.
//!
//! Screens, the schema, `explain` and exports derive from it. Counters of the kernel's own tables (`snmp`, `netstat`, `snmp6`)
//! keep the kernel's names and appear by themselves, so a newer kernel's are there too; [`crate::kernel_counters`] says what
//! those mean that matter.

use crate::kernel_counters;
use crate::series::{SeriesKind, Unit};

/// A number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Number {
    /// Its name, which begins with its probe's.
    pub name: &'static str,
    /// How it moves.
    pub kind: SeriesKind,
    /// What it counts.
    pub unit: Unit,
    /// What it means, in one sentence without a full stop.
    pub help: &'static str,
    /// Names of its labels.
    pub labels: &'static [&'static str],
    /// It growing says that something was lost, refused or late.
    pub hurts: bool,
    /// It is what somebody set: where two are not the same, that is a difference.
    pub is_setting: bool,
}

/// One that neither hurts nor is set.
const fn number(
    name: &'static str,
    kind: SeriesKind,
    unit: Unit,
    labels: &'static [&'static str],
    help: &'static str,
) -> Number {
    Number {
        name,
        kind,
        unit,
        help,
        labels,
        hurts: false,
        is_setting: false,
    }
}

const fn counter(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Number {
    number(name, SeriesKind::Counter, unit, labels, help)
}

/// A counter of what should not happen.
const fn hurting(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Number {
    Number {
        hurts: true,
        ..counter(name, unit, labels, help)
    }
}

const fn gauge(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Number {
    number(name, SeriesKind::Gauge, unit, labels, help)
}

/// A level that somebody set.
const fn setting(name: &'static str, unit: Unit, labels: &'static [&'static str], help: &'static str) -> Number {
    Number {
        is_setting: true,
        ..gauge(name, unit, labels, help)
    }
}

/// A number for times that the kernel side measures.
const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Number {
    number(name, SeriesKind::Histogram, Unit::Nanoseconds, labels, help)
}

use Unit::{BitsPerSecond, Bytes, Count, Microseconds};

const LINK: &[&str] = &["interface", "kind"];
const QDISC: &[&str] = &["interface", "kind", "handle"];
const CPU: &[&str] = &["cpu"];
const STATE: &[&str] = &["state"];
const LISTENER: &[&str] = &["listener"];
const PROCESS: &[&str] = &["process"];
const PEER: &[&str] = &["peer", "port", "role"];
const DEVICE: &[&str] = &["device"];
const PROTOCOL: &[&str] = &["protocol"];
const SOFTIRQ: &[&str] = &["softirq"];
const OUTCOME: &[&str] = &["outcome"];

/// Every number that is no counter of the kernel's own tables.
pub const NUMBERS: &[Number] = &[
    counter("netdev.rx_bytes", Bytes, LINK, "bytes received by an interface"),
    counter("netdev.tx_bytes", Bytes, LINK, "bytes sent by an interface"),
    counter("netdev.rx_packets", Count, LINK, "packets received by an interface"),
    counter("netdev.tx_packets", Count, LINK, "packets sent by an interface"),
    hurting(
        "netdev.rx_errors",
        Count,
        LINK,
        "packets received broken: by the device",
    ),
    hurting("netdev.tx_errors", Count, LINK, "packets the device failed to send"),
    hurting(
        "netdev.rx_dropped",
        Count,
        LINK,
        "packets received whole and dropped: by the driver or the stack",
    ),
    hurting(
        "netdev.tx_dropped",
        Count,
        LINK,
        "packets dropped before they were sent: by the driver or the stack",
    ),
    hurting(
        "netdev.rx_missed",
        Count,
        LINK,
        "packets the device had no room for: its ring was full",
    ),
    hurting(
        "netdev.rx_fifo",
        Count,
        LINK,
        "packets lost to an overflow inside the device while receiving",
    ),
    hurting(
        "netdev.tx_fifo",
        Count,
        LINK,
        "packets lost to an overflow inside the device while sending",
    ),
    counter(
        "netdev.rx_nohandler",
        Count,
        LINK,
        "packets of an inactive port, or of a protocol nobody handles",
    ),
    counter("netdev.carrier_changes", Count, LINK, "times the link came or went"),
    hurting(
        "netdev.rx_over",
        Count,
        LINK,
        "times the device's receiver overflowed, where it counts that apart",
    ),
    hurting(
        "netdev.rx_crc",
        Count,
        LINK,
        "packets received with a wrong checksum of the link (CRC): a bad cable, port or transceiver",
    ),
    hurting(
        "netdev.rx_frame",
        Count,
        LINK,
        "packets received that did not end with a whole byte: a bad cable, or another duplex at its other end",
    ),
    hurting(
        "netdev.rx_length",
        Count,
        LINK,
        "packets received that were too long or too short",
    ),
    hurting(
        "netdev.tx_aborted",
        Count,
        LINK,
        "packets the device gave up while sending",
    ),
    hurting(
        "netdev.tx_carrier",
        Count,
        LINK,
        "packets lost because the link went while they were sent",
    ),
    hurting(
        "netdev.tx_heartbeat",
        Count,
        LINK,
        "packets after which the transceiver gave no sign of life (old Ethernet, half duplex)",
    ),
    hurting(
        "netdev.tx_window",
        Count,
        LINK,
        "packets that collided too late: the cable is too long, or its other end has another duplex",
    ),
    counter(
        "netdev.collisions",
        Count,
        LINK,
        "packets that collided with others while they were sent (half duplex)",
    ),
    counter(
        "netdev.multicast",
        Count,
        LINK,
        "packets received that were for a group",
    ),
    counter(
        "netdev.rx_compressed",
        Count,
        LINK,
        "compressed packets received (PPP and SLIP)",
    ),
    counter(
        "netdev.tx_compressed",
        Count,
        LINK,
        "compressed packets sent (PPP and SLIP)",
    ),
    counter(
        "qdisc.packets",
        Count,
        QDISC,
        "packets a queueing discipline let through",
    ),
    counter("qdisc.bytes", Bytes, QDISC, "bytes a queueing discipline let through"),
    hurting(
        "qdisc.drops",
        Count,
        QDISC,
        "packets a queueing discipline dropped: its queue was full, or it manages it so",
    ),
    counter(
        "qdisc.overlimits",
        Count,
        QDISC,
        "times a packet had to wait for the rate",
    ),
    counter(
        "qdisc.requeues",
        Count,
        QDISC,
        "times a packet was put back because the device was busy",
    ),
    gauge(
        "qdisc.backlog_bytes",
        Bytes,
        QDISC,
        "bytes that wait in a queueing discipline",
    ),
    gauge(
        "qdisc.backlog_packets",
        Count,
        QDISC,
        "packets that wait in a queueing discipline",
    ),
    setting(
        "qdisc.rate",
        BitsPerSecond,
        QDISC,
        "the rate a queueing discipline holds packets to",
    ),
    counter(
        "softnet.processed",
        Count,
        CPU,
        "packets a CPU took from its backlog and from devices; of the node, not of a pod",
    ),
    hurting(
        "softnet.dropped",
        Count,
        CPU,
        "packets dropped because a CPU's backlog was full",
    ),
    counter(
        "softnet.squeezed",
        Count,
        CPU,
        "times a CPU left packets waiting because its budget or its time was used up",
    ),
    hurting(
        "softnet.flow_limited",
        Count,
        CPU,
        "packets of one flow dropped to leave room for others in a backlog",
    ),
    counter(
        "softnet.steered",
        Count,
        CPU,
        "times another CPU was woken to take packets (RPS)",
    ),
    gauge("softnet.backlog", Count, CPU, "packets in a CPU's backlog now"),
    gauge("sock.used", Count, &[], "sockets of all kinds"),
    gauge(
        "sock.tcp",
        Count,
        &[],
        "TCP sockets over IPv4 and IPv6, without those in TIME_WAIT",
    ),
    gauge(
        "sockmem.orphaned",
        Count,
        &[],
        "TCP sockets that no program holds any more",
    ),
    gauge("sock.tcp_time_wait", Count, &[], "TCP connections in TIME_WAIT"),
    gauge(
        "sockmem.tcp",
        Bytes,
        &[],
        "memory of all TCP buffers of the node's kernel",
    ),
    setting(
        "sockmem.tcp_limit",
        Bytes,
        &[],
        "beyond this TCP drops what it receives (`tcp_mem`, third value)",
    ),
    gauge("sock.udp", Count, &[], "UDP sockets over IPv4 and IPv6"),
    gauge(
        "sockmem.udp",
        Bytes,
        &[],
        "memory of all UDP buffers of the node's kernel",
    ),
    setting(
        "sockmem.udp_limit",
        Bytes,
        &[],
        "beyond this UDP drops what it receives (`udp_mem`, third value)",
    ),
    gauge("sock.raw", Count, &[], "raw sockets"),
    gauge(
        "sock.fragments",
        Count,
        &[],
        "datagrams that wait for further fragments",
    ),
    gauge("sock.fragment_memory", Bytes, &[], "memory of fragments that wait"),
    gauge("tcpsummary.sockets", Count, STATE, "TCP sockets by state"),
    gauge(
        "tcpsummary.unread",
        Bytes,
        &[],
        "bytes that came and no program has read yet",
    ),
    gauge(
        "tcpsummary.unacknowledged",
        Bytes,
        &[],
        "bytes written that the far ends have not acknowledged yet",
    ),
    gauge(
        "tcpsummary.waiting",
        Count,
        LISTENER,
        "connections that wait to be accepted",
    ),
    setting(
        "tcpsummary.backlog",
        Count,
        LISTENER,
        "the most connections that may wait to be accepted",
    ),
    gauge(
        "tcpsummary.rtt_p50",
        Microseconds,
        &[],
        "smoothed round trip time: half of the connections have no more",
    ),
    gauge(
        "tcpsummary.rtt_p99",
        Microseconds,
        &[],
        "smoothed round trip time: 99 of 100 connections have no more",
    ),
    gauge("conntrack.entries", Count, &[], "connections that are tracked"),
    setting(
        "conntrack.limit",
        Count,
        &[],
        "the most connections that can be tracked",
    ),
    counter("conntrack.found", Count, &[], "lookups that found a connection"),
    counter("conntrack.invalid", Count, &[], "packets that fit no connection"),
    counter("conntrack.insert", Count, &[], "connections taken in"),
    hurting(
        "conntrack.insert_failed",
        Count,
        &[],
        "connections that could not be taken in: an equal one was there first, and the packet was dropped",
    ),
    hurting(
        "conntrack.drop",
        Count,
        &[],
        "packets dropped because a connection could not be tracked: the table is full",
    ),
    hurting(
        "conntrack.early_drop",
        Count,
        &[],
        "connections forgotten to make room for others",
    ),
    counter(
        "conntrack.icmp_error",
        Count,
        &[],
        "packets that could not be tracked because of an error",
    ),
    counter(
        "conntrack.search_restart",
        Count,
        &[],
        "lookups begun again because the table changed",
    ),
    counter(
        "conntrack.clash_resolve",
        Count,
        &[],
        "equal connections taken in at the same time and made one",
    ),
    counter(
        "conntrack.chaintoolong",
        Count,
        &[],
        "connections not taken in because too many share a place of the table",
    ),
    gauge(
        "holders.by_source",
        Count,
        &["source"],
        "tracked connections that began at this address",
    ),
    gauge(
        "holders.by_destination",
        Count,
        &["destination", "port"],
        "tracked connections to this address and port",
    ),
    gauge(
        "holders.by_pair",
        Count,
        &["source", "destination", "port"],
        "tracked connections from this address to that address and port",
    ),
    gauge("fd.open", Count, PROCESS, "open file descriptors of a process"),
    gauge(
        "fd.sockets",
        Count,
        PROCESS,
        "sockets among the open file descriptors of a process",
    ),
    setting(
        "fd.limit",
        Count,
        PROCESS,
        "the most file descriptors a process may have open",
    ),
    counter("io.read_bytes", Bytes, DEVICE, "bytes read from a block device"),
    counter("io.written_bytes", Bytes, DEVICE, "bytes written to a block device"),
    counter("io.reads", Count, DEVICE, "requests to read from a block device"),
    counter("io.writes", Count, DEVICE, "requests to write to a block device"),
    counter(
        "io.stalled",
        Microseconds,
        &[],
        "time in which at least one task waited for a disk (pressure of the cgroup)",
    ),
    counter("cpu.used", Microseconds, &[], "time on a CPU"),
    counter(
        "cpu.periods",
        Count,
        &[],
        "periods of the CPU limit in which something ran",
    ),
    hurting(
        "cpu.throttled",
        Count,
        &[],
        "periods in which the CPU limit was reached",
    ),
    counter(
        "cpu.throttled_time",
        Microseconds,
        &[],
        "time in which everything stood still because the CPU limit was reached",
    ),
    counter(
        "cpu.stalled",
        Microseconds,
        &[],
        "time in which at least one task waited for a CPU (pressure of the cgroup)",
    ),
    counter(
        "cpu.waited",
        Microseconds,
        &[],
        "time that threads were ready to run and had no CPU (the schedulers' run delay, of those that live)",
    ),
    setting("cpu.limit_percent", Count, &[], "the CPU limit, as percent of one CPU"),
    gauge(
        "process.connections",
        Count,
        PROCESS,
        "TCP connections that a process holds",
    ),
    gauge(
        "process.unread",
        Bytes,
        PROCESS,
        "bytes that came on the connections of a process and that it has not read yet",
    ),
    gauge(
        "process.unacknowledged",
        Bytes,
        PROCESS,
        "bytes that a process wrote and the far ends have not acknowledged yet",
    ),
    gauge(
        "process.resent",
        Count,
        PROCESS,
        "segments that were sent again on the connections that a process holds",
    ),
    gauge("process.sockets", Count, PROCESS, "sockets that a process holds"),
    gauge("process.open", Count, PROCESS, "open file descriptors of a process"),
    setting(
        "process.limit",
        Count,
        PROCESS,
        "the most file descriptors a process may have open",
    ),
    counter("process.used", Microseconds, PROCESS, "time of a process on a CPU"),
    counter(
        "process.waited",
        Microseconds,
        PROCESS,
        "time that threads of a process were ready to run and had no CPU (of those that live)",
    ),
    counter(
        "process.read_bytes",
        Bytes,
        PROCESS,
        "bytes that a process had read from block devices",
    ),
    counter(
        "process.written_bytes",
        Bytes,
        PROCESS,
        "bytes that a process had written to block devices",
    ),
    gauge("process.left_out", Count, &[], "processes that are not told one by one"),
    gauge("peers.connections", Count, PEER, "connections with a peer on a port"),
    gauge(
        "peers.opening",
        Count,
        PEER,
        "connections with a peer that are asked for and not made yet",
    ),
    gauge(
        "peers.rtt_p50",
        Microseconds,
        PEER,
        "smoothed round trip time to a peer: half of the connections have no more",
    ),
    gauge(
        "peers.unread",
        Bytes,
        PEER,
        "bytes that came from a peer and no program has read yet",
    ),
    gauge(
        "peers.unacknowledged",
        Bytes,
        PEER,
        "bytes written that a peer has not acknowledged yet",
    ),
    gauge(
        "peers.resent",
        Count,
        PEER,
        "segments that were sent again on the connections with a peer",
    ),
    gauge(
        "peers.sent_bytes",
        Bytes,
        PEER,
        "bytes that a peer acknowledged on the connections that are open now",
    ),
    gauge(
        "peers.received_bytes",
        Bytes,
        PEER,
        "bytes that came from a peer on the connections that are open now",
    ),
    gauge("peers.left_out", Count, &[], "peers that are not told one by one"),
    histogram(
        "socketlatency.connect",
        OUTCOME,
        "time from a TCP socket beginning to connect to its connection being made; or, with outcome=failed, to its being refused or given up",
    ),
    histogram(
        "socketlatency.read",
        PROTOCOL,
        "time from data being ready in a socket to the program's read of it",
    ),
    histogram(
        "socketlatency.write",
        PROTOCOL,
        "time from a socket taking the first of what a program writes to the write's end",
    ),
    histogram(
        "kernellatency.round_trip",
        &[],
        "time from TCP sending a segment to its acknowledgement, as TCP measures it: the path there and back, and up to 40 ms for which the other end may wait to send data with it",
    ),
    histogram(
        "kernellatency.send",
        PROTOCOL,
        "time from TCP sending a segment to the queue of a device: routing, firewalls, neighbours; what is sent later on purpose counts from then",
    ),
    histogram(
        "kernellatency.queue",
        &[],
        "time from a packet being put into the queue of a device to its driver being given it: queueing disciplines",
    ),
    histogram(
        "kernellatency.softirq",
        SOFTIRQ,
        "time from a softirq of the network being raised on a CPU to its run; of the node, not of a pod",
    ),
    histogram(
        "kernellatency.forward",
        &[],
        "time from a packet entering the stack from a device to the queue of the device that it is forwarded to",
    ),
    histogram(
        "kernellatency.receive",
        PROTOCOL,
        "time from a packet entering the stack from a device to its socket (of TCP, in an open connection)",
    ),
    histogram(
        "biolatency.read",
        DEVICE,
        "time from a request to read from a block device being made to its end, in the device's queue and in the device",
    ),
    histogram(
        "biolatency.write",
        DEVICE,
        "time from a request to write to a block device being made to its end, in the device's queue and in the device",
    ),
    histogram(
        "biolatency.flush",
        DEVICE,
        "time that a block device took to bring what was written to where it stays (fsync waits for it)",
    ),
];

/// The probes whose numbers the kernel names: its tables' heads, and the probe.
const KERNEL_TABLES: &[(&str, &str)] = &[
    ("Tcp", "tcp"),
    ("Udp", "udp"),
    ("UdpLite", "udp"),
    ("Udp6", "udp"),
    ("UdpLite6", "udp"),
    ("TcpExt", "tcpext"),
    ("MPTcpExt", "tcpext"),
    ("Ip", "ip"),
    ("IpExt", "ip"),
    ("Ip6", "ip"),
    ("Icmp", "ip"),
    ("IcmpMsg", "ip"),
    ("Icmp6", "ip"),
];

/// What the kernel tells in its tables of counters and is none.
const KERNEL_GAUGES: &[&str] = &[
    "Tcp.RtoAlgorithm",
    "Tcp.RtoMin",
    "Tcp.RtoMax",
    "Tcp.MaxConn",
    "Tcp.CurrEstab",
    "Ip.Forwarding",
    "Ip.DefaultTTL",
    "MPTcpExt.MPCurrEstab",
];

/// The probes that read once for a whole node.
const OF_NODES: &[&str] = &["sockmem", "softnet"];

/// The number of that name.
#[must_use]
pub fn of(name: &str) -> Option<&'static Number> {
    NUMBERS.iter().find(|number| number.name == name)
}

/// The probe that reads a number of that name; empty for none.
#[must_use]
pub fn probe_of(name: &str) -> &str {
    let head = name.split_once('.').map_or(name, |(head, _)| head);
    let table = KERNEL_TABLES.iter().find(|(table, _)| *table == head);
    match table {
        Some((_, probe)) => probe,
        None if of(name).is_some() => head,
        None => "",
    }
}

/// Whether a probe of that name measures times: its numbers are histograms.
#[must_use]
pub fn measures_times(probe: &str) -> bool {
    let of_probe = |number: &&Number| number.name.split_once('.').is_some_and(|(head, _)| head == probe);
    NUMBERS
        .iter()
        .filter(of_probe)
        .any(|number| number.kind == SeriesKind::Histogram)
}

/// How a number of that name moves, and what it counts.
#[must_use]
pub fn shape_of(name: &str) -> (SeriesKind, Unit) {
    if let Some(number) = of(name) {
        return (number.kind, number.unit);
    }
    let kind = if KERNEL_GAUGES.contains(&name) {
        SeriesKind::Gauge
    } else {
        SeriesKind::Counter
    };
    let unit = if name.ends_with("Octets") { Bytes } else { Count };
    (kind, unit)
}

/// Whether a number of that name that grows says that something was lost, refused or late.
#[must_use]
pub fn hurts(name: &str) -> bool {
    of(name).is_some_and(|number| number.hurts) || kernel_counters::of(name).is_some_and(|counter| counter.hurts)
}

/// Whether a number of that name is what somebody set.
#[must_use]
pub fn is_setting(name: &str) -> bool {
    of(name).is_some_and(|number| number.is_setting)
}

/// Whether a probe of that name reads the numbers of a node as a whole, and none of its network namespaces.
#[must_use]
pub fn is_of_node(probe: &str) -> bool {
    OF_NODES.contains(&probe)
}

/// What a number of that name means; a counter of a newer kernel has nobody's words yet.
#[must_use]
pub fn help_of(name: &str) -> Option<&'static str> {
    of(name)
        .map(|number| number.help)
        .or_else(|| Some(kernel_counters::of(name)?.help))
}

#[cfg(test)]
mod tests {
    use super::{KERNEL_GAUGES, NUMBERS, OF_NODES, hurts, probe_of, shape_of};
    use crate::kernel_counters::COUNTERS;
    use crate::series::{SeriesKind, Unit};
    use std::collections::BTreeSet;

    #[test]
    fn every_number_has_one_name_that_begins_with_its_probe() {
        let names: BTreeSet<&str> = NUMBERS.iter().map(|number| number.name).collect();
        assert_eq!(names.len(), NUMBERS.len());
        for number in NUMBERS {
            assert!(
                number.name.contains('.') && !probe_of(number.name).is_empty(),
                "{number:?}"
            );
            assert!(!number.help.ends_with('.'), "{number:?}");
        }
        for counter in COUNTERS {
            assert!(!probe_of(counter.name).is_empty(), "{counter:?}");
        }
    }

    #[test]
    fn what_the_kernel_names_is_a_counter_but_for_what_it_only_sets() {
        assert_eq!(shape_of("TcpExt.SomethingNew"), (SeriesKind::Counter, Unit::Count));
        assert_eq!(probe_of("TcpExt.SomethingNew"), "tcpext");
        assert_eq!(shape_of("Tcp.CurrEstab").0, SeriesKind::Gauge);
        assert_eq!(shape_of("IpExt.InOctets"), (SeriesKind::Counter, Unit::Bytes));
        assert_eq!(probe_of("weather.rain"), "");
        assert!(KERNEL_GAUGES.iter().all(|name| !probe_of(name).is_empty()));
    }

    #[test]
    fn only_a_counter_hurts_and_only_a_level_is_set() {
        for number in NUMBERS {
            assert!(!number.hurts || number.kind == SeriesKind::Counter, "{number:?}");
            assert!(!number.is_setting || number.kind == SeriesKind::Gauge, "{number:?}");
        }
        assert!(hurts("netdev.rx_dropped") && hurts("TcpExt.ListenOverflows"));
        assert!(!hurts("netdev.rx_bytes") && !hurts("TcpExt.SomethingNew"));
        assert!(
            OF_NODES
                .iter()
                .all(|probe| NUMBERS.iter().any(|number| probe_of(number.name) == *probe))
        );
    }
}
