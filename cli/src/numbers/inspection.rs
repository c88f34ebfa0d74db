//! All numbers of one place in groups: what each group speaks of, and the ordinary command that shows the same.

use super::hurts;
use super::place::{NumbersPlace, POD};
use crate::conversation::numbers::Movement;
use model::kernel_counters::{self, CounterGroup};
use model::numbers;
use model::series::SeriesKind;
use model::views::{InspectedPlace, NumberGroup, ShownNumber};

/// A group.
struct Group {
    name: &'static str,
    shown_by: &'static str,
    holds: fn(&Movement) -> bool,
}

fn of_probe(moved: &Movement, probes: &[&str]) -> bool {
    probes.contains(&moved.series.probe.as_str())
}

fn of_counters(moved: &Movement, group: CounterGroup) -> bool {
    kernel_counters::of(&moved.series.name).is_some_and(|counter| counter.group == group)
}

const fn counters(group: CounterGroup, holds: fn(&Movement) -> bool) -> Group {
    Group {
        name: group.heading(),
        shown_by: "nstat -asz",
        holds,
    }
}

/// All of them. A number is shown in the first that holds it.
const GROUPS: &[Group] = &[
    counters(CounterGroup::Resets, |moved| of_counters(moved, CounterGroup::Resets)),
    counters(CounterGroup::Loss, |moved| of_counters(moved, CounterGroup::Loss)),
    counters(CounterGroup::Queues, |moved| of_counters(moved, CounterGroup::Queues)),
    counters(CounterGroup::Routing, |moved| of_counters(moved, CounterGroup::Routing)),
    counters(CounterGroup::Checksums, |moved| {
        of_counters(moved, CounterGroup::Checksums)
    }),
    counters(CounterGroup::Icmp, |moved| of_counters(moved, CounterGroup::Icmp)),
    counters(CounterGroup::Fragments, |moved| {
        of_counters(moved, CounterGroup::Fragments)
    }),
    counters(CounterGroup::Traffic, |moved| of_counters(moved, CounterGroup::Traffic)),
    Group {
        name: "sockets",
        shown_by: "ss -s; ss -tin",
        holds: |moved| of_probe(moved, &["sock", "tcpsummary"]),
    },
    Group {
        name: "interfaces",
        shown_by: "ip -s -s link",
        holds: |moved| of_probe(moved, &["netdev"]),
    },
    Group {
        name: "queueing disciplines",
        shown_by: "tc -s qdisc",
        holds: |moved| of_probe(moved, &["qdisc"]),
    },
    Group {
        name: "connection tracking",
        shown_by: "conntrack -S; conntrack -C; conntrack -L",
        holds: |moved| of_probe(moved, &["conntrack", "holders"]),
    },
    Group {
        name: "files",
        shown_by: "ls /proc/PID/fd; cat /proc/PID/limits",
        holds: |moved| of_probe(moved, &["fd"]),
    },
    Group {
        name: "CPU",
        shown_by: "cat cpu.stat cpu.pressure",
        holds: |moved| of_probe(moved, &["cpu"]),
    },
    Group {
        name: "disk",
        shown_by: "cat io.stat io.pressure",
        holds: |moved| of_probe(moved, &["io"]),
    },
    Group {
        name: "processes",
        shown_by: "ss -tpin; cat /proc/PID/stat /proc/PID/io",
        holds: |moved| of_probe(moved, &["process"]),
    },
    Group {
        name: "peers",
        shown_by: "ss -tin",
        holds: |moved| of_probe(moved, &["peers"]),
    },
    Group {
        name: "CPUs at work on packets",
        shown_by: "cat /proc/net/softnet_stat",
        holds: |moved| of_probe(moved, &["softnet"]),
    },
    Group {
        name: "memory of sockets",
        shown_by: "cat /proc/net/sockstat",
        holds: |moved| of_probe(moved, &["sockmem"]),
    },
    Group {
        name: "further counters",
        shown_by: "nstat -asz",
        holds: |_| true,
    },
];

/// What is told of a place: of counters those that grew, unless all are wanted; of levels all that are not zero.
pub fn of(place: &NumbersPlace, all: bool) -> InspectedPlace {
    let mut groups: Vec<NumberGroup> = GROUPS
        .iter()
        .map(|group| NumberGroup {
            name: group.name.to_owned(),
            shown_by: group.shown_by.to_owned(),
            numbers: Vec::new(),
        })
        .collect();
    for moved in place.movements.iter().filter(|moved| says_something(moved, all)) {
        let at = GROUPS.iter().position(|group| (group.holds)(moved));
        if let Some(group) = at.and_then(|at| groups.get_mut(at)) {
            group.numbers.push(shown(place, moved));
        }
    }
    groups.retain(|group| !group.numbers.is_empty());
    for group in &mut groups {
        // What hurts first, then what grew most, then by name, most of it first.
        group.numbers.sort_by(|one, other| {
            let order = |number: &ShownNumber| (!number.hurts, std::cmp::Reverse(number.growth));
            order(one)
                .cmp(&order(other))
                .then_with(|| one.name.cmp(&other.name))
                .then_with(|| (other.now, &one.labels).cmp(&(one.now, &other.labels)))
        });
    }
    InspectedPlace {
        name: place.full_name(),
        node: place.node.clone(),
        netns: place.netns,
        hurts: hurts::all(place).into_iter().map(|hurt| hurt.says).collect(),
        groups,
    }
}

/// What is limited by what.
const LIMITS: &[(&str, &str)] = &[
    ("fd.open", "fd.limit"),
    ("process.open", "process.limit"),
    ("conntrack.entries", "conntrack.limit"),
    ("tcpsummary.waiting", "tcpsummary.backlog"),
    ("sockmem.tcp", "sockmem.tcp_limit"),
    ("sockmem.udp", "sockmem.udp_limit"),
];

/// The limit of a number: that of the same process, listener and so on.
fn limit_of(place: &NumbersPlace, moved: &Movement) -> Option<u64> {
    let (_, limit) = LIMITS.iter().find(|(name, _)| *name == moved.series.name)?;
    let mut limits = place
        .of(limit)
        .filter(|limit| limit.series.labels == moved.series.labels);
    limits.next().map(|limit| limit.now)
}

/// Limits are told beside what they limit, and say nothing alone; nor does what the kernel only sets.
fn says_something(moved: &Movement, all: bool) -> bool {
    let name = moved.series.name.as_str();
    let is_limit = LIMITS.iter().any(|(_, limit)| *limit == name);
    match moved.series.kind {
        SeriesKind::Gauge => moved.now > 0 && !is_limit && (all || numbers::of(name).is_some()),
        SeriesKind::Counter | SeriesKind::Histogram => all || moved.growth > 0,
    }
}

fn shown(place: &NumbersPlace, moved: &Movement) -> ShownNumber {
    let name = &moved.series.name;
    let own = moved.series.labels.iter().filter(|(label, _)| *label != POD);
    ShownNumber {
        name: name.clone(),
        labels: own.map(|(label, value)| (label.clone(), place.named(value))).collect(),
        kind: moved.series.kind,
        unit: moved.series.unit,
        now: moved.now,
        limit: limit_of(place, moved),
        growth: moved.growth,
        hurts: numbers::hurts(name) && moved.growth > 0,
        help: numbers::help_of(name).map(str::to_owned),
    }
}
