//! The events of a long window that are kept: those of conversations that suffer, and the latest of all others. Pure.

use diagnoses::conversations::{ConversationTable, Key};
use model::event::Event;
use std::collections::{BTreeMap, BTreeSet};

/// Events that are kept of conversations that suffer, at most.
const EVENTS_MAX: usize = 100_000;
/// Fewer events are not worth looking through.
const FEW: usize = 4_096;

/// Events in the order in which they came.
#[derive(Debug)]
pub struct KeptEvents {
    events: Vec<Event>,
    /// How long events of other conversations are kept, in nanoseconds.
    keep_ns: u64,
    /// How many events there are when they are looked through next.
    next: usize,
    /// Events of conversations that suffered then and found no room.
    let_go: BTreeMap<Key, usize>,
    /// When the latest of these was, in nanoseconds.
    let_go_until_ns: u64,
}

impl KeptEvents {
    /// No events yet. Those of no suffering conversation are kept for `keep_ns`.
    pub fn for_ns(keep_ns: u64) -> Self {
        Self {
            events: Vec::new(),
            keep_ns,
            next: FEW,
            let_go: BTreeMap::new(),
            let_go_until_ns: 0,
        }
    }

    /// Keeps one more.
    pub fn push(&mut self, event: Event) {
        self.events.push(event);
    }

    /// Whether there are enough events to look through.
    pub fn is_due(&self) -> bool {
        self.events.len() >= self.next
    }

    /// Lets go what is of no further use: of no conversation that suffers, and old.
    pub fn tidy(&mut self, table: &ConversationTable, suffering: &BTreeSet<Key>, now_ns: u64) {
        if !self.is_due() {
            return;
        }
        let since_ns = now_ns.saturating_sub(self.keep_ns);
        let of_suffering = |event: &Event| table.whose(event).is_some_and(|(key, ..)| suffering.contains(&key));
        self.events
            .retain(|event| event.at_ns >= since_ns || of_suffering(event));
        if self.events.len() > EVENTS_MAX {
            self.events.retain(of_suffering);
        }
        if self.events.len() > EVENTS_MAX {
            let surplus = self.events.len() - EVENTS_MAX / 2;
            for event in self.events.drain(..surplus) {
                self.let_go_until_ns = self.let_go_until_ns.max(event.at_ns);
                if let Some((key, ..)) = table.whose(&event) {
                    *self.let_go.entry(key).or_default() += 1;
                }
            }
        }
        self.next = (self.events.len() * 2).max(FEW);
    }

    /// Events of these conversations that found no room.
    pub fn missed(&self, suffering: &BTreeSet<Key>) -> usize {
        let of_them = self.let_go.iter().filter(|(key, _)| suffering.contains(key));
        of_them.map(|(_, events)| events).sum()
    }

    /// Since when a conversation's events are whole, where they were followed since that time.
    pub fn whole_since(&self, key: &Key, followed_ns: u64) -> u64 {
        if self.let_go.contains_key(key) {
            followed_ns.max(self.let_go_until_ns)
        } else {
            followed_ns
        }
    }

    /// All that are left.
    pub fn all(self) -> Vec<Event> {
        self.events
    }
}
