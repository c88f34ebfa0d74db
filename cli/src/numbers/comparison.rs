//! What is different between two places: their settings, and how their numbers moved; what must differ (addresses, ids, the
//! amount of traffic) is left out, and what explains most stands first.

use super::hurts;
use super::place::NumbersPlace;
use crate::conversation::numbers::Movement;
use diagnoses::words;
use model::evidence::NetnsEvidence;
use model::facts::{Link, NetnsFacts};
use model::kernel_counters::{self, CounterGroup};
use model::missing::Known;
use model::numbers;
use model::series::{SeriesKind, Unit};
use model::views::{ComparedPlace, Difference};
use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

/// A number that is this many times the other's differs.
const TIMES: f64 = 2.0;
/// A second's growth below this is chance.
const SELDOM: f64 = 0.2;

/// One of two places: its numbers, and its settings where they were read.
#[derive(Clone, Copy, Debug)]
pub struct Compared<'a> {
    /// Its numbers.
    pub place: &'a NumbersPlace<'a>,
    /// Its settings.
    pub facts: Option<&'a NetnsEvidence>,
    /// Its node's kernel.
    pub kernel: &'a str,
}

/// What is different, and how much is alike.
pub fn of(one: Compared, other: Compared) -> (Vec<Difference>, usize) {
    let mut found = Vec::new();
    let mut alike = 0;
    for (what, here, there) in settings(one, other) {
        if here == there {
            alike += 1;
        } else {
            found.push((f64::MAX, difference(&what, here, there)));
        }
    }
    let keys: BTreeSet<Key> = [one, other]
        .iter()
        .flat_map(|side| side.place.movements.iter().filter_map(key))
        .collect();
    for key in keys {
        match moved(&key, one.place, other.place) {
            Some(found_one) => found.push(found_one),
            None => alike += 1,
        }
    }
    found.sort_by(|(one, _), (other, _)| other.partial_cmp(one).unwrap_or(Ordering::Equal));
    (found.into_iter().map(|(_, difference)| difference).collect(), alike)
}

/// A place as it is told.
pub fn told(side: Compared) -> ComparedPlace {
    ComparedPlace {
        name: side.place.full_name(),
        node: side.place.node.clone(),
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

/// Settings of both by name; one that only one of them has is empty at the other.
fn settings(one: Compared, other: Compared) -> Vec<(String, String, String)> {
    let (mut here, mut there) = (of_facts(one), of_facts(other));
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

fn of_facts(side: Compared) -> BTreeMap<String, String> {
    let mut all = BTreeMap::from([("kernel of the node".to_owned(), side.kernel.to_owned())]);
    let Some(facts) = side.facts.map(|facts| &facts.before) else {
        return all;
    };
    let links = facts.links.ok().into_iter().flatten().filter(|link| !link.loopback);
    for link in links {
        let state = if link.up && link.carrier { "up" } else { "down" };
        all.insert(format!("MTU of {}", link.name), link.mtu.to_string());
        all.insert(format!("state of {}", link.name), state.to_owned());
        all.insert(format!("queueing of {}", link.name), queueing(link));
    }
    // The MTU of an interface is told above.
    let sysctls = facts.sysctls.ok().into_iter().flatten();
    for (name, value) in sysctls.filter(|(name, _)| name.rsplit('.').next() != Some("mtu")) {
        all.insert(name.clone(), value.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    all.extend(counts(facts));
    all
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

/// How many of each there are, of what differs by itself.
fn counts(facts: &NetnsFacts) -> BTreeMap<String, String> {
    fn count<T>(known: &Known<Vec<T>>) -> Option<String> {
        known.ok().map(|all| all.len().to_string())
    }
    let defaults = |is_v4: bool| {
        let routes = facts.routes.ok()?.iter();
        let default = routes.filter(|route| route.prefix == 0 && route.dst.is_ipv4() == is_v4);
        Some(default.count().to_string())
    };
    let netfilter = facts.netfilter.ok().map(|netfilter| {
        let rules: usize = netfilter.chains.iter().map(|chain| chain.rules.len()).sum();
        rules.to_string()
    });
    [
        ("routes", count(&facts.routes)),
        ("default routes over IPv4", defaults(true)),
        ("policy routing rules", count(&facts.rules)),
        ("netfilter rules", netfilter),
        ("eBPF programs attached", count(&facts.bpf)),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect()
}

/// Which number: its name, and which of several. Processes and listeners are others at the other place.
type Key = (String, String);

fn key(moved: &Movement) -> Option<Key> {
    let series = moved.series;
    let is_traffic = kernel_counters::of(&series.name).is_some_and(|counter| counter.group == CounterGroup::Traffic);
    let own = ["process", "listener"]
        .iter()
        .any(|label| series.labels.contains_key(*label));
    let of_settings = numbers::of(&series.name).is_none() && series.kind == SeriesKind::Gauge;
    let amount = AMOUNTS.contains(&series.name.as_str());
    (!is_traffic && !own && !of_settings && !amount).then(|| {
        let labels: Vec<&str> = series.labels.values().map(String::as_str).collect();
        (series.name.clone(), labels.join(", "))
    })
}

/// How much there is to do, which no place has in common with another.
const AMOUNTS: &[&str] = &[
    "netdev.rx_bytes",
    "netdev.tx_bytes",
    "netdev.rx_packets",
    "netdev.tx_packets",
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
        let mut of = place.of(name).filter(|moved| {
            let own: Vec<&str> = moved.series.labels.values().map(String::as_str).collect();
            own.join(", ") == *labels
        });
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
    let hurts = kernel_counters::of(name).is_some_and(|counter| counter.hurts);
    let times = more / less.max(floor);
    let shown = |amount: f64| match (kind, unit) {
        (SeriesKind::Gauge, Unit::Microseconds) => words::time((amount * 1e3) as u64),
        (SeriesKind::Gauge, Unit::Bytes) => words::bytes(amount as u64),
        (SeriesKind::Gauge, _) => format!("{amount:.0}"),
        (_, Unit::Microseconds) => format!("{}/s", words::time((amount * 1e3) as u64)),
        (_, Unit::Bytes) => format!("{}/s", words::bytes(amount as u64)),
        _ => format!("{amount:.1}/s"),
    };
    let what = if labels.is_empty() {
        name.clone()
    } else {
        format!("{name} ({labels})")
    };
    let weight = if hurts { 1e6 + times } else { times };
    Some((
        weight,
        Difference {
            what,
            one: shown(a),
            other: shown(b),
            hurts,
            help: numbers::help_of(name).map(str::to_owned),
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::{Compared, of};
    use crate::conversation::numbers::Movement;
    use crate::numbers::NumbersPlace;
    use model::evidence::NetnsEvidence;
    use model::facts::{Link, NetnsFacts};
    use model::missing::Known;
    use model::series::{Series, SeriesKind};
    use std::collections::BTreeMap;

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
            probes: Vec::new(),
            movements: movements
                .map(|(series, (now, growth))| Movement {
                    series,
                    now: *now,
                    growth: *growth,
                })
                .collect(),
            histograms: Vec::new(),
            drops: BTreeMap::new(),
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
        };
        let (found, alike) = of(side(&sick, &narrow), side(&well, &wide));
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
}
