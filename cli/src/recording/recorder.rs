//! The recorder: keeps every line of the helpers on file while a run goes on.

use super::{ClosingLine, FORM, Header, NOTICE, Note, RecordedLine, Sum, sealed};
use crate::exit::Exit;
use crate::inquiry::known_ends::KnownEnds;
use crate::private_file;
use anyhow::{Context as _, Result};
use model::protocol::VERSION;
use serde::Serialize;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Writes the lines of one node into a recording while the run goes on. Several nodes share a file.
#[derive(Clone, Debug)]
pub struct Recorder {
    file: Arc<Mutex<Growing>>,
    node: String,
}

/// A recording that grows.
struct Growing {
    /// `None` once it has ended, or could not be written any more.
    out: Option<Box<dyn Write + Send>>,
    path: String,
    sum: Sum,
    failed: bool,
}

impl std::fmt::Debug for Growing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Growing")
            .field("path", &self.path)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

impl Growing {
    /// Writes a line. That it cannot be written is noted once, and ends the recording.
    fn line(&mut self, text: &[u8]) {
        let Some(out) = &mut self.out else { return };
        match out.write_all(text) {
            Ok(()) => self.sum.add(text),
            Err(error) => self.fail(&error),
        }
    }

    fn flush(&mut self) {
        if let Some(Err(error)) = self.out.as_mut().map(Write::flush) {
            self.fail(&error);
        }
    }

    fn end(&mut self) {
        let ClosingLine { digest, lines } = self.sum.end();
        if let Ok(text) = serde_json::to_string(&ClosingLine { digest, lines }) {
            self.line(format!("{text}\n").as_bytes());
        }
        self.flush();
        self.out = None;
    }

    fn fail(&mut self, error: &std::io::Error) {
        self.failed = true;
        self.out = None;
        crate::render::note(&format!(
            "writing the recording {} failed: {error}; what comes from here on is not kept",
            self.path
        ));
    }
}

impl Recorder {
    /// Begins a file. Texts to send are kept as they are only where that is wanted.
    pub fn create(path: &Path, arguments: &[String], ends: &KnownEnds, payloads: bool) -> Result<Self> {
        let what = || format!("writing the recording {}", path.display());
        let header = Header {
            recording: FORM,
            notice: NOTICE.to_owned(),
            protocol: VERSION,
            client: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: if payloads {
                arguments.to_vec()
            } else {
                sealed(arguments)
            },
            ends: ends.clone(),
        };
        let mut text = serde_json::to_vec(&header).with_context(what)?;
        text.push(b'\n');
        let file = private_file::create(path).with_context(what)?;
        let recorder = Self::to(Box::new(BufWriter::new(file)), path.display().to_string());
        recorder.file().line(&text);
        Ok(recorder)
    }

    fn to(out: Box<dyn Write + Send>, path: String) -> Self {
        Self {
            file: Arc::new(Mutex::new(Growing {
                out: Some(out),
                path,
                sum: Sum::default(),
                failed: false,
            })),
            node: String::new(),
        }
    }

    /// A recorder into the same file, for the lines of this node.
    #[must_use]
    pub fn for_node(&self, name: &str) -> Self {
        Self {
            node: name.to_owned(),
            ..self.clone()
        }
    }

    /// Keeps a line. One that is no JSON cannot be kept as such and ends the stream anyway.
    pub fn keep(&self, line: &[u8]) {
        let Ok(line) = serde_json::from_slice(line) else { return };
        let kept = RecordedLine {
            node: (&*self.node).into(),
            line,
        };
        let Ok(mut text) = serde_json::to_vec(&kept) else {
            return;
        };
        text.push(b'\n');
        self.file().line(&text);
    }

    /// Keeps a note of the client.
    pub fn note(&self, note: Note, says: &impl Serialize) {
        if let Ok(line) = serde_json::to_vec(says) {
            self.for_node(note.word()).keep(&line);
        }
    }

    /// Makes sure that all is on file.
    pub fn flush(&self) {
        self.file().flush();
    }

    fn file(&self) -> MutexGuard<'_, Growing> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Held while a run is recorded, where it is: gives the file its last line.
#[derive(Debug)]
pub struct OpenRecording(Option<Recorder>);

impl OpenRecording {
    /// A recording by this recorder; none is made without one.
    pub fn by(recorder: Option<Recorder>) -> Self {
        Self(recorder)
    }

    /// What keeps further lines, where the run is recorded.
    pub fn recorder(&self) -> Option<Recorder> {
        self.0.clone()
    }

    /// Ends the file. A run that was to be kept and was not has not done all that it was asked.
    pub fn end(mut self, exit: Exit) -> Exit {
        let failed = self.0.take().is_some_and(|recorder| {
            let mut file = recorder.file();
            file.end();
            file.failed
        });
        if failed && exit == Exit::Fine {
            return Exit::Inconclusive;
        }
        exit
    }
}

impl Drop for OpenRecording {
    fn drop(&mut self) {
        if let Some(recorder) = &self.0 {
            recorder.file().end();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{OpenRecording, Recorder};
    use crate::exit::Exit;
    use std::io::{Error, Write};

    /// A disk that is full after so many bytes.
    struct Disk(usize);

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0 = self
                .0
                .checked_sub(bytes.len())
                .ok_or_else(|| Error::other("disk full"))?;
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn exit(room: usize, exit: Exit) -> Exit {
        let recorder = Recorder::to(Box::new(Disk(room)), "run.rec".to_owned());
        for _ in 0..10 {
            recorder.for_node("n1").keep(br#"{"seq":1,"say":"alive"}"#);
        }
        OpenRecording::by(Some(recorder)).end(exit)
    }

    #[test]
    fn a_run_that_could_not_be_kept_is_not_fine_and_a_fault_stays_one() {
        assert_eq!(exit(10_000, Exit::Fine), Exit::Fine);
        assert_eq!(exit(100, Exit::Fine), Exit::Inconclusive);
        assert_eq!(exit(100, Exit::Fault), Exit::Fault);
        // All but the last line has room.
        assert_eq!(exit(500, Exit::Fine), Exit::Inconclusive);
        assert_eq!(OpenRecording::by(None).end(Exit::Fine), Exit::Fine);
    }
}
