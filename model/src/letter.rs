//! Letters that show as what they are, and those that do something else: move the cursor, begin a line, turn a text around, hide.

/// It takes one place, is seen there, and does nothing else. Of spaces, only the plain one does.
#[must_use]
pub const fn is_plain(letter: char) -> bool {
    !matches!(
        letter,
        // C0, DEL and C1 (Unicode's category Cc): line ends, tabs, the beginnings of escape sequences.
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}'
        // Spaces that look like ours and break no line, and letters that look like spaces.
        | '\u{a0}' | '\u{1680}' | '\u{2000}'..='\u{200a}' | '\u{202f}' | '\u{205f}' | '\u{3000}' | '\u{2800}'
        | '\u{115f}' | '\u{1160}' | '\u{3164}' | '\u{ffa0}'
        // What takes no place at all: soft hyphens, joiners, fillers, marks of a variant.
        | '\u{ad}' | '\u{34f}' | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200d}' | '\u{2060}'..='\u{2065}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{e0100}'..='\u{e01ef}'
        // What turns the direction of a text, and line ends of its own kind (UAX 9, UAX 14).
        | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{206f}'
        // Annotations and tags.
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}'
    )
}

/// All of its letters are plain.
#[must_use]
pub fn all_plain(text: &str) -> bool {
    text.chars().all(is_plain)
}

#[cfg(test)]
mod tests {
    use super::{all_plain, is_plain};

    #[test]
    fn letters_of_every_script_are_plain_and_what_moves_or_hides_is_not() {
        assert!(all_plain("db-0.shop ✓ мир 東京 ñ [fd00::1]:80 a b"));
        let moves = "\0\t\n\r\u{1b}\u{7f}\u{85}\u{9b}\u{a0}\u{61c}\u{200b}\u{200e}\u{2028}\u{2029}\u{202e}\u{2066}\u{feff}\u{e0041}";
        assert_eq!(moves.chars().find(|letter| is_plain(*letter)), None);
    }
}
