//! Rules: pure functions from evidence to verdicts. No I/O, no clock, no kernel, no Kubernetes.
//!
//! [`needs`] says what a run must bring, [`settled()`] when it may stop early, [`judge()`] what it means.

mod astray;
pub mod between;
pub mod case;
pub mod clocks;
pub mod cluster;
pub mod drops;
pub mod ends;
pub mod finding;
pub mod firewall;
pub mod firewalled;
mod judge;
mod lookups;
pub mod neighbours;
mod not_made;
mod permitted;
pub mod policy;
mod proven;
mod rank;
mod remedy;
pub mod route;
pub mod routed;
pub mod rules;
pub mod seen;
pub mod selector;
mod settled;
pub mod trail;
pub mod translate;
pub mod walk;
pub mod words;

/// Hostile names in the rules' own tests.
#[cfg(test)]
mod hostile;

/// Hand-made evidence for the rules' own tests.
#[cfg(test)]
#[allow(dead_code, reason = "each rule's tests use what they need")]
mod scene;

/// Hand-made clusters for the tests of rules about Kubernetes' objects.
#[cfg(test)]
#[allow(dead_code, reason = "each rule's tests use what they need")]
mod scene_cluster;

/// Hand-made lookups for the tests of the DNS rules.
#[cfg(test)]
mod scene_dns;

pub use judge::{Judgement, judge};
pub use settled::{answer_due, settled};

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
