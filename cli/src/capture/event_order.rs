//! Events of several rings and nodes, put into the order in which they happened before they are shown.

use crate::conversation::state::ConversationState;
use model::event::Event;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Rings of several probes are read in turn: an event waits at most twice this long for an earlier one of another ring.
const ORDER_WITHIN: Duration = Duration::from_millis(40);
/// Where there are several nodes: how long an event waits for an earlier one of another node, which comes through the network.
const ORDER_ACROSS_NODES: Duration = Duration::from_millis(250);
/// How often the waiting events are looked through in that time.
const LOOKS: u32 = 4;
/// The most events that wait: in a flood the oldest go at once, in the order known so far.
const WAITING: usize = 12_288;

/// Lets events go in time order: those that were there already a while ago, since nothing earlier will come any more.
#[derive(Debug)]
pub struct EventOrder {
    began: Instant,
    /// When it was looked, and the latest event there was.
    looks: VecDeque<(Duration, u64)>,
}

impl Default for EventOrder {
    fn default() -> Self {
        Self {
            began: Instant::now(),
            looks: VecDeque::new(),
        }
    }
}

impl EventOrder {
    /// The events whose turn it is now.
    pub fn ready(&mut self, state: &mut ConversationState) -> Vec<Event> {
        self.ready_at(state, self.began.elapsed())
    }

    /// The events whose turn it is at that time.
    pub fn ready_at(&mut self, state: &mut ConversationState, now: Duration) -> Vec<Event> {
        let within = if state.nodes.len() > 1 {
            ORDER_ACROSS_NODES
        } else {
            ORDER_WITHIN
        };
        let early = self
            .looks
            .back()
            .is_some_and(|(at, _)| now.saturating_sub(*at) < within / LOOKS);
        if early && state.evidence.events.len() < 2 * WAITING {
            return Vec::new();
        }
        state.order();
        let events = &state.evidence.events;
        let latest = events.last().map_or(0, |event| event.at_ns);
        self.looks.push_back((now, latest));
        let mut until_ns = 0;
        while let Some((_, latest)) = self.looks.pop_front_if(|(at, _)| now.saturating_sub(*at) >= within) {
            until_ns = latest;
        }
        let ready = events.partition_point(|event| event.at_ns <= until_ns);
        let ready = ready.max(events.len().saturating_sub(WAITING));
        state.let_go(ready)
    }
}
