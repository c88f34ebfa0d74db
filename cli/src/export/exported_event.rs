//! One event on its way to sinks: whose it is, when it was, and what it says. And how often each was met, as metrics. Pure.

use super::kubeskoop_names;
use super::metric_names;
use super::metric_set::MetricSet;
use super::place_labels::PlaceLabels;
use model::errno::name_of;
use model::event::Event;
use model::owner::Owner;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Kinds of events that are counted apart, at most: reasons are the kernel's own words.
const KINDS_MAX: usize = 20_000;

/// An event, and what of it sinks want.
#[derive(Clone, Debug)]
pub struct ExportedEvent {
    /// When, Unix time in nanoseconds by its node's clock.
    pub at_ns: u64,
    /// Whose it is.
    pub place: Arc<PlaceLabels>,
    /// What was seen, in one word (`reset-sent`).
    pub what: String,
    /// Why, in the kernel's word; empty where there is none.
    pub reason: String,
    /// The event itself.
    pub event: Event,
    /// As `capture -o json` prints it, without the line's end.
    pub json: String,
}

impl ExportedEvent {
    /// An event, the place it belongs to, and its JSON.
    pub fn new(event: Event, at_ns: u64, place: Arc<PlaceLabels>, json: String) -> Self {
        let seen = serde_json::to_value(&event.seen).unwrap_or_default();
        let text = |key: &str| seen.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        let mut reason = text("reason");
        if reason.is_empty() {
            reason = text("rcode");
        }
        let errno = seen.get("errno").and_then(Value::as_u64).filter(|errno| *errno > 0);
        if let Some(errno) = errno
            .and_then(|errno| u16::try_from(errno).ok())
            .filter(|_| reason.is_empty())
        {
            reason = name_of(errno).map_or_else(|| errno.to_string(), ToString::to_string);
        }
        Self {
            at_ns,
            place,
            what: text("what"),
            reason,
            event,
            json,
        }
    }

    /// The id of the container it happened in; empty where that is not known.
    pub fn container(&self) -> &str {
        match &self.event.owner {
            Owner::Pod { container, .. } => container.as_deref().unwrap_or_default(),
            Owner::Container { id } => id,
            Owner::Netns { .. } | Owner::Host | Owner::Unknown => "",
        }
    }
}

/// How often each kind of event was met since the window opened.
#[derive(Debug, Default)]
pub struct EventCounts {
    counts: BTreeMap<(Arc<PlaceLabels>, String, String, String), u64>,
    uncounted: u64,
}

impl EventCounts {
    /// Counts an event.
    pub fn count(&mut self, event: &ExportedEvent) {
        let key = (
            Arc::clone(&event.place),
            event.event.probe.clone(),
            event.what.clone(),
            event.reason.clone(),
        );
        if self.counts.len() >= KINDS_MAX && !self.counts.contains_key(&key) {
            self.uncounted += 1;
            return;
        }
        *self.counts.entry(key).or_default() += 1;
    }

    /// As counters: `skoop_<probe>_events_total`.
    pub fn add_to(&self, set: &mut MetricSet) {
        for ((place, probe, what, reason), count) in &self.counts {
            let name = metric_names::of_events(probe);
            let labels = [("what", what), ("reason", reason)];
            let labels = labels.map(|(name, value)| (name.to_owned(), value.clone()));
            set.add(&name, (Arc::clone(place), labels.to_vec(), *count));
        }
        set.left_out += self.uncounted;
    }

    /// Adds the counts under `KubeSkoop`'s names, where it had one: one sum for each place.
    pub fn add_as_kubeskoop(&self, set: &mut MetricSet) {
        let mut sums: BTreeMap<(&Arc<PlaceLabels>, &String), u64> = BTreeMap::new();
        for ((place, probe, _, _), count) in &self.counts {
            *sums.entry((place, probe)).or_default() += count;
        }
        for ((place, probe), count) in sums {
            if let Some(name) = kubeskoop_names::of_events(probe) {
                set.add(&name, (Arc::default(), kubeskoop_names::labels(place), count));
            }
        }
        set.left_out += self.uncounted;
    }
}

#[cfg(test)]
pub mod tests {
    use super::{EventCounts, ExportedEvent};
    use crate::export::metric_set::MetricSet;
    use crate::export::openmetrics_text::{MetricsDialect, text};
    use crate::export::place_labels::PlaceLabels;
    use model::owner::Owner;
    use std::sync::Arc;

    /// An event of a pod on node n1.
    pub fn event(seen: &str) -> ExportedEvent {
        let json = format!(
            r#"{{"at_ns":5,"probe":"tcpreset","netns":7,"flow":{{"src":"10.0.0.1","sport":41234,"dst":"10.0.0.2","dport":80,"protocol":"tcp"}},"seen":{seen}}}"#
        );
        let place = PlaceLabels {
            node: "n1".to_owned(),
            namespace: "shop".to_owned(),
            pod: "web-1".to_owned(),
            ..PlaceLabels::default()
        };
        let event = serde_json::from_str(&json).unwrap();
        ExportedEvent::new(event, 1_700_000_000_000_000_000, Arc::new(place), json)
    }

    /// The same in this container of the pod.
    pub fn event_in(container: &str, seen: &str) -> ExportedEvent {
        let mut event = event(seen);
        event.event.owner = Owner::Pod {
            uid: "u1".to_owned(),
            container: Some(container.to_owned()),
        };
        event
    }

    /// A reset, with its reason.
    pub const RESET: &str = r#"{"what":"reset-sent","reason":"NO_SOCKET","state":"UNKNOWN","active":false}"#;

    #[test]
    fn events_are_counted_by_place_word_and_reason() {
        let mut counts = EventCounts::default();
        for seen in [
            RESET,
            RESET,
            r#"{"what":"socket-error","errno":111,"soft":false}"#,
            r#"{"what":"retransmit","state":"ESTABLISHED","errno":0}"#,
        ] {
            counts.count(&event(seen));
        }
        let mut set = MetricSet::with_room(0, 10);
        counts.add_to(&mut set);
        set.settle();
        let text = text(&set, MetricsDialect::OpenMetrics);
        let web = r#"skoop_tcpreset_events_total{node="n1",namespace="shop",pod="web-1""#;
        for line in [
            r#",reason="NO_SOCKET",what="reset-sent"} 2"#,
            r#",reason="ECONNREFUSED",what="socket-error"} 1"#,
            r#",what="retransmit"} 1"#,
        ] {
            assert!(text.contains(&format!("{web}{line}")), "{line} is not in {text}");
        }
    }
}
