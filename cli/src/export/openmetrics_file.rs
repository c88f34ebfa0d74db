//! The sink `openmetrics=FILE`: the last reading, written whole or not at all.

use super::openmetrics_text::{MetricsDialect, text};
use super::sink_queue::SinkBatch;
use super::sink_runner::{DeliveryError, ExportSink};
use crate::exit::WrongUsage;
use anyhow::Result;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file that always has one whole reading.
#[derive(Debug)]
pub struct OpenMetricsFile {
    path: PathBuf,
}

impl OpenMetricsFile {
    /// At this path, where nothing or a file of before may be.
    pub fn at(path: &Path) -> Result<Self> {
        let folder = folder_of(path);
        if path.file_name().is_none() || !folder.is_dir() {
            return Err(WrongUsage::error(format!(
                "--to openmetrics={}: its folder is not there; make it, or name another file",
                path.display()
            )));
        }
        // What is no file would be replaced by one.
        if path.symlink_metadata().is_ok_and(|there| !there.is_file()) {
            return Err(WrongUsage::error(format!(
                "--to openmetrics={}: it is a link or no regular file, and would be replaced; name another file",
                path.display()
            )));
        }
        Ok(Self { path: path.to_owned() })
    }
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Whoever reads sees all of the one before, or all of this one.
fn replace(path: &Path, text: &str) -> io::Result<()> {
    let mut builder = tempfile::Builder::new();
    builder.prefix(".skoop-");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        // Who collects it is seldom who writes it.
        builder.permissions(std::fs::Permissions::from_mode(0o644));
    }
    let mut file = builder.tempfile_in(folder_of(path))?;
    file.write_all(text.as_bytes())?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

impl ExportSink for OpenMetricsFile {
    async fn deliver(&mut self, batch: &SinkBatch) -> Result<u64, DeliveryError> {
        let Some(latest) = batch.readings.last().map(Arc::clone) else {
            return Ok(0);
        };
        let path = self.path.clone();
        let written =
            tokio::task::spawn_blocking(move || replace(&path, &text(&latest, MetricsDialect::OpenMetrics))).await;
        let failed = match written {
            Ok(Ok(())) => return Ok(0),
            Ok(Err(error)) => error.to_string(),
            Err(error) => error.to_string(),
        };
        Err(DeliveryError::lasting(format!(
            "writing {} failed: {failed}; make room there, or name another file",
            self.path.display()
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::{OpenMetricsFile, replace};
    use std::fs;
    use std::path::Path;

    #[test]
    fn a_file_is_replaced_whole_and_no_other_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skoop.prom");
        fs::write(&path, "before").unwrap();
        replace(&path, "# EOF\n").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "# EOF\n");
        let file = OpenMetricsFile::at(&path).unwrap();
        assert_eq!(file.path, path);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        #[cfg(unix)]
        {
            use std::os::unix::fs::MetadataExt as _;
            assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o644);
        }
    }

    #[test]
    fn what_is_no_file_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        for path in ["/dev/null", "/", "/no/such/folder/file"].map(Path::new) {
            assert!(OpenMetricsFile::at(path).is_err(), "{path:?}");
        }
        assert!(OpenMetricsFile::at(folder.path()).is_err());
    }
}
