//! Which cause of a report is which of those that a scenario names, when there are several of one rule.
use std::collections::BTreeMap;

use super::differences::differences;
use super::printed::PrintedVerdict;
use crate::scenario::ExpectedCause;

/// What came of the pairing.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Paired {
    /// What is not as expected of the causes that a scenario names.
    pub(super) wrong: Vec<String>,
    /// Causes of the rules that it names which are none of those meant.
    pub(super) further: Vec<String>,
}

/// Pairs expected causes with found ones. Causes of other rules are not looked at.
pub(super) fn paired(expected: &[ExpectedCause], found: &[&PrintedVerdict], real: &BTreeMap<String, String>) -> Paired {
    let fits = |at: usize, cause: usize| {
        expected[at].rules.contains(&found[cause].rule) && differences(&expected[at], found[cause], real).is_empty()
    };
    // By found cause: the expected one that it is taken for.
    let mut taken: Vec<Option<usize>> = vec![None; found.len()];
    for at in 0..expected.len() {
        place(at, &fits, &mut taken, &mut vec![false; found.len()]);
    }
    let mut paired = Paired::default();
    for (at, cause) in expected.iter().enumerate() {
        if taken.contains(&Some(at)) {
            continue;
        }
        // Nothing fits: the nearest of those that are left is told.
        let left =
            (0..found.len()).filter(|index| taken[*index].is_none() && cause.rules.contains(&found[*index].rule));
        let nearest = left
            .map(|index| (differences(cause, found[index], real), index))
            .min_by_key(|(differences, _)| differences.len());
        match nearest {
            Some((differences, index)) => {
                taken[index] = Some(at);
                paired.wrong.extend(differences);
            }
            None => paired.wrong.push(format!("{cause} is not among the causes")),
        }
    }
    // Two of a rule where one was expected: the second accuses somebody else.
    for (index, cause) in found.iter().enumerate() {
        if taken[index].is_none() && expected.iter().any(|expected| expected.rules.contains(&cause.rule)) {
            paired.further.push(cause.rule.clone());
        }
    }
    paired
}

/// Takes a found cause for this expected one, and finds another for whoever had it.
fn place(at: usize, fits: &impl Fn(usize, usize) -> bool, taken: &mut [Option<usize>], visited: &mut [bool]) -> bool {
    for cause in 0..taken.len() {
        if visited[cause] || !fits(at, cause) {
            continue;
        }
        visited[cause] = true;
        if taken[cause].is_none_or(|other| place(other, fits, taken, visited)) {
            taken[cause] = Some(at);
            return true;
        }
    }
    false
}
