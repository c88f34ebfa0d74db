//! Metrics as text: `OpenMetrics` (version 1.0), or the older classic one of Prometheus (version 0.0.4). Pure.

use super::metric_set::MetricSet;
use super::place_labels::PlaceLabels;
use model::letter::is_plain;
use model::series::SeriesKind;
use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricsDialect {
    /// With units, and a mark at the end.
    OpenMetrics,
    /// Without both; a counter's family has the name of its samples.
    Classic,
}

impl MetricsDialect {
    /// What the text is, as HTTP says it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// The whole text.
pub fn text(set: &MetricSet, dialect: MetricsDialect) -> String {
    let open = dialect == MetricsDialect::OpenMetrics;
    let mut text = String::new();
    let mut places: HashMap<*const PlaceLabels, String> = HashMap::new();
    for (family, samples) in &set.families {
        let name = &samples.name;
        let (kind, suffix) = match name.kind {
            SeriesKind::Counter => ("counter", "_total"),
            SeriesKind::Gauge => ("gauge", ""),
            SeriesKind::Histogram => ("histogram", ""),
        };
        let of_family = if open { "" } else { suffix };
        let _ = writeln!(text, "# TYPE {family}{of_family} {kind}");
        if !name.unit.is_empty() && open {
            let _ = writeln!(text, "# UNIT {family} {}", name.unit);
        }
        let help = escaped(&name.help);
        // The classic text escapes no quotes there.
        let help = if open { help } else { help.replace("\\\"", "\"").into() };
        let _ = writeln!(text, "# HELP {family}{of_family} {help}");
        for sample in &samples.samples {
            text.push_str(family);
            text.push_str(suffix);
            // Many samples are of one place, whose labels are written once.
            let place = places.entry(Arc::as_ptr(&sample.place)).or_insert_with(|| {
                let mut labels = String::new();
                for (label, value) in sample.place.pairs() {
                    add_label(&mut labels, label, &value);
                }
                labels
            });
            let mut between = if place.is_empty() { '{' } else { ',' };
            text.push_str(place);
            for (label, value) in sample.labels.iter().filter(|(_, value)| !value.is_empty()) {
                text.push(between);
                between = ',';
                add_text(&mut text, label, value);
            }
            if between == ',' {
                text.push('}');
            }
            let _ = writeln!(text, " {}", sample.value);
        }
        for histogram in &samples.histograms {
            for (ending, bound, value) in histogram.series() {
                text.push_str(family);
                text.push_str(ending);
                let mut labels = String::new();
                for (label, value) in histogram.pairs() {
                    add_label(&mut labels, &label, &value);
                }
                if let Some(bound) = bound {
                    add_label(&mut labels, "le", &bound);
                }
                let end = if labels.is_empty() { "" } else { "}" };
                let _ = writeln!(text, "{labels}{end} {value}");
            }
        }
    }
    if open {
        text.push_str("# EOF\n");
    }
    text
}

/// One of several labels, the first of which opens them.
fn add_label(labels: &mut String, label: &str, value: &str) {
    labels.push(if labels.is_empty() { '{' } else { ',' });
    add_text(labels, label, value);
}

fn add_text(text: &mut String, label: &str, value: &str) {
    let _ = write!(text, "{label}=\"{}\"", escaped(value));
}

/// As the format wants it; letters that hide or move a cursor are spelled, since the text is read by people, too.
fn escaped(text: &str) -> Cow<'_, str> {
    if text
        .chars()
        .all(|letter| is_plain(letter) && !matches!(letter, '\\' | '"'))
    {
        return text.into();
    }
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => escaped.push_str("\\\\"),
            '"' => escaped.push_str("\\\""),
            '\n' => escaped.push_str("\\n"),
            letter if is_plain(letter) => escaped.push(letter),
            letter => letter.escape_default().for_each(|letter| match letter {
                '\\' => escaped.push_str("\\\\"),
                letter => escaped.push(letter),
            }),
        }
    }
    escaped.into()
}

#[cfg(test)]
mod tests {
    use super::super::metric_set::MetricSet;
    use super::super::metric_set::tests::{measured, place, series};
    use super::MetricsDialect::{Classic, OpenMetrics};
    use super::text;
    use std::io::Write as _;
    use std::process::{Command, Stdio};

    fn sample() -> MetricSet {
        let web = [
            (series("Tcp.RetransSegs", &[]), 41),
            (series("netdev.rx_bytes", &[("interface", "eth0")]), 1 << 60),
            (series("cpu.used", &[]), 1_250_000),
            (series("tcpsummary.sockets", &[("state", "LISTEN")]), 3),
        ];
        let odd = [(series("fd.open", &[("process", "a\"b\\c\nd\u{1b}[2J")]), 9)];
        let node = [(series("softnet.dropped", &[("cpu", "0")]), 0)];
        let places = [
            place(("shop", "web-1", 7), &web),
            place(("", "netns/a", 8), &odd),
            place(("", "n1", 0), &node),
        ];
        let mut set = MetricSet::with_room(0, 100);
        set.add_places(&places);
        set.settle();
        set
    }

