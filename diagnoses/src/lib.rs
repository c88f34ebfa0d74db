//! Rules: pure functions from evidence to verdicts. No I/O, no clock, no kernel, no Kubernetes.
//!
//! [`needs`] says what a run must bring, [`settled`] when it may stop early, [`judge`] what it means.

/// The derived view of one run that all rules share.
pub mod case;
/// What a freed packet's reason and location mean.
pub mod drops;
/// The far end of an attempt: where it is, what listens there, who holds it.
pub mod ends;
/// A conclusion under construction; it cannot be finished without a proof.
pub mod finding;
/// What the netfilter rules of a namespace do with a packet.
pub mod firewall;
/// What a firewall made of the watched packets.
pub mod firewalled;
/// Outcome, headline and ranked verdicts.
mod judge;
/// Next hops that answered no ARP or ND.
pub mod neighbours;
/// What was proven to work.
mod proven;
/// Which finding is the cause, and which are symptoms.
mod rank;
/// What a namespace's routing would answer, from its facts.
pub mod route;
/// What routing made of a watched packet.
pub mod routed;
/// The registry: one file per rule.
pub mod rules;
/// What was seen of an attempt, in words.
pub mod seen;
/// When no further packet can change the answer.
mod settled;
/// Where the watched packets were seen.
pub mod trail;
/// Address translation a packet may meet.
pub mod translate;
/// The way a packet should take, walked from facts.
pub mod walk;
/// Times, counts and places in words.
pub mod words;

/// Hand-made evidence for the rules' own tests.
#[cfg(test)]
#[allow(dead_code, reason = "each rule's tests use what they need")]
mod scene;

pub use judge::{Judgement, judge};
pub use settled::settled;

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
