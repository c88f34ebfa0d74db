//! What a cause of a report lacks of what a scenario says of it: its place, its proof, the conversations that it explains.
use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::Value;

use super::printed::{PrintedConversation, PrintedVerdict};
use crate::scenario::{ExpectedCause, ExpectedConversation};

/// What differs, in a sentence each; `real` maps the scenario's names of namespaces to the kernel's.
pub(super) fn differences(
    expected: &ExpectedCause,
    found: &PrintedVerdict,
    real: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut wrong = Vec::new();
    for (key, part) in &expected.place {
        let found = found.place.get(key).unwrap_or(&Value::Null);
        if !matches(key, part, found, real) {
            wrong.push(format!("where.{key} is {found}, not {part}"));
        }
    }
    let proof = found.because.iter().chain([&found.says]);
    for text in &expected.because {
        if !proof.clone().any(|line| line.contains(text.as_str())) {
            wrong.push(format!(
                "`{text}` occurs neither in what {} says nor in its proof",
                found.rule
            ));
        }
    }
    for conversation in &expected.conversations {
        if !found
            .conversations
            .iter()
            .any(|found| is_meant(conversation, found, real) && has_met(conversation, found))
        {
            wrong.push(lacks(conversation, found, real));
        }
    }
    wrong
}

/// Whether it is between those that the scenario names.
fn is_meant(expected: &ExpectedConversation, found: &PrintedConversation, real: &BTreeMap<String, String>) -> bool {
    is_named(&expected.to.name, &found.destination, real)
        && found.port == Some(expected.to.port)
        && expected
            .from
            .as_ref()
            .is_none_or(|client| is_named(client, &found.source, real))
        && expected
            .protocol
            .as_ref()
            .is_none_or(|protocol| *protocol == found.protocol)
}

fn has_met(expected: &ExpectedConversation, found: &PrintedConversation) -> bool {
    [
        (&expected.tried, found.tried),
        (&expected.failed, found.failed),
        (&expected.lost, found.lost),
        (&expected.waited_ms, found.waited_ms),
    ]
    .into_iter()
    .all(|(range, number)| {
        range
            .as_ref()
            .is_none_or(|range| number.is_some_and(|number| range.contains(number)))
    })
}

/// That it does not explain this conversation, and which ones it does.
fn lacks(expected: &ExpectedConversation, cause: &PrintedVerdict, real: &BTreeMap<String, String>) -> String {
    let mut says = format!("{} does not explain a conversation to {}", cause.rule, expected.to);
    if let Some(client) = &expected.from {
        let _ = write!(says, " from {client}");
    }
    for (name, range) in [
        ("tried", &expected.tried),
        ("failed", &expected.failed),
        ("lost", &expected.lost),
        ("waited_ms", &expected.waited_ms),
    ] {
        if let Some(range) = range {
            let _ = write!(says, ", {name} {range}");
        }
    }
    let near: Vec<_> = cause
        .conversations
        .iter()
        .filter(|found| is_meant(expected, found, real))
        .collect();
    let others: Vec<_> = if near.is_empty() {
        cause.conversations.iter().collect()
    } else {
        near
    };
    match others.as_slice() {
        [] => says.push_str("; it explains none"),
        others => {
            let others: Vec<_> = others.iter().take(5).map(ToString::to_string).collect();
            let _ = write!(says, "; it explains {}", others.join("; "));
        }
    }
    says
}

/// Whether a report means one of the scenario's names, or an address: `c` is `netns/lab-1-0-c`, or the pod `shop/c`.
fn is_named(expected: &str, found: &str, real: &BTreeMap<String, String>) -> bool {
    let bare = found.strip_prefix("netns/").unwrap_or(found);
    expected == found
        || real.get(expected).is_some_and(|name| name == bare)
        || bare
            .rsplit_once('/')
            .is_some_and(|(_, name)| name == expected && found == bare)
}

/// Whether `found` has the parts `expected` names. A namespace of the scenario is found by its real name, with or
/// without `netns/`; a text against an object is one of its values (`object: web`); a rule's text need only contain it,
/// a table may have its family before its name (`inet filter`), and a
/// pod its namespace.
fn matches(key: &str, expected: &Value, found: &Value, real: &BTreeMap<String, String>) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .all(|(key, value)| matches(key, value, found.get(key).unwrap_or(&Value::Null), real)),
        (Value::Array(any), _) => any.iter().any(|one| matches(key, one, found, real)),
        (_, Value::Object(found)) => found
            .iter()
            .any(|(key, value)| !value.is_object() && matches(key, expected, value, real)),
        _ => {
            let (expected, found) = (text(expected), text(found));
            let bare = found.strip_prefix("netns/").unwrap_or(&found);
            expected == found
                || real.get(&expected).is_some_and(|name| name == bare)
                || (key == "pod" && found.ends_with(&format!("/{expected}")))
                || (key == "text" && found.contains(&expected))
                || (key == "table" && found.ends_with(&format!(" {expected}")))
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
}
