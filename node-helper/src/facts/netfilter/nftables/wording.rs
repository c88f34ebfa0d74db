//! Puts nft's JSON into words as `nft list ruleset` prints them.

use super::json::{only, text};
use serde_json::Value;

/// A rule, without the numbers its counter shows.
pub(super) fn rule(statements: &[Value], comment: &str) -> String {
    let mut words: Vec<String> = statements
        .iter()
        .filter_map(only)
        .map(|(kind, value)| statement(kind, value))
        .collect();
    if !comment.is_empty() {
        words.push(format!("comment \"{comment}\""));
    }
    words.join(" ")
}

/// One statement.
pub(super) fn statement(kind: &str, value: &Value) -> String {
    match kind {
        "match" => comparison(value),
        "counter" => match value.as_str() {
            Some(name) => format!("counter name \"{name}\""),
            None => "counter".to_owned(),
        },
        "jump" | "goto" => format!("{kind} {}", text(value, "target")),
        "limit" => limit(value),
        "reject" => match (text(value, "type"), text(value, "expr")) {
            ("", _) => "reject".to_owned(),
            (kind, "") => format!("reject with {kind}"),
            (kind, expr) => format!("reject with {kind} {expr}"),
        },
        "vmap" | "map" => format!("{} {kind} {}", member(value, "key"), member(value, "data")),
        "mangle" => format!("{} set {}", member(value, "key"), member(value, "value")),
        "dnat" | "snat" | "masquerade" | "redirect" => match target(value) {
            to if to.is_empty() => kind.to_owned(),
            to => format!("{kind} to {to}"),
        },
        "queue" => {
            let flags = value
                .get("flags")
                .map_or_else(String::new, |flags| format!(" {}", list(flags, ",")));
            format!("queue{flags} to {}", member(value, "num"))
        }
        "log" => match text(value, "prefix") {
            "" => "log".to_owned(),
            prefix => format!("log prefix \"{prefix}\""),
        },
        "quota" => match value.as_str() {
            Some(name) => format!("quota name \"{name}\""),
            None => format!("quota {} {}", member(value, "val"), text(value, "val_unit")),
        },
        "ct count" => {
            let over = if value["inv"] == true { "over " } else { "" };
            format!("ct count {over}{}", member(value, "val"))
        }
        "set" => format!(
            "{} {} {{ {} }}",
            text(value, "op"),
            text(value, "set"),
            member(value, "elem")
        ),
        "xt" => format!("{} (not decoded)", text(value, "name")),
        "undecoded" => format!("{} (not decoded)", expression(value)),
        _ if value.is_null() => kind.to_owned(),
        _ => format!("{kind} {}", expression(value)),
    }
}

fn comparison(value: &Value) -> String {
    let left = member(value, "left");
    let right = match (quotes(&value["left"]), &value["right"]) {
        (true, Value::String(name)) if !name.starts_with('@') => format!("\"{name}\""),
        (_, right) => expression(right),
    };
    match text(value, "op") {
        "" | "==" | "in" => format!("{left} {right}"),
        op => format!("{left} {op} {right}"),
    }
}

/// Names of interfaces are quoted.
fn quotes(left: &Value) -> bool {
    let key = left.pointer("/meta/key").and_then(Value::as_str);
    key.is_some_and(|key| matches!(key, "iif" | "oif" | "iifname" | "oifname"))
}

/// nft does not print a burst of this many packets.
const BURST_DEFAULT: u64 = 5;

fn limit(value: &Value) -> String {
    if let Some(name) = value.as_str() {
        return format!("limit name \"{name}\"");
    }
    let over = if value["inv"] == true { "over " } else { "" };
    let unit = match text(value, "rate_unit") {
        "" | "packets" => String::new(),
        unit => format!(" {unit}"),
    };
    let burst = match value.get("burst").and_then(Value::as_u64) {
        None | Some(0 | BURST_DEFAULT) => String::new(),
        Some(burst) => format!(" burst {burst} packets"),
    };
    format!(
        "limit rate {over}{}{unit}/{}{burst}",
        member(value, "rate"),
        text(value, "per")
    )
}

