//! The sink `elasticsearch=URL`: events by the bulk API of Elasticsearch and `OpenSearch`, with the names of the Elastic Common
//! Schema.

use super::exported_event::ExportedEvent;
use super::http_push::PushServer;
use super::json_lines;
use super::sink_queue::SinkBatch;
use super::sink_runner::{DeliveryError, ExportSink};
use model::event::Seen;
use model::flow::protocol_name;
use serde_json::{Map, Value, json};
use sha2::{Digest as _, Sha256};
use std::fmt::Write as _;

/// The API's own path.
pub const PATH: &str = "/_bulk";
/// Where documents go unless another index is named: a data stream, where the server makes those.
pub const INDEX: &str = "logs-skoop.events-default";

/// A server that takes bulks.
#[derive(Debug)]
pub struct Elasticsearch {
    server: PushServer,
    index: String,
    cluster: String,
}

impl Elasticsearch {
    /// This one.
    pub fn new(server: PushServer, index: String, cluster: String) -> Self {
        Self { server, index, cluster }
    }
}

/// A bulk: what is to be done and with what, in turn. The same event has the same id whenever it is sent, and stands there once.
fn bulk(batch: &SinkBatch, index: &str, cluster: &str) -> String {
    let mut bulk = String::new();
    for event in &batch.events {
        let _ = writeln!(bulk, "{}", json!({"create": {"_index": index, "_id": id(event)}}));
        let _ = writeln!(bulk, "{}", document(event, cluster));
    }
    bulk
}

fn id(event: &ExportedEvent) -> String {
    let mut digest = Sha256::new();
    digest.update(event.at_ns.to_le_bytes());
    digest.update(event.place.node.as_bytes());
    digest.update(event.json.as_bytes());
    digest.finalize().iter().take(16).fold(String::new(), |mut id, byte| {
        let _ = write!(id, "{byte:02x}");
        id
    })
}

/// An object without what says nothing.
fn object<const N: usize>(fields: [(&str, Value); N]) -> Value {
    let says = |value: &Value| match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        _ => true,
    };
    let fields = fields.into_iter().filter(|(_, value)| says(value));
    Value::Object(
        fields
            .map(|(name, value)| (name.to_owned(), value))
            .collect::<Map<_, _>>(),
    )
}

fn document(exported: &ExportedEvent, cluster: &str) -> Value {
    let (event, place) = (&exported.event, &exported.place);
    let end = |address: std::net::IpAddr, port: u16| {
        let port = if port == 0 { Value::Null } else { port.into() };
        object([("ip", address.to_string().into()), ("port", port)])
    };
    let name = match &event.seen {
        Seen::DnsQuery { name, .. } | Seen::DnsAnswer { name, .. } | Seen::DnsUnanswered { name, .. } => name.as_str(),
        _ => "",
    };
    let kind = match &event.seen {
        Seen::Drop { .. } => "denied",
        Seen::ResetSent { .. } | Seen::ResetReceived { .. } => "end",
        _ => "info",
    };
    let flow = &event.flow;
    object([
        ("@timestamp", json_lines::at(exported.at_ns).into()),
        ("message", exported.json.as_str().into()),
        ("ecs", json!({"version": "8.11.0"})),
        (
            "event",
            object([
                ("kind", "event".into()),
                ("category", json!(["network"])),
                ("type", json!([kind])),
                ("action", exported.what.as_str().into()),
                ("reason", exported.reason.as_str().into()),
                ("provider", event.probe.as_str().into()),
                ("module", "skoop".into()),
                ("dataset", "skoop.events".into()),
            ]),
        ),
        ("host", object([("name", place.node.as_str().into())])),
        (
            "orchestrator",
            object([
                (
                    "type",
                    if place.pod.is_empty() {
                        Value::Null
                    } else {
                        "kubernetes".into()
                    },
                ),
                ("namespace", place.namespace.as_str().into()),
                ("cluster", object([("name", cluster.into())])),
                ("resource", object([("name", place.pod.as_str().into())])),
            ]),
        ),
        ("container", object([("id", exported.container().into())])),
        ("source", end(flow.src(), flow.sport)),
        ("destination", end(flow.dst(), flow.dport)),
        (
            "network",
            object([("transport", protocol_name(flow.protocol).to_string().into())]),
        ),
        (
            "process",
            object([
                ("pid", if event.pid == 0 { Value::Null } else { event.pid.into() }),
                ("name", event.process.as_deref().unwrap_or_default().into()),
            ]),
        ),
        ("dns", object([("question", object([("name", name.into())]))])),
        (
            "labels",
            object([
                ("place", place.place.as_str().into()),
                ("interface", event.interface.as_deref().unwrap_or_default().into()),
            ]),
        ),
    ])
}

