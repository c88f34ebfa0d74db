//! The sink `loki=URL`: events by Loki's push API, with few labels and all else as structured metadata.

use super::exported_event::ExportedEvent;
use super::http_push::PushServer;
use super::sink_queue::SinkBatch;
use super::sink_runner::{DeliveryError, ExportSink};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// The API's own path.
pub const PATH: &str = "/loki/api/v1/push";

/// A server that takes Loki's pushes.
#[derive(Debug)]
pub struct Loki {
    server: PushServer,
    cluster: String,
}

impl Loki {
    /// This one; a cluster without a name has no such label.
    pub fn new(server: PushServer, cluster: String) -> Self {
        Self { server, cluster }
    }
}

/// The streams of a push: each has the labels by which it is found, and few of them.
fn push(batch: &SinkBatch, cluster: &str) -> Value {
    let mut streams: BTreeMap<(&str, &str), Vec<Value>> = BTreeMap::new();
    for event in &batch.events {
        let stream = (event.place.node.as_str(), event.place.namespace.as_str());
        let entry = json!([event.at_ns.to_string(), event.json, metadata(event)]);
        streams.entry(stream).or_default().push(entry);
    }
    let streams: Vec<Value> = streams
        .into_iter()
        .map(|((node, namespace), values)| {
            let labels = said([("cluster", cluster), ("node", node), ("namespace", namespace)]);
            json!({"stream": labels, "values": values})
        })
        .collect();
    json!({"streams": streams})
}

fn said<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Map<String, Value> {
    let pairs = pairs.into_iter().filter(|(_, value)| !value.is_empty());
    pairs.map(|(name, value)| (name.to_owned(), value.into())).collect()
}

fn metadata(event: &ExportedEvent) -> Map<String, Value> {
    let mut metadata = said([
        ("pod", event.place.pod.as_str()),
        ("place", event.place.place.as_str()),
        ("container", event.container()),
        ("probe", event.event.probe.as_str()),
        ("what", event.what.as_str()),
        ("reason", event.reason.as_str()),
        ("interface", event.event.interface.as_deref().unwrap_or_default()),
    ]);
    let flow = &event.event.flow;
    metadata.insert("src".to_owned(), flow.src().to_string().into());
    metadata.insert("dst".to_owned(), flow.dst().to_string().into());
    metadata
}

impl ExportSink for Loki {
    async fn deliver(&mut self, batch: &SinkBatch) -> Result<u64, DeliveryError> {
        let body = push(batch, &self.cluster).to_string().into_bytes();
        self.server.post("application/json", &body).await.map(|_| 0)
    }
}

#[cfg(test)]
mod tests {
    use super::push;
    use crate::export::exported_event::tests::{RESET, event, event_in};
    use crate::export::sink_queue::SinkBatch;
    use serde_json::json;
    use std::sync::Arc;

    #[test]
    fn a_stream_has_three_labels_and_an_entry_the_rest_as_metadata() {
        let event = event(RESET);
        let line = event.json.clone();
        let batch = SinkBatch {
            events: vec![Arc::new(event)],
            readings: Vec::new(),
        };
        let metadata = json!({"pod": "web-1", "probe": "tcpreset", "what": "reset-sent", "reason": "NO_SOCKET", "src": "10.0.0.1", "dst": "10.0.0.2"});
        assert_eq!(
            push(&batch, "prod"),
            json!({"streams": [{
                "stream": {"cluster": "prod", "node": "n1", "namespace": "shop"},
                "values": [["1700000000000000000", line, metadata]],
            }]})
        );
        assert!(push(&batch, "")["streams"][0]["stream"].get("cluster").is_none());
    }

    #[test]
    fn the_container_is_told_where_it_is_known() {
        let batch = SinkBatch {
            events: vec![Arc::new(event_in("4f2a", RESET))],
            readings: Vec::new(),
        };
        let metadata = &push(&batch, "")["streams"][0]["values"][0][2];
        assert_eq!(
            (&metadata["pod"], &metadata["container"]),
            (&"web-1".into(), &"4f2a".into())
        );
    }
}
