//! What was asked of the API server, as the audit log of the project's own cluster has it, to the microsecond.
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use serde_json::Value;

/// Where the cluster's API server keeps it.
const LOG: &str = "/run/skoop-cluster/control-plane/audit.log";
const DAY_S: f64 = 86_400.0;

/// The log from some moment on.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    offset: u64,
}

/// One request and how it was answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ApiCall {
    /// Who asked: the impersonated user, where one was.
    pub user: String,
    /// `get`, `list`, `watch`, `create`...
    pub verb: String,
    /// Of the core group, or `batch/jobs`, with a subresource `pods/attach`; empty for what is no resource.
    pub resource: String,
    /// The object's namespace; empty where it has none, or where all were meant.
    pub namespace: String,
    /// The object's name; empty for lists.
    pub name: String,
    /// The answer's HTTP code.
    pub code: u64,
    /// When it arrived, in seconds of the day (UTC).
    pub received_s: f64,
    /// When its answer ended, likewise; for what goes on, when it began.
    pub answered_s: f64,
}

impl Audit {
    /// From now on.
    pub fn from_now() -> Result<Self> {
        let path = PathBuf::from(LOG);
        let offset = std::fs::metadata(&path)
            .with_context(|| format!("reading the audit log {LOG}"))?
            .len();
        Ok(Self { path, offset })
    }

    /// The calls that have been added since this was asked last.
    pub fn more(&mut self) -> Result<Vec<ApiCall>> {
        let mut file = File::open(&self.path).context("opening the audit log")?;
        // A log that was rotated begins anew.
        if file.metadata()?.len() < self.offset {
            self.offset = 0;
        }
        file.seek(SeekFrom::Start(self.offset))?;
        let mut text = String::new();
        file.read_to_string(&mut text).context("reading the audit log")?;
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        self.offset += whole as u64;
        Ok(calls(&text[..whole]))
    }
}

/// The calls in a piece of the log. One has several lines (it arrived, its answer began, its answer ended).
fn calls(text: &str) -> Vec<ApiCall> {
    let mut found: BTreeMap<(String, String), ApiCall> = BTreeMap::new();
    for line in text.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let (Some(received), Some(stage)) = (
            seconds(&event["requestReceivedTimestamp"]),
            seconds(&event["stageTimestamp"]),
        ) else {
            continue;
        };
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let at = &event["objectRef"];
        let user = match &event["impersonatedUser"]["username"] {
            Value::Null => &event["user"]["username"],
            user => user,
        };
        let parts = [text(&at["apiGroup"]), text(&at["resource"]), text(&at["subresource"])];
        let call = found
            .entry((text(&event["requestReceivedTimestamp"]), text(&event["auditID"])))
            .or_default();
        *call = ApiCall {
            user: text(user),
            verb: text(&event["verb"]),
            resource: parts
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/"),
            namespace: text(&at["namespace"]),
            name: text(&at["name"]),
            code: event["responseStatus"]["code"].as_u64().unwrap_or(call.code),
            received_s: received,
            answered_s: if event["stage"] == "ResponseComplete" && call.answered_s > 0.0 {
                call.answered_s
            } else {
                stage
            },
        };
    }
    found.into_values().collect()
}

/// The second of the day of an RFC 3339 time in UTC.
fn seconds(value: &Value) -> Option<f64> {
    let (_, time) = value.as_str()?.split_once('T')?;
    let mut parts = time.strip_suffix('Z')?.splitn(3, ':');
    let hours: f64 = parts.next()?.parse().ok()?;
    let minutes: f64 = parts.next()?.parse().ok()?;
    let seconds: f64 = parts.next()?.parse().ok()?;
    Some(hours.mul_add(3600.0, minutes.mul_add(60.0, seconds)))
}

/// This moment in seconds of the day (UTC).
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    since.as_secs_f64() % DAY_S
}

/// From one second of the day to another that is not long after it.
pub fn between(from: f64, to: f64) -> f64 {
    if from - to > DAY_S / 2.0 {
        to + DAY_S - from
    } else {
        to - from
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_read_from_its_lines() {
        let line = |stage: &str, at: &str, code: u64| {
            format!(
                r#"{{"auditID":"1","stage":"{stage}","verb":"create","user":{{"username":"admin"}},"impersonatedUser":{{"username":"eve"}},"objectRef":{{"resource":"jobs","namespace":"t","name":"x","apiGroup":"batch"}},"responseStatus":{{"code":{code}}},"requestReceivedTimestamp":"2026-11-23T08:59:45.411173Z","stageTimestamp":"2026-11-23T{at}Z"}}"#
            )
        };
        let text = format!(
            "{}\nno json\n{}\n",
            line("ResponseStarted", "08:59:45.500000", 201),
            line("ResponseComplete", "08:59:46.000000", 201)
        );
        let calls = calls(&text);
        assert_eq!(calls.len(), 1);
        assert_eq!(
            (calls[0].user.as_str(), calls[0].resource.as_str(), calls[0].code),
            ("eve", "batch/jobs", 201)
        );
        assert!((between(calls[0].received_s, calls[0].answered_s) - 0.088_827).abs() < 1e-6);
    }

    #[test]
    fn midnight_lies_between() {
        assert!((between(86_399.5, 0.5) - 1.0).abs() < 1e-9);
        assert!((between(10.0, 9.5) + 0.5).abs() < 1e-9);
    }
}
