//! A recorded run that is read again: its question is compared, its digest checked, and its lines are replayed.

use super::{ClosingLine, FORM, Header, NOTES_MAX, Note, RecordedLine, Sum, sealed};
use crate::exit::NotThere;
use crate::inquiry::known_ends::KnownEnds;
use anyhow::{Context as _, Result, anyhow};
use model::missing::Missing;
use model::protocol::{LINE_MAX_BYTES, VERSION};
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

/// The longest header, in bytes: what is known of two ends, and of the nodes on the way.
const HEADER_MAX: u64 = 64 << 20;
/// The longest line: a helper's, and what is written around it.
const LINE_MAX: u64 = LINE_MAX_BYTES as u64 + (1 << 16);

/// Why a recording is not to be believed as it is.
#[derive(Clone, Debug, PartialEq)]
pub struct RecordingDoubt {
    /// What is missing.
    pub missing: Missing,
    /// It is not what was recorded: not even a fault in it proves anything.
    pub changed: bool,
}

/// A recorded run.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
    arguments: Vec<String>,
    ends: KnownEnds,
    doubt: Option<RecordingDoubt>,
}

impl Recording {
    /// Checks that the file is one, and of the same question, and whether it is whole.
    pub fn open(path: PathBuf, arguments: &[String]) -> Result<Self> {
        let recording = Self::of_any_run(path)?;
        if sealed(&recording.arguments) != sealed(arguments) {
            return Err(NotThere::error(format!(
                "{} holds the run of `{}`; give the same arguments to replay it",
                recording.path.display(),
                recording.asked()
            )));
        }
        Ok(recording)
    }

    /// Checks that the file is one, whatever was asked, and whether it is whole.
    pub fn of_any_run(path: PathBuf) -> Result<Self> {
        let reading = || format!("reading the recording {}", path.display());
        let mut lines = reader(&path)?;
        let first = line_of(&mut lines, HEADER_MAX).with_context(reading)?;
        let header: Header = serde_json::from_slice(&first)
            .map_err(|_| anyhow!("{} is no recording; make one with --record FILE", path.display()))?;
        if header.recording != FORM || header.protocol != VERSION {
            return Err(anyhow!(
                "{} was recorded by version {}, which this version cannot read; replay it with that one",
                path.display(),
                header.client
            ));
        }
        let doubt = doubt(&first, lines).with_context(reading)?;
        Ok(Self {
            path,
            arguments: header.arguments,
            ends: header.ends,
            doubt,
        })
    }

    /// What was asked when it was made.
    pub fn asked(&self) -> String {
        self.arguments.join(" ")
    }

    /// What the site knew before any helper was asked.
    pub fn ends(&self) -> KnownEnds {
        self.ends.clone()
    }

    /// Why it is not to be believed as it is.
    pub fn doubt(&self) -> Option<&RecordingDoubt> {
        self.doubt.as_ref()
    }

    /// The client's notes of one kind.
    pub fn notes<T: DeserializeOwned>(&self, note: Note) -> Result<VecDeque<T>> {
        let lines = self.play(note.word())?.lines().take(NOTES_MAX);
        // What is no line of a recording is told by those who read its nodes.
        let read = |line: std::io::Result<String>| serde_json::from_str(&line.ok()?).ok();
        Ok(lines.map_while(read).collect())
    }

    /// The lines of a node, as its helper said them.
    pub fn play(&self, node: &str) -> Result<impl BufRead + Send + 'static> {
        let mut lines = reader(&self.path)?;
        line_of(&mut lines, HEADER_MAX).with_context(|| format!("reading the recording {}", self.path.display()))?;
        Ok(BufReader::new(Unpacked {
            lines,
            node: node.to_owned(),
            ready: Vec::new(),
        }))
    }
}

fn reader(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| {
        format!("opening the recording {}", path.display())
    })?))
}

/// The next line with its end, as far as it is not too long.
fn line_of(lines: &mut impl BufRead, longest: u64) -> std::io::Result<Vec<u8>> {
    let mut line = Vec::new();
    lines.by_ref().take(longest).read_until(b'\n', &mut line)?;
    Ok(line)
}

