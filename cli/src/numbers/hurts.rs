//! What of a place's numbers hurts, in words, with how much: the registry of what is looked for, worst first.

use super::holders;
use super::place::NumbersPlace;
use diagnoses::words::bytes;
use std::cmp::Ordering;

/// Something that hurts.
#[derive(Clone, Debug, PartialEq)]
pub struct Hurt {
    /// In words: what, how much, where.
    pub says: String,
    /// How much, for the order: what fails weighs more than what is lost, and that more than what waits.
    pub weight: f64,
    /// It is a wait, of which can be measured where it is.
    pub waits: bool,
}

/// What fails, what is lost, and what waits; each outweighs the next.
pub(super) const FAILS: f64 = 1e6;
pub(super) const LOSES: f64 = 1e3;
pub(super) const WAITS: f64 = 1.0;

/// What is looked for. Each tells what it finds at a place.
const SIGNS: &[fn(&NumbersPlace) -> Vec<Hurt>] = &[
    connections_failed,
    nobody_answers,
    connections_reset,
    lookups_unanswered,
    queues_overflowed,
    dropped_by_kernel,
    sent_again,
    no_room_for_datagrams,
    nobody_listens,
    interfaces_lose,
    queueing_disciplines_drop,
    no_way,
    unread,
    descriptors,
    connection_table,
    throttled,
    waits_for_cpu,
    waits_for_disk,
    backlogs,
    socket_memory,
];

/// All that hurts at a place, worst first.
pub fn all(place: &NumbersPlace) -> Vec<Hurt> {
    found_by(SIGNS, place)
}

/// What these look for and find, worst first.
pub(super) fn found_by(signs: &[fn(&NumbersPlace) -> Vec<Hurt>], place: &NumbersPlace) -> Vec<Hurt> {
    let mut found: Vec<Hurt> = signs.iter().flat_map(|sign| sign(place)).collect();
    found.sort_by(|one, other| other.weight.partial_cmp(&one.weight).unwrap_or(Ordering::Equal));
    found
}

pub(super) fn hurt(weight: f64, says: String) -> Hurt {
    Hurt {
        says,
        weight,
        waits: false,
    }
}

/// The same of a wait.
pub(super) fn wait(weight: f64, says: String) -> Hurt {
    Hurt {
        waits: true,
        ..hurt(weight, says)
    }
}

/// One of these counters, with its own words where it grew.
fn grown(place: &NumbersPlace, weight: f64, counters: &[(&str, &str, &str)]) -> Vec<Hurt> {
    let told = counters.iter().filter_map(|(name, one, rest)| {
        let growth = place.growth(name);
        (growth > 0).then(|| hurt(weight * growth as f64, format!("{} {rest}", count(growth, one))))
    });
    told.collect()
}

fn connections_failed(place: &NumbersPlace) -> Vec<Hurt> {
    let failed = place.growth("Tcp.AttemptFails");
    if failed == 0 {
        return Vec::new();
    }
    let tried = place.growth("Tcp.ActiveOpens") + place.growth("Tcp.PassiveOpens");
    let of = if tried >= failed {
        format!("{failed} of {} failed to be made", count(tried, "connection"))
    } else {
        format!("{} failed to be made", count(failed, "connection"))
    };
    vec![hurt(FAILS * failed as f64, of)]
}

/// A few connects are on their way at any time.
pub(super) const ON_THEIR_WAY: u64 = 3;

/// Whoever connects and hears nothing waits in `SYN_SENT`; what is given up there counts as failed nowhere.
fn nobody_answers(place: &NumbersPlace) -> Vec<Hurt> {
    let mut found = grown(
        place,
        LOSES,
        &[
            ("TcpExt.TCPSynRetrans", "SYN", "sent again: nobody answered in time"),
            ("Icmp.InDestUnreachs", "error", "received that say: cannot be reached"),
            (
                "Icmp6.InDestUnreachs",
                "error",
                "received over IPv6 that say: cannot be reached",
            ),
        ],
    );
    let sent = place
        .by("tcpsummary.sockets", "state")
        .filter(|(state, _)| *state == "SYN_SENT");
    let waiting: u64 = sent.map(|(_, moved)| moved.now).sum();
    if waiting >= ON_THEIR_WAY {
        found.push(hurt(
            FAILS * waiting as f64,
            format!("{waiting} connects wait to be answered"),
        ));
    }
    found
}

