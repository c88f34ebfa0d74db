//! Rows for parts of places: each process, or each peer of its sockets. How places are taken apart, their columns, and what hurts.

use super::hurts::{
    FAILS, FELT_WAITING, Hurt, LOSES, MUCH, NEARLY_FULL, ON_THEIR_WAY, WAITS, found_by, hurt, share_of_window,
};
use super::place::NumbersPlace;
use super::views::{self, View, column, level, microseconds, rate};
use crate::conversation::numbers::Movement;
use diagnoses::words::{bytes, count};
use model::views::ColumnUnit::{Bytes, BytesPerSecond, Count, Seconds, Share};
use std::collections::BTreeMap;

/// What places are taken apart by.
#[derive(Debug)]
pub struct PartKind {
    /// Its word in `--by`, its columns, and the probes they need.
    pub view: View,
    /// Numbers with the same values of these labels belong to one part.
    labels: &'static [&'static str],
    /// How many parts were not told one by one.
    left_out: &'static str,
    /// What is looked for.
    signs: &'static [fn(&NumbersPlace) -> Vec<Hurt>],
    /// What a part is called, by the values of its labels.
    name: fn(&NumbersPlace, &[&str]) -> String,
}

/// Every kind of part.
pub const PARTS: &[PartKind] = &[
    PartKind {
        view: View {
            name: "process",
            about: "each process: connections, what waits in them, files, CPU, disks",
            probes: &["process"],
            of_nodes: false,
            columns: &[
                column("conns", "CONNS", Count, |part| level(part, "process.connections")),
                column("unread_bytes", "UNREAD", Bytes, |part| level(part, "process.unread")),
                column("unacknowledged_bytes", "UNACKED", Bytes, |part| {
                    level(part, "process.unacknowledged")
                }),
                column("resent", "SENT AGAIN", Count, |part| {
                    Some(part.rise("process.resent") as f64)
                }),
                column("open", "OPEN", Count, |part| level(part, "process.open")),
                column("full_ratio", "FULL", Share, |part| {
                    let limit = level(part, "process.limit").filter(|limit| *limit > 0.0)?;
                    Some(part.now("process.open") as f64 / limit)
                }),
                column("used_ratio", "CPU", Share, |part| {
                    views::share_of_window(part, "process.used")
                }),
                column("waited_ratio", "WAITED", Share, |part| {
                    views::share_of_window(part, "process.waited")
                }),
                column("read_bytes_per_s", "READ", BytesPerSecond, |part| {
                    rate(part, "process.read_bytes")
                }),
                column("written_bytes_per_s", "WRITTEN", BytesPerSecond, |part| {
                    rate(part, "process.written_bytes")
                }),
            ],
        },
        labels: &["process"],
        left_out: "process.left_out",
        signs: &[files_full, not_read_by_process, waited_for_cpu, resent_by_process],
        name: |_, values| values.concat(),
    },
    PartKind {
        view: View {
            name: "peer",
            about: "each peer of their sockets: connections, round trip times, what waits, what was sent again",
            probes: &["peers"],
            of_nodes: false,
            columns: &[
                column("conns", "CONNS", Count, |part| level(part, "peers.connections")),
                column("opening", "OPENING", Count, |part| level(part, "peers.opening")),
                column("rtt_p50_s", "RTT p50", Seconds, |part| {
                    microseconds(part, "peers.rtt_p50")
                }),
                column("unread_bytes", "UNREAD", Bytes, |part| level(part, "peers.unread")),
                column("unacknowledged_bytes", "UNACKED", Bytes, |part| {
                    level(part, "peers.unacknowledged")
                }),
                column("resent", "SENT AGAIN", Count, |part| {
                    Some(part.rise("peers.resent") as f64)
                }),
                column("sent_bytes", "SENT", Bytes, |part| {
                    Some(part.rise("peers.sent_bytes") as f64)
                }),
                column("received_bytes", "RECEIVED", Bytes, |part| {
                    Some(part.rise("peers.received_bytes") as f64)
                }),
            ],
        },
        labels: &["role", "peer", "port"],
        left_out: "peers.left_out",
        signs: &[
            does_not_answer,
            resent_to_peer,
            not_read_from_peer,
            not_acknowledged_by_peer,
        ],
        name: |place, values| match values {
            ["client", peer, port] => format!("to {} port {port}", place.named(peer)),
            [_, peer, port] => format!("from {} to port {port}", place.named(peer)),
            _ => values.join(" "),
        },
    },
];

/// The kind of that name.
pub fn find(name: &str) -> Option<&'static PartKind> {
    PARTS.iter().find(|kind| kind.view.name == name)
}

impl PartKind {
    /// The parts of a place, each by its name with its numbers alone.
    pub fn of<'a>(&self, place: &NumbersPlace<'a>) -> Vec<(String, NumbersPlace<'a>)> {
        let mut parts: BTreeMap<Vec<&str>, Vec<Movement<'a>>> = BTreeMap::new();
        for moved in &place.movements {
            let labels = &moved.series.labels;
            let values: Option<Vec<&str>> = self
                .labels
                .iter()
                .map(|label| labels.get(*label).map(String::as_str))
                .collect();
            if let Some(values) = values {
                parts.entry(values).or_default().push(*moved);
            }
        }
        let part = |(values, movements): (Vec<&str>, Vec<Movement<'a>>)| {
            ((self.name)(place, &values), place.narrowed(movements))
        };
        parts.into_iter().map(part).collect()
    }

    /// How many parts of a place were not told one by one.
    pub fn left_out(&self, place: &NumbersPlace) -> u64 {
        place.now(self.left_out)
    }

    /// What hurts of a part, worst first.
    pub fn hurts(&self, part: &NumbersPlace) -> Vec<Hurt> {
        found_by(self.signs, part)
    }
}

