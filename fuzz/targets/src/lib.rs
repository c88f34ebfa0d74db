//! What fuzzing calls, by name: readers of bytes that others write, and what must be true whatever they wrote.
//!
//! A target panics where a reader does, and where an answer is surer than what was seen. Each has an entry in
//! `fuzz/fuzz_targets`, inputs to begin with in `fuzz/corpus`, and what once broke it in `fuzz/crashes`.

mod edits;
mod recordings;
mod replies;

pub use edits::{Edit, edited};
pub use recordings::{Base, BaseRecording};

/// A target.
pub type Target = fn(&[u8]);

/// Targets beside the helper's readers.
const OWN: &[(&str, Target)] = &[
    ("replies", replies::replies),
    ("recordings", recordings::any),
    ("edits", recordings::edits),
];

/// All of them.
pub fn all() -> impl Iterator<Item = (&'static str, Target)> {
    node_helper::readers::READERS.iter().chain(OWN).copied()
}

/// Calls one.
///
/// # Panics
/// Where it does, and where there is none of this name.
pub fn run(name: &str, bytes: &[u8]) {
    let target = all().find(|(own, _)| *own == name);
    target.unwrap_or_else(|| panic!("no target {name}")).1(bytes);
}
