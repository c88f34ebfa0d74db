//! Text that others wrote (names, comments, messages), made safe to print: letters that move a cursor or hide are escaped, and
//! no single text fills a screen.

use model::letter::is_plain;
use std::fmt::Write as _;

/// Letters of a paragraph that are shown.
pub const PARAGRAPH: usize = 2_000;
/// Letters of a cell in a table, or of a line in which something goes on.
pub const CELL: usize = 400;
/// The marks by which our own lines are known.
const MARKS: [char; 4] = ['✓', '✗', '│', '─'];

/// One line of plain letters: others are escaped, and beyond so many it says how many were left out.
pub fn shown(text: &str, most: usize) -> String {
    escaped(text, most, |letter| !is_plain(letter))
}

/// A name in plain letters that stands among our own marks: it holds none of them.
pub fn name(text: &str) -> String {
    escaped(text, CELL, |letter| !is_plain(letter) || MARKS.contains(&letter))
}

fn escaped(text: &str, most: usize, strange: impl Fn(char) -> bool) -> String {
    let mut shown = String::with_capacity(text.len());
    for (index, letter) in text.chars().enumerate() {
        if index == most {
            let more = text.chars().count() - most;
            let _ = write!(shown, " ... ({more} more letters)");
            break;
        }
        if strange(letter) {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// JSON in plain letters: what is not plain can only stand in a string, where `\u` says it exactly (RFC 8259, 7).
pub fn json(document: &str) -> String {
    spelled(document, |letter, plain| {
        for unit in letter.encode_utf16(&mut [0; 2]) {
            let _ = write!(plain, "\\u{unit:04x}");
        }
    })
}

/// JSON in plain letters for readers of YAML, which has `\U` instead of pairs of `\u` (YAML 1.2, 5.7).
pub fn json_as_yaml(document: &str) -> String {
    spelled(document, |letter, plain| {
        let _ = write!(plain, "\\U{:08x}", u32::from(letter));
    })
}

fn spelled(document: &str, spell: impl Fn(char, &mut String)) -> String {
    let mut plain = String::with_capacity(document.len());
    for letter in document.chars() {
        if letter == '\n' || is_plain(letter) {
            plain.push(letter);
        } else {
            spell(letter, &mut plain);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::{json, name, shown};

    #[test]
    fn what_moves_or_hides_is_shown_and_what_is_long_is_cut() {
        assert_eq!(
            shown("\u{1b}]0;x\u{7}\n a\u{202e}b", 50),
            "\\u{1b}]0;x\\u{7}\\n a\\u{202e}b"
        );
        assert_eq!(shown("мир ✓", 50), "мир ✓");
        assert_eq!(shown("abcdef", 2), "ab ... (4 more letters)");
        assert_eq!(name("eth0 ✓"), "eth0 \\u{2713}");
    }

    #[test]
    fn json_means_the_same_in_plain_letters() {
        let value = serde_json::json!({"a\u{9b}": "\u{1b}]0;x\u{7}\n\u{202e}\u{2028}\u{e0041} ✓"});
        let text = json(&serde_json::to_string_pretty(&value).unwrap());
        assert!(
            text.chars()
                .all(|letter| letter == '\n' || model::letter::is_plain(letter)),
            "{text:?}"
        );
        assert_eq!(serde_json::from_str::<serde_json::Value>(&text).unwrap(), value);
    }
}
