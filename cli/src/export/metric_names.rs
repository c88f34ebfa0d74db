//! What numbers are called outside: a metric's name, its unit, and the factor to the base unit. Derived from the one table of
//! numbers. Pure.

use model::numbers::{self, probe_of};
use model::series::{Series, SeriesKind, Unit};

/// Whose names metrics have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MetricNaming {
    /// Ours: all numbers, as `skoop_<probe>_<name>`.
    #[default]
    Skoop,
    /// The predecessor's, for its dashboards: what both have, as `kubeskoop_<probe>_<name>`.
    Kubeskoop,
}

/// The divisor that brings a number to base units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricScale {
    /// It is in base units.
    One,
    /// Bits to bytes.
    Eighth,
    /// Microseconds to seconds.
    Millionth,
    /// Nanoseconds to seconds.
    Billionth,
}

/// What a family of metrics is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MetricName {
    /// Without `_total`; it ends in its unit, where it has one.
    pub family: String,
    /// Its base unit; empty for things that are counted.
    pub unit: &'static str,
    /// How to come to that.
    pub scale: MetricScale,
    /// How it moves.
    pub kind: SeriesKind,
    /// What it means.
    pub help: String,
}

/// `skoop_<probe>_<name>`; what the kernel names keeps the kernel's own word, by which it is looked for.
pub fn of(series: &Series) -> MetricName {
    let (table, name) = series.name.split_once('.').unwrap_or(("", &series.name));
    let probe = match probe_of(&series.name) {
        "" if series.probe.is_empty() => "other",
        "" => &series.probe,
        probe => probe,
    };
    let (unit, scale) = match series.unit {
        Unit::Count => ("", MetricScale::One),
        Unit::Bytes => ("bytes", MetricScale::One),
        Unit::Microseconds => ("seconds", MetricScale::Millionth),
        Unit::Nanoseconds => ("seconds", MetricScale::Billionth),
        Unit::BitsPerSecond => ("bytes_per_second", MetricScale::Eighth),
    };
    let mut family = format!("skoop_{probe}");
    // Of several tables that one probe reads, all but the one it is called after are named: `skoop_udp_Udp6_InDatagrams`.
    if !table.is_empty() && !table.eq_ignore_ascii_case(probe) {
        family = format!("{family}_{table}");
    }
    family = plain(&format!("{family}_{name}"));
    if !unit.is_empty() && !family.ends_with(&format!("_{unit}")) {
        family = format!("{family}_{unit}");
    }
    let own = numbers::of(&series.name).is_some();
    let help = match numbers::help_of(&series.name) {
        Some(help) if own => help.to_owned(),
        Some(help) => format!("{}: {help}", series.name),
        None => format!("{} of the kernel's own counters", series.name),
    };
    MetricName {
        family,
        unit,
        scale,
        kind: series.kind,
        help,
    }
}

/// How often events of a probe were met, which is counted here and not read.
pub fn of_events(probe: &str) -> MetricName {
    MetricName {
        family: format!("skoop_{}_events", plain(probe)),
        unit: "",
        scale: MetricScale::One,
        kind: SeriesKind::Counter,
        help: format!("events of probe {probe} that were told one by one since the export began"),
    }
}

/// The letters that names may have (`OpenMetrics`, "metric names"; a colon is for rules of a server).
pub fn plain(name: &str) -> String {
    let letter = |letter: char| if letter.is_ascii_alphanumeric() { letter } else { '_' };
    let mut plain: String = name.chars().map(letter).collect();
    if plain.starts_with(|first: char| first.is_ascii_digit()) {
        plain.insert(0, '_');
    }
    plain
}

/// A label's own name: none of those that say whose a number is, and none that a server keeps for itself.
pub fn label(name: &str) -> String {
    let plain = plain(name);
    let plain = plain.trim_start_matches('_');
    match plain {
        "" => "label".to_owned(),
        "node" | "namespace" | "pod" | "place" | "netns" | "le" | "quantile" => format!("of_{plain}"),
        digit if digit.starts_with(|first: char| first.is_ascii_digit()) => format!("n{digit}"),
        plain => plain.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{MetricScale, label, of};
    use model::numbers::{NUMBERS, shape_of};
    use model::series::{Series, SeriesKind, Unit};
    use std::collections::BTreeSet;

    fn named(name: &str) -> (String, &'static str, MetricScale) {
        let (kind, unit) = shape_of(name);
        let name = of(&Series {
            name: name.to_owned(),
            probe: "some".to_owned(),
            kind,
            unit,
            ..Series::default()
        });
        (name.family, name.unit, name.scale)
    }

    #[test]
    fn a_number_is_named_after_its_probe_and_ends_in_its_base_unit() {
        use MetricScale::{Eighth, Millionth, One};
        for (name, family, unit, scale) in [
            ("netdev.rx_bytes", "skoop_netdev_rx_bytes", "bytes", One),
            ("netdev.rx_packets", "skoop_netdev_rx_packets", "", One),
            ("cpu.used", "skoop_cpu_used_seconds", "seconds", Millionth),
            (
                "tcpsummary.rtt_p50",
                "skoop_tcpsummary_rtt_p50_seconds",
                "seconds",
                Millionth,
            ),
            (
                "qdisc.rate",
                "skoop_qdisc_rate_bytes_per_second",
                "bytes_per_second",
                Eighth,
            ),
            ("Tcp.RetransSegs", "skoop_tcp_RetransSegs", "", One),
            ("TcpExt.ListenOverflows", "skoop_tcpext_ListenOverflows", "", One),
            ("Udp6.InDatagrams", "skoop_udp_Udp6_InDatagrams", "", One),
            ("IpExt.InOctets", "skoop_ip_IpExt_InOctets_bytes", "bytes", One),
            ("weather.rain-1\n", "skoop_some_weather_rain_1_", "", One),
        ] {
            assert_eq!(named(name), (family.to_owned(), unit, scale));
        }
    }

    #[test]
    fn no_two_numbers_have_one_name() {
        let counters = model::kernel_counters::COUNTERS.iter().map(|counter| counter.name);
        let all: Vec<&str> = NUMBERS.iter().map(|number| number.name).chain(counters).collect();
        let names: BTreeSet<String> = all.iter().map(|name| named(name).0).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn a_newer_kernels_counter_has_a_help_and_a_label_never_says_whose_a_number_is() {
        let new = of(&Series {
            name: "TcpExt.SomethingNew".to_owned(),
            kind: SeriesKind::Counter,
            unit: Unit::Count,
            ..Series::default()
        });
        assert_eq!(new.help, "TcpExt.SomethingNew of the kernel's own counters");
        for (name, plain) in [
            ("interface", "interface"),
            ("pod", "of_pod"),
            ("__name__", "name__"),
            ("5-tuple", "n5_tuple"),
            ("", "label"),
        ] {
            assert_eq!(label(name), plain);
        }
    }
}
