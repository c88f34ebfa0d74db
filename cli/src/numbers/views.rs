//! The views of `top`: which probes each needs, and its columns. A table, from which help and screens derive.

use super::distribution::Distribution;
use super::hurts;
use super::place::NumbersPlace;
use model::views::{ColumnUnit, TopColumn};

/// A column, and where its number comes from.
#[derive(Debug)]
pub struct ViewColumn {
    /// The column.
    pub column: TopColumn,
    /// The number; nothing where there is none.
    pub of: fn(&NumbersPlace) -> Option<f64>,
}

/// A view.
#[derive(Debug)]
pub struct View {
    /// Its word in `--view`.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// The probes it needs.
    pub probes: &'static [&'static str],
    /// Its columns.
    pub columns: &'static [ViewColumn],
    /// It is about nodes, not about pods.
    pub of_nodes: bool,
}

pub(super) const fn column(
    key: &'static str,
    heading: &'static str,
    unit: ColumnUnit,
    of: fn(&NumbersPlace) -> Option<f64>,
) -> ViewColumn {
    ViewColumn {
        column: TopColumn { key, heading, unit },
        of,
    }
}

use ColumnUnit::{Bytes, BytesPerSecond, Count, Rate, Seconds, Share};

/// A level; one that has always been zero is not told by helpers.
pub(super) fn level(place: &NumbersPlace, name: &str) -> Option<f64> {
    place.reads(name).then(|| place.now(name) as f64)
}

fn grown(place: &NumbersPlace, names: &[&str]) -> Option<f64> {
    let read: Vec<&&str> = names.iter().filter(|name| place.reads(name)).collect();
    let growth: u64 = read.iter().map(|name| place.growth(name)).sum();
    (!read.is_empty()).then_some(growth as f64)
}

pub(super) fn rate(place: &NumbersPlace, name: &str) -> Option<f64> {
    place.reads(name).then(|| place.per_second(name))
}

pub(super) fn microseconds(place: &NumbersPlace, name: &str) -> Option<f64> {
    // No connection, no time.
    level(place, name).filter(|us| *us > 0.0).map(|us| us / 1e6)
}

/// The time within which this percentage of answers to DNS queries came, in seconds; nothing where none came.
fn dns_within(place: &NumbersPlace, percent: usize) -> Option<f64> {
    let mut took: Vec<u64> = place.lookups_ns.iter().flatten().copied().collect();
    took.sort_unstable();
    let at = (took.len() * percent).div_ceil(100).saturating_sub(1);
    took.get(at).map(|ns| *ns as f64 / 1e9)
}

fn state(place: &NumbersPlace, state: &str) -> Option<f64> {
    let mut of = place
        .by("tcpsummary.sockets", "state")
        .filter(|(other, _)| *other == state);
    let now = of.next().map_or(0, |(_, moved)| moved.now);
    place.reads("tcpsummary.sockets").then_some(now as f64)
}

/// A share of the window, of a time in microseconds that grew in it.
pub(super) fn share_of_window(place: &NumbersPlace, name: &str) -> Option<f64> {
    rate(place, name).map(|us| us / 1e6)
}

/// The fullest process.
fn fullest(place: &NumbersPlace) -> Option<f64> {
    let shares = place.by("fd.open", "process").filter_map(|(process, open)| {
        let mut limits = place.by("fd.limit", "process").filter(|(other, _)| *other == process);
        limits
            .next()
            .map(|(_, limit)| open.now as f64 / limit.now.max(1) as f64)
    });
    shares.reduce(f64::max)
}

