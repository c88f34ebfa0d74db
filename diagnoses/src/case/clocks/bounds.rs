//! How far one machine's clock can be ahead of another's, as the packets bound it.

use super::sights::{Packets, Sight, begins, crossing};
use model::evidence::Clock;
use model::report::Direction;
use std::collections::HashMap;

/// From one machine to the next no packet takes less, in nanoseconds: where its time is known one way only, it took this.
const LEAST_TRANSIT_NS: i64 = 1_000;
/// Clocks that run more apart than this are broken: NTP slews at most 500 ppm, on either side.
const DRIFT_MOST: f64 = 1e-3;
/// In each part of a run only the packet that bounds most is used.
const PARTS: i64 = 64;

/// How far a machine's clock is ahead, as a line over its own time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Offset {
    pub clock: Clock,
    /// The time at which `ahead_ns` holds.
    at_ns: i64,
    ahead_ns: i64,
    drift: f64,
}

impl Offset {
    pub const fn none(clock: Clock) -> Self {
        Self {
            clock,
            at_ns: 0,
            ahead_ns: 0,
            drift: 0.0,
        }
    }

    pub fn apply(&self, at_ns: u64) -> u64 {
        let own = signed(at_ns);
        let drifted = (own.saturating_sub(self.at_ns) as f64 * self.drift) as i64;
        let time = own.saturating_sub(self.ahead_ns).saturating_sub(drifted);
        u64::try_from(time).unwrap_or_default()
    }
}

fn signed(at_ns: u64) -> i64 {
    i64::try_from(at_ns).unwrap_or(i64::MAX)
}

/// How far a clock can be ahead: each packet's bound with the clock's own time of it.
#[derive(Debug, Default)]
pub struct Bounds {
    most: Vec<(i64, i64)>,
    least: Vec<(i64, i64)>,
}

impl Bounds {
    /// What the packets say of this machine beside those whose offset is known.
    pub fn of(packets: &Packets, offsets: &[Option<Offset>], machine: usize, sends: bool) -> Self {
        let mut bounds = Self::default();
        for (marks, by_machine) in packets {
            for (known, offset) in offsets.iter().enumerate() {
                let Some(offset) = offset else { continue };
                let source = (sends && known == 0).then_some(marks.1);
                bounds.packet(&by_machine[known], &by_machine[machine], offset, source);
            }
        }
        bounds.most = strictest(&bounds.most, i64::min);
        bounds.least = strictest(&bounds.least, i64::max);
        bounds
    }

    /// One packet, at a machine whose time is known and at the one in question. `source`: the first one sends requests.
    fn packet(&mut self, known: &[Vec<Sight>], own: &[Vec<Sight>], offset: &Offset, source: Option<Direction>) {
        let pairs = if known.len() == own.len() { own.len() } else { 1 };
        for (there, here) in known.iter().zip(own).take(pairs) {
            let (leaves, returns) = match source {
                Some(direction) => crossing(direction, there, here),
                None if begins(there, here) => crossing(Direction::Request, there, here),
                None if begins(here, there) => {
                    let (leaves, returns) = crossing(Direction::Request, here, there);
                    (returns.map(swapped), leaves.map(swapped))
                }
                None => (None, None),
            };
            let bound = |(there, here): (u64, u64)| (signed(here), signed(here) - signed(offset.apply(there)));
            // Of one that was sent again and lost in between, the first to arrive is no earlier than the first that left.
            if known.len() >= own.len() {
                self.most.extend(leaves.map(bound));
            }
            if own.len() >= known.len() {
                self.least.extend(returns.map(bound));
            }
        }
    }

    /// The middle between the bounds; `None` where there are none, or where they contradict each other.
    pub fn middle(&self) -> Option<Offset> {
        let ends = |bounds: &[(i64, i64)]| bounds.iter().map(|(at_ns, _)| *at_ns).min();
        let at_ns = ends(&self.most).into_iter().chain(ends(&self.least)).min()?;
        let most = |drift: f64| residues(&self.most, at_ns, drift).min_by(f64::total_cmp);
        let least = |drift: f64| residues(&self.least, at_ns, drift).max_by(f64::total_cmp);
        let one_way = |ahead_ns: i64| Offset {
            ahead_ns,
            ..Offset::none(Clock::OneWay)
        };
        let (above, below) = match (most(0.0), least(0.0)) {
            (Some(above), Some(below)) => (above, below),
            (Some(above), None) => return Some(one_way((above as i64).saturating_sub(LEAST_TRANSIT_NS))),
            (None, Some(below)) => return Some(one_way((below as i64).saturating_add(LEAST_TRANSIT_NS))),
            (None, None) => return None,
        };
        let room = |drift: f64| most(drift).unwrap_or(above) - least(drift).unwrap_or(below);
        let drift = if above >= below { 0.0 } else { widest(room) };
        let room = room(drift);
        let below = least(drift).unwrap_or(below);
        (room >= 0.0).then(|| Offset {
            clock: Clock::Within {
                ns: (room / 2.0) as u64,
            },
            at_ns,
            ahead_ns: (below + room / 2.0) as i64,
            drift,
        })
    }
}

const fn swapped((one, other): (u64, u64)) -> (u64, u64) {
    (other, one)
}

/// What is left of the bounds when the drift is taken out.
fn residues(bounds: &[(i64, i64)], since_ns: i64, drift: f64) -> impl Iterator<Item = f64> {
    let residue = move |(at_ns, bound): &(i64, i64)| *bound as f64 - drift * (at_ns - since_ns) as f64;
    bounds.iter().map(residue)
}

/// The drift that leaves most room: the room is a concave function of it.
fn widest(room: impl Fn(f64) -> f64) -> f64 {
    let (mut low, mut high) = (-DRIFT_MOST, DRIFT_MOST);
    for _ in 0..60 {
        let (left, right) = (low + (high - low) / 3.0, high - (high - low) / 3.0);
        if room(left) < room(right) {
            low = left;
        } else {
            high = right;
        }
    }
    f64::midpoint(low, high)
}

/// In each part of the run the bound that says most.
fn strictest(bounds: &[(i64, i64)], stricter: impl Fn(i64, i64) -> i64) -> Vec<(i64, i64)> {
    let times = || bounds.iter().map(|(at_ns, _)| *at_ns);
    let (Some(first), Some(last)) = (times().min(), times().max()) else {
        return Vec::new();
    };
    let part_ns = (last.saturating_sub(first) / PARTS).max(1);
    let mut best: HashMap<i64, (i64, i64)> = HashMap::new();
    for (at_ns, bound) in bounds {
        let part = at_ns.saturating_sub(first) / part_ns;
        let known = best.entry(part).or_insert((*at_ns, *bound));
        if stricter(known.1, *bound) != known.1 {
            *known = (*at_ns, *bound);
        }
    }
    best.into_values().collect()
}