/// What a server says to a bulk: so many documents it refuses for good; an error where some may be taken later.
fn outcome(answer: &[u8]) -> Result<u64, DeliveryError> {
    let answer: Value = serde_json::from_slice(answer)
        .map_err(|_| DeliveryError::lasting("the server's answer to a bulk is no JSON; look at the address"))?;
    let items = answer["items"].as_array().map(Vec::as_slice).unwrap_or_default();
    let (mut refused, mut later, mut why) = (0, false, String::new());
    for done in items.iter().filter_map(|item| item.as_object()?.values().next()) {
        match done["status"].as_u64().unwrap_or_default() {
            // It stands there already: an answer of before was lost.
            200..=299 | 409 => continue,
            429 | 500..=599 => later = true,
            _ => refused += 1,
        }
        if why.is_empty() {
            let says = |key: &str| {
                done["error"][key]
                    .as_str()
                    .unwrap_or_default()
                    .chars()
                    .take(200)
                    .collect::<String>()
            };
            why = format!("{}: {}", says("type"), says("reason"));
        }
    }
    if later {
        return Err(DeliveryError::passing(format!(
            "the server does not take all documents now ({why}); give it more room if this goes on"
        )));
    }
    Ok(refused)
}

impl ExportSink for Elasticsearch {
    async fn deliver(&mut self, batch: &SinkBatch) -> Result<u64, DeliveryError> {
        let body = bulk(batch, &self.index, &self.cluster).into_bytes();
        let answer = self.server.post("application/x-ndjson", &body).await?;
        outcome(&answer)
    }
}

#[cfg(test)]
mod tests {
    use super::{bulk, outcome};
    use crate::export::exported_event::tests::{RESET, event, event_in};
    use crate::export::sink_queue::SinkBatch;
    use serde_json::{Value, json};
    use std::sync::Arc;

    #[test]
    fn a_document_has_the_names_of_the_common_schema_and_the_same_id_each_time() {
        let batch = SinkBatch {
            events: vec![Arc::new(event(RESET))],
            readings: Vec::new(),
        };
        let text = bulk(&batch, "logs", "prod");
        assert_eq!(text, bulk(&batch, "logs", "prod"));
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(lines[0]["create"]["_index"], "logs");
        assert_eq!(lines[0]["create"]["_id"].as_str().unwrap().len(), 32);
        let mut document = lines[1].clone();
        assert!(document["message"].as_str().unwrap().contains("NO_SOCKET"));
        document["message"].take();
        assert_eq!(
            document,
            json!({
                "@timestamp": "2023-11-14T22:13:20.000Z",
                "message": null,
                "ecs": {"version": "8.11.0"},
                "event": {"kind": "event", "category": ["network"], "type": ["end"], "action": "reset-sent",
                    "reason": "NO_SOCKET", "provider": "tcpreset", "module": "skoop", "dataset": "skoop.events"},
                "host": {"name": "n1"},
                "orchestrator": {"type": "kubernetes", "namespace": "shop", "cluster": {"name": "prod"},
                    "resource": {"name": "web-1"}},
                "source": {"ip": "10.0.0.1", "port": 41234},
                "destination": {"ip": "10.0.0.2", "port": 80},
                "network": {"transport": "tcp"},
            })
        );
    }

    #[test]
    fn the_container_is_told_where_it_is_known() {
        let batch = SinkBatch {
            events: vec![Arc::new(event_in("4f2a", RESET))],
            readings: Vec::new(),
        };
        let text = bulk(&batch, "logs", "");
        let document: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
        assert_eq!(document["container"], json!({"id": "4f2a"}));
    }

    #[test]
    fn what_is_there_already_is_fine_what_is_refused_is_counted_and_what_is_put_off_comes_again() {
        let answer = |statuses: &[u16]| {
            let items: Vec<Value> = statuses
                .iter()
                .map(|status| json!({"create": {"status": status}}))
                .collect();
            outcome(json!({"errors": true, "items": items}).to_string().as_bytes())
        };
        assert_eq!(answer(&[201, 409]), Ok(0));
        assert_eq!(answer(&[201, 400, 400]), Ok(2));
        assert!(answer(&[400, 429]).unwrap_err().again);
        assert!(!outcome(b"<html>").unwrap_err().again);
    }
}
