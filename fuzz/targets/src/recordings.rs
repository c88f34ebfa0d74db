//! Recordings that were changed after they were made: an answer of them is never surer than what is left.

use crate::edits::{self, Edit};
use flate2::read::GzDecoder;
use model::report::{Conclusion, Report};
use std::io::{Read as _, Write as _};
use std::sync::LazyLock;
use tempfile::NamedTempFile;

/// A recorded run that is changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Base {
    /// Of a path that works.
    Healthy,
    /// Of one on which a rule drops.
    Dropped,
}

/// A recorded run and what was asked.
#[derive(Debug)]
pub struct BaseRecording {
    /// The file.
    pub text: String,
    arguments: Vec<String>,
}

static HEALTHY: LazyLock<BaseRecording> =
    LazyLock::new(|| BaseRecording::unpack(include_bytes!("../../../tests/recordings/healthy.rec.gz")));
static DROPPED: LazyLock<BaseRecording> =
    LazyLock::new(|| BaseRecording::unpack(include_bytes!("../../../tests/recordings/dropped.rec.gz")));

impl Base {
    /// The recording.
    pub fn recording(self) -> &'static BaseRecording {
        match self {
            Self::Healthy => &HEALTHY,
            Self::Dropped => &DROPPED,
        }
    }
}

impl BaseRecording {
    fn unpack(packed: &[u8]) -> Self {
        let mut text = String::new();
        GzDecoder::new(packed)
            .read_to_string(&mut text)
            .expect("it was packed by tests/recordings/make");
        let head: serde_json::Value =
            serde_json::from_str(text.lines().next().unwrap_or_default()).expect("it begins with a head");
        let arguments = head["arguments"].as_array().into_iter().flatten();
        let arguments = arguments.filter_map(|argument| argument.as_str().map(str::to_owned));
        Self {
            arguments: arguments.collect(),
            text,
        }
    }

    /// The report of these bytes in its place; none where they are no recording of the question any more.
    ///
    /// # Panics
    /// Where no temporary file can be written.
    pub fn replayed(&self, bytes: &[u8]) -> Option<Report> {
        let mut file = NamedTempFile::with_prefix("skoop-replay").expect("a temporary file can be made");
        file.write_all(bytes).expect("it can be written");
        let path = file.path().to_string_lossy();
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        cli::replay(&[&arguments[..], &["--replay", path.as_ref()]].concat()).ok()
    }
}

/// Any bytes in the place of a recording: no panic, and nothing healthy about it.
pub fn any(bytes: &[u8]) {
    let recording = Base::Healthy.recording();
    // The head is what no fuzzer finds by itself.
    let head = recording.text.lines().next().unwrap_or_default();
    must_not_be_healthy(bytes);
    let text = format!("{head}\n{}", String::from_utf8_lossy(bytes));
    must_not_be_healthy(cli::ended_recording(&text).as_bytes());
}

/// These bytes in the place of a recording, which they are not.
pub fn must_not_be_healthy(bytes: &[u8]) {
    let recording = Base::Healthy.recording();
    if let Some(report) = recording.replayed(bytes) {
        let whole = bytes == recording.text.as_bytes();
        assert!(whole || report.outcome != Conclusion::Healthy, "{}", report.headline);
    }
}

/// Bytes as changes to a healthy recording and to one of a fault.
pub fn edits(bytes: &[u8]) {
    let Some((renumber, edits)) = edits::parse(bytes) else {
        return;
    };
    for base in [Base::Healthy, Base::Dropped] {
        check(base, renumber, &edits);
    }
}

/// What was changed so is never healthy, unless it says the same in another order: that is what numbering lines anew after
/// they changed places comes to, and times tell the order of what happened.
fn check(base: Base, renumber: bool, edits: &[Edit]) {
    let recording = base.recording();
    let Some(bytes) = edits::edited(&recording.text, renumber, edits) else {
        return;
    };
    let same_lines = renumber && edits.iter().all(|edit| edit.reorders());
    if let Some(report) = recording.replayed(&bytes) {
        let surer = report.outcome == Conclusion::Healthy && (base != Base::Healthy || !same_lines);
        assert!(
            !surer,
            "{base:?}, numbered anew: {renumber}, {edits:?}: {}",
            report.headline
        );
    }
}