/// Every view; the first is shown where none is asked for.
pub const VIEWS: &[View] = &[
    View {
        name: "health",
        about: "who suffers: connections, losses, waiting",
        probes: &[
            "drop",
            "dns",
            "tcp",
            "udp",
            "tcpext",
            "ip",
            "tcpsummary",
            "netdev",
            "qdisc",
            "fd",
            "cpu",
            "conntrack",
            "sockmem",
            "softnet",
        ],
        of_nodes: false,
        columns: &[
            column("conns", "CONNS", Count, |place| state(place, "ESTABLISHED")),
            column("failed", "FAILED", Count, |place| grown(place, &["Tcp.AttemptFails"])),
            column("retrans_ratio", "RETRANS", Share, hurts::retransmitted),
            column("rtt_p50_s", "RTT p50", Seconds, |place| {
                microseconds(place, "tcpsummary.rtt_p50")
            }),
            column("rtt_p99_s", "RTT p99", Seconds, |place| {
                microseconds(place, "tcpsummary.rtt_p99")
            }),
            column("unread_bytes", "UNREAD", Bytes, |place| {
                level(place, "tcpsummary.unread")
            }),
            column("drops", "DROPS", Count, |place| {
                let dropped: u64 = place.drops.values().sum();
                place.probes.contains(&"drop").then_some(dropped as f64)
            }),
            column("dns_p99_s", "DNS p99", Seconds, |place| dns_within(place, 99)),
            column("throttled_ratio", "THROTTLED", Share, hurts::throttled_share),
        ],
    },
    View {
        name: "tcp",
        about: "TCP: connects, resets, segments sent again, full queues",
        probes: &["tcp", "tcpext", "tcpsummary"],
        of_nodes: false,
        columns: &[
            column("opened_per_s", "OPENED/s", Rate, |place| rate(place, "Tcp.ActiveOpens")),
            column("accepted_per_s", "ACCEPTED/s", Rate, |place| {
                rate(place, "Tcp.PassiveOpens")
            }),
            column("failed", "FAILED", Count, |place| grown(place, &["Tcp.AttemptFails"])),
            column("reset", "RESET", Count, |place| grown(place, &["Tcp.EstabResets"])),
            column("resets_sent", "RST SENT", Count, |place| grown(place, &["Tcp.OutRsts"])),
            column("segments_per_s", "SEGMENTS/s", Rate, |place| rate(place, "Tcp.OutSegs")),
            column("retrans", "SENT AGAIN", Count, |place| {
                grown(place, &["Tcp.RetransSegs"])
            }),
            column("retrans_ratio", "RETRANS", Share, hurts::retransmitted),
            column("timeouts", "TIMEOUTS", Count, |place| {
                grown(place, &["TcpExt.TCPTimeouts"])
            }),
            column("overflows", "OVERFLOWS", Count, |place| {
                grown(place, &["TcpExt.ListenOverflows", "TcpExt.TCPReqQFullDrop"])
            }),
        ],
    },
    View {
        name: "sockets",
        about: "sockets by state, and what waits in them",
        probes: &["sock", "tcpsummary"],
        of_nodes: false,
        columns: &[
            column("established", "ESTAB", Count, |place| state(place, "ESTABLISHED")),
            column("listening", "LISTEN", Count, |place| state(place, "LISTEN")),
            column("syn_sent", "SYN_SENT", Count, |place| state(place, "SYN_SENT")),
            column("syn_recv", "SYN_RECV", Count, |place| state(place, "SYN_RECV")),
            column("close_wait", "CLOSE_WAIT", Count, |place| state(place, "CLOSE_WAIT")),
            column("fin_wait", "FIN_WAIT", Count, |place| {
                Some(state(place, "FIN_WAIT1").unwrap_or_default() + state(place, "FIN_WAIT2").unwrap_or_default())
            }),
            column("time_wait", "TIME_WAIT", Count, |place| {
                level(place, "sock.tcp_time_wait")
            }),
            column("udp", "UDP", Count, |place| level(place, "sock.udp")),
            column("unread_bytes", "UNREAD", Bytes, |place| {
                level(place, "tcpsummary.unread")
            }),
            column("unacknowledged_bytes", "UNACKED", Bytes, |place| {
                level(place, "tcpsummary.unacknowledged")
            }),
            column("waiting", "TO ACCEPT", Count, |place| {
                level(place, "tcpsummary.waiting")
            }),
        ],
    },
    View {
        name: "udp",
        about: "UDP: datagrams, full buffers, ports where nobody listens",
        probes: &["udp", "sock"],
        of_nodes: false,
        columns: &[
            column("received_per_s", "RECEIVED/s", Rate, |place| {
                Some(place.per_second("Udp.InDatagrams") + place.per_second("Udp6.InDatagrams"))
            }),
            column("sent_per_s", "SENT/s", Rate, |place| {
                Some(place.per_second("Udp.OutDatagrams") + place.per_second("Udp6.OutDatagrams"))
            }),
            column("buffer_full", "BUFFER FULL", Count, |place| {
                grown(place, &["Udp.RcvbufErrors", "Udp6.RcvbufErrors"])
            }),
            column("no_port", "NO PORT", Count, |place| {
                grown(place, &["Udp.NoPorts", "Udp6.NoPorts"])
            }),
            column("errors", "ERRORS", Count, |place| {
                grown(place, &["Udp.InErrors", "Udp6.InErrors"])
            }),
        ],
    },
    View {
        name: "links",
        about: "interfaces: traffic, and what device, driver and stack lost",
        probes: &["netdev"],
        of_nodes: false,
        columns: &[
            column("rx_bytes_per_s", "RX", BytesPerSecond, |place| {
                outer(place, "netdev.rx_bytes", true)
            }),
            column("tx_bytes_per_s", "TX", BytesPerSecond, |place| {
                outer(place, "netdev.tx_bytes", true)
            }),
            column("rx_packets_per_s", "RX PKT/s", Rate, |place| {
                outer(place, "netdev.rx_packets", true)
            }),
            column("tx_packets_per_s", "TX PKT/s", Rate, |place| {
                outer(place, "netdev.tx_packets", true)
            }),
            column("nic_lost", "NIC LOST", Count, |place| {
                grown(place, &["netdev.rx_missed", "netdev.rx_fifo", "netdev.tx_fifo"])
            }),
            column("errors", "BROKEN", Count, |place| {
                grown(place, &["netdev.rx_errors", "netdev.tx_errors"])
            }),
            column("rx_dropped", "RX DROPPED", Count, |place| {
                grown(place, &["netdev.rx_dropped"])
            }),
            column("tx_dropped", "TX DROPPED", Count, |place| {
                grown(place, &["netdev.tx_dropped"])
            }),
        ],
    },
    View {
        name: "queues",
        about: "queueing disciplines: what waits, what was held back, what was dropped",
        probes: &["qdisc"],
        of_nodes: false,
        columns: &[
            column("sent_per_s", "SENT/s", Rate, |place| rate(place, "qdisc.packets")),
            column("dropped", "DROPPED", Count, |place| grown(place, &["qdisc.drops"])),
            column("held_back", "HELD BACK", Count, |place| {
                grown(place, &["qdisc.overlimits"])
            }),
            column("requeued", "REQUEUED", Count, |place| grown(place, &["qdisc.requeues"])),
            column("waiting_bytes", "WAITING", Bytes, |place| {
                level(place, "qdisc.backlog_bytes")
            }),
        ],
    },
    View {
        name: "conntrack",
        about: "tables of tracked connections: how full, what could not be tracked, and who holds them",
        probes: &["conntrack", "holders"],
        of_nodes: false,
        columns: &[
            column("entries", "ENTRIES", Count, |place| level(place, "conntrack.entries")),
            column("full_ratio", "FULL", Share, |place| {
                let limit = level(place, "conntrack.limit")?;
                (limit > 0.0).then(|| place.now("conntrack.entries") as f64 / limit)
            }),
            column("dropped", "DROPPED", Count, |place| grown(place, &["conntrack.drop"])),
            column("insert_failed", "CLASHED", Count, |place| {
                grown(place, &["conntrack.insert_failed"])
            }),
            column("early_dropped", "FORGOTTEN", Count, |place| {
                grown(place, &["conntrack.early_drop"])
            }),
            column("invalid", "INVALID", Count, |place| {
                grown(place, &["conntrack.invalid"])
            }),
        ],
    },
    View {
        name: "dns",
        about: "DNS over UDP: answers, how long they took, queries that nobody answered",
        probes: &["dns"],
        of_nodes: false,
        columns: &[
            column("dns_answers", "ANSWERS", Count, |place| {
                let answered = place.lookups_ns.iter().flatten().count();
                place.probes.contains(&"dns").then_some(answered as f64)
            }),
            column("dns_p50_s", "p50", Seconds, |place| dns_within(place, 50)),
            column("dns_p99_s", "p99", Seconds, |place| dns_within(place, 99)),
            column("dns_unanswered", "UNANSWERED", Count, |place| {
                let unanswered = place.lookups_ns.iter().filter(|took| took.is_none()).count();
                place.probes.contains(&"dns").then_some(unanswered as f64)
            }),
        ],
    },
    View {
        name: "files",
        about: "open files against their limits, sockets apart",
        probes: &["fd"],
        of_nodes: false,
        columns: &[
            column("open", "OPEN", Count, |place| level(place, "fd.open")),
            column("sockets", "SOCKETS", Count, |place| level(place, "fd.sockets")),
            column("full_ratio", "FULLEST", Share, fullest),
        ],
    },
    View {
        name: "cpu",
        about: "CPU: used, throttled, waited for",
        probes: &["cpu"],
        of_nodes: false,
        columns: &[
            column("used_ratio", "USED", Share, |place| share_of_window(place, "cpu.used")),
            column("throttled_ratio", "THROTTLED", Share, hurts::throttled_share),
            column("throttled_time_ratio", "STOOD STILL", Share, |place| {
                share_of_window(place, "cpu.throttled_time")
            }),
            column("waited_ratio", "WAITED", Share, |place| {
                share_of_window(place, "cpu.waited")
            }),
            column("stalled_ratio", "PRESSURE", Share, |place| {
                share_of_window(place, "cpu.stalled")
            }),
        ],
    },
    View {
        name: "disk",
        about: "block devices: read, written, waited for",
        probes: &["io"],
        of_nodes: false,
        columns: &[
            column("read_bytes_per_s", "READ", BytesPerSecond, |place| {
                rate(place, "io.read_bytes")
            }),
            column("written_bytes_per_s", "WRITTEN", BytesPerSecond, |place| {
                rate(place, "io.written_bytes")
            }),
            column("reads_per_s", "READS/s", Rate, |place| rate(place, "io.reads")),
            column("writes_per_s", "WRITES/s", Rate, |place| rate(place, "io.writes")),
            column("stalled_ratio", "PRESSURE", Share, |place| {
                share_of_window(place, "io.stalled")
            }),
        ],
    },
    View {
        name: "softnet",
        about: "each node's CPUs at work on packets",
        probes: &["softnet"],
        of_nodes: true,
        columns: &[
            column("processed_per_s", "PACKETS/s", Rate, |place| {
                rate(place, "softnet.processed")
            }),
            column("dropped", "DROPPED", Count, |place| grown(place, &["softnet.dropped"])),
            column("squeezed", "SQUEEZED", Count, |place| {
                grown(place, &["softnet.squeezed"])
            }),
            column("waiting", "BACKLOG", Count, |place| level(place, "softnet.backlog")),
        ],
    },
];

