//! What is different between two places: their settings, and how their numbers moved; what must differ (addresses, ids, the
//! amount of traffic) is left out, and what explains most stands first.

use super::distribution::Distribution;
use super::hurts;
use super::place::{NumbersPlace, POD};
use crate::conversation::numbers::Movement;
use diagnoses::words;
use model::evidence::NetnsEvidence;
use model::facts::{Link, Netfilter, Route};
use model::kernel_counters::{self, CounterGroup};
use model::missing::Missing;
use model::numbers;
use model::series::{SeriesKind, Unit};
use model::views::{API_VERSION, Compare, ComparedPlace, Difference};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// A number that is this many times the other's differs.
const TIMES: f64 = 2.0;
/// A second's growth below this is chance.
const SELDOM: f64 = 0.2;

/// One of two places: its numbers, and its settings where they were read.
#[derive(Clone, Debug)]
pub struct Compared<'a> {
    /// Its numbers.
    pub place: &'a NumbersPlace<'a>,
    /// Its settings.
    pub facts: Option<&'a NetnsEvidence>,
    /// Its node's kernel.
    pub kernel: &'a str,
    /// The probes that could have been read on its node.
    pub readable: Vec<&'a str>,
    /// The recording it is in, where it is in one.
    pub recording: Option<&'a str>,
}

/// What two places come to, beside each other.
#[derive(Debug, Default)]
struct Comparison {
    /// What is different, what explains most first.
    differences: Vec<Difference>,
    /// How many facts and numbers are alike.
    alike: usize,
    /// What was read of neither.
    in_neither: Vec<String>,
    /// What was read of one alone, and so says nothing.
    of_one: Vec<Missing>,
}

/// The document of a comparison; `missing` is what could not be read of both places.
pub fn document(one: &Compared, other: &Compared, at: String, mut missing: Vec<Missing>) -> Compare {
    let Comparison {
        differences,
        alike,
        in_neither,
        of_one,
    } = of(one, other);
    missing.extend(of_one);
    Compare {
        api_version: API_VERSION.to_owned(),
        kind: "Compare".to_owned(),
        at,
        seconds: one.place.seconds.max(other.place.seconds),
        one: told(one),
        other: told(other),
        differences,
        alike,
        in_neither,
        missing,
    }
}

/// Compares two places by all that was read of both.
fn of(one: &Compared, other: &Compared) -> Comparison {
    let mut comparison = Comparison::default();
    let mut found = Vec::new();
    let (mut of_one, mut of_other) = (Vec::new(), Vec::new());
    for (topic, here, there) in topics(one, other) {
        match (here, there) {
            (Some(here), Some(there)) => {
                for (what, here, there) in by_name(here, there) {
                    if here == there {
                        comparison.alike += 1;
                    } else {
                        found.push((f64::MAX, difference(&what, here, there)));
                    }
                }
            }
            (Some(_), None) => of_one.push(topic),
            (None, Some(_)) => of_other.push(topic),
            (None, None) => comparison.in_neither.push(topic),
        }
    }
    let both_read = |name: &str| one.place.reads(name) && other.place.reads(name);
    let keys: BTreeSet<Key> = [one, other]
        .iter()
        .flat_map(|side| side.place.movements.iter().filter_map(key))
        .filter(|(name, _)| both_read(name))
        .collect();
    for key in keys {
        match moved(&key, one.place, other.place) {
            Some(found_one) => found.push(found_one),
            None => comparison.alike += 1,
        }
    }
    for stage in stages(one.place, other.place) {
        match stage {
            Some(found_one) => found.push(found_one),
            None => comparison.alike += 1,
        }
    }
    found.sort_by(|(one, _), (other, _)| other.partial_cmp(one).unwrap_or(Ordering::Equal));
    comparison.differences = found.into_iter().map(|(_, difference)| difference).collect();
    comparison.of_one = [(of_one, one, other), (of_other, other, one)]
        .into_iter()
        .filter(|(topics, ..)| !topics.is_empty())
        .map(|(topics, has, lacks)| {
            let why = format!("read only of {}", called(has));
            Missing::new(format!("{} of {}", words::list(&topics), called(lacks)), why)
        })
        .collect();
    comparison
}

