//! How a comparison of a register with bytes is told: left side, operator and right side in nft's JSON.

use super::datatypes::{Datatype, InterfaceNames, number, prefix_length};
use super::elements::{beginning, exact};
use super::expressions::Op;
use super::registers::Subject;
use serde_json::{Value, json};

/// Left side, operator, right side.
pub fn comparison(
    subject: &Subject,
    op: Op,
    data: &[u8],
    names: InterfaceNames<'_>,
) -> Option<(Value, &'static str, Value)> {
    let word = match op {
        Op::Eq => "==",
        Op::Neq => "!=",
        Op::Lt => "<",
        Op::Lte => "<=",
        Op::Gt => ">",
        Op::Gte => ">=",
    };
    let equals = matches!(op, Op::Eq | Op::Neq);
    if !equals && !subject.big {
        return None;
    }
    let words = subject.words.clone();
    if subject.right > 0 {
        let value = number(data, true).filter(|_| data.len() == subject.bytes)?;
        let fits = value >> subject.right << subject.right == value;
        return fits.then(|| (words, word, json!(value >> subject.right)));
    }
    let beginning_only = data.len() < subject.whole && equals;
    match (subject.kind, &subject.mask) {
        (Datatype::Interface, None) if beginning_only && !data.contains(&0) => {
            return Some((words, word, beginning(data)?));
        }
        (Datatype::Interface, None) if beginning_only && data.ends_with(&[0]) => {
            return Some((words, word, exact(subject.kind, data, true, names)?));
        }
        (kind, mask) if kind.has_prefixes() && equals => {
            if data.len() != subject.bytes {
                return None;
            }
            let (mask, xor) = mask
                .clone()
                .unwrap_or_else(|| (vec![0xff; data.len()], vec![0; data.len()]));
            let length = prefix_length(&mask).filter(|_| xor.iter().all(|byte| *byte == 0));
            if let Some(length) = length {
                let mut whole = data.to_vec();
                whole.resize(subject.whole, 0);
                let address = kind.word(&whole, true, names)?;
                let right = if length as usize == subject.whole * 8 {
                    address
                } else {
                    json!({"prefix": {"addr": address, "len": length}})
                };
                return Some((words, word, right));
            }
        }
        _ => {}
    }
    if data.len() != subject.bytes && subject.kind != Datatype::Boolean {
        return None;
    }
    if let Some((mask, xor)) = &subject.mask
        && !subject.kind.flags().is_empty()
        && xor.iter().all(|byte| *byte == 0)
    {
        let list = |number| {
            let mut names = subject.kind.flag_names(number);
            if names.len() == 1 {
                names.remove(0)
            } else {
                Value::Array(names)
            }
        };
        let (mask, value) = (number(mask, subject.big)?, number(data, subject.big)?);
        return Some(match (op, value) {
            (Op::Neq, 0) => (words, "in", list(mask)),
            (Op::Eq, 0) => (words, "!", list(mask)),
            (_, 0) => (json!({"&": [words, list(mask)]}), word, json!(0)),
            _ => (json!({"&": [words, list(mask)]}), word, list(value)),
        });
    }
    let right = match subject.mask {
        None => exact(subject.kind, data, subject.big, names)?,
        Some(_) => json!(number(data, subject.big)?),
    };
    Some((subject.masked(), word, right))
}