fn files_full(part: &NumbersPlace) -> Vec<Hurt> {
    let (open, limit) = (part.now("process.open"), part.now("process.limit"));
    let is_full = limit > 0 && open as f64 >= limit as f64 * NEARLY_FULL;
    told(is_full, LOSES, || format!("has {open} of {limit} files open"))
}

fn not_read_by_process(part: &NumbersPlace) -> Vec<Hurt> {
    let unread = part.now("process.unread");
    let weight = WAITS * unread as f64 / 1024.0;
    held(unread >= MUCH, weight, || {
        format!("has not read {} that came", bytes(unread))
    })
}

fn waited_for_cpu(part: &NumbersPlace) -> Vec<Hurt> {
    let share = share_of_window(part, "process.waited");
    let says = || format!("was ready to run and waited for a CPU {share:.1} s in a second");
    held(share >= FELT_WAITING, WAITS * share * 100.0, says)
}

fn resent_by_process(part: &NumbersPlace) -> Vec<Hurt> {
    resent(part, "process.resent")
}

fn resent_to_peer(part: &NumbersPlace) -> Vec<Hurt> {
    resent(part, "peers.resent")
}

fn resent(part: &NumbersPlace, name: &str) -> Vec<Hurt> {
    let again = part.rise(name);
    told(again > 0, LOSES * again as f64, || {
        format!("{} sent again", count(again as usize, "segment"))
    })
}

/// Connects that were on their way when the window opened, too, or many of them.
fn does_not_answer(part: &NumbersPlace) -> Vec<Hurt> {
    let before: u64 = part.of("peers.opening").filter_map(|moved| moved.then).sum();
    let waiting = part.now("peers.opening");
    let is_long = waiting >= ON_THEIR_WAY || (waiting > 0 && before > 0);
    told(is_long, FAILS * waiting as f64, || {
        let verb = if waiting == 1 { "waits" } else { "wait" };
        format!("{} {verb} to be answered", count(waiting as usize, "connect"))
    })
}

fn not_read_from_peer(part: &NumbersPlace) -> Vec<Hurt> {
    let unread = part.now("peers.unread");
    let weight = WAITS * unread as f64 / 1024.0;
    held(unread >= MUCH, weight, || {
        format!("{} came that no program has read", bytes(unread))
    })
}

fn not_acknowledged_by_peer(part: &NumbersPlace) -> Vec<Hurt> {
    let waiting = part.now("peers.unacknowledged");
    let weight = WAITS * waiting as f64 / 1024.0;
    held(waiting >= MUCH, weight, || {
        format!("{} written that the peer has not acknowledged", bytes(waiting))
    })
}

fn told(it_hurts: bool, weight: f64, says: impl FnOnce() -> String) -> Vec<Hurt> {
    if it_hurts {
        vec![hurt(weight, says())]
    } else {
        Vec::new()
    }
}

/// The same of a wait.
fn held(it_waits: bool, weight: f64, says: impl FnOnce() -> String) -> Vec<Hurt> {
    let waits = |hurt| Hurt { waits: true, ..hurt };
    told(it_waits, weight, says).into_iter().map(waits).collect()
}

#[cfg(test)]
mod tests {
    use super::find;
    use crate::conversation::numbers::Movement;
    use crate::numbers::NumbersPlace;
    use model::series::Series;
    use std::rc::Rc;

    #[test]
    fn a_place_is_taken_apart_by_peer_and_each_has_its_own_numbers_and_name() {
        let series = |name: &str, role: &str, peer: &str| Series {
            name: name.to_owned(),
            labels: [("role", role), ("peer", peer), ("port", "80/tcp")]
                .map(|(label, value)| (label.to_owned(), value.to_owned()))
                .into(),
            ..Series::default()
        };
        let all = [
            (series("peers.connections", "client", "10.0.0.9"), 3, None),
            (series("peers.opening", "client", "10.0.0.9"), 1, Some(1)),
            (series("peers.connections", "server", "10.0.0.7"), 5, Some(5)),
            (series("peers.resent", "server", "10.0.0.7"), 9, Some(7)),
        ];
        let moved = all.iter().map(|(series, now, then)| Movement {
            series,
            now: *now,
            then: *then,
            growth: 0,
        });
        let place = NumbersPlace {
            probes: vec!["peers"],
            movements: moved.collect(),
            known: Rc::new([("10.0.0.9".parse().unwrap(), "shop/db".to_owned())].into()),
            ..NumbersPlace::default()
        };
        let kind = find("peer").unwrap();
        let told: Vec<(String, u64, Vec<String>)> = kind
            .of(&place)
            .iter()
            .map(|(name, part)| {
                let hurts = kind.hurts(part).into_iter().map(|hurt| hurt.says).collect();
                (name.clone(), part.now("peers.connections"), hurts)
            })
            .collect();
        let expected = [
            ("to shop/db (10.0.0.9) port 80/tcp", 3, "1 connect waits to be answered"),
            ("from 10.0.0.7 to port 80/tcp", 5, "2 segments sent again"),
        ];
        let expected =
            expected.map(|(name, connections, hurts)| (name.to_owned(), connections, vec![hurts.to_owned()]));
        assert_eq!(told, expected);
    }
}
