//! Text that fits: lines made of pieces, so that what a piece holds can neither begin a line nor colour it; labels in a
//! column; wrapping that never breaks a word.

use super::untrusted_text::{self, PARAGRAPH};
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
    /// Neither good nor bad.
    Open,
    /// What must not be overlooked.
    Strong,
    /// What may be overlooked.
    Quiet,
}

impl Ink {
    const fn style(self) -> Style {
        match self {
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Open => AnsiColor::Yellow.on_default().bold(),
            Self::Strong => Style::new().bold(),
            Self::Quiet => Style::new().dimmed(),
        }
    }
}

/// One line. A piece's text is shown in plain letters, whatever it holds (see [`untrusted_text`]).
#[derive(Clone, Debug, Default)]
pub struct TextLine(Vec<(Option<Ink>, String)>);

impl TextLine {
    /// With this behind it.
    #[must_use]
    pub fn plain(self, text: &str) -> Self {
        self.piece(None, text)
    }

    /// With this in a colour behind it.
    #[must_use]
    pub fn ink(self, ink: Ink, text: &str) -> Self {
        self.piece(Some(ink), text)
    }

    fn piece(mut self, ink: Option<Ink>, text: &str) -> Self {
        if !text.is_empty() {
            // Wrapped text was cut to fewer; this is for what nobody wrapped.
            self.0.push((ink, untrusted_text::shown(text, 2 * PARAGRAPH)));
        }
        self
    }
}

/// Lines. There is no other way to a screen.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TextPage(Vec<TextLine>);

impl TextPage {
    /// Nothing yet.
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// A further line.
    pub fn line(&mut self, line: TextLine) {
        self.0.push(line);
    }

    /// An empty one.
    pub fn blank(&mut self) {
        self.0.push(TextLine::default());
    }

    /// All of another.
    pub fn append(&mut self, page: Self) {
        self.0.extend(page.0);
    }

    /// It has no line.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<TextLine> for TextPage {
    fn from_iter<T: IntoIterator<Item = TextLine>>(lines: T) -> Self {
        Self(lines.into_iter().collect())
    }
}

impl Paper {
    /// The lines as they are written, each with its end.
    pub fn write(self, page: &TextPage) -> String {
        let mut text = String::new();
        for TextLine(pieces) in &page.0 {
            for (ink, piece) in pieces {
                match ink.filter(|_| self.colour).map(Ink::style) {
                    Some(style) => text += &format!("{style}{piece}{style:#}"),
                    None => text += piece,
                }
            }
            text.push('\n');
        }
        text
    }

    /// Paragraphs under a label: the label once, every line behind it.
    pub fn labelled(self, label: &str, paragraphs: &[String]) -> TextPage {
        let mut label = Some(label);
        let lines = paragraphs
            .iter()
            .flat_map(|paragraph| wrap(paragraph, self.width.saturating_sub(INDENT)));
        lines
            .map(|line| {
                let head = format!("  {:<width$}", label.take().unwrap_or_default(), width = INDENT - 2);
                TextLine::default().ink(Ink::Quiet, &head).plain(&line)
            })
            .collect()
    }
}

/// A paragraph behind the beginning of its first line. What goes on stands where neither a mark nor a label of ours does: a
/// name in it cannot forge one.
pub fn paragraph(begins: TextLine, text: &str, width: usize) -> Vec<TextLine> {
    let mut begins = Some(begins);
    let line = |text: &String| {
        let begins = begins.take().unwrap_or_else(|| TextLine::default().plain("    "));
        begins.plain(text)
    };
    wrap(text, width).iter().map(line).collect()
}

/// Lines of at most `width` columns, broken at spaces only: a word that is longer stands alone.
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    // A rule's text is shown as its tool prints it, double spaces and all.
    for word in untrusted_text::shown(text, PARAGRAPH).split(' ') {
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
    use super::{Ink, Paper, TextLine, TextPage, columns, wrap};

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

    #[test]
    fn a_piece_begins_no_line_and_colours_nothing() {
        let mut page = TextPage::new();
        page.line(TextLine::default().ink(Ink::Good, "✓").plain(" a\n\u{1b}[31m✗ b"));
        let paper = |colour| Paper { colour, width: 80 };
        assert_eq!(paper(false).write(&page), "✓ a\\n\\u{1b}[31m✗ b\n");
        assert_eq!(
            paper(true).write(&page).matches('\u{1b}').count(),
            3,
            "its own style, on and off"
        );
    }
}
