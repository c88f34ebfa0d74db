//! A run on file: a header, then every line of the helper. Replayed, it goes through the same commands as a live run.

use super::link::Link;
use crate::exit::Usage;
use anyhow::{Context as _, Result, anyhow};
use model::protocol::VERSION;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// The version of the file's form.
const FORM: u32 = 1;

/// The first line.
#[derive(Debug, Serialize, Deserialize)]
struct Header {
    /// The version of the file's form.
    recording: u32,
    /// The protocol's version.
    protocol: u32,
    /// The client's version.
    client: String,
    /// What was asked, without the options that only say where to look and how to print.
    arguments: Vec<String>,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<'a> {
    /// Which node said it; the local site has one.
    node: &'a str,
    /// What it said.
    #[serde(borrow)]
    line: &'a serde_json::value::RawValue,
}

/// Writes a recording while the run goes on.
#[derive(Debug)]
pub struct Recorder {
    file: BufWriter<File>,
    path: PathBuf,
}

impl Recorder {
    /// Begins a file.
    pub fn create(path: &Path, arguments: &[String]) -> Result<Self> {
        let what = || format!("writing the recording {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(what)?);
        let header = Header {
            recording: FORM,
            protocol: VERSION,
            client: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: arguments.to_vec(),
        };
        serde_json::to_writer(&mut file, &header).with_context(what)?;
        file.write_all(b"\n").with_context(what)?;
        Ok(Self {
            file,
            path: path.to_owned(),
        })
    }

    /// Keeps a line. One that is no JSON cannot be kept as such and ends the stream anyway.
    pub fn keep(&mut self, line: &[u8]) {
        if let Ok(line) = serde_json::from_slice(line) {
            let kept = serde_json::to_writer(&mut self.file, &Kept { node: "", line });
            self.check(kept.map_err(std::io::Error::from));
            let ended = self.file.write_all(b"\n");
            self.check(ended);
        }
    }

    /// Makes sure that all is on file.
    pub fn flush(&mut self) {
        let flushed = self.file.flush();
        self.check(flushed);
    }

    fn check(&self, written: std::io::Result<()>) {
        if let Err(error) = written {
            crate::render::note(&format!(
                "writing the recording {} failed: {error}",
                self.path.display()
            ));
        }
    }
}

/// A recorded run.
#[derive(Debug)]
pub struct Recording {
    path: PathBuf,
}

impl Recording {
    /// Checks that the file is one, and of the same question.
    pub fn open(path: PathBuf, arguments: &[String]) -> Result<Self> {
        let mut first = String::new();
        reader(&path)?
            .read_line(&mut first)
            .with_context(|| format!("reading the recording {}", path.display()))?;
        let header: Header = serde_json::from_str(&first)
            .map_err(|_| anyhow!("{} is no recording; make one with --record FILE", path.display()))?;
        if header.recording != FORM || header.protocol != VERSION {
            return Err(anyhow!(
                "{} was recorded by version {}, which this version cannot read; replay it with that one",
                path.display(),
                header.client
            ));
        }
        if header.arguments != arguments {
            return Err(Usage::error(format!(
                "{} holds the run of `{}`; give the same arguments to replay it",
                path.display(),
                header.arguments.join(" ")
            )));
        }
        Ok(Self { path })
    }

    /// Says again what was said.
    pub fn play(&self) -> Result<Link> {
        let mut lines = reader(&self.path)?;
        lines
            .read_line(&mut String::new())
            .with_context(|| format!("reading the recording {}", self.path.display()))?;
        Ok(Link::to_recording(BufReader::new(Unpacked {
            lines,
            ready: Vec::new(),
        })))
    }
}

fn reader(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| {
        format!("opening the recording {}", path.display())
    })?))
}

/// The helper's stream, taken out of a recording line by line.
struct Unpacked<R> {
    lines: R,
    ready: Vec<u8>,
}

impl<R: BufRead> Read for Unpacked<R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.ready.is_empty() {
            let mut line = Vec::new();
            if self.lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(0);
            }
            // A half line stays what it is, and is told as such further on.
            self.ready = match serde_json::from_slice::<Kept<'_>>(&line) {
                Ok(kept) => format!("{}\n", kept.line.get()).into_bytes(),
                Err(_) => line,
            };
        }
        let count = into.len().min(self.ready.len());
        into[..count].copy_from_slice(&self.ready[..count]);
        self.ready.drain(..count);
        Ok(count)
    }
}