fn lookups_unanswered(place: &NumbersPlace) -> Vec<Hurt> {
    match place.lookups_ns.iter().filter(|took| took.is_none()).count() {
        0 => Vec::new(),
        unanswered => {
            let says = format!(
                "nobody answered {}",
                if unanswered == 1 {
                    "a DNS query".to_owned()
                } else {
                    format!("{unanswered} DNS queries")
                }
            );
            vec![hurt(FAILS * unanswered as f64, says)]
        }
    }
}

fn connections_reset(place: &NumbersPlace) -> Vec<Hurt> {
    /// Health checks end theirs with a reset, and so do clients that have enough: below this share it is everyday life.
    const EVERYDAY: f64 = 0.5;
    let mut found = grown(
        place,
        FAILS / 10.0,
        &[
            (
                "TcpExt.TCPAbortOnTimeout",
                "connection",
                "given up: nothing was answered any more",
            ),
            ("TcpExt.TCPAbortOnMemory", "connection", "reset for lack of memory"),
        ],
    );
    let reset = place.growth("Tcp.EstabResets");
    let begun = place.growth("Tcp.ActiveOpens") + place.growth("Tcp.PassiveOpens");
    if reset as f64 > begun as f64 * EVERYDAY {
        found.push(hurt(
            LOSES * reset as f64,
            format!("{} broken off by a reset", count(reset, "connection")),
        ));
    }
    found
}

fn queues_overflowed(place: &NumbersPlace) -> Vec<Hurt> {
    let mut found = Vec::new();
    let overflows = place.growth("TcpExt.ListenOverflows");
    if overflows > 0 {
        let full = place
            .by("tcpsummary.waiting", "listener")
            .filter(|(listener, waiting)| {
                let limits = place.by("tcpsummary.backlog", "listener");
                limits
                    .filter(|(other, _)| other == listener)
                    .any(|(_, limit)| waiting.now >= limit.now)
            })
            .map(|(listener, _)| listener.to_owned());
        let at = full.collect::<Vec<_>>().join(", ");
        let at = if at.is_empty() {
            String::new()
        } else {
            format!(" of {at}")
        };
        found.push(hurt(
            FAILS * overflows as f64,
            format!("the accept queue{at} was full {}", times(overflows)),
        ));
    }
    found.extend(grown(
        place,
        FAILS,
        &[
            ("TcpExt.TCPReqQFullDrop", "SYN", "dropped at a full SYN queue"),
            ("TcpExt.TCPBacklogDrop", "segment", "dropped at a socket in use"),
        ],
    ));
    found
}

fn dropped_by_kernel(place: &NumbersPlace) -> Vec<Hurt> {
    let all: u64 = place.drops.values().sum();
    let most = place.drops.iter().max_by_key(|(_, count)| **count);
    let told = most.map(|(why, dropped)| {
        let rest = if all > *dropped {
            format!(", {all} in all")
        } else {
            String::new()
        };
        hurt(
            LOSES * 2.0 * all as f64,
            format!("{} dropped: {why}{rest}", count(*dropped, "packet")),
        )
    });
    told.into_iter().collect()
}

fn sent_again(place: &NumbersPlace) -> Vec<Hurt> {
    /// Below this share nobody feels it.
    const FELT: f64 = 0.01;
    let again = place.growth("Tcp.RetransSegs");
    let share = retransmitted(place);
    match share {
        Some(share) if share >= FELT => vec![hurt(
            LOSES * again as f64,
            format!("{:.1} % of segments sent again ({again})", share * 100.0),
        )],
        _ => Vec::new(),
    }
}

/// The share of segments that were sent again; nothing where none was sent.
pub fn retransmitted(place: &NumbersPlace) -> Option<f64> {
    let sent = place.growth("Tcp.OutSegs");
    let again = place.growth("Tcp.RetransSegs");
    // Segments sent again are not among those sent (RFC 4022).
    (sent + again > 0).then(|| again as f64 / (sent + again) as f64)
}