/// Whether all lines are there as they were written: the last one says what the others come to.
fn doubt(first: &[u8], mut lines: impl BufRead) -> std::io::Result<Option<RecordingDoubt>> {
    let mut sum = Sum::default();
    sum.add(first);
    let mut end = None;
    loop {
        let line = line_of(&mut lines, LINE_MAX)?;
        if line.is_empty() {
            break;
        }
        if end.is_some() {
            return Ok(Some(changed("something was added behind its end")));
        }
        match serde_json::from_slice::<ClosingLine>(&line) {
            Ok(closing) if line.ends_with(b"\n") => end = Some(closing),
            _ => sum.add(&line),
        }
    }
    Ok(match end {
        None => Some(RecordingDoubt {
            missing: Missing::new("the rest of the recording", "it was cut: it ends without its digest")
                .remedy("record it again with --record FILE"),
            changed: false,
        }),
        Some(end) if end != sum.end() => Some(changed("its digest does not fit")),
        Some(_) => None,
    })
}

fn changed(how: &str) -> RecordingDoubt {
    RecordingDoubt {
        missing: Missing::new(
            "what was recorded",
            format!("the recording was changed after it was made: {how}"),
        )
        .remedy("record it again with --record FILE"),
        changed: true,
    }
}

/// The stream of one node's helper, taken out of a recording line by line.
struct Unpacked<R> {
    lines: R,
    node: String,
    ready: Vec<u8>,
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        while self.ready.is_empty() {
            let line = line_of(&mut self.lines, LINE_MAX)?;
            if line.is_empty() || serde_json::from_slice::<ClosingLine>(&line).is_ok() {
                return Ok(0);
            }
            // A half line stays what it is, and is refused as such further on.
            match serde_json::from_slice::<RecordedLine<'_>>(&line) {
                Ok(kept) if kept.node == self.node => self.ready = format!("{}\n", kept.line.get()).into_bytes(),
                Ok(_) => {}
                Err(_) => self.ready = line,
            }
        }
        let count = into.len().min(self.ready.len());
        into[..count].copy_from_slice(&self.ready[..count]);
        self.ready.drain(..count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::super::ended;
    use super::doubt;

    const LINES: &str = "{\"recording\":2}\n{\"node\":\"\",\"line\":{\"seq\":1,\"say\":\"alive\"}}\n{\"node\":\"\",\"line\":{\"seq\":2,\"say\":\"alive\"}}\n";

    /// Whether there is a doubt, and whether it is that something was changed.
    fn doubted(text: &str) -> Option<bool> {
        let (first, rest) = text.split_at(text.find('\n').unwrap() + 1);
        let doubt = doubt(first.as_bytes(), rest.as_bytes()).unwrap();
        doubt.map(|doubt| doubt.changed)
    }

    #[test]
    fn a_recording_is_believed_as_it_was_made_and_no_otherwise() {
        let whole = ended(LINES);
        assert_eq!(doubted(&whole), None);
        assert_eq!(doubted(&whole.replace("\"seq\":2", "\"seq\":3")), Some(true));
        assert_eq!(
            doubted(&whole.replace("\"recording\":2", "\"recording\": 2")),
            Some(true)
        );
        let mut lines: Vec<&str> = whole.lines().collect();
        lines.remove(1);
        let without_a_line = lines.join("\n") + "\n";
        assert_eq!(doubted(&without_a_line), Some(true));
        assert_eq!(doubted(&(whole.clone() + "{}\n")), Some(true));
        assert_eq!(doubted(&(whole.clone() + &whole)), Some(true));
    }

    #[test]
    fn a_recording_that_ends_early_was_cut() {
        let whole = ended(LINES);
        for end in [LINES.len(), LINES.len() - 5, whole.len() - 1, LINES.len() + 10] {
            assert_eq!(doubted(&whole[..end]), Some(false), "{end} of {} bytes", whole.len());
        }
    }
}
