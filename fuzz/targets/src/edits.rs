//! Changes to a recording, made of bytes: a fuzzer's, or those of a test that tries many.

use serde_json::{Value, json};

/// One change. Lines are those of the helpers: the head is not counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Edit {
    /// A line is left out.
    Drop(u16),
    /// So many are left out from this one on.
    DropSome(u16, u8),
    /// A line comes twice.
    Double(u16),
    /// Two lines change places.
    Swap(u16, u16),
    /// The file ends in this per mill of it.
    Cut(u16),
    /// All between this line and the last is left out.
    Shorten(u16),
    /// The n-th number of a line becomes a text.
    Mistype(u16, u8),
    /// The n-th number of a line becomes more than any field holds.
    Overflow(u16, u8),
}

impl Edit {
    const BYTES: usize = 4;

    fn of(bytes: [u8; Self::BYTES]) -> Self {
        let [kind, low, high, more] = bytes;
        let line = u16::from_le_bytes([low, high]);
        match kind % 8 {
            0 => Self::Drop(line),
            1 => Self::DropSome(line, more),
            2 => Self::Double(line),
            3 => Self::Swap(line, u16::from(more)),
            4 => Self::Cut(line),
            5 => Self::Shorten(line),
            6 => Self::Mistype(line, more),
            _ => Self::Overflow(line, more),
        }
    }

    /// It leaves every line as it is and only changes their order.
    pub const fn reorders(self) -> bool {
        matches!(self, Self::Swap(..))
    }
}

/// What the bytes ask for: whether lines are numbered anew afterwards, and up to four changes.
pub fn parse(bytes: &[u8]) -> Option<(bool, Vec<Edit>)> {
    let (first, rest) = bytes.split_first()?;
    let edits: Vec<Edit> = rest
        .as_chunks::<{ Edit::BYTES }>()
        .0
        .iter()
        .take(4)
        .map(|bytes| Edit::of(*bytes))
        .collect();
    (!edits.is_empty()).then_some((first & 1 == 1, edits))
}

/// The recording with these changes; `None` where they leave what it says as it was.
pub fn edited(text: &str, renumber: bool, edits: &[Edit]) -> Option<Vec<u8>> {
    let (head, body) = text.split_once('\n')?;
    // The digest that ends it is made anew: whoever changes a recording can do that, too.
    let is_digest = |line: &&str| line.starts_with("{\"digest\"");
    let mut lines: Vec<String> = body
        .lines()
        .filter(|line| !is_digest(line))
        .map(str::to_owned)
        .collect();
    let mut cut = None;
    for edit in edits {
        let count = lines.len();
        let at = |line: u16| usize::from(line) % count.max(1);
        if count < 2 {
            break;
        }
        match *edit {
            Edit::Drop(line) => drop(lines.remove(at(line))),
            Edit::DropSome(line, some) => {
                let from = at(line);
                lines.drain(from..count.min(from + usize::from(some).max(1)));
            }
            Edit::Double(line) => lines.insert(at(line), lines[at(line)].clone()),
            Edit::Swap(one, other) => lines.swap(at(one), at(other)),
            Edit::Cut(permille) => cut = Some(usize::from(permille % 1000)),
            Edit::Shorten(line) => drop(lines.drain(at(line)..count - 1)),
            Edit::Mistype(line, nth) => change(&mut lines[at(line)], nth, &json!("much")),
            Edit::Overflow(line, nth) => change(&mut lines[at(line)], nth, &json!(-1.5e300)),
        }
    }
    if renumber {
        number_anew(&mut lines);
    }
    let mut edited = format!("{head}\n{}\n", lines.join("\n"));
    if let Some(permille) = cut {
        let first = head.len() + 1;
        let at = first + (edited.len() - first) * permille / 1000;
        edited.truncate(edited.floor_char_boundary(at));
    }
    let edited = cli::ended_recording(&edited);
    (edited != text).then(|| edited.into_bytes())
}

/// Numbers of each node's lines, without a gap.
fn number_anew(lines: &mut [String]) {
    let mut numbers = std::collections::BTreeMap::<String, u64>::new();
    for line in lines {
        let Ok(mut kept) = serde_json::from_str::<Value>(line) else {
            continue;
        };
        let node = kept["node"].as_str().unwrap_or_default().to_owned();
        if let Some(seq) = kept.pointer_mut("/line/seq") {
            let number = numbers.entry(node).or_default();
            *number += 1;
            *seq = json!(*number);
            *line = kept.to_string();
        }
    }
}

/// Puts another value in the place of the n-th number that a line says.
fn change(line: &mut String, nth: u8, value: &Value) {
    let Ok(mut kept) = serde_json::from_str::<Value>(line) else {
        return;
    };
    let mut places = Vec::new();
    numbers(&kept["line"], "/line".to_owned(), &mut places);
    if places.is_empty() {
        return;
    }
    let place = &places[usize::from(nth) % places.len()];
    if let Some(number) = kept.pointer_mut(place) {
        *number = value.clone();
        *line = kept.to_string();
    }
}

fn numbers(value: &Value, at: String, places: &mut Vec<String>) {
    match value {
        Value::Number(_) => places.push(at),
        Value::Array(values) => {
            for (index, value) in values.iter().enumerate() {
                numbers(value, format!("{at}/{index}"), places);
            }
        }
        Value::Object(fields) => {
            for (name, value) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                numbers(value, format!("{at}/{name}"), places);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::{Edit, edited, parse};

    const TEXT: &str = "{\"head\":1}\n{\"node\":\"\",\"line\":{\"seq\":1,\"say\":{\"read\":{\"id\":7}}}}\n{\"node\":\"\",\"line\":{\"seq\":2,\"say\":\"alive\"}}\n";

    fn text(renumber: bool, edits: &[Edit]) -> String {
        String::from_utf8(edited(TEXT, renumber, edits).unwrap()).unwrap()
    }

    #[test]
    fn a_line_left_out_may_be_hidden_by_numbering_anew() {
        assert!(text(false, &[Edit::Drop(0)]).contains("\"seq\":2"));
        assert!(text(true, &[Edit::Drop(0)]).contains("\"seq\":1"));
    }

    #[test]
    fn a_number_becomes_what_no_field_takes() {
        let mistyped = [0, 1].map(|nth| text(false, &[Edit::Mistype(0, nth)]));
        assert!(mistyped.iter().any(|text| text.contains("{\"id\":\"much\"}")));
        assert!(mistyped.iter().any(|text| text.contains("\"seq\":\"much\"")));
    }

    #[test]
    fn what_changes_nothing_is_no_edit() {
        let whole = cli::ended_recording(TEXT);
        assert_eq!(edited(&whole, false, &[Edit::Swap(1, 1)]), None);
        assert_eq!(parse(&[1]), None);
    }
}