/// A place by its name, and by its recording.
fn called(side: &Compared) -> String {
    let name = side.place.full_name();
    side.recording
        .map_or_else(|| name.clone(), |file| format!("{name} in {file}"))
}

/// A place as it is told.
fn told(side: &Compared) -> ComparedPlace {
    ComparedPlace {
        name: side.place.full_name() + if side.place.netns == 0 { " as a whole" } else { "" },
        node: side.place.node.clone(),
        recording: side.recording.map(str::to_owned),
        hurts: hurts::all(side.place).into_iter().map(|hurt| hurt.says).collect(),
    }
}

fn difference(what: &str, one: String, other: String) -> Difference {
    Difference {
        what: what.to_owned(),
        one,
        other,
        ..Difference::default()
    }
}

/// Settings by name.
type Settings = BTreeMap<String, String>;

/// What can be compared, by what it is about: the settings of each side, which has none where they were not read. Numbers stand for
/// themselves: of their probes only is told who was read.
fn topics(one: &Compared, other: &Compared) -> Vec<(String, Option<Settings>, Option<Settings>)> {
    let both = of_facts(one).into_iter().zip(of_facts(other));
    let settings = both.map(|((topic, here), (_, there))| (topic.to_owned(), here, there));
    let of_probes = |side: &Compared, probe: &str| side.place.probes.contains(&probe).then(Settings::new);
    let probes: BTreeSet<&str> = one.readable.iter().chain(&other.readable).copied().collect();
    let numbers = probes.into_iter().map(|probe| {
        let topic = format!("numbers of {probe}");
        (topic, of_probes(one, probe), of_probes(other, probe))
    });
    settings.chain(numbers).collect()
}

/// Settings of both by name; one that only one of them has is empty at the other.
fn by_name(mut here: Settings, mut there: Settings) -> Vec<(String, String, String)> {
    let names: BTreeSet<String> = here.keys().chain(there.keys()).cloned().collect();
    names
        .into_iter()
        .map(|name| {
            let one = here.remove(&name).unwrap_or_default();
            let other = there.remove(&name).unwrap_or_default();
            (name, one, other)
        })
        .collect()
}