/// What comes in and goes out of a place, over the interfaces that lead out of it.
fn outer(place: &NumbersPlace, name: &str, per_second: bool) -> Option<f64> {
    let leads_out = place.outer_interfaces();
    let growth: u64 = place
        .by(name, "interface")
        .filter(|(interface, _)| leads_out.contains(interface))
        .map(|(_, moved)| moved.growth)
        .sum();
    let divisor = if per_second { place.seconds } else { 1.0 };
    (divisor > 0.0).then(|| growth as f64 / divisor)
}

/// Columns of probes that measure times: no view needs them, and they are shown where such a probe is added.
const MEASURED: &[(&str, &[ViewColumn])] = &[
    (
        "socketlatency",
        &[
            column("read_p99_s", "READ p99", Seconds, |place| {
                p99(place, "socketlatency.read")
            }),
            column("write_p99_s", "WRITE p99", Seconds, |place| {
                p99(place, "socketlatency.write")
            }),
        ],
    ),
    (
        "kernellatency",
        &[
            column("queue_p99_s", "QUEUE p99", Seconds, |place| {
                p99(place, "kernellatency.queue")
            }),
            column("receive_p99_s", "RECEIVE p99", Seconds, |place| {
                p99(place, "kernellatency.receive")
            }),
        ],
    ),
    (
        "biolatency",
        &[
            column("disk_read_p99_s", "DISK READ p99", Seconds, |place| {
                p99(place, "biolatency.read")
            }),
            column("disk_write_p99_s", "DISK WRITE p99", Seconds, |place| {
                p99(place, "biolatency.write")
            }),
        ],
    ),
];

