//! Reading nft's JSON (libnftables-json(5)): objects of one member, and members that are text.

use serde_json::Value;

/// An object of one member: its name and value.
pub fn only(value: &Value) -> Option<(&str, &Value)> {
    let object = value.as_object()?;
    object.iter().next().map(|(name, value)| (name.as_str(), value))
}

/// A text member; empty when it is not there.
pub fn text<'a>(object: &'a Value, member: &str) -> &'a str {
    object.get(member).and_then(Value::as_str).unwrap_or_default()
}