fn no_room_for_datagrams(place: &NumbersPlace) -> Vec<Hurt> {
    grown(
        place,
        LOSES,
        &[
            (
                "Udp.RcvbufErrors",
                "datagram",
                "dropped at a full receive buffer: its program reads too slowly",
            ),
            (
                "Udp6.RcvbufErrors",
                "datagram",
                "over IPv6 dropped at a full receive buffer: its program reads too slowly",
            ),
            (
                "Ip.ReasmFails",
                "datagram",
                "could not be put together from its fragments",
            ),
            (
                "Ip6.ReasmFails",
                "datagram",
                "over IPv6 could not be put together from its fragments",
            ),
        ],
    )
}

fn nobody_listens(place: &NumbersPlace) -> Vec<Hurt> {
    grown(
        place,
        WAITS,
        &[
            ("Udp.NoPorts", "datagram", "came to a port where nobody listens"),
            (
                "Udp6.NoPorts",
                "datagram",
                "over IPv6 came to a port where nobody listens",
            ),
        ],
    )
}

fn interfaces_lose(place: &NumbersPlace) -> Vec<Hurt> {
    /// Below this share of an interface's packets nobody feels it.
    const STRAY: f64 = 0.001;
    const LOSSES: &[(&str, &str)] = &[
        ("netdev.rx_missed", "missed by the device: its ring was full"),
        ("netdev.rx_fifo", "lost in the device"),
        ("netdev.tx_fifo", "lost in the device"),
        ("netdev.rx_errors", "received broken"),
        ("netdev.tx_errors", "that the device failed to send"),
        ("netdev.rx_dropped", "received and dropped by driver or stack"),
        ("netdev.tx_dropped", "dropped before they were sent"),
    ];
    let told = LOSSES.iter().flat_map(|(name, what)| {
        let interfaces = place.by(name, "interface").filter(|(_, moved)| moved.growth > 0);
        let felt = interfaces.filter(|(interface, moved)| {
            let packets = if name.contains("rx_") {
                "netdev.rx_packets"
            } else {
                "netdev.tx_packets"
            };
            let all = place.by(packets, "interface").find(|(other, _)| other == interface);
            let all = all.map_or(0, |(_, all)| all.growth);
            // A stray frame that nobody handles is counted as dropped, too.
            moved.growth as f64 > all as f64 * STRAY
        });
        felt.map(move |(interface, moved)| {
            hurt(
                LOSES * moved.growth as f64,
                format!("{interface}: {} {what}", count(moved.growth, "packet")),
            )
        })
    });
    told.collect()
}

fn queueing_disciplines_drop(place: &NumbersPlace) -> Vec<Hurt> {
    let dropped = place
        .by("qdisc.drops", "interface")
        .filter(|(_, moved)| moved.growth > 0);
    let told = dropped.map(|(interface, moved)| {
        let kind = moved.series.labels.get("kind").map_or("", String::as_str);
        hurt(
            LOSES * moved.growth as f64,
            format!("{interface}: {} dropped by {kind}", count(moved.growth, "packet")),
        )
    });
    told.collect()
}

fn no_way(place: &NumbersPlace) -> Vec<Hurt> {
    grown(
        place,
        LOSES,
        &[
            ("Ip.OutNoRoutes", "packet", "not sent: there was no route"),
            ("Ip6.OutNoRoutes", "packet", "over IPv6 not sent: there was no route"),
            (
                "TcpExt.IPReversePathFilter",
                "packet",
                "dropped by the reverse path filter",
            ),
            ("Ip.FragFails", "packet", "too large to be sent on"),
        ],
    )
}

/// Bytes that have to wait somewhere to be worth a word; fewer are what a program is about to read, or what is on its way.
pub(super) const MUCH: u64 = 64 * 1024;

fn unread(place: &NumbersPlace) -> Vec<Hurt> {
    let unread = place.now("tcpsummary.unread");
    let closed = place.growth("TcpExt.TCPToZeroWindowAdv");
    if closed > 0 {
        return vec![wait(
            LOSES * closed as f64,
            format!(
                "a program does not read: {} unread, its window was closed {}",
                bytes(unread),
                times(closed)
            ),
        )];
    }
    if unread < MUCH {
        return Vec::new();
    }
    vec![wait(
        WAITS * unread as f64 / 1024.0,
        format!("{} came that no program has read", bytes(unread)),
    )]
}

/// A level that is this near to its limit is told.
pub(super) const NEARLY_FULL: f64 = 0.9;

