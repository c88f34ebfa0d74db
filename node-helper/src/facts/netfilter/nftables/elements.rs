//! Elements of sets and maps as nft's JSON: points, prefixes, intervals, joined keys, values and verdicts.

use super::datatypes::{Datatype, InterfaceNames, prefix_length};
use super::expressions::{Data, NftVerdict};
use super::tables::{Element, NftSet};
use serde_json::{Value, json};

/// One part of a key or value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KeyPart {
    pub kind: Datatype,
    pub bytes: usize,
    /// In network order.
    pub big: bool,
}

impl KeyPart {
    /// The bytes it takes beside others.
    const fn room(self) -> usize {
        self.bytes.next_multiple_of(4)
    }
}

/// nft joins the types of a key's parts, six bits each.
const TYPE_BITS: u32 = 6;

/// The parts of the keys of a set, as the tool that made it says; `None` where that fits no key of this length.
pub fn key_parts(set: &NftSet) -> Option<Vec<KeyPart>> {
    parts(set.key_type, set.key_bytes, set.interval())
}

/// The parts of the values of a map.
pub fn data_parts(set: &NftSet) -> Option<Vec<KeyPart>> {
    parts(set.data_type, set.data_bytes, false)
}

fn parts(types: u32, bytes: u32, interval: bool) -> Option<Vec<KeyPart>> {
    let mut parts = Vec::new();
    let mut rest = types;
    while rest != 0 {
        let (kind, bytes) = Datatype::of_type(rest & ((1 << TYPE_BITS) - 1))?;
        let big = interval || !kind.in_own_order();
        parts.insert(0, KeyPart { kind, bytes, big });
        rest >>= TYPE_BITS;
    }
    (!parts.is_empty() && length(&parts) == bytes as usize).then_some(parts)
}

/// Bytes of a key of these parts.
pub fn length(parts: &[KeyPart]) -> usize {
    match parts {
        [one] => one.bytes,
        several => several.iter().map(|part| part.room()).sum(),
    }
}

/// The elements of a set (`KEY`), or of a map (`[KEY, VALUE]`), in nft's order: what stands for all others comes last.
pub fn elements(
    set: &NftSet,
    keys: &[KeyPart],
    data: Option<&[KeyPart]>,
    names: InterfaceNames<'_>,
) -> Option<Vec<Value>> {
    if length(keys) != set.key_bytes as usize {
        return None;
    }
    let (others, listed): (Vec<&Element>, Vec<&Element>) = set.elements.iter().partition(|element| element.catch_all);
    let mut listed = listed;
    listed.sort_by_cached_key(|element| (in_order(&element.key, keys), !element.ends));
    let mut words: Vec<(&Element, Value)> = match keys {
        [part] if set.interval() => intervals(&listed, *part, names)?,
        _ => listed
            .into_iter()
            .map(|element| Some((element, joined(element, keys, names)?)))
            .collect::<Option<_>>()?,
    };
    words.extend(others.into_iter().map(|element| (element, json!("*"))));
    words
        .into_iter()
        .map(|(element, key)| {
            if !set.map() && !set.objects() {
                return Some(key);
            }
            Some(json!([key, value(element, data, names)?]))
        })
        .collect()
}

/// Elements whose keys end where the next one begins.
fn intervals<'a>(
    listed: &[&'a Element],
    part: KeyPart,
    names: InterfaceNames<'_>,
) -> Option<Vec<(&'a Element, Value)>> {
    let mut words = Vec::new();
    for (place, element) in listed.iter().enumerate() {
        if element.ends {
            continue;
        }
        let last = match listed.get(place + 1) {
            Some(next) => before(&next.key)?,
            None => vec![0xff; element.key.len()],
        };
        words.push((*element, interval(part, &element.key, &last, names)?));
    }
    Some(words)
}

/// A key as it is ordered: every part in network order.
fn in_order(key: &[u8], parts: &[KeyPart]) -> Vec<u8> {
    let mut ordered = key.to_vec();
    let mut at = 0;
    for part in parts {
        if let Some(bytes) = ordered.get_mut(at..at + part.bytes)
            && !part.big
            && cfg!(target_endian = "little")
        {
            bytes.reverse();
        }
        at += part.room();
    }
    ordered
}

