//! An API server for tests: it answers by path, and keeps what it was asked.

use super::cluster::ClusterApi;
use http::{Request, Response};
use kube::Client;
use kube::client::Body;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What it answers.
#[derive(Clone)]
pub enum FakeAnswer {
    /// An object or a list.
    Object(Value),
    /// Another status, with the API's own words for it.
    Status(u16, String),
    /// Something else altogether.
    Text(u16, String),
    /// What is made of what was asked, path and query.
    Made(Arc<dyn Fn(&str) -> String + Send + Sync>),
    /// Nothing, ever.
    Silence,
}

/// The server.
#[derive(Clone, Default)]
pub struct FakeServer {
    answers: BTreeMap<String, FakeAnswer>,
    asked: Arc<Mutex<Vec<String>>>,
}

impl FakeServer {
    /// With this answer at this path; with a query where the path has one, of which the beginning is enough. The longest counts.
    pub fn with(mut self, path: &str, answer: FakeAnswer) -> Self {
        self.answers.insert(path.to_owned(), answer);
        self
    }

    /// With a list of these objects.
    pub fn list(self, path: &str, items: &Value) -> Self {
        self.with(
            path,
            FakeAnswer::Object(json!({"apiVersion": "v1", "kind": "List", "metadata": {}, "items": items})),
        )
    }

    /// With a list of so many objects, in pages as they are asked for.
    pub fn pages(self, path: &str, count: usize, make: impl Fn(usize) -> Value + Send + Sync + 'static) -> Self {
        let page = move |asked: &str| {
            let parameter = |name: &str| {
                let values = asked.split(['?', '&']).filter_map(|part| part.split_once('='));
                let mut values = values.filter(|(key, _)| *key == name);
                values.next().and_then(|(_, value)| value.parse::<usize>().ok())
            };
            let from = parameter("continue").unwrap_or(0);
            let end = parameter("limit").map_or(count, |limit| count.min(from + limit));
            let next = if end < count { end.to_string() } else { String::new() };
            let items: Vec<Value> = (from..end).map(&make).collect();
            json!({"apiVersion": "v1", "kind": "List", "metadata": {"continue": next}, "items": items}).to_string()
        };
        self.with(path, FakeAnswer::Made(Arc::new(page)))
    }

    /// With this object.
    pub fn object(self, path: &str, object: Value) -> Self {
        self.with(path, FakeAnswer::Object(object))
    }

    /// What it was asked, path and query.
    pub fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    /// A client of it.
    pub fn cluster(&self) -> ClusterApi {
        let fake = self.clone();
        let service = tower::service_fn(move |request: Request<Body>| {
            let fake = fake.clone();
            let asked = request
                .uri()
                .path_and_query()
                .map(ToString::to_string)
                .unwrap_or_default();
            async move { fake.answer(asked).await }
        });
        ClusterApi {
            client: Client::new(service, "default"),
            context: "test".into(),
            namespace: "shop".into(),
            patience: Duration::from_millis(200),
        }
    }

    async fn answer(&self, asked: String) -> Result<Response<Body>, Infallible> {
        self.asked.lock().unwrap().push(asked.clone());
        let fits = |path: &str| {
            asked
                .strip_prefix(path)
                .is_some_and(|rest| path.contains('?') || rest.is_empty() || rest.starts_with('?'))
        };
        let found = self
            .answers
            .iter()
            .filter(|(path, _)| fits(path))
            .max_by_key(|(path, _)| path.len());
        let (code, body) = match found.map(|(_, answer)| answer.clone()) {
            Some(FakeAnswer::Object(value)) => (200, value.to_string()),
            Some(FakeAnswer::Status(code, message)) => (code, status(code, &message)),
            Some(FakeAnswer::Text(code, text)) => (code, text),
            Some(FakeAnswer::Made(make)) => (200, make(&asked)),
            Some(FakeAnswer::Silence) => std::future::pending().await,
            None => (404, status(404, &format!("{asked} not found"))),
        };
        Ok(Response::builder()
            .status(code)
            .header("date", "Mon, 23 Nov 2026 08:00:20 GMT")
            .body(Body::from(body.into_bytes()))
            .unwrap())
    }
}

fn status(code: u16, message: &str) -> String {
    let reason = match code {
        403 => "Forbidden",
        404 => "NotFound",
        410 => "Expired",
        429 => "TooManyRequests",
        _ => "InternalError",
    };
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "code": code})
    .to_string()
}