fn descriptors(place: &NumbersPlace) -> Vec<Hurt> {
    let told = place.by("fd.open", "process").filter_map(|(process, open)| {
        let limits = place.by("fd.limit", "process");
        let limit = limits
            .filter(|(other, _)| *other == process)
            .map(|(_, limit)| limit.now)
            .next()?;
        (open.now as f64 >= limit as f64 * NEARLY_FULL).then(|| {
            hurt(
                LOSES,
                format!("process {process} has {} of {limit} files open", open.now),
            )
        })
    });
    told.collect()
}

fn connection_table(place: &NumbersPlace) -> Vec<Hurt> {
    let mut found = grown(
        place,
        FAILS,
        &[
            ("conntrack.drop", "packet", "dropped: the connection table was full"),
            (
                "conntrack.insert_failed",
                "packet",
                "dropped: an equal connection was tracked first",
            ),
        ],
    );
    let (entries, limit) = (place.now("conntrack.entries"), place.now("conntrack.limit"));
    if limit > 0 && entries as f64 >= limit as f64 * NEARLY_FULL {
        let most = holders::most(place).map_or_else(String::new, |(who, held)| format!(", {held} of them from {who}"));
        found.push(hurt(LOSES, format!("{entries} of {limit} connections tracked{most}")));
    }
    found
}

/// The share of periods in which the CPU limit was reached; nothing without a limit.
pub fn throttled_share(place: &NumbersPlace) -> Option<f64> {
    let periods = place.growth("cpu.periods");
    (periods > 0).then(|| place.growth("cpu.throttled") as f64 / periods as f64)
}

fn throttled(place: &NumbersPlace) -> Vec<Hurt> {
    /// Below this share of periods nobody feels it.
    const FELT: f64 = 0.1;
    let Some(share) = throttled_share(place).filter(|share| *share >= FELT) else {
        return Vec::new();
    };
    let limit = place.now("cpu.limit_percent") as f64 / 100.0;
    vec![wait(
        WAITS * share * 1000.0,
        format!("CPU throttled in {:.0} % of periods (limit {limit:.2})", share * 100.0),
    )]
}

/// A share of the window, of a time that grew in it.
pub(super) fn share_of_window(place: &NumbersPlace, name: &str) -> f64 {
    place.per_second(name) / 1e6
}

/// Below this share of the window nobody feels it.
pub(super) const FELT_WAITING: f64 = 0.25;

fn waits_for_cpu(place: &NumbersPlace) -> Vec<Hurt> {
    let share = share_of_window(place, "cpu.waited");
    if share < FELT_WAITING {
        return Vec::new();
    }
    vec![wait(
        WAITS * share * 100.0,
        format!("threads ready to run waited for a CPU {share:.1} s in a second"),
    )]
}

fn waits_for_disk(place: &NumbersPlace) -> Vec<Hurt> {
    let share = share_of_window(place, "io.stalled");
    if share < FELT_WAITING {
        return Vec::new();
    }
    vec![wait(
        WAITS * share * 100.0,
        format!("waited for a disk {:.0} % of the time", share.min(1.0) * 100.0),
    )]
}

fn backlogs(place: &NumbersPlace) -> Vec<Hurt> {
    grown(
        place,
        LOSES,
        &[
            ("softnet.dropped", "packet", "dropped: a CPU's backlog was full"),
            (
                "softnet.flow_limited",
                "packet",
                "of one flow dropped in a CPU's backlog",
            ),
        ],
    )
}

fn socket_memory(place: &NumbersPlace) -> Vec<Hurt> {
    let told = [
        ("TCP", "sockmem.tcp", "sockmem.tcp_limit"),
        ("UDP", "sockmem.udp", "sockmem.udp_limit"),
    ];
    let told = told.iter().filter_map(|(protocol, used, limit)| {
        let (used, limit) = (place.now(used), place.now(limit));
        (limit > 0 && used as f64 >= limit as f64 * NEARLY_FULL).then(|| {
            hurt(
                FAILS,
                format!("{protocol} buffers take {} of {}", bytes(used), bytes(limit)),
            )
        })
    });
    told.collect()
}

fn count(number: u64, one: &str) -> String {
    diagnoses::words::count(usize::try_from(number).unwrap_or(usize::MAX), one)
}

fn times(number: u64) -> String {
    match number {
        1 => "once".to_owned(),
        2 => "twice".to_owned(),
        number => format!("{number} times"),
    }
}
