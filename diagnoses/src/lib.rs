//! Rules: pure functions from evidence to verdicts. No I/O, no clock, no kernel, no Kubernetes.
//!
//! [`needs`] says what a run must bring, [`settled()`] when it may stop early, [`judge()`] what it means.

pub mod case;
mod judge;
pub mod kernel;
pub mod kubernetes;
pub mod rules;
pub mod verdict;
pub mod words;

#[cfg(test)]
mod scenes;

pub use judge::early_end::{answer_due, settled};
pub use judge::{Judgement, judge};

use model::evidence::Intent;

/// What the rules of an intent must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Probes by name, sorted.
    pub probes: Vec<&'static str>,
    /// Facts by the names of the fields of [`model::facts::NetnsFacts`], sorted.
    pub facts: Vec<&'static str>,
}

/// The union of what the rules of an intent need.
#[must_use]
pub fn needs(intent: Intent) -> Needs {
    let mut needs = Needs::default();
    for need in rules::of(intent).flat_map(|rule| rule.needs) {
        match need {
            rules::Need::Probe(name) => needs.probes.push(name),
            rules::Need::Fact(name) => needs.facts.push(name),
        }
    }
    needs.probes.sort_unstable();
    needs.probes.dedup();
    needs.facts.sort_unstable();
    needs.facts.dedup();
    needs
}
