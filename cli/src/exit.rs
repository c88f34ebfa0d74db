//! How a command ends: the exit codes of the contract, and the errors that stand for what the user has to correct.

use model::missing::Missing;
use std::fmt;
use std::process::ExitCode;

/// What the shell gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Healthy, or a capture done: 0.
    Fine,
    /// A fault was found: 1.
    Fault,
    /// Wrong usage, or what was named is not there: 2.
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

/// The user wrote what the command line does not take, whatever there is to look at: exit code 2, and the help says more.
#[derive(Debug)]
pub struct WrongUsage(String);

/// What the user named is not there, or is not what it would have to be, as a cluster, a machine or a file says: exit code 2,
/// too, but no help knows more of it.
#[derive(Debug)]
pub struct NotThere(String);

impl WrongUsage {
    /// What is wrong and what to write instead, as an error.
    pub fn error(says: impl Into<String>) -> anyhow::Error {
        Self(says.into()).into()
    }
}

impl NotThere {
    /// What is not there and what to name instead, as an error.
    pub fn error(says: impl Into<String>) -> anyhow::Error {
        Self(says.into()).into()
    }
}

impl fmt::Display for WrongUsage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for NotThere {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for WrongUsage {}
impl std::error::Error for NotThere {}

/// An endpoint that the helper did not find.
pub fn not_found(asked: &str, missing: &Missing) -> anyhow::Error {
    NotThere::error(format!("{asked} was not found: {}", missing.reason()))
}

/// The exit code of an error. Every other error than these two means "could not look".
#[must_use]
pub fn of(error: &anyhow::Error) -> Exit {
    if error.is::<WrongUsage>() || error.is::<NotThere>() {
        Exit::Usage
    } else {
        Exit::Inconclusive
    }
}