/// Where a translation leads: `10.0.0.1:8080`, `:8080`, or empty.
pub(super) fn target(value: &Value) -> String {
    let address = value.get("addr").map(expression).unwrap_or_default();
    match value.get("port").map(expression) {
        None => address,
        Some(port) if address.contains(':') => format!("[{address}]:{port}"),
        Some(port) => format!("{address}:{port}"),
    }
}

fn member(value: &Value, name: &str) -> String {
    value.get(name).map(expression).unwrap_or_default()
}

fn list(value: &Value, separator: &str) -> String {
    match value {
        Value::Array(parts) => parts.iter().map(expression).collect::<Vec<_>>().join(separator),
        other => expression(other),
    }
}

/// Elements of a set, or pairs of a map.
fn elements(value: &Value) -> String {
    let Value::Array(all) = value else {
        return expression(value);
    };
    let element = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([key, data]) => format!("{} : {}", expression(key), expression(data)),
        _ => expression(value),
    };
    all.iter().map(element).collect::<Vec<_>>().join(", ")
}

/// An expression.
pub(super) fn expression(value: &Value) -> String {
    match value {
        Value::String(word) => return word.clone(),
        Value::Array(_) => return list(value, ","),
        Value::Object(_) => {}
        other => return other.to_string(),
    }
    let Some((kind, inner)) = only(value) else {
        return value.to_string();
    };
    match kind {
        "payload" => match text(inner, "base") {
            "" => format!("{} {}", text(inner, "protocol"), text(inner, "field")),
            base => format!("@{base},{},{}", inner["offset"], inner["len"]),
        },
        "meta" => match text(inner, "key") {
            key @ ("iif" | "iifname" | "iiftype" | "oif" | "oifname" | "oiftype") => key.to_owned(),
            key => format!("meta {key}"),
        },
        "ct" | "rt" | "socket" => {
            let parts = [kind, text(inner, "dir"), text(inner, "family"), text(inner, "key")];
            parts
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join(" ")
        }
        "set" => format!("{{ {} }}", elements(inner)),
        "prefix" => format!("{}/{}", member(inner, "addr"), member(inner, "len")),
        "range" => list(inner, "-"),
        "concat" => list(inner, " . "),
        "&" | "|" | "^" | "<<" | ">>" => {
            let operand = |value: &Value| match value {
                Value::Array(_) => format!("({})", list(value, "|")),
                other => expression(other),
            };
            let operands = inner.as_array().into_iter().flatten().map(operand);
            operands.collect::<Vec<_>>().join(&format!(" {kind} "))
        }
        "elem" => member(inner, "val"),
        "exactly" => expression(inner),
        "begins with" => format!("{}*", expression(inner)),
        "undecoded" => format!("({} not decoded)", expression(inner)),
        "symhash" => format!("symhash mod {}", member(inner, "mod")),
        "map" => format!("{} map {}", member(inner, "key"), member(inner, "data")),
        "numgen" => format!("numgen {} mod {}", text(inner, "mode"), member(inner, "mod")),
        "jhash" => format!("jhash {} mod {}", member(inner, "expr"), member(inner, "mod")),
        "fib" => format!(
            "fib {} {}",
            inner.get("flags").map(|flags| list(flags, " . ")).unwrap_or_default(),
            text(inner, "result")
        ),
        "exthdr" | "tcp option" | "ip option" => format!("{kind} {} {}", text(inner, "name"), text(inner, "field")),
        "jump" | "goto" => format!("{kind} {}", text(inner, "target")),
        "accept" | "drop" | "return" | "continue" if inner.is_null() => kind.to_owned(),
        _ => value.to_string(),
    }
}