/// The key before this one.
fn before(key: &[u8]) -> Option<Vec<u8>> {
    let mut key = key.to_vec();
    for byte in key.iter_mut().rev() {
        let (less, borrows) = byte.overflowing_sub(1);
        *byte = less;
        if !borrows {
            return Some(key);
        }
    }
    None
}

/// A key of several parts, each with an interval of its own.
fn joined(element: &Element, parts: &[KeyPart], names: InterfaceNames<'_>) -> Option<Value> {
    let end = element.key_end.as_ref().unwrap_or(&element.key);
    let mut at = 0;
    let mut words = Vec::new();
    for part in parts {
        let (low, high) = (element.key.get(at..at + part.bytes)?, end.get(at..at + part.bytes)?);
        words.push(interval(*part, low, high, names)?);
        at += part.room();
    }
    Some(one_or_joined(words))
}

/// One word, or several joined.
pub fn one_or_joined(mut words: Vec<Value>) -> Value {
    if words.len() == 1 {
        words.remove(0)
    } else {
        json!({ "concat": words })
    }
}

/// All keys from one to another.
pub fn interval(part: KeyPart, low: &[u8], high: &[u8], names: InterfaceNames<'_>) -> Option<Value> {
    let KeyPart { kind, big, .. } = part;
    if low == high {
        return exact(kind, low, big, names);
    }
    let differ: Vec<u8> = low.iter().zip(high).map(|(low, high)| low ^ high).collect();
    let mask: Vec<u8> = differ.iter().map(|byte| !byte).collect();
    let whole = low.iter().zip(&differ).all(|(low, differ)| low & differ == 0);
    let length = prefix_length(&mask).filter(|_| whole);
    match (kind, length) {
        (Datatype::Ipv4 | Datatype::Ipv6, Some(length)) => {
            Some(json!({"prefix": {"addr": kind.word(low, big, names)?, "len": length}}))
        }
        (Datatype::Interface, Some(length)) if length % 8 == 0 => beginning(low.get(..length as usize / 8)?),
        _ => Some(json!({"range": [kind.word(low, big, names)?, kind.word(high, big, names)?]})),
    }
}

/// Names that begin so.
pub fn beginning(bytes: &[u8]) -> Option<Value> {
    let start = std::str::from_utf8(bytes).ok()?;
    Some(if special(start) {
        json!({"begins with": start})
    } else {
        json!(format!("{start}*"))
    })
}

/// One value. The name of an interface that reads like a pattern or a list is set apart: it stands for itself alone.
pub fn exact(kind: Datatype, bytes: &[u8], big: bool, names: InterfaceNames<'_>) -> Option<Value> {
    let word = kind.word(bytes, big, names)?;
    match word.as_str() {
        Some(name) if kind == Datatype::Interface && special(name) => Some(json!({ "exactly": name })),
        _ => Some(word),
    }
}

fn special(name: &str) -> bool {
    name.contains(|c: char| "*+,@\"{}!".contains(c) || c.is_whitespace() || c.is_control())
}

fn value(element: &Element, parts: Option<&[KeyPart]>, names: InterfaceNames<'_>) -> Option<Value> {
    if let Some(object) = &element.object {
        return Some(json!(object));
    }
    match element.data.as_ref()? {
        Data::Verdict(verdict) => Some(self::verdict(verdict)),
        Data::Value(bytes) => {
            let parts = parts?;
            if length(parts) != bytes.len() {
                return None;
            }
            let element = Element {
                key: bytes.clone(),
                ..Element::default()
            };
            joined(&element, parts, names)
        }
    }
}

/// A verdict as a statement.
pub fn verdict(verdict: &NftVerdict) -> Value {
    match verdict {
        NftVerdict::Accept => json!({"accept": null}),
        NftVerdict::Drop => json!({"drop": null}),
        NftVerdict::Queue(number) => json!({"queue": {"num": number}}),
        NftVerdict::Continue | NftVerdict::Break => json!({"continue": null}),
        NftVerdict::Jump(chain) => json!({"jump": {"target": chain}}),
        NftVerdict::Goto(chain) => json!({"goto": {"target": chain}}),
        NftVerdict::Return => json!({"return": null}),
        NftVerdict::Other(code) => json!({"undecoded": format!("verdict {code}")}),
    }
}
