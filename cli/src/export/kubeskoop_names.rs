//! The names by which the predecessor's exporter (`KubeSkoop`) told numbers that both have, so that its dashboards go on. Pure.
//!
//! There all are gauges, one for each pod: what we tell by interface, CPU or process is added up.

use super::metric_names::{MetricName, MetricScale, plain};
use super::metric_set::MetricSet;
use super::place_labels::{PlaceLabels, labels_of};
use crate::numbers::NumbersPlace;
use model::numbers;
use model::predecessor;
use model::series::{Series, SeriesKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A number of ours and its name there.
const NAMES: &[(&str, &str)] = &[
    ("netdev.rx_bytes", "netdev_rxbytes"),
    ("netdev.tx_bytes", "netdev_txbytes"),
    ("netdev.rx_packets", "netdev_rxpackets"),
    ("netdev.tx_packets", "netdev_txpackets"),
    ("netdev.rx_errors", "netdev_rxerrors"),
    ("netdev.tx_errors", "netdev_txerrors"),
    ("netdev.rx_dropped", "netdev_rxdropped"),
    ("netdev.tx_dropped", "netdev_txdropped"),
    ("qdisc.bytes", "qdisc_bytes"),
    ("qdisc.packets", "qdisc_packets"),
    ("qdisc.drops", "qdisc_drops"),
    ("qdisc.overlimits", "qdisc_overlimits"),
    ("qdisc.backlog_bytes", "qdisc_backlog"),
    ("qdisc.backlog_packets", "qdisc_qlen"),
    ("softnet.processed", "softnet_processed"),
    ("softnet.dropped", "softnet_dropped"),
    ("conntrack.entries", "conntrack_entries"),
    ("conntrack.limit", "conntrack_maxentries"),
    ("conntrack.found", "conntrack_found"),
    ("conntrack.invalid", "conntrack_invalid"),
    ("conntrack.insert", "conntrack_insert"),
    ("conntrack.insert_failed", "conntrack_insertfailed"),
    ("conntrack.drop", "conntrack_drop"),
    ("conntrack.early_drop", "conntrack_earlydrop"),
    ("conntrack.icmp_error", "conntrack_error"),
    ("conntrack.search_restart", "conntrack_searchrestart"),
    ("sock.tcp", "sock_inuse"),
    ("sock.tcp_time_wait", "sock_tw"),
    ("sockmem.orphaned", "sock_orphan"),
    ("tcpsummary.unread", "tcpsummary_tcprxqueue"),
    ("tcpsummary.unacknowledged", "tcpsummary_tcptxqueue"),
    ("fd.open", "fd_openfd"),
    ("fd.sockets", "fd_opensocket"),
    ("io.read_bytes", "io_readbytes"),
    ("io.written_bytes", "io_writebytes"),
];

/// Sockets of a state.
const STATES: &[(&str, &str)] = &[
    ("ESTABLISHED", "tcpsummary_tcpestablishedconn"),
    ("TIME_WAIT", "tcpsummary_tcptimewaitconn"),
    ("CLOSE_WAIT", "tcpsummary_tcpclosewaitconn"),
    ("SYN_SENT", "tcpsummary_tcpsynsentconn"),
    ("SYN_RECV", "tcpsummary_tcpsynrecvconn"),
];

/// Tables of the kernel whose counters have its own names there, in small letters.
const TABLES: &[(&str, &str)] = &[("Tcp", "tcp"), ("TcpExt", "tcpext"), ("Udp", "udp"), ("Ip", "ip")];

/// Its probes whose events are counted there.
const COUNTED: [&str; 2] = ["packetloss", "tcpretrans"];

/// Its name there; none where it is not told there.
pub fn of(series: &Series) -> Option<MetricName> {
    let label = |name: &str| series.labels.get(name).map_or("", String::as_str);
    let (probe, _) = series.name.split_once('.')?;
    let told = match probe {
        "netdev" => label("interface") != "lo",
        "qdisc" => label("interface").starts_with("eth"),
        _ => true,
    };
    let named = |names: &[(&str, &'static str)], key: &str| {
        let found = names.iter().find(|(ours, _)| *ours == key);
        found.map(|(_, theirs)| (*theirs).to_owned())
    };
    let name = match series.name.split_once('.') {
        Some(("tcpsummary", "sockets")) => named(STATES, label("state")),
        Some((table, counter)) => named(NAMES, &series.name)
            .or_else(|| named(TABLES, table).map(|probe| format!("{probe}_{}", counter.to_lowercase()))),
        None => None,
    };
    let help = numbers::help_of(&series.name).unwrap_or("a counter of the kernel");
    let name = name.filter(|_| told)?;
    Some(MetricName {
        family: plain(&format!("kubeskoop_{name}")),
        unit: "",
        scale: MetricScale::One,
        kind: SeriesKind::Gauge,
        help: format!("{}: {help}", series.name),
    })
}

/// The numbers of places that were told there: one sum for each place.
pub fn add_places(set: &mut MetricSet, places: &[NumbersPlace]) {
    for (place, whose) in places.iter().zip(labels_of(places)) {
        let mut sums: BTreeMap<String, (MetricName, u64)> = BTreeMap::new();
        for moved in &place.movements {
            if let Some(name) = of(moved.series) {
                let sum = sums.entry(name.family.clone()).or_insert((name, 0));
                sum.1 = sum.1.saturating_add(moved.now);
            }
        }
        for (name, sum) in sums.into_values() {
            set.add(&name, (Arc::default(), labels(&whose), sum));
        }
    }
}

/// The counter of a probe's events there.
pub fn of_events(probe: &str) -> Option<MetricName> {
    let tells = |theirs: &&str| predecessor::find(theirs).is_some_and(|theirs| theirs.ours.contains(&probe));
    let theirs = COUNTED.into_iter().find(|theirs| tells(theirs))?;
    Some(MetricName {
        family: format!("kubeskoop_{theirs}"),
        unit: "",
        scale: MetricScale::One,
        kind: SeriesKind::Counter,
        help: format!("events of probe {probe} that were told one by one since the export began"),
    })
}

/// Whose a number is, in the labels there; what is no pod has its place, too.
pub fn labels(place: &PlaceLabels) -> Vec<(String, String)> {
    let netns = place.netns.map(|netns| netns.to_string()).unwrap_or_default();
    [
        ("k8s_node", &place.node),
        ("k8s_namespace", &place.namespace),
        ("k8s_pod", &place.pod),
        ("place", &place.place),
        ("netns", &netns),
    ]
    .map(|(name, value)| (name.to_owned(), value.clone()))
    .to_vec()
}

#[cfg(test)]
mod tests {
    use super::{NAMES, add_places, of};
    use crate::export::metric_set::MetricSet;
    use crate::export::metric_set::tests::{place, series};
    use crate::export::openmetrics_text::{MetricsDialect, text};
    use model::numbers;

    #[test]
    fn numbers_that_both_have_are_called_as_they_were() {
        for (name, labels, theirs) in [
            ("Tcp.RetransSegs", &[][..], Some("kubeskoop_tcp_retranssegs")),
            (
                "TcpExt.TCPACKSkippedPAWS",
                &[],
                Some("kubeskoop_tcpext_tcpackskippedpaws"),
            ),
            ("Udp.RcvbufErrors", &[], Some("kubeskoop_udp_rcvbuferrors")),
            ("Udp6.RcvbufErrors", &[], None),
            (
                "netdev.rx_bytes",
                &[("interface", "eth0")],
                Some("kubeskoop_netdev_rxbytes"),
            ),
            ("netdev.rx_bytes", &[("interface", "lo")], None),
            ("qdisc.drops", &[("interface", "docker0")], None),
            (
                "tcpsummary.sockets",
                &[("state", "CLOSE_WAIT")],
                Some("kubeskoop_tcpsummary_tcpclosewaitconn"),
            ),
            ("cpu.used", &[], None),
        ] {
            let named = of(&series(name, labels)).map(|name| name.family);
            assert_eq!(named.as_deref(), theirs, "{name} {labels:?}");
        }
    }

    #[test]
    fn by_the_predecessors_names_interfaces_are_added_up_and_what_it_did_not_tell_is_left_out() {
        let numbers = [
            (series("netdev.rx_bytes", &[("interface", "eth0")]), 5),
            (series("netdev.rx_bytes", &[("interface", "eth1")]), 7),
            (series("netdev.rx_bytes", &[("interface", "lo")]), 1000),
            (series("Tcp.RetransSegs", &[]), 3),
            (series("cpu.used", &[]), 9),
        ];
        let mut set = MetricSet::with_room(0, 100);
        add_places(&mut set, &[place(("shop", "web-1", 7), &numbers)]);
        set.settle();
        let text = text(&set, MetricsDialect::Classic);
        let expected = r#"# TYPE kubeskoop_netdev_rxbytes gauge
# HELP kubeskoop_netdev_rxbytes netdev.rx_bytes: bytes received by an interface
kubeskoop_netdev_rxbytes{k8s_namespace="shop",k8s_node="n1",k8s_pod="web-1"} 12
# TYPE kubeskoop_tcp_retranssegs gauge
# HELP kubeskoop_tcp_retranssegs Tcp.RetransSegs: segments sent again
kubeskoop_tcp_retranssegs{k8s_namespace="shop",k8s_node="n1",k8s_pod="web-1"} 3
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn every_name_is_that_of_a_number_we_have() {
        for (ours, _) in NAMES {
            assert!(numbers::of(ours).is_some(), "{ours}");
        }
    }
}
