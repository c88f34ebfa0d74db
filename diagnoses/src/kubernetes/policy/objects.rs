//! Reading policies that the API has in its own names: what is understood of them, and what is left over.

use model::inventory::{LabelExpression, LabelSelector};
use model::object_ref::ObjectRef;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Fields that nobody here knows.
pub type Rest = Map<String, Value>;

/// A `metav1.LabelSelector`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "WrittenSelector")]
pub struct ApiSelector(pub LabelSelector);

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct WrittenSelector {
    match_labels: Option<BTreeMap<String, String>>,
    match_expressions: Option<Vec<WrittenExpression>>,
}

#[derive(Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct WrittenExpression {
    key: String,
    operator: String,
    values: Option<Vec<String>>,
}

impl From<WrittenSelector> for ApiSelector {
    fn from(written: WrittenSelector) -> Self {
        let expression = |one: WrittenExpression| LabelExpression {
            key: one.key,
            operator: one.operator,
            values: one.values.unwrap_or_default(),
        };
        let expressions = written.match_expressions.unwrap_or_default();
        Self(LabelSelector {
            match_labels: written.match_labels.unwrap_or_default(),
            match_expressions: expressions.into_iter().map(expression).collect(),
        })
    }
}

/// The object in words: `CiliumNetworkPolicy shop/web`.
pub fn name(object: &ObjectRef) -> String {
    match object.namespace.as_str() {
        "" => format!("{} {}", object.kind, object.name),
        namespace => format!("{} {namespace}/{}", object.kind, object.name),
    }
}

/// A `spec`, or why it is not understood.
pub fn read<T: DeserializeOwned>(object: &ObjectRef, spec: &Value) -> Result<T, String> {
    T::deserialize(spec).map_err(|error| format!("{} is not understood: {error}", name(object)))
}

/// Why something with these fields beside those that are known cannot be told; empty ones say nothing.
pub fn left_over(rest: &Rest) -> Option<String> {
    let says = |value: &Value| match value {
        Value::Null | Value::Bool(false) => false,
        Value::Array(items) => !items.is_empty(),
        Value::Object(fields) => !fields.is_empty(),
        Value::String(text) => !text.is_empty(),
        Value::Bool(true) | Value::Number(_) => true,
    };
    let names: Vec<&str> = rest
        .iter()
        .filter(|(_, value)| says(value))
        .map(|(name, _)| name.as_str())
        .collect();
    (!names.is_empty()).then(|| format!("{} is not evaluated", names.join(", ")))
}