/// The settings of a place, always in the same order.
fn of_facts(side: &Compared) -> [(&'static str, Option<Settings>); 7] {
    let facts = side.facts.map(|facts| &facts.before);
    let kernel = (!side.kernel.is_empty()).then(|| Settings::from([named("kernel of the node", &side.kernel)]));
    [
        ("the kernel's version", kernel),
        (
            "interfaces",
            facts.and_then(|facts| facts.links.ok()).map(|all| interfaces(all)),
        ),
        ("sysctls", facts.and_then(|facts| facts.sysctls.ok()).map(sysctls)),
        (
            "routes",
            facts.and_then(|facts| facts.routes.ok()).map(|all| routes(all)),
        ),
        (
            "policy routing rules",
            counted("policy routing rules", facts.and_then(|facts| facts.rules.ok())),
        ),
        (
            "netfilter rules",
            facts.and_then(|facts| facts.netfilter.ok()).map(netfilter),
        ),
        (
            "eBPF programs",
            counted("eBPF programs attached", facts.and_then(|facts| facts.bpf.ok())),
        ),
    ]
}

fn named(name: &str, value: &impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

/// How many there are, of what differs by itself.
fn counted<T>(name: &str, all: Option<&Vec<T>>) -> Option<Settings> {
    all.map(|all| Settings::from([named(name, &all.len())]))
}

fn interfaces(links: &[Link]) -> Settings {
    let own = links.iter().filter(|link| !link.loopback);
    let settings = own.flat_map(|link| {
        let state = if link.up && link.carrier { "up" } else { "down" };
        [
            (format!("MTU of {}", link.name), link.mtu.to_string()),
            (format!("state of {}", link.name), state.to_owned()),
            (format!("queueing of {}", link.name), queueing(link)),
        ]
    });
    settings.collect()
}

fn sysctls(all: &BTreeMap<String, String>) -> Settings {
    // The MTU of an interface is told above.
    let settings = all.iter().filter(|(name, _)| name.rsplit('.').next() != Some("mtu"));
    let one_spaced = |value: &String| value.split_whitespace().collect::<Vec<_>>().join(" ");
    settings
        .map(|(name, value)| (name.clone(), one_spaced(value)))
        .collect()
}

fn routes(all: &[Route]) -> Settings {
    let is_default = |route: &&Route| route.prefix == 0 && route.dst.is_ipv4();
    Settings::from([
        named("routes", &all.len()),
        named("default routes over IPv4", &all.iter().filter(is_default).count()),
    ])
}

fn netfilter(all: &Netfilter) -> Settings {
    let rules: usize = all.chains.iter().map(|chain| chain.rules.len()).sum();
    Settings::from([named("netfilter rules", &rules)])
}

fn queueing(link: &Link) -> String {
    let own = link.qdiscs.iter().filter(|qdisc| qdisc.kind != "noqueue");
    let told = own.map(|qdisc| match qdisc.rate_bits {
        Some(rate) => format!("{} {:.1} Mbit/s", qdisc.kind, rate as f64 / 1e6),
        None => qdisc.kind.clone(),
    });
    let told: Vec<String> = told.collect();
    if told.is_empty() {
        "none".to_owned()
    } else {
        told.join(", ")
    }
}

/// Which number: its name, and which of several. Processes, listeners and peers are others at the other place.
type Key = (String, String);

fn key(moved: &Movement) -> Option<Key> {
    let series = moved.series;
    let is_traffic = kernel_counters::of(&series.name).is_some_and(|counter| counter.group == CounterGroup::Traffic);
    let own = ["process", "listener", "peer", "source", "destination"]
        .iter()
        .any(|label| series.labels.contains_key(*label));
    let of_settings = numbers::of(&series.name).is_none() && series.kind == SeriesKind::Gauge;
    let amount = AMOUNTS.contains(&series.name.as_str());
    (!is_traffic && !own && !of_settings && !amount).then(|| (series.name.clone(), which(&series.labels)))
}

/// Which of several numbers of a name. Which pod it is the place says.
fn which(labels: &BTreeMap<String, String>) -> String {
    let own = labels.iter().filter(|(label, _)| *label != POD);
    let values: Vec<&str> = own.map(|(_, value)| value.as_str()).collect();
    values.join(", ")
}

/// How much there is to do, which no place has in common with another.
const AMOUNTS: &[&str] = &[
    "netdev.rx_bytes",
    "netdev.tx_bytes",
    "netdev.rx_packets",
    "netdev.tx_packets",
    "netdev.multicast",
    "netdev.rx_compressed",
    "netdev.tx_compressed",
    "qdisc.packets",
    "qdisc.bytes",
    "cpu.used",
    "cpu.periods",
    "conntrack.found",
    "conntrack.insert",
    "io.read_bytes",
    "io.written_bytes",
    "io.reads",
    "io.writes",
];

/// The difference of a number, with its weight.
fn moved(key: &Key, one: &NumbersPlace, other: &NumbersPlace) -> Option<(f64, Difference)> {
    let (name, labels) = key;
    let amount = |place: &NumbersPlace| {
        let mut of = place.of(name).filter(|moved| which(&moved.series.labels) == *labels);
        of.next()
            .map(|moved| (moved.series.kind, moved.series.unit, moved.now, moved.growth))
    };
    let (here, there) = (amount(one), amount(other));
    let (kind, unit, ..) = here.or(there)?;
    let value = |amount: Option<(SeriesKind, Unit, u64, u64)>, seconds: f64| match (kind, amount) {
        (SeriesKind::Gauge, Some((.., now, _))) => now as f64,
        (_, Some((.., growth))) if seconds > 0.0 => growth as f64 / seconds,
        _ => 0.0,
    };
    let shown = |amount: f64| match (kind, unit) {
        (SeriesKind::Gauge, Unit::Microseconds) => words::time((amount * 1e3) as u64),
        (SeriesKind::Gauge, Unit::Bytes) => words::bytes(amount as u64),
        (SeriesKind::Gauge, Unit::BitsPerSecond) => format!("{:.1} Mbit/s", amount / 1e6),
        (SeriesKind::Gauge, _) => format!("{amount:.0}"),
        (_, Unit::Microseconds) => format!("{}/s", words::time((amount * 1e3) as u64)),
        (_, Unit::Bytes) => format!("{}/s", words::bytes(amount as u64)),
        _ => format!("{amount:.1}/s"),
    };
    let what = spelled(key);
    let help = numbers::help_of(name).map(str::to_owned);
    if numbers::is_setting(name) {
        // What is not told is not set.
        let [ours, theirs] = [here, there].map(|set| set.map_or(0, |(.., now, _)| now));
        let told = |set: u64| if set == 0 { String::new() } else { shown(set as f64) };
        let found = Difference {
            help,
            ..difference(&what, told(ours), told(theirs))
        };
        return (ours != theirs).then_some((f64::MAX, found));
    }
    let (a, b) = (value(here, one.seconds), value(there, other.seconds));
    let (less, more) = (a.min(b), a.max(b));
    let floor = match (kind, unit) {
        (SeriesKind::Gauge, Unit::Microseconds) => 500.0,
        (SeriesKind::Gauge, Unit::Bytes) => 65_536.0,
        (SeriesKind::Gauge, _) => 5.0,
        (_, Unit::Microseconds) => 10_000.0,
        _ => SELDOM,
    };
    if more < floor || more < less * TIMES {
        return None;
    }
    let hurts = numbers::hurts(name);
    let times = more / less.max(floor);
    let weight = if hurts { 1e6 + times } else { times };
    Some((
        weight,
        Difference {
            what,
            one: shown(a),
            other: shown(b),
            hurts,
            help,
        },
    ))
}

fn spelled((name, labels): &Key) -> String {
    if labels.is_empty() {
        name.clone()
    } else {
        format!("{name} ({labels})")
    }
}

/// Fewer times than these are chance.
const TIMES_LEAST: u64 = 20;
/// A time below this many nanoseconds is no wait.
const WAIT_NS: u64 = 500_000;

/// The times of both, stage by stage, by what 99 of 100 took at most: each a difference, or alike.
fn stages(one: &NumbersPlace, other: &NumbersPlace) -> Vec<Option<(f64, Difference)>> {
    let measured = |place: &NumbersPlace| -> BTreeMap<Key, Distribution> {
        let all = place.histograms.iter().map(|grown| {
            let key = (grown.series.name.clone(), which(&grown.series.labels));
            (key, Distribution::of(&grown.buckets))
        });
        all.filter(|(_, times)| times.count >= TIMES_LEAST).collect()
    };
    let (here, there) = (measured(one), measured(other));
    let both = here
        .iter()
        .filter_map(|(key, times)| Some((key, times, there.get(key)?)));
    let compared = both.map(|(key, here, there)| {
        let (a, b) = (here.percentile(99), there.percentile(99));
        let (less, more) = (a.min(b), a.max(b));
        let times = more as f64 / less.max(WAIT_NS) as f64;
        (more >= WAIT_NS && times >= TIMES).then(|| {
            let what = format!("{}, 99 of 100 within", spelled(key));
            let found = Difference {
                help: numbers::help_of(&key.0).map(str::to_owned),
                ..difference(&what, words::time(a), words::time(b))
            };
            (times, found)
        })
    });
    compared.collect()
}

#[cfg(test)]
mod tests {
    use super::{Compared, Comparison, of};
    use crate::conversation::numbers::Movement;
    use crate::numbers::NumbersPlace;
    use model::evidence::NetnsEvidence;
    use model::facts::{Link, NetnsFacts};
    use model::missing::Known;
    use model::series::{Series, SeriesKind};
    use std::collections::BTreeMap;
    use std::rc::Rc;

    fn series(name: &str, kind: SeriesKind) -> Series {
        Series {
            name: name.to_owned(),
            kind,
            ..Series::default()
        }
    }

    fn place<'a>(series: &'a [Series], moved: &[(u64, u64)]) -> NumbersPlace<'a> {
        let movements = series.iter().zip(moved);
        NumbersPlace {
            namespace: String::new(),
            name: "a".to_owned(),
            node: "n1".to_owned(),
            netns: 7,
            is_node: false,
            seconds: 2.0,
            probes: vec!["tcp", "tcpext", "sock"],
            movements: movements
                .map(|(series, (now, growth))| Movement {
                    series,
                    now: *now,
                    then: None,
                    growth: *growth,
                })
                .collect(),
            drops: BTreeMap::new(),
            known: Rc::default(),
            lookups_ns: Vec::new(),
            shares_node: false,
            histograms: Vec::new(),
        }
    }

    fn with_mtu(mtu: u32) -> NetnsEvidence {
        NetnsEvidence {
            before: NetnsFacts {
                links: Known::Known(vec![Link {
                    name: "eth0".to_owned(),
                    mtu,
                    ..Link::default()
                }]),
                ..NetnsFacts::default()
            },
            ..NetnsEvidence::default()
        }
    }

    #[test]
    fn settings_come_first_then_what_hurts_and_traffic_is_no_difference() {
        let all = [
            series("Tcp.RetransSegs", SeriesKind::Counter),
            series("Tcp.OutSegs", SeriesKind::Counter),
            series("TcpExt.TCPChallengeACK", SeriesKind::Counter),
            series("sock.udp", SeriesKind::Gauge),
        ];
        let (sick, well) = (
            place(&all, &[(0, 96), (0, 9_000), (0, 4_000), (2, 0)]),
            place(&all, &[(0, 1), (0, 10), (0, 1), (3, 0)]),
        );
        let (narrow, wide) = (with_mtu(1400), with_mtu(1500));
        let side = |place, facts| Compared {
            place,
            facts: Some(facts),
            kernel: "6.18.0",
            readable: Vec::new(),
            recording: None,
        };
        let Comparison {
            differences: found,
            alike,
            ..
        } = of(&side(&sick, &narrow), &side(&well, &wide));
        let told: Vec<(&str, &str, &str)> = found
            .iter()
            .map(|difference| {
                (
                    difference.what.as_str(),
                    difference.one.as_str(),
                    difference.other.as_str(),
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("MTU of eth0", "1400", "1500"),
                ("Tcp.RetransSegs", "48.0/s", "0.5/s"),
                ("TcpExt.TCPChallengeACK", "2000.0/s", "0.5/s"),
            ]
        );
        assert!(found[1].hurts && !found[2].hurts);
        assert!(alike >= 3, "kernel, state, sockets: {alike}");
    }

    #[test]
    fn settings_that_are_not_the_same_are_different_and_what_hurts_does_so_by_the_table() {
        let all = [
            series("cpu.limit_percent", SeriesKind::Gauge),
            series("conntrack.limit", SeriesKind::Gauge),
            series("netdev.rx_dropped", SeriesKind::Counter),
        ];
        let at = |moved: &[(u64, u64)]| NumbersPlace {
            probes: vec!["cpu", "conntrack", "netdev"],
            ..place(&all, moved)
        };
        let (sick, well) = (
            at(&[(100, 0), (65_536, 0), (9, 50)]),
            at(&[(150, 0), (65_536, 0), (9, 0)]),
        );
        let side = |place| Compared {
            place,
            facts: None,
            kernel: "",
            readable: Vec::new(),
            recording: None,
        };
        let comparison = of(&side(&sick), &side(&well));
        let told: Vec<(&str, &str, &str, bool)> = comparison
            .differences
            .iter()
            .map(|found| {
                (
                    found.what.as_str(),
                    found.one.as_str(),
                    found.other.as_str(),
                    found.hurts,
                )
            })
            .collect();
        assert_eq!(
            told,
            [
                ("cpu.limit_percent", "100", "150", false),
                ("netdev.rx_dropped", "25.0/s", "0.0/s", true),
            ]
        );
        assert_eq!(comparison.alike, 1, "the table of connections");
    }
}
