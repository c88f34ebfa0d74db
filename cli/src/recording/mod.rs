//! A run on file: a header, then every line of the helpers, then a digest of it all. Replayed, it goes through the same
//! commands as a live run.
//!
//! It may use what is known of both ends, and files made for their owner alone. It knows lines, and neither what they say nor
//! who reads them.

mod reader;
mod recorder;

pub use reader::{Recording, RecordingDoubt};
pub use recorder::{OpenRecording, Recorder};

use crate::inquiry::known_ends::KnownEnds;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::borrow::Cow;

/// The version of the file's form.
const FORM: u32 = 2;
/// What stands in the head of each.
const NOTICE: &str = "may hold secrets: addresses, names, rules and settings of nodes and pods as they were seen; show it to nobody who may not see those";

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// The version of the file's form.
    recording: u32,
    /// For whoever opens the file.
    #[serde(default)]
    notice: String,
    /// The protocol's version.
    protocol: u32,
    /// The client's version.
    client: String,
    /// What was asked, without the options that only say where to look and how to print. Texts to send are [`sealed`], unless
    /// they were to be kept.
    arguments: Vec<String>,
    /// What the site knew before any helper was asked, and the nodes that were looked at.
    ends: KnownEnds,
}

/// A look of the client at what had come: it decided then what to ask next.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientLook {
    /// How long after the window was opened.
    pub elapsed_ns: u64,
    /// How many replies of each node it had taken in.
    pub taken: Vec<u64>,
}

/// Notes of the client stand among the lines of nodes, each under a word that is the name of none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Note {
    /// Its looks at what had come.
    Looks,
    /// What the cluster's API said of the ends of conversations, in the order in which it was asked.
    Ends,
}

impl Note {
    const fn word(self) -> &'static str {
        match self {
            Self::Looks => "looks of the client",
            Self::Ends => "ends of conversations",
        }
    }
}

/// Notes of one kind that are read, at most: seven looks in a second, for eight hours.
const NOTES_MAX: usize = 200_000;

/// Every other line but the last.
#[derive(Debug, Serialize, Deserialize)]
struct RecordedLine<'a> {
    /// Which node sent it; the one of the local site has no name here.
    #[serde(borrow)]
    node: Cow<'a, str>,
    /// The line.
    #[serde(borrow)]
    line: &'a serde_json::value::RawValue,
}

/// The last line.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct ClosingLine {
    /// The digest of all bytes before this line.
    digest: String,
    /// How many lines there are before it.
    lines: u64,
}

/// The digest of what was written or read so far.
#[derive(Clone, Debug, Default)]
struct Sum {
    hash: Sha256,
    lines: u64,
}

impl Sum {
    fn add(&mut self, line: &[u8]) {
        self.hash.update(line);
        self.lines += 1;
    }

    fn end(&self) -> ClosingLine {
        ClosingLine {
            digest: format!("sha256:{:x}", self.hash.clone().finalize()),
            lines: self.lines,
        }
    }
}

/// Recorded lines with the last one that belongs to them, in place of the one they have: for tests that change recordings.
#[must_use]
pub fn ended(lines: &str) -> String {
    let mut sum = Sum::default();
    let mut text = String::new();
    for line in lines
        .lines()
        .filter(|line| serde_json::from_str::<ClosingLine>(line).is_err())
    {
        let line = format!("{line}\n");
        sum.add(line.as_bytes());
        text += &line;
    }
    text + &serde_json::to_string(&sum.end()).unwrap_or_default() + "\n"
}

/// Options whose values are sent, and may be secrets.
const SENT: [&str; 2] = ["--send", "--http"];

/// The arguments with the texts to send by their length and hash.
fn sealed(arguments: &[String]) -> Vec<String> {
    let mut next_is = None;
    let seal_one = |argument: &String| {
        let option = next_is.take();
        match (option, argument.split_once('=')) {
            (Some(option), _) => seal(option, argument),
            (None, Some((name, value))) if SENT.contains(&name) => format!("{name}={}", seal(name, value)),
            (None, _) => {
                next_is = SENT.into_iter().find(|name| name == argument);
                argument.clone()
            }
        }
    };
    arguments.iter().map(seal_one).collect()
}

/// A text to send; of a path only what stands behind its question mark.
fn seal(option: &str, text: &str) -> String {
    if option == "--http" {
        return match text.split_once('?') {
            Some((path, query)) => format!("{path}?{}", seal("", query)),
            None => text.to_owned(),
        };
    }
    // What stands for a text may be given in its place.
    let hex = |digest: &str| digest.len() == 64 && digest.bytes().all(|byte| byte.is_ascii_hexdigit());
    let is_sealed = text
        .strip_prefix("sha256:")
        .and_then(|rest| rest.split_once(':'))
        .is_some_and(|(digest, length)| hex(digest) && length.parse::<u64>().is_ok());
    if is_sealed {
        return text.to_owned();
    }
    format!("sha256:{:x}:{}", Sha256::digest(text), text.len())
}

#[cfg(test)]
mod tests {
    use super::{ended, sealed};

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn texts_to_send_are_told_by_their_length_and_hash() {
        let once = sealed(&words("diagnose pod-to-pod a b:80 --send hunter2 --attempts 2"));
        let text = once.join(" ");
        assert!(!text.contains("hunter2"), "{text}");
        assert!(text.contains("--send sha256:f52fbd32b2b3b86ff88ef6c490628285f482af15ddcb29541f94bcf526a3f6c7:7"));
        assert!(text.ends_with(" --attempts 2"), "{text}");
        assert_eq!(sealed(&once), once, "it stands for itself");
        assert_ne!(sealed(&words("--send=hunter3")), sealed(&words("--send=hunter2")));
        let path = sealed(&words("--http /login?token=hunter2")).join(" ");
        assert!(
            path.starts_with("--http /login?sha256:") && !path.contains("hunter2"),
            "{path}"
        );
        assert_eq!(sealed(&words("--http /healthz")), words("--http /healthz"));
    }

    #[test]
    fn lines_that_were_changed_on_purpose_can_be_ended_anew() {
        let once = ended("{}\n{}\n");
        assert_eq!(once.lines().count(), 3);
        assert_eq!(ended(&once), once);
    }
}
