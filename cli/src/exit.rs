//! How a command ends: the exit codes of the contract, and the error that stands for a wrong use.

use model::missing::Missing;
use std::fmt;
use std::process::ExitCode;

/// What the shell is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Healthy, or a capture done: 0.
    Fine,
    /// A fault was found: 1.
    Fault,
    /// Wrong usage: 2.
    Usage,
    /// Could not look, or the look was not enough for an answer: 3.
    Inconclusive,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(match exit {
            Exit::Fine => 0,
            Exit::Fault => 1,
            Exit::Usage => 2,
            Exit::Inconclusive => 3,
        })
    }
}

/// The user asked for something that cannot be: exit code 2. Every other error means "could not look".
#[derive(Debug)]
pub struct Usage(String);

impl Usage {
    /// What is wrong and what to write instead, as an error.
    pub fn error(says: impl Into<String>) -> anyhow::Error {
        Self(says.into()).into()
    }
}

impl fmt::Display for Usage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Usage {}

/// An endpoint that is not there is a slip of the asker.
pub fn not_found(asked: &str, missing: &Missing) -> anyhow::Error {
    Usage::error(format!("{asked} was not found: {}", missing.reason()))
}

/// The exit code of an error.
#[must_use]
pub fn of(error: &anyhow::Error) -> Exit {
    if error.is::<Usage>() {
        Exit::Usage
    } else {
        Exit::Inconclusive
    }
}
