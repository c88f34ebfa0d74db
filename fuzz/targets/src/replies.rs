//! What a helper says, line by line, until it cannot be trusted any more.

use crate::recordings::{Base, must_not_be_healthy};
use cli::ReplyStream;

/// Lines of a helper. What it says after its last line is not taken, and nothing that it can say by chance is healthy.
pub fn replies(bytes: &[u8]) {
    let mut lines = ReplyStream::default();
    for line in bytes.split_inclusive(|byte| *byte == b'\n') {
        let was_done = lines.done;
        if lines.line(line).is_err() {
            break;
        }
        assert!(!was_done, "it spoke after its last line");
    }
    let recording = Base::Healthy.recording();
    let mut text = recording.text.lines().next().unwrap_or_default().to_owned();
    for line in String::from_utf8_lossy(bytes).lines() {
        text.extend(["\n{\"node\":\"\",\"line\":", line, "}"]);
    }
    must_not_be_healthy(cli::ended_recording(&text).as_bytes());
}
