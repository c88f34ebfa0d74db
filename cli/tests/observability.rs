//! What is exported arrives in real servers as it was: Prometheus, `VictoriaLogs`, OpenTelemetry's collector.
//!
//! Needs root, a client that finds its helper, and servers that `make observability` builds.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are a test's")]
#![cfg(target_os = "linux")]

#[path = "skoop/exporting.rs"]
mod exporting;
#[path = "skoop/servers.rs"]
mod servers;
mod skoop;

use exporting::{READING, Swallowing, begin_export, reading, value};
use serde_json::Value;
use servers::{RealServer, Samples, free_port, samples_of};
use skoop::{ended, signal, soon};
use std::process::Child;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What reads and sees the faults.
const PROBES: &str = "udp,tcp,netdev,sock,tcpsummary,tcpreset,drop,dns,socketlatency";

/// What dashboards show.
const EVERYTHING: &str = "netdev,qdisc,softnet,sock,sockmem,tcpsummary,conntrack,fd,io,cpu,tcp,udp,tcpext,ip,socketlatency,kernellatency,biolatency,tcpreset,drop,dns,tcpretrans,icmp,neigh,udpbuf";

/// An export that goes on, of a namespace in which nothing happens any more.
struct FaultRun {
    netns: Swallowing,
    export: Child,
    folder: TempDir,
}

impl FaultRun {
    /// Connections are refused, datagrams dropped, names not found, and messages read late, while it is exported.
    fn exported(name: &str, sinks: &str) -> Option<Self> {
        let (netns, folder) = (Swallowing::new(name), TempDir::new().unwrap());
        let export = reading(&netns, PROBES, sinks, folder.path())?;
        netns.be_refused(9);
        netns.be_dropped(5);
        netns.look_up_in_vain(3);
        netns.read_late(7);
        netns.send(13);
        let run = Self { netns, export, folder };
        soon("all faults in a reading", || {
            let text = run.reading();
            let all = FAULTS.iter().all(|(name, labels, count)| {
                let place = run.netns.place();
                let labels: Vec<&str> = labels.iter().copied().chain([place.as_str()]).collect();
                value(&text, name, &labels) == Some(*count)
            });
            all.then_some(())
        });
        Some(run)
    }

    /// The last reading.
    fn reading(&self) -> String {
        std::fs::read_to_string(self.folder.path().join(READING)).unwrap()
    }

    /// Ends it, and gives its last reading.
    fn ended(self) -> Samples {
        signal(&self.export, "INT");
        let path = self.folder.path().join(READING);
        let run = ended(self.export);
        assert!(!run.err.contains("did not go out"), "{run:?}");
        samples_of(&std::fs::read_to_string(path).unwrap())
    }
}

/// Each fault as it is counted.
const FAULTS: &[(&str, &[&str], u64)] = &[
    (
        "skoop_tcpreset_events_total",
        &["what=\"reset-sent\"", "reason=\"NO_SOCKET\""],
        9,
    ),
    ("skoop_drop_events_total", &["reason=\"NETFILTER_DROP\""], 5),
    (
        "skoop_dns_events_total",
        &["what=\"dns-answer\"", "reason=\"NXDOMAIN\""],
        3,
    ),
    ("skoop_udp_OutDatagrams_total", &[], 13 + 2 * 3),
    ("skoop_socketlatency_read_seconds_count", &["protocol=\"tcp\""], 7),
];

/// Without what an export says of itself, which goes on.
fn of_the_namespace(samples: &Samples) -> Samples {
    let own = |name: &String| name.starts_with("skoop_export_");
    samples
        .iter()
        .filter(|(name, _)| !own(name))
        .map(|(name, value)| (name.clone(), *value))
        .collect()
}

/// What is not the same, or not there, among those: as it should be, and as it is. A time in nanoseconds may be rounded twice on its
/// way to a number of seconds.
fn differing(exported: &Samples, there: &Samples) -> Vec<(String, f64, Option<f64>)> {
    let same = |value: f64, there: f64| (value - there).abs() <= value.abs() * f64::EPSILON;
    let all = exported
        .iter()
        .map(|(name, value)| (name.clone(), *value, there.get(name).copied()));
    all.filter(|(_, value, there)| !there.is_some_and(|there| same(*value, there)))
        .collect()
}