/// What 99 of 100 of the times of that name did not exceed; nothing where none was measured.
fn p99(place: &NumbersPlace, name: &str) -> Option<f64> {
    let of = place.histograms.iter().filter(|grown| grown.series.name == name);
    let buckets: Vec<(u16, u64)> = of.flat_map(|grown| grown.buckets.iter().copied()).collect();
    let times = Distribution::of(&buckets);
    (times.count > 0).then(|| times.percentile(99) as f64 / 1e9)
}

/// The columns of a view, and those of probes that are read beside the view's own: of the first view that is about such a probe.
pub fn columns_with(view: &'static View, probes: &[String]) -> Vec<&'static ViewColumn> {
    let mut columns: Vec<&'static ViewColumn> = view.columns.iter().collect();
    for probe in probes.iter().filter(|probe| !view.probes.contains(&probe.as_str())) {
        let measured = MEASURED
            .iter()
            .find(|(name, _)| name == probe)
            .map(|(_, columns)| *columns);
        let of_view = || VIEWS.iter().find(|other| other.probes.first() == Some(&probe.as_str()));
        let added = measured
            .or_else(|| of_view().map(|other| other.columns))
            .unwrap_or_default();
        for column in added {
            if !columns.iter().any(|known| known.column.key == column.column.key) {
                columns.push(column);
            }
        }
    }
    columns
}

/// The view of that name.
pub fn find(name: &str) -> Option<&'static View> {
    VIEWS.iter().find(|view| view.name == name)
}

#[cfg(test)]
mod tests {
    use super::{VIEWS, columns_with};
    use std::collections::BTreeSet;

    #[test]
    fn columns_of_a_view_have_keys_of_their_own() {
        for view in VIEWS {
            let keys: BTreeSet<&str> = view.columns.iter().map(|of| of.column.key).collect();
            assert_eq!(keys.len(), view.columns.len(), "{}", view.name);
        }
    }

    #[test]
    fn a_probe_that_is_added_brings_its_columns() {
        let headings = |added: &[&str]| {
            let probes: Vec<String> = added.iter().map(|name| (*name).to_owned()).collect();
            let columns = columns_with(&VIEWS[0], &probes).into_iter();
            columns
                .map(|of| of.column.heading)
                .skip(VIEWS[0].columns.len())
                .collect::<Vec<_>>()
        };
        assert_eq!(headings(&["tcp"]), [""; 0]);
        assert_eq!(headings(&["socketlatency"]), ["READ p99", "WRITE p99"]);
        assert_eq!(headings(&["io"])[..2], ["READ", "WRITTEN"]);
    }
}
