//! The sink `file=FILE`: JSON lines, appended; a file that is full becomes FILE.1, and so on, up to as many as are kept.

use super::json_lines::lines;
use super::sink_queue::SinkBatch;
use super::sink_runner::{DeliveryError, ExportSink};
use crate::exit::WrongUsage;
use anyhow::{Context as _, Result};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// How much is kept.
#[derive(Clone, Copy, Debug)]
pub struct LinesKept {
    /// No file becomes larger, unless one line alone is.
    pub bytes: u64,
    /// Files of before that are kept beside the one that is written.
    pub files: usize,
}

/// Lines in a file that is rotated by size.
#[derive(Debug)]
pub struct LinesFile {
    rotated: Arc<Mutex<RotatedFile>>,
}

#[derive(Debug)]
struct RotatedFile {
    path: PathBuf,
    kept: LinesKept,
    file: File,
    size: u64,
}

impl LinesFile {
    /// At this path; what is there already is kept.
    pub fn at(path: &Path, kept: LinesKept) -> Result<Self> {
        // Whoever names a link for us leads root elsewhere.
        if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
            return Err(WrongUsage::error(format!(
                "--to file={}: it is a link or no regular file, and may lead elsewhere; name another file",
                path.display()
            )));
        }
        let file =
            open(path).with_context(|| format!("opening {}; name another file with --to file=FILE", path.display()))?;
        let size = file.metadata().map(|there| there.len()).unwrap_or_default();
        let rotated = RotatedFile {
            path: path.to_owned(),
            kept,
            file,
            size,
        };
        Ok(Self {
            rotated: Arc::new(Mutex::new(rotated)),
        })
    }
}

/// For its owner alone: names and addresses of others stand there.
fn open(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

/// Bytes as people write them: `10M`, `1Gi`, `500k`.
pub fn size(text: &str) -> Result<u64, String> {
    let digits = text.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let factor: u64 = match text.get(digits.len()..).unwrap_or_default() {
        "" => 1,
        "k" | "K" | "kB" => 1_000,
        "M" | "MB" => 1_000_000,
        "G" | "GB" => 1_000_000_000,
        "Ki" | "KiB" => 1 << 10,
        "Mi" | "MiB" => 1 << 20,
        "Gi" | "GiB" => 1 << 30,
        _ => 0,
    };
    let size = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(factor));
    size.filter(|size| *size >= 1_000)
        .ok_or_else(|| format!("`{text}` is no size of 1k or more; write it as 10M or 1Gi"))
}

impl RotatedFile {
    fn numbered(&self, number: usize) -> PathBuf {
        let mut name = self.path.clone().into_os_string();
        name.push(format!(".{number}"));
        name.into()
    }

    /// Puts the file among those of before, and begins a new one.
    fn rotate(&mut self) -> io::Result<()> {
        if self.kept.files == 0 {
            fs::remove_file(&self.path)?;
        }
        for number in (1..=self.kept.files).rev() {
            let before = match number {
                1 => self.path.clone(),
                _ => self.numbered(number - 1),
            };
            match fs::rename(before, self.numbered(number)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        self.file = open(&self.path)?;
        self.size = self.file.metadata()?.len();
        Ok(())
    }

    /// Whole lines, all or none of those between two rotations.
    fn write(&mut self, text: &str) -> io::Result<()> {
        let mut rest = text;
        while !rest.is_empty() {
            let room = self.kept.bytes.saturating_sub(self.size);
            let fits = usize::try_from(room).unwrap_or(usize::MAX);
            let end = if rest.len() <= fits {
                rest.len()
            } else {
                let within = rest.as_bytes().get(..fits).unwrap_or_default();
                match within.iter().rposition(|byte| *byte == b'\n') {
                    Some(at) => at + 1,
                    None if self.size > 0 => {
                        self.rotate()?;
                        continue;
                    }
                    // A line that fits into no file has one alone.
                    None => rest.find('\n').map_or(rest.len(), |at| at + 1),
                }
            };
            let (now, later) = rest.split_at(end);
            if let Err(error) = self.file.write_all(now.as_bytes()) {
                // Half a line would be read as one.
                let _ = self.file.set_len(self.size);
                return Err(error);
            }
            self.size += now.len() as u64;
            rest = later;
        }
        Ok(())
    }
}

impl ExportSink for LinesFile {
    async fn deliver(&mut self, batch: &SinkBatch) -> Result<u64, DeliveryError> {
        let text = lines(batch).map_err(|error| DeliveryError::lasting(format!("writing JSON failed: {error}")))?;
        let rotated = Arc::clone(&self.rotated);
        let written = tokio::task::spawn_blocking(move || {
            let mut rotated = rotated.lock().unwrap_or_else(PoisonError::into_inner);
            let failed = rotated.write(&text).err();
            failed.map(|error| format!("writing {} failed: {error}; make room there", rotated.path.display()))
        });
        match written.await {
            Ok(None) => Ok(0),
            Ok(Some(failed)) => Err(DeliveryError::lasting(failed)),
            Err(error) => Err(DeliveryError::lasting(format!("writing a file failed: {error}"))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{LinesFile, LinesKept, size};
    use std::fs;
    use std::path::Path;

    #[test]
    fn sizes_are_as_people_write_them() {
        for (text, bytes) in [("10M", 10_000_000), ("1Gi", 1 << 30), ("4096", 4096), ("500k", 500_000)] {
            assert_eq!(size(text), Ok(bytes));
        }
        for text in ["0", "M", "1T", "-1M", "999999999999G", "ten"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_full_file_is_rotated_between_lines_and_the_oldest_goes() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("events.jsonl");
        fs::write(&path, "0000000\n").unwrap();
        let file = LinesFile::at(&path, LinesKept { bytes: 20, files: 2 }).unwrap();
        let write = |text: &str| file.rotated.lock().unwrap().write(text).unwrap();
        write("1111111\n2222222\n3333333\n");
        write("4444444\n");
        write("a line that is longer than a whole file may be\n");
        write("5555555\n");
        let read = |name: &str| fs::read_to_string(folder.path().join(name)).unwrap();
        assert_eq!(read("events.jsonl"), "5555555\n");
        assert_eq!(
            read("events.jsonl.1"),
            "a line that is longer than a whole file may be\n"
        );
        assert_eq!(read("events.jsonl.2"), "4444444\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
    }

    #[test]
    fn no_link_and_no_device_is_written_to() {
        let kept = LinesKept { bytes: 20, files: 2 };
        assert!(LinesFile::at(Path::new("/dev/null"), kept).is_err());
        assert!(LinesFile::at(Path::new("/no/such/folder/file"), kept).is_err());
    }
}
