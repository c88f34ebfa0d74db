//! Statements in nft's JSON: limits and counters, translations, queues, logs.

use super::datatypes::{Datatype, InterfaceNames};
use super::expressions::{Expr, NatRegisters, Register};
use super::registers::Registers;
use serde_json::{Map, Value, json};

/// Where a translation leads, or nothing.
pub fn target(registers: &Registers, target: &NatRegisters, v6: bool, names: InterfaceNames<'_>) -> Value {
    let kind = if v6 { Datatype::Ipv6 } else { Datatype::Ipv4 };
    let one = |register: Register, kind: Datatype| {
        let term = registers.get(register);
        term.and_then(|term| term.value(kind, names))
            .unwrap_or_else(|| json!({"undecoded": "register"}))
    };
    let both = |first: Option<Register>, last: Option<Register>, kind: Datatype| {
        let first = first?;
        Some(match last {
            Some(last) if last != first && !registers.within(first, last) => {
                json!({"range": [one(first, kind), one(last, kind)]})
            }
            _ => one(first, kind),
        })
    };
    let mut words = Map::new();
    words.extend(both(target.address, target.address_last, kind).map(|to| ("addr".to_owned(), to)));
    // Address and port may be the two parts of one value of a map.
    let joined = target
        .address
        .zip(target.port)
        .is_some_and(|(address, port)| registers.within(address, port));
    if !joined {
        words.extend(both(target.port, target.port_last, Datatype::Port).map(|to| ("port".to_owned(), to)));
    }
    let flags = [(4, "random"), (8, "persistent"), (16, "fully-random")];
    let set = flags.iter().filter(|(bit, _)| target.flags & bit != 0);
    let mut flags: Vec<Value> = set.map(|(_, name)| json!(name)).collect();
    match flags.len() {
        0 => {}
        1 => words.extend([("flags".to_owned(), flags.remove(0))]),
        _ => words.extend([("flags".to_owned(), Value::Array(flags))]),
    }
    if words.is_empty() {
        Value::Null
    } else {
        Value::Object(words)
    }
}

/// `number` says to which queues of user space: one, a range, or what a register holds.
pub fn queue(number: &Value, flags: u16) -> Value {
    let mut words = json!({ "num": number });
    let set = [(1, "bypass"), (2, "fanout")]
        .iter()
        .filter(|(bit, _)| flags & bit != 0);
    let flags: Vec<&str> = set.map(|(_, name)| *name).collect();
    match flags.as_slice() {
        [] => {}
        [flag] => words["flags"] = json!(flag),
        flags => words["flags"] = json!(flags),
    }
    json!({ "queue": words })
}

/// What is written to the log, and to which group of listeners.
pub fn log(prefix: &str, group: Option<u16>) -> Value {
    match (prefix, group) {
        ("", None) => json!({ "log": null }),
        ("", Some(group)) => json!({"log": {"group": group}}),
        (prefix, None) => json!({"log": {"prefix": prefix}}),
        (prefix, Some(group)) => json!({"log": {"prefix": prefix, "group": group}}),
    }
}

/// What a kind of named object is called (`NFT_OBJECT_*`).
pub const fn object(kind: u32) -> Option<&'static str> {
    Some(match kind {
        1 => "counter",
        2 => "quota",
        3 => "ct helper",
        4 => "limit",
        5 => "ct count",
        7 => "ct timeout",
        8 => "secmark",
        9 => "ct expectation",
        10 => "synproxy",
        _ => return None,
    })
}

/// What keeps a state of its own.
pub fn stateful(expr: &Expr) -> Value {
    match expr {
        Expr::Counter { packets, bytes } => json!({"counter": {"packets": packets, "bytes": bytes}}),
        Expr::Limit {
            rate,
            per_s,
            burst,
            bytes,
            inverted,
        } => {
            let per = match per_s {
                1 => "second".to_owned(),
                60 => "minute".to_owned(),
                3600 => "hour".to_owned(),
                86400 => "day".to_owned(),
                604_800 => "week".to_owned(),
                other => format!("{other} s"),
            };
            let mut words = json!({"rate": rate, "burst": burst, "per": per});
            if *bytes {
                let (rate, unit) = in_units(*rate);
                let (burst, burst_unit) = in_units(u64::from(*burst));
                words = json!({"rate": rate, "burst": burst, "per": per, "rate_unit": unit, "burst_unit": burst_unit});
            }
            if *inverted {
                words["inv"] = json!(true);
            }
            json!({ "limit": words })
        }
        Expr::Quota { bytes, inverted, .. } => {
            let (value, unit) = in_units(*bytes);
            let mut words = json!({"val": value, "val_unit": unit});
            if *inverted {
                words["inv"] = json!(true);
            }
            json!({ "quota": words })
        }
        Expr::Connlimit { count, inverted } => {
            let mut words = json!({ "val": count });
            if *inverted {
                words["inv"] = json!(true);
            }
            json!({ "ct count": words })
        }
        Expr::Last => json!({ "last": null }),
        Expr::Unknown { name } => json!({ "undecoded": name }),
        _ => json!({ "undecoded": "expression" }),
    }
}

/// Bytes in the largest unit that leaves nothing over.
const fn in_units(bytes: u64) -> (u64, &'static str) {
    if bytes > 0 && bytes.is_multiple_of(1 << 20) {
        (bytes >> 20, "mbytes")
    } else if bytes > 0 && bytes.is_multiple_of(1 << 10) {
        (bytes >> 10, "kbytes")
    } else {
        (bytes, "bytes")
    }
}
