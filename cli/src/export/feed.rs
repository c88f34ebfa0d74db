//! What a run gives its sinks: each event once, and each reading of all nodes that is complete.

use super::event_places::EventPlaces;
use super::exported_event::{EventCounts, ExportedEvent};
use super::kubeskoop_names;
use super::metric_names::MetricNaming;
use super::metric_set::MetricSet;
use super::sinks::ExportSinks;
use crate::conversation::numbers::Since;
use crate::conversation::state::ConversationState;
use crate::numbers::{NumbersPlace, PlaceNames};
use crate::render::EventJson;
use diagnoses::kernel::drops::{Class, class_of};
use model::event::Event;
use model::inventory::Pod;
use model::owner::Owner;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// What a run gives its sinks.
#[derive(Debug)]
pub struct ExportFeed {
    sinks: ExportSinks,
    names: PlaceNames,
    json: EventJson,
    places: EventPlaces,
    counts: EventCounts,
    naming: MetricNaming,
    max_series: usize,
    /// Readings that were given.
    told: u64,
    /// The most samples that were left out of one reading.
    pub left_out: u64,
    /// Nodes on which something is of a pod that has no name yet.
    pub strangers: BTreeSet<String>,
}

impl ExportFeed {
    /// For these sinks, with these names.
    pub fn new(
        sinks: ExportSinks,
        (names, json): (PlaceNames, EventJson),
        naming: MetricNaming,
        max_series: usize,
    ) -> Self {
        Self {
            sinks,
            names,
            json,
            places: EventPlaces::default(),
            counts: EventCounts::default(),
            naming,
            max_series,
            told: 0,
            left_out: 0,
            strangers: BTreeSet::new(),
        }
    }

    /// Pods that have come since.
    pub fn meet(&mut self, pods: &[Pod]) {
        self.names.meet(pods);
        self.json.meet(pods);
    }

    /// No sink takes anything any more.
    pub fn is_over(&self) -> bool {
        self.sinks.are_over()
    }

    /// Gives an event to all, unless it is a drop that happens wherever all is well.
    pub fn event(&mut self, state: &ConversationState, event: Event) {
        if class_of(&event) == Some(Class::Benign) {
            return;
        }
        // Where there is one node, events do not name it.
        let index = state.named(&event.node).unwrap_or_default();
        let node = state.evidence.nodes.get(index).map_or("", |node| node.name.as_str());
        let hello = state.nodes.get(index).and_then(|node| node.hello.as_ref());
        let booted = hello.map_or(0, |hello| i128::from(hello.wall_ns) - i128::from(hello.monotonic_ns));
        let at_ns = u64::try_from(booted + i128::from(event.at_ns)).unwrap_or_default();
        if self.json.is_strangers(&event) {
            self.strangers.insert(node.to_owned());
        }
        let place = self.places.of(&event, node, &self.names);
        let Ok(json) = self.json.line(&event) else {
            return;
        };
        let event = ExportedEvent::new(event, at_ns, place, json);
        self.counts.count(&event);
        self.sinks.event(&Arc::new(event));
    }

    /// Gives a reading to all, unless they have it. `complete` is the number of the last one that all nodes have told.
    pub fn reading(&mut self, state: &ConversationState, complete: u64) {
        if complete <= self.told {
            return;
        }
        self.told = complete;
        let mut places = NumbersPlace::all(state, &self.names, Since::Previous);
        // What a node said before it went is not what it is now.
        let gone = |name: &str| {
            let node = state.named(name).and_then(|node| state.nodes.get(node));
            node.is_none_or(|node| node.cut)
        };
        places.retain(|place| !gone(&place.node));
        for (node, _, place) in state.numbers.places(Since::Previous) {
            if let Owner::Pod { uid, .. } = &place.whose.owner
                && self.names.pod(uid).is_none()
                && let Some(node) = state.evidence.nodes.get(node)
            {
                self.strangers.insert(node.name.clone());
            }
        }
        self.places.learn(&places);
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut set = MetricSet::with_room(now, self.max_series);
        match self.naming {
            MetricNaming::Skoop => {
                set.add_places(&places);
                self.counts.add_to(&mut set);
            }
            MetricNaming::Kubeskoop => {
                kubeskoop_names::add_places(&mut set, &places);
                self.counts.add_as_kubeskoop(&mut set);
            }
        }
        set.settle();
        self.left_out = self.left_out.max(set.left_out);
        self.sinks.add_counts(&mut set);
        ExportSinks::add_untold(&mut set, &state.evidence.nodes);
        self.sinks.reading(&Arc::new(set));
    }

    /// Lets all sinks finish. So much did not go out.
    pub async fn finish(self) -> u64 {
        self.sinks.finish().await
    }
}
