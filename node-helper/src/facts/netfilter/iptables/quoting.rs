//! Splits a line into words as iptables-save quotes them.

/// Words are separated by spaces; one in double quotes may hold spaces, and a backslash there keeps the next character.
pub(super) fn split(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut characters = line.chars().peekable();
    loop {
        while characters.next_if(|c| c.is_whitespace()).is_some() {}
        let mut word = String::new();
        match characters.next() {
            None => return words,
            Some('"') => {
                while let Some(character) = characters.next().filter(|c| *c != '"') {
                    let kept = if character == '\\' {
                        characters.next()
                    } else {
                        Some(character)
                    };
                    word.extend(kept);
                }
            }
            Some(first) => {
                word.push(first);
                while let Some(character) = characters.next_if(|c| !c.is_whitespace()) {
                    word.push(character);
                }
            }
        }
        words.push(word);
    }
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn quotes_keep_spaces_and_backslashes_keep_quotes() {
        assert_eq!(
            split(r#"-A X --comment "a \"b\" c"  -j Y"#),
            ["-A", "X", "--comment", r#"a "b" c"#, "-j", "Y"]
        );
        assert_eq!(split(r#""" x"#), ["", "x"]);
    }
}
