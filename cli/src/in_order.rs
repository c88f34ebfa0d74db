//! Events of several rings and nodes, let go in the order in which they happened.

use crate::look::Look;
use model::event::Event;
use std::time::Duration;
use tokio::time::Instant;

/// Rings of several probes are read in turn: an event waits at most twice this long for an earlier one of another ring.
const ORDER_WITHIN: Duration = Duration::from_millis(40);
/// Of several nodes, for one that comes over another way through the network.
const ORDER_ACROSS_NODES: Duration = Duration::from_millis(250);

/// Lets events go in time order: those that were there already a while ago, since nothing earlier will come any more.
#[derive(Default)]
pub struct InOrder {
    looked: Option<Instant>,
    until_ns: u64,
}

impl InOrder {
    /// Those whose turn it is.
    pub fn ready(&mut self, look: &mut Look) -> Vec<Event> {
        let within = if look.nodes.len() > 1 {
            ORDER_ACROSS_NODES
        } else {
            ORDER_WITHIN
        };
        if self.looked.is_some_and(|looked| looked.elapsed() < within) {
            return Vec::new();
        }
        look.order();
        let events = &mut look.evidence.events;
        let ready = events.partition_point(|event| event.at_ns <= self.until_ns);
        self.looked = Some(Instant::now());
        self.until_ns = events
            .last()
            .map_or(self.until_ns, |event| event.at_ns.max(self.until_ns));
        events.drain(..ready).collect()
    }
}