    #[test]
    fn every_family_has_its_type_unit_and_help_and_the_text_its_end() {
        let expected = r#"# TYPE skoop_cpu_used_seconds counter
# UNIT skoop_cpu_used_seconds seconds
# HELP skoop_cpu_used_seconds time on a CPU
skoop_cpu_used_seconds_total{node="n1",namespace="shop",pod="web-1"} 1.25
# TYPE skoop_fd_open gauge
# HELP skoop_fd_open open file descriptors of a process
skoop_fd_open{node="n1",place="netns/a",process="a\"b\\c\nd\\u{1b}[2J"} 9
# TYPE skoop_netdev_rx_bytes counter
# UNIT skoop_netdev_rx_bytes bytes
# HELP skoop_netdev_rx_bytes bytes received by an interface
skoop_netdev_rx_bytes_total{node="n1",namespace="shop",pod="web-1",interface="eth0"} 1152921504606846976
# TYPE skoop_softnet_dropped counter
# HELP skoop_softnet_dropped packets dropped because a CPU's backlog was full
skoop_softnet_dropped_total{node="n1",cpu="0"} 0
# TYPE skoop_tcp_RetransSegs counter
# HELP skoop_tcp_RetransSegs Tcp.RetransSegs: segments sent again
skoop_tcp_RetransSegs_total{node="n1",namespace="shop",pod="web-1"} 41
# TYPE skoop_tcpsummary_sockets gauge
# HELP skoop_tcpsummary_sockets TCP sockets by state
skoop_tcpsummary_sockets{node="n1",namespace="shop",pod="web-1",state="LISTEN"} 3
# EOF
"#;
        assert_eq!(text(&sample(), OpenMetrics), expected);
        assert_eq!(text(&MetricSet::default(), OpenMetrics), "# EOF\n");
    }

    #[test]
    fn a_distribution_is_told_by_its_bounds_its_sum_and_its_number() {
        let read = series("socketlatency.read", &[("protocol", "tcp")]);
        let mut set = MetricSet::with_room(0, 100);
        set.add_places(&[measured(("web-1", 7), &read)]);
        set.settle();
        let told = text(&set, OpenMetrics);
        assert!(
            told.starts_with(
                "# TYPE skoop_socketlatency_read_seconds histogram
# UNIT skoop_socketlatency_read_seconds seconds
"
            ),
            "{told}"
        );
        let web = r#"{node="n1",namespace="shop",pod="web-1",protocol="tcp""#;
        for line in [
            format!("skoop_socketlatency_read_seconds_bucket{web},le=\"1.024e-06\"}} 2"),
            format!("skoop_socketlatency_read_seconds_bucket{web},le=\"0.001048576\"}} 2"),
            format!("skoop_socketlatency_read_seconds_bucket{web},le=\"0.002097152\"}} 3"),
            format!("skoop_socketlatency_read_seconds_bucket{web},le=\"+Inf\"}} 3"),
            format!("skoop_socketlatency_read_seconds_count{web}}} 3"),
        ] {
            assert!(told.lines().any(|told| told == line), "{line} is not in {told}");
        }
        assert_eq!(set.len(), told.lines().filter(|line| !line.starts_with('#')).count());
        let mut small = MetricSet::with_room(0, 5);
        small.add_places(&[measured(("web-1", 7), &read)]);
        small.settle();
        assert_eq!(
            (small.len(), small.left_out),
            (0, 28),
            "a distribution is told whole or not at all"
        );
    }

    #[test]
    fn the_classic_text_names_counters_as_their_samples_and_has_neither_units_nor_an_end() {
        let classic = text(&sample(), Classic);
        assert!(classic.starts_with(
            "# TYPE skoop_cpu_used_seconds_total counter
# HELP skoop_cpu_used_seconds_total time on a CPU
skoop_cpu_used_seconds_total{"
        ));
        assert!(classic.contains("# TYPE skoop_fd_open gauge\n"), "{classic}");
        assert!(!classic.contains("# UNIT") && !classic.contains("# EOF"), "{classic}");
    }

    /// What Prometheus' own parser of the format reads: every sample, with every label as it was.
    #[test]
    fn the_reference_parser_reads_every_sample() {
        const READ: &str = "import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read
for family in read(sys.stdin.read()):
    for sample in family.samples:
        print(family.type, family.unit or '-', sample.name, repr(sorted(sample.labels.items())), sample.value)";
        let python = |arguments: &[&str]| {
            let mut command = Command::new("python3");
            command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
            command
        };
        let there = python(&["-c", "import prometheus_client.openmetrics.parser"])
            .stderr(Stdio::null())
            .status();
        if !there.is_ok_and(|status| status.success()) {
            println!("skipped: python3 has no prometheus_client (pip install prometheus_client)");
            return;
        }
        let times = series("socketlatency.read", &[("protocol", "tcp")]);
        let mut with_times = sample();
        with_times.add_places(&[measured(("web-1", 7), &times)]);
        with_times.settle();
        let mut child = python(&["-c", READ]).spawn().unwrap();
        let written = child
            .stdin
            .take()
            .unwrap()
            .write_all(text(&with_times, OpenMetrics).as_bytes());
        let output = child.wait_with_output().unwrap();
        written.unwrap();
        let read = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{read}");
        assert_eq!(read.lines().count(), 6 + 28, "{read}");
        for line in [
            "counter seconds skoop_cpu_used_seconds_total [('namespace', 'shop'), ('node', 'n1'), ('pod', 'web-1')] 1.25",
            r#"gauge - skoop_fd_open [('node', 'n1'), ('place', 'netns/a'), ('process', 'a"b\\c\nd\\u{1b}[2J')] 9"#,
        ] {
            assert!(read.contains(line), "{line} is not in {read}");
        }
    }
}
