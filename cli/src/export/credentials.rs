//! How a sink is told who sends: secrets from files or the environment, never from the command line, where all can read them.

use crate::exit::{NotThere, WrongUsage};
use anyhow::Result;
use std::fmt;
use std::path::PathBuf;

/// A file of secrets is no larger.
const LARGEST: u64 = 64 << 10;

/// Where a secret stands.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In a file.
    File(PathBuf),
    /// In a variable of the environment.
    Environment(String),
}

/// Something of one sink: `loki=FILE`, `loki=env:NAME`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfSink<T> {
    /// The sink, as it stands in `--to`.
    pub sink: String,
    /// What it is given.
    pub given: T,
}

impl fmt::Debug for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

/// Parses `SINK=FILE` and `SINK=env:NAME`.
pub fn secret_of(text: &str) -> Result<OfSink<SecretSource>, String> {
    let OfSink { sink, given } = text_of(text)?;
    let given = match given.strip_prefix("env:") {
        Some(name) => SecretSource::Environment(name.to_owned()),
        None => SecretSource::File(given.into()),
    };
    Ok(OfSink { sink, given })
}

/// Parses `SINK=TEXT`. What stands there is not repeated: it may be a secret that was meant to be in a file.
pub fn text_of(text: &str) -> Result<OfSink<String>, String> {
    match text.split_once('=') {
        Some((sink, given)) if !sink.is_empty() && !given.is_empty() => Ok(OfSink {
            sink: sink.to_owned(),
            given: given.to_owned(),
        }),
        _ => Err("write it as SINK=..., with the sink as it stands in --to, such as loki=FILE".to_owned()),
    }
}

/// Parses `SINK=FILE`.
pub fn file_of(text: &str) -> Result<OfSink<PathBuf>, String> {
    text_of(text).map(|OfSink { sink, given }| OfSink {
        sink,
        given: given.into(),
    })
}

impl SecretSource {
    fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Environment(name) => format!("the variable {name}"),
        }
    }

    /// What stands there, without the space around it.
    pub fn read(&self, option: &str) -> Result<String> {
        let text = match self {
            Self::File(path) => {
                let size = std::fs::metadata(path).map(|there| there.len());
                if size.as_ref().is_ok_and(|size| *size > LARGEST) {
                    return Err(WrongUsage::error(format!(
                        "{option}: {} is larger than 64 KiB and no secret; name another file",
                        self.shown()
                    )));
                }
                size.and_then(|_| std::fs::read_to_string(path)).map_err(|error| {
                    NotThere::error(format!(
                        "{option}: reading {}: {error}; name another file",
                        self.shown()
                    ))
                })?
            }
            Self::Environment(name) => std::env::var(name).map_err(|_| {
                NotThere::error(format!("{option}: {} is not set; set it, or name a file", self.shown()))
            })?,
        };
        match text.trim() {
            "" => Err(NotThere::error(format!(
                "{option}: {} is empty; put the secret there",
                self.shown()
            ))),
            secret => Ok(secret.to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{SecretSource, file_of, secret_of};
    use std::path::Path;

    #[test]
    fn a_secret_is_read_from_a_file_or_the_environment_and_never_shown() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "s3cret\n").unwrap();
        let parsed = secret_of(&format!("loki={}", file.display())).unwrap();
        assert_eq!(parsed.sink, "loki");
        assert_eq!(parsed.given.read("--bearer-from").unwrap(), "s3cret");
        assert!(!format!("{parsed:?}").contains("s3cret"));
        let unset = secret_of("loki=env:SKOOP_NO_SUCH_VARIABLE").unwrap();
        assert_eq!(
            unset.given,
            SecretSource::Environment("SKOOP_NO_SUCH_VARIABLE".to_owned())
        );
        let error = unset.given.read("--bearer-from").unwrap_err().to_string();
        assert!(error.contains("SKOOP_NO_SUCH_VARIABLE is not set"), "{error}");
        std::fs::write(&file, " \n").unwrap();
        assert!(parsed.given.read("--bearer-from").is_err());
        assert_eq!(file_of("loki=ca.pem").unwrap().given, Path::new("ca.pem"));
    }

    #[test]
    fn what_is_written_wrongly_is_not_repeated() {
        for text in ["s3cret", "=s3cret", "s3cret="] {
            let error = secret_of(text).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
    }
}