/// All of them come to be there, each as it was exported last: a socket that goes its way meanwhile is another number.
#[track_caller]
fn are_there(exported: impl Fn() -> Samples, look: impl Fn() -> Samples) {
    let begun = Instant::now();
    loop {
        let differing = differing(&exported(), &look());
        if differing.is_empty() {
            return;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{differing:#?}");
        std::thread::sleep(Duration::from_millis(100));
    }
}

#[test]
fn prometheus_has_what_was_exported_by_scraping_and_by_remote_write() {
    let served = free_port();
    let Some(prometheus) = RealServer::prometheus(served) else {
        return;
    };
    let sinks = format!(
        "--to prometheus={served} --to remote-write=http://{}",
        prometheus.address
    );
    let Some(run) = FaultRun::exported("prometheus", &sinks) else {
        return;
    };
    let reading = || of_the_namespace(&samples_of(&run.reading()));
    let exported = reading();
    assert!(exported.len() > 100, "{exported:#?}");
    for job in ["skoop", "protobuf"] {
        are_there(reading, || {
            of_the_namespace(&prometheus.samples(&format!(r#"{{__name__=~"skoop_.+",job="{job}"}}"#)))
        });
    }
    // The same distributions as native histograms: Prometheus' own count of each bucket is ours.
    let buckets = soon("native histograms", || {
        let found = prometheus.queried(r#"skoop_socketlatency_read_seconds{job="native",protocol="tcp"}"#);
        found
            .into_iter()
            .find_map(|series| series["histogram"][1]["buckets"].as_array().cloned())
    });
    assert_eq!(
        native(&buckets),
        classic(&exported, "skoop_socketlatency_read_seconds_bucket", "protocol=tcp")
    );
    let last = run.ended();
    let written = prometheus.samples(r#"last_over_time({__name__=~"skoop_.+",job=""}[5m])"#);
    assert!(
        differing(&last, &written).is_empty(),
        "{:#?}",
        differing(&last, &written)
    );
    let now = prometheus.queried(r#"{__name__=~"skoop_.+",job=""}"#);
    assert!(now.is_empty(), "series go on after the end: {now:#?}");
}

/// What fell into each bucket that is not empty, by its upper bound.
fn native(buckets: &[Value]) -> Vec<(String, f64)> {
    let text = |bucket: &Value, at: usize| bucket[at].as_str().unwrap().to_owned();
    buckets
        .iter()
        .map(|bucket| (text(bucket, 2), text(bucket, 3).parse().unwrap()))
        .collect()
}

/// The same of classic buckets, each of which has all that is below it.
fn classic(samples: &Samples, name: &str, label: &str) -> Vec<(String, f64)> {
    let mut below: Vec<(f64, String, f64)> = samples
        .iter()
        .filter(|(series, _)| series.starts_with(&format!("{name} ")) && series.contains(label))
        .map(|(series, count)| {
            let bound = series.split(' ').find_map(|label| label.strip_prefix("le=")).unwrap();
            (bound.parse().unwrap(), bound.to_owned(), *count)
        })
        .collect();
    below.sort_by(|one, other| one.0.total_cmp(&other.0));
    let mut before = 0.0;
    let within = below
        .into_iter()
        .map(|(_, bound, count)| (bound, count - std::mem::replace(&mut before, count)));
    within.filter(|(_, count)| *count > 0.0).collect()
}

/// Fields of a log line that say what was seen, and where.
type Told<'a> = &'a [(&'a str, &'a str)];

/// So many lines of these fields are found, each with the event itself.
#[track_caller]
fn are_told(logs: &RealServer, stream: &str, fields: Told<'_>, count: usize) {
    let query = format!(
        "{{{stream}}} {}",
        fields
            .iter()
            .map(|(name, value)| format!("{name:?}:={value:?}"))
            .collect::<Vec<_>>()
            .join(" ")
    );
    let begun = Instant::now();
    while logs.logs(&query).len() != count {
        let late = begun.elapsed() > Duration::from_secs(20);
        assert!(
            !late,
            "{query}: {:#?}, of {:#?}",
            logs.logs(&query),
            logs.logs("* | limit 3")
        );
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn victoria_logs_finds_every_event_by_its_labels_however_it_was_sent() {
    let Some(logs) = RealServer::victoria_logs() else {
        return;
    };
    let sinks = format!(
        "--to loki=http://{0}/insert --to elasticsearch=http://{0}/insert/elasticsearch?_msg_field=message&_time_field=@timestamp&_stream_fields=host.name",
        logs.address
    );
    let Some(run) = FaultRun::exported("logs", &sinks) else {
        return;
    };
    let place = format!("netns/{}", run.netns.0.name);
    are_told(
        &logs,
        "node!=\"\"",
        &[("place", &place), ("what", "reset-sent"), ("reason", "NO_SOCKET")],
        9,
    );
    are_told(
        &logs,
        "node!=\"\"",
        &[("place", &place), ("what", "drop"), ("reason", "NETFILTER_DROP")],
        5,
    );
    are_told(
        &logs,
        "\"host.name\"!=\"\"",
        &[("labels.place", &place), ("event.action", "reset-sent")],
        9,
    );
    are_told(
        &logs,
        "\"host.name\"!=\"\"",
        &[
            ("labels.place", &place),
            ("event.reason", "NXDOMAIN"),
            ("dns.question.name", "shop.example"),
        ],
        3,
    );
    run.ended();
}

#[test]
fn a_collector_gives_on_all_that_it_was_given() {
    let (Some(prometheus), Some(logs)) = (RealServer::prometheus(free_port()), RealServer::victoria_logs()) else {
        return;
    };
    let Some(collector) = RealServer::collector(&prometheus, &logs) else {
        return;
    };
    let Some(run) = FaultRun::exported("collector", &format!("--to otlp=http://{}", collector.address)) else {
        return;
    };
    let place = format!("netns/{}", run.netns.0.name);
    are_told(
        &logs,
        "\"skoop.place\"!=\"\"",
        &[
            ("skoop.place", &place),
            ("skoop.what", "reset-sent"),
            ("skoop.reason", "NO_SOCKET"),
        ],
        9,
    );
    let last = run.ended();
    // Whose it is stands in the resource, by which Prometheus tells instances apart.
    let of_the_namespace: Samples = of_the_namespace(&last)
        .into_iter()
        .filter(|(name, _)| name.contains(&place))
        .map(|(name, value)| (without_place(&name), value))
        .collect();
    are_there(
        || of_the_namespace.clone(),
        || {
            let there = prometheus.samples(&format!(
                r#"last_over_time({{__name__=~"skoop_.+",instance=~".*{place}"}}[5m])"#
            ));
            there
                .into_iter()
                .map(|(name, value)| (without_place(&name), value))
                .collect()
        },
    );
}

/// A series without the labels that say whose it is. What comes by OTLP has its bounds written out by Prometheus, so they are
/// compared as numbers.
fn without_place(series: &str) -> String {
    let (name, labels) = series.split_once(' ').unwrap();
    let labels = labels
        .split(' ')
        .filter(|label| !label.starts_with("node=") && !label.starts_with("place="));
    let labels: Vec<String> = labels
        .map(|label| match label.strip_prefix("le=") {
            Some(bound) => format!("le={}", bound.trim_start_matches('+').parse::<f64>().unwrap()),
            None => label.to_owned(),
        })
        .collect();
    format!("{name} {}", labels.join(" "))
}

/// A dashboard that is checked in.
fn dashboards() -> Vec<Value> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../deploy/grafana");
    ["overview", "pod", "node", "events"]
        .iter()
        .map(|name| serde_json::from_str(&std::fs::read_to_string(format!("{folder}/{name}.json")).unwrap()).unwrap())
        .collect()
}

/// As Grafana asks it where everything is chosen.
fn with_all_chosen(query: &str) -> String {
    let chosen = [
        ("$node", ".*"),
        ("$namespace", ".*"),
        ("$pod", ".*"),
        ("$__rate_interval", "5s"),
    ];
    chosen.iter().fold(query.to_owned(), |query, (variable, value)| {
        query.replace(variable, value)
    })
}

#[test]
fn every_query_of_the_dashboards_finds_numbers_of_a_fault() {
    let Some(prometheus) = RealServer::prometheus(free_port()) else {
        return;
    };
    let (netns, folder) = (Swallowing::new("dashboards"), TempDir::new().unwrap());
    let asked = format!("--probe {EVERYTHING} --to remote-write=http://{}", prometheus.address);
    let Some(export) = begin_export(&asked, folder.path()) else {
        return;
    };
    // What happens in its first interval was never seen not to be.
    let read = format!("skoop_tcp_RtoMin{{{}}} offset $__rate_interval", netns.place());
    soon("an interval of readings", || {
        let read = prometheus.queried(&with_all_chosen(&read));
        (!read.is_empty()).then_some(())
    });
    netns.be_refused(9);
    netns.be_dropped(5);
    netns.look_up_in_vain(3);
    netns.read_late(7);
    netns.send_in_a_circle(4);
    let asked: Vec<(String, String)> = dashboards()
        .iter()
        .flat_map(|board| {
            let panels = board["panels"].as_array().unwrap();
            let panels = panels
                .iter()
                .filter(|panel| panel["datasource"]["type"] == "prometheus");
            panels.flat_map(|panel| {
                let title = format!("{}: {}", board["title"], panel["title"]);
                let targets = panel["targets"].as_array().unwrap();
                targets
                    .iter()
                    .map(move |target| (title.clone(), with_all_chosen(target["expr"].as_str().unwrap())))
            })
        })
        .collect();
    assert!(asked.len() > 100, "{asked:?}");
    let mut unanswered = Vec::new();
    let all = (0..100).any(|_| {
        unanswered = asked
            .iter()
            .filter(|(_, query)| prometheus.queried(query).is_empty())
            .collect();
        unanswered.is_empty()
    });
    assert!(all, "{unanswered:#?}");
    // The first reset of a namespace is one more than none.
    let (_, resets) = asked
        .iter()
        .find(|(title, _)| title.ends_with("\"Resets sent\""))
        .unwrap();
    soon("the resets on the overview", || {
        let most = prometheus.queried(&format!("max_over_time(({resets})[1m:500ms])"));
        let place = format!("netns/{}", netns.0.name);
        let ours = most
            .into_iter()
            .find(|series| series["metric"]["place"] == place.as_str())?;
        // Prometheus reckons beyond the samples of an interval, so it may be a little more.
        let grown: f64 = ours["value"][1].as_str()?.parse().ok()?;
        (9.0..14.0).contains(&grown).then_some(())
    });
    signal(&export, "INT");
    ended(export);
}
