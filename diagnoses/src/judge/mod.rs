//! Outcome, headline and ranked verdicts of one run.
//!
//! What needs all rules or the whole case at once belongs here: what the run means, and when it may end early. It uses every
//! other room and is used by none. What proves one cause is that cause's rule.

pub mod early_end;
mod gaps;
mod headline;
mod not_made;
mod path;
mod rank;
mod what_works;

use crate::case::{Case, clocks};
use crate::rules;
use crate::verdict::finding::Finding;
use gaps::{gaps, nothing_sent, push};
use headline::headline;
use model::evidence::Evidence;
use model::missing::Missing;
use model::report::{Conclusion, Hop, Severity, Verdict};
use path::path;
use rank::rank;
use what_works::proven;

/// What a run means; the client adds what was looked at and for how long, which makes it the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The answer.
    pub outcome: Conclusion,
    /// The answer in one plain sentence.
    pub headline: String,
    /// Causes first, then symptoms, then what is only worth knowing.
    pub verdicts: Vec<Verdict>,
    /// What was proven to work, one short fact each.
    pub proven: Vec<String>,
    /// The way of the watched packets, and of the answers.
    pub path: Vec<Hop>,
    /// What could not be seen.
    pub missing: Vec<Missing>,
}

/// Judges a run: every rule of its intent reads the same case; what they conclude is ranked.
#[must_use]
pub fn judge(evidence: &Evidence) -> Judgement {
    #[cfg(test)]
    crate::scenes::hostile::check(evidence, judged);
    judged(evidence)
}

fn judged(evidence: &Evidence) -> Judgement {
    let evidence = &*clocks::aligned(evidence);
    let case = Case::new(evidence);
    let mut findings = Vec::new();
    let mut missing = gaps(&case);
    for rule in rules::RULES {
        match (rule.check)(&case) {
            Ok(found) => findings.extend(found),
            Err(lack) => push(&mut missing, lack),
        }
    }
    if case.inventory().is_some() {
        findings.iter_mut().for_each(Finding::name_node);
    }
    let mut verdicts = rank(findings);
    for verdict in &mut verdicts {
        in_clusters_words(&case, verdict);
    }
    // Where nothing was sent or watched, only what needs no packet to be proven accuses.
    let looked = evidence.passive || case.asked().next().is_some();
    let accused = verdicts
        .iter()
        .any(|verdict| verdict.cause && (verdict.severity == Severity::Fatal || looked));
    if !looked {
        push(&mut missing, nothing_sent(&case, accused));
    }
    let outcome = if accused || !case.failed().is_empty() {
        Conclusion::Fault
    } else if missing.is_empty() {
        Conclusion::Healthy
    } else {
        Conclusion::Inconclusive
    };
    let proven = proven(&case);
    Judgement {
        outcome,
        headline: headline(&case, outcome, &verdicts, &proven, &missing),
        verdicts,
        proven,
        path: path(&case),
        missing,
    }
}

/// Names the pod of the namespace that a verdict points to.
fn in_clusters_words(case: &Case<'_>, verdict: &mut Verdict) {
    let Some(inventory) = case.inventory() else {
        return;
    };
    let place = &mut verdict.place;
    let is_pod = |name: &&String| inventory.pods.iter().any(|pod| pod.full_name() == **name);
    if place.pod.is_none() {
        place.pod = place.netns.as_ref().filter(is_pod).cloned();
    }
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::scenes::Scene;
    use model::report::Conclusion;

    #[test]
    fn a_probe_that_the_kernel_left_out_matters_unless_all_that_was_asked_for_worked() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        scene.misses("drop", 2);
        assert_eq!(judge(&scene.evidence).outcome, Conclusion::Healthy);
        scene.evidence.attempts[2].outcome = model::attempt::Outcome::Cancelled;
        scene.evidence.attempts[2].connected_ns = None;
        let judged = judge(&scene.evidence);
        assert!(
            judged
                .missing
                .iter()
                .any(|lack| lack.what.starts_with("2 runs of probe drop")),
            "{:?}",
            judged.missing
        );
        assert_ne!(judged.outcome, Conclusion::Healthy);
    }
}
