//! The events of one window as they are kept: in time order, and no more of them than one run has room for. Pure.

use super::retention::EVENTS_MAX_BYTES;
use model::event::Event;
use model::missing::Missing;

/// Most events kept of one window, as far as they fit; more are counted, not kept.
const EVENTS_MAX: usize = 200_000;
/// An event that is this much out of order is put in its place together with others.
const NEAR: usize = 64;

/// What is known of the events that are kept in the evidence.
#[derive(Debug, Default)]
pub struct EventBuffer {
    /// What they take, in bytes of memory.
    bytes: usize,
    /// How many events were not kept.
    unkept: usize,
    /// Some are not yet in their place.
    unordered: bool,
}

impl EventBuffer {
    /// Events come from several rings and several nodes, each in order: the place of one is at or near the end.
    pub fn insert(&mut self, events: &mut Vec<Event>, event: Event, bytes: usize) {
        if events.len() >= EVENTS_MAX || self.bytes >= EVENTS_MAX_BYTES {
            self.unkept += 1;
            return;
        }
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(size_of::<Event>());
        let later = |other: &&Event| other.at_ns > event.at_ns;
        let behind = events.iter().rev().take(NEAR).take_while(later).count();
        if behind < NEAR {
            events.insert(events.len() - behind, event);
        } else {
            self.unordered = true;
            events.push(event);
        }
    }

    /// Puts them in time order.
    pub fn order(&mut self, events: &mut [Event]) {
        if std::mem::take(&mut self.unordered) {
            events.sort_by_key(|event| event.at_ns);
        }
    }

    /// Takes the first of them out.
    pub fn let_go(&mut self, events: &mut Vec<Event>, count: usize) -> Vec<Event> {
        let left = events.len().saturating_sub(count);
        // What each of them takes is not remembered; they are much alike.
        self.bytes = self.bytes / events.len().max(1) * left;
        events.drain(..count.min(events.len())).collect()
    }

    /// Those that were not kept beside so many that were; reported once.
    pub fn unkept(&mut self, kept: usize) -> Option<Missing> {
        let unkept = std::mem::take(&mut self.unkept);
        let what = format!("{unkept} of {} events", unkept + kept);
        let missing = Missing::new(what, "one run keeps no more").remedy("look for a shorter time");
        (unkept > 0).then_some(missing)
    }

    /// All of them were dropped.
    pub fn forget(&mut self) {
        (self.unkept, self.bytes) = (0, 0);
    }
}
