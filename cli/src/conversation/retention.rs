//! How much of the helpers' replies is kept: for each kind a bound over all helpers of a run, so that the client stays small
//! whatever they send. Pure.

use model::facts::Phase;
use model::protocol::Reply;
use std::collections::BTreeMap;

const MIB: usize = 1024 * 1024;

/// Bytes that events of one window may take.
pub const EVENTS_MAX_BYTES: usize = 64 * MIB;
/// Bytes that facts may take, however often they are read.
const FACTS_MAX_BYTES: usize = 88 * MIB;

/// What is kept of each kind, in bytes of memory as [`crate::conversation::line_weight::weight`] has it.
#[derive(Debug, Default)]
pub struct RetainedBytes {
    facts: ReadFacts,
    attempts: usize,
    flows: usize,
    numbers: usize,
    reports: usize,
    others: usize,
}

/// What was read last of each place: it takes the place of what was read there before.
#[derive(Debug, Default)]
struct ReadFacts {
    last: BTreeMap<FactsPlace, usize>,
    bytes: usize,
}

/// Facts that take one another's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum FactsPlace {
    /// Facts of a namespace of a node, a bit for each.
    Netns(usize, u32, Phase, u32),
    /// Facts of a process of a node.
    Process(usize, u32, Phase),
    /// Facts of a node.
    Node(usize, Phase),
    /// Whose a namespace of a node is, and what of its numbers could not be read.
    Whose(usize, u32),
}

impl FactsPlace {
    fn of(node: usize, reply: &Reply) -> Option<Self> {
        match reply {
            // What is read again before the window is added to, what is read after it is replaced.
            Reply::Facts { phase, facts, .. } if *phase == Phase::After => {
                Some(Self::Netns(node, facts.netns, *phase, 0))
            }
            Reply::Facts { phase, facts, .. } => Some(Self::Netns(node, facts.netns, *phase, facts.known())),
            Reply::Process { phase, facts, .. } => Some(Self::Process(node, facts.pid, *phase)),
            Reply::Node { phase, .. } => Some(Self::Node(node, *phase)),
            Reply::Series(sample) if sample.whose.is_some() || !sample.missing.is_empty() => {
                Some(Self::Whose(node, sample.netns))
            }
            _ => None,
        }
    }
}

impl ReadFacts {
    /// All that is kept with this, in bytes.
    fn replace(&mut self, place: FactsPlace, bytes: usize) -> usize {
        let before = self.last.insert(place, bytes).unwrap_or_default();
        self.bytes = self.bytes.saturating_sub(before).saturating_add(bytes);
        self.bytes
    }
}

impl RetainedBytes {
    /// Makes room for a node's reply of so many bytes, or says why there is none. Events and samples are bounded where they are kept;
    /// what takes the place of its forerunner is bounded by its line.
    pub fn make_room(&mut self, node: usize, reply: &Reply, bytes: usize) -> Result<(), String> {
        if let Some(place) = FactsPlace::of(node, reply) {
            return within(self.facts.replace(place, bytes), FACTS_MAX_BYTES, "facts");
        }
        let (kept, most, of) = match reply {
            Reply::Attempt(_) => (&mut self.attempts, 8 * MIB, "attempts"),
            Reply::Planned { .. } => (&mut self.flows, 8 * MIB, "flows"),
            Reply::Resolved(_) | Reply::Failed { .. } => (&mut self.others, 8 * MIB, "endpoints and failures"),
            Reply::Describe(_) => (&mut self.numbers, 32 * MIB, "different numbers"),
            Reply::Armed { .. } | Reply::Stopped { .. } => (&mut self.reports, 16 * MIB, "states of probes and totals"),
            Reply::Facts { .. }
            | Reply::Process { .. }
            | Reply::Node { .. }
            | Reply::Hello(_)
            | Reply::Read { .. }
            | Reply::Going { .. }
            | Reply::Event(_)
            | Reply::Series(_)
            | Reply::Round(_)
            | Reply::Alive
            | Reply::Done { .. } => return Ok(()),
        };
        *kept = kept.saturating_add(bytes);
        within(*kept, most, of)
    }

    /// A round was forgotten, and with it its attempts, flows and totals.
    pub fn forget_round(&mut self) {
        (self.attempts, self.flows, self.reports) = (0, 0, 0);
    }
}

fn within(kept: usize, most: usize, of: &str) -> Result<(), String> {
    if kept > most {
        return Err(format!(
            "helpers told more {of} than the {} MiB that one run keeps",
            most / MIB
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::RetainedBytes;
    use model::facts::{NetnsFacts, Phase};
    use model::missing::Known;
    use model::protocol::Reply;

    fn counters(netns: u32, phase: Phase) -> Reply {
        Reply::Facts {
            id: 1,
            name: String::new(),
            phase,
            facts: NetnsFacts {
                netns,
                counters: Known::Known([("TcpExt.ListenDrops".to_owned(), 3)].into()),
                ..NetnsFacts::default()
            },
        }
    }

    #[test]
    fn what_is_read_again_and_again_takes_the_place_of_what_was_read_before() {
        let mut kept = RetainedBytes::default();
        for phase in [Phase::Before, Phase::After] {
            for _ in 0..10_000 {
                assert_eq!(kept.make_room(0, &counters(7, phase), 25_000), Ok(()));
            }
        }
    }

    #[test]
    fn facts_of_ever_more_places_are_refused() {
        let mut kept = RetainedBytes::default();
        let refused = (0..10_000).find(|netns| kept.make_room(0, &counters(*netns, Phase::After), 25_000).is_err());
        assert_eq!(refused, Some(88 * 1024 * 1024 / 25_000));
    }
}
