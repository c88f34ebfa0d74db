//! The names by which the predecessor's exporter (`KubeSkoop`) told numbers that both have, so that its dashboards go on. Pure.
//!
//! There all are gauges, one for each pod: what we tell by interface, CPU or process is added up.

use super::metric_names::{MetricName, MetricScale, plain};
use super::metric_set::MetricSet;
use super::place_labels::{PlaceLabels, labels_of};
use crate::numbers::NumbersPlace;
use model::kernel_counters::COUNTERS;
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
    let name = match series.name.as_str() {
        "tcpsummary.sockets" => named(STATES, label("state")),
        name => named(NAMES, name).or_else(|| of_table(name)),
    };
    let name = name.filter(|_| told)?;
    Some(metric(&series.name, &name))
}

/// The name there of a counter of the kernel's tables.
fn of_table(name: &str) -> Option<String> {
    let (table, counter) = name.split_once('.')?;
    let (_, probe) = TABLES.iter().find(|(ours, _)| *ours == table)?;
    Some(format!("{probe}_{}", counter.to_lowercase()))
}

fn metric(ours: &str, theirs: &str) -> MetricName {
    let help = numbers::help_of(ours).unwrap_or("a counter of the kernel");
    MetricName {
        family: plain(&format!("kubeskoop_{theirs}")),
        unit: "",
        scale: MetricScale::One,
        kind: SeriesKind::Gauge,
        help: format!("{ours}: {help}"),
    }
}

/// Every number that both have and whose name is known before it is met, by our name.
fn known() -> Vec<(&'static str, MetricName)> {
    let named = NAMES.iter().map(|(ours, theirs)| (*ours, (*theirs).to_owned()));
    let states = STATES
        .iter()
        .map(|(_, theirs)| ("tcpsummary.sockets", (*theirs).to_owned()));
    let counters = COUNTERS
        .iter()
        .filter_map(|counter| Some((counter.name, of_table(counter.name)?)));
    let all = named.chain(states).chain(counters);
    all.map(|(ours, theirs)| (ours, metric(ours, &theirs))).collect()
}

/// The probe that reads this number reads it at this place.
fn reads(place: &NumbersPlace, number: &str) -> bool {
    let is_of_node = numbers::is_of_node(numbers::probe_of(number));
    place.reads(number) && is_of_node == (place.netns == 0)
}

/// The numbers of places that were told there: one sum for each place. What was read is told even if it has always been zero, of which
/// helpers do not speak: a panel that adds it to something else would be empty.
pub fn add_places(set: &mut MetricSet, places: &[NumbersPlace]) {
    let known = known();
    for (place, whose) in places.iter().zip(labels_of(places)) {
        let read = known.iter().filter(|(number, _)| reads(place, number));
        let mut sums: BTreeMap<String, (MetricName, u64)> =
            read.map(|(_, name)| (name.family.clone(), (name.clone(), 0))).collect();
        let outer = place.outer_interfaces();
        let leads_out = |series: &Series| match series.labels.get("interface") {
            Some(interface) if series.name.starts_with("netdev.") => outer.contains(interface.as_str()),
            _ => true,
        };
        for moved in place.movements.iter().filter(|moved| leads_out(moved.series)) {
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
        // Its dashboard of nodes asks by this one.
        ("node", &place.node),
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
kubeskoop_netdev_rxbytes{k8s_namespace="shop",k8s_node="n1",k8s_pod="web-1",node="n1"} 12
# TYPE kubeskoop_tcp_retranssegs gauge
# HELP kubeskoop_tcp_retranssegs Tcp.RetransSegs: segments sent again
kubeskoop_tcp_retranssegs{k8s_namespace="shop",k8s_node="n1",k8s_pod="web-1",node="n1"} 3
"#;
        assert_eq!(text, expected);
    }

    #[test]
    fn what_was_read_and_never_was_more_than_zero_is_told_as_zero_where_it_was_read() {
        let numbers = [(series("sock.tcp", &[]), 2)];
        let mut places = [place(("shop", "web-1", 7), &numbers), place(("", "n1", 0), &[])];
        for place in &mut places {
            place.probes = vec!["sock", "sockmem", "tcp", "tcpsummary"];
        }
        let mut set = MetricSet::with_room(0, 1_000);
        add_places(&mut set, &places);
        set.settle();
        let text = text(&set, MetricsDialect::Classic);
        let web = r#"{k8s_namespace="shop",k8s_node="n1",k8s_pod="web-1",node="n1"}"#;
        let node = r#"{k8s_node="n1",node="n1"}"#;
        for line in [
            format!("kubeskoop_sock_inuse{web} 2"),
            format!("kubeskoop_sock_tw{web} 0"),
            format!("kubeskoop_tcp_retranssegs{web} 0"),
            format!("kubeskoop_tcpsummary_tcpsynsentconn{web} 0"),
            format!("kubeskoop_sock_orphan{node} 0"),
        ] {
            assert!(text.lines().any(|told| told == line), "{line} is not in {text}");
        }
        for name in [
            format!("kubeskoop_sock_inuse{node}"),
            format!("kubeskoop_sock_orphan{web}"),
            "kubeskoop_udp_".to_owned(),
        ] {
            assert!(!text.contains(&name), "nobody read {name}: {text}");
        }
        assert_eq!(set.left_out, 0);
    }

    #[test]
    fn of_a_node_its_devices_are_added_up_and_not_what_passes_them_once_more() {
        let numbers = [
            (series("netdev.rx_bytes", &[("interface", "ens3")]), 5),
            (
                series("netdev.rx_bytes", &[("interface", "cni0"), ("kind", "bridge")]),
                4,
            ),
        ];
        let mut set = MetricSet::with_room(0, 100);
        add_places(&mut set, &[place(("", "n1", 1), &numbers)]);
        let samples = &set.families["kubeskoop_netdev_rxbytes"].samples;
        assert_eq!(samples.iter().map(|sample| sample.value.read).collect::<Vec<_>>(), [5]);
    }

    #[test]
    fn every_name_is_that_of_a_number_we_have() {
        for (ours, _) in NAMES {
            assert!(numbers::of(ours).is_some(), "{ours}");
        }
    }
}
