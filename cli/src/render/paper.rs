//! Text that fits: colours that can be left out, labels in a column, wrapping that never breaks a word.

use anstyle::{AnsiColor, Style};

/// Columns of a label and the space before and after it.
pub const INDENT: usize = 12;

/// A sheet of text.
#[derive(Clone, Copy, Debug)]
pub struct Paper {
    /// With colour.
    pub colour: bool,
    /// Columns.
    pub width: usize,
}

/// What a piece of text is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ink {
    /// Good news.
    Good,
    /// Bad news.
    Bad,
    /// Neither.
    Open,
    /// What must not be overlooked.
    Strong,
    /// What may be.
    Quiet,
}

impl Paper {
    /// The text in a colour.
    pub fn ink(self, ink: Ink, text: &str) -> String {
        if !self.colour || text.is_empty() {
            return text.to_owned();
        }
        let style = match ink {
            Ink::Good => AnsiColor::Green.on_default().bold(),
            Ink::Bad => AnsiColor::Red.on_default().bold(),
            Ink::Open => AnsiColor::Yellow.on_default().bold(),
            Ink::Strong => Style::new().bold(),
            Ink::Quiet => Style::new().dimmed(),
        };
        format!("{style}{text}{style:#}")
    }

    /// Paragraphs under a label: the label once, every line behind it.
    pub fn labelled(self, label: &str, paragraphs: &[String]) -> String {
        let mut sheet = String::new();
        let mut label = Some(label);
        for paragraph in paragraphs {
            for line in wrap(paragraph, self.width.saturating_sub(INDENT)) {
                let head = format!("  {:<width$}", label.take().unwrap_or_default(), width = INDENT - 2);
                sheet += &format!("{}{line}\n", self.ink(Ink::Quiet, &head));
            }
        }
        sheet
    }
}

/// Lines of at most `width` columns, broken at spaces only: a word that is longer stands alone.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    // A rule's text is shown as its tool prints it, double spaces and all.
    for word in text.split(' ') {
        if !line.is_empty() && columns(&line) + 1 + columns(word) > width {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        } else if !line.is_empty() {
            line.push(' ');
        }
        line += word;
    }
    lines.push(line.trim_end().to_owned());
    lines
}

/// Lines of at most `width` columns, broken only between pieces.
pub fn wrap_pieces(pieces: &[String], between: &str, width: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for piece in pieces {
        match lines.last_mut() {
            Some(line) if columns(line) + columns(between) + columns(piece) <= width => {
                *line += between;
                *line += piece;
            }
            Some(_) => lines.push(format!("{}{piece}", between.trim_start())),
            None => lines.push(piece.clone()),
        }
    }
    lines
}

/// Columns a text takes: a character is one, which holds for all that is printed here.
pub fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::{columns, wrap};

    #[test]
    fn nothing_is_broken_inside_an_address() {
        let text = "sent from [fd90:1:2:3:4:5:6:7]:41234 to [fd90:2:2:3:4:5:6:7]:80 and dropped";
        let lines = wrap(text, 40);
        assert_eq!(lines.join(" "), text);
        assert!(lines.iter().all(|line| columns(line) <= 40), "{lines:?}");
        assert_eq!(
            wrap("[fd90:1:2:3:4:5:6:7]:41234", 10).len(),
            1,
            "an address longer than the line stays whole"
        );
    }
}
