//! A run on file: a header, then every line of the helper. Replayed, it goes through the same commands as a live run.

use super::link::Link;
use crate::ends::Ends;
use crate::exit::Usage;
use anyhow::{Context as _, Result, anyhow};
use model::protocol::VERSION;
use serde::{Deserialize, Serialize};
use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The version of the file's form.
const FORM: u32 = 2;

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
    /// What the site knew before any helper was asked, and the nodes that were looked at.
    ends: Ends,
}

/// Every other line.
#[derive(Debug, Serialize, Deserialize)]
struct Kept<'a> {
    /// Which node said it; the one of the local site has no name here.
    #[serde(borrow)]
    node: Cow<'a, str>,
    /// What it said.
    #[serde(borrow)]
    line: &'a serde_json::value::RawValue,
}

/// Writes what one node says into a recording while the run goes on. Several nodes share a file.
#[derive(Clone, Debug)]
pub struct Recorder {
    file: Arc<Mutex<BufWriter<File>>>,
    path: Arc<Path>,
    node: String,
}

impl Recorder {
    /// Begins a file.
    pub fn create(path: &Path, arguments: &[String], ends: &Ends) -> Result<Self> {
        let what = || format!("writing the recording {}", path.display());
        let mut file = BufWriter::new(File::create(path).with_context(what)?);
        let header = Header {
            recording: FORM,
            protocol: VERSION,
            client: env!("CARGO_PKG_VERSION").to_owned(),
            arguments: arguments.to_vec(),
            ends: ends.clone(),
        };
        serde_json::to_writer(&mut file, &header).with_context(what)?;
        file.write_all(b"\n").with_context(what)?;
        Ok(Self {
            file: Arc::new(Mutex::new(file)),
            path: path.into(),
            node: String::new(),
        })
    }

    /// The same file, for what this node says.
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
        let kept = Kept {
            node: (&*self.node).into(),
            line,
        };
        let Ok(mut text) = serde_json::to_vec(&kept) else {
            return;
        };
        text.push(b'\n');
        self.check(self.file().write_all(&text));
    }

    /// Makes sure that all is on file.
    pub fn flush(&self) {
        self.check(self.file().flush());
    }

    fn file(&self) -> MutexGuard<'_, BufWriter<File>> {
        self.file.lock().unwrap_or_else(PoisonError::into_inner)
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
    ends: Ends,
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
        Ok(Self {
            path,
            ends: header.ends,
        })
    }

    /// What the site knew before any helper was asked.
    pub fn ends(&self) -> Ends {
        self.ends.clone()
    }

    /// Says again what a node said.
    pub fn play(&self, node: &str) -> Result<Link> {
        let mut lines = reader(&self.path)?;
        lines
            .read_line(&mut String::new())
            .with_context(|| format!("reading the recording {}", self.path.display()))?;
        Ok(Link::to_recording(BufReader::new(Unpacked {
            lines,
            node: node.to_owned(),
            ready: Vec::new(),
        })))
    }
}

fn reader(path: &Path) -> Result<BufReader<File>> {
    Ok(BufReader::new(File::open(path).with_context(|| {
        format!("opening the recording {}", path.display())
    })?))
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
            let mut line = Vec::new();
            if self.lines.read_until(b'\n', &mut line)? == 0 {
                return Ok(0);
            }
            // A half line stays what it is, and is told as such further on.
            match serde_json::from_slice::<Kept<'_>>(&line) {
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
