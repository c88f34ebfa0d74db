//! Where watched packets went that should not have come there: namespaces that no fact led to.

use crate::case::Case;
use crate::case::attribution::{of_another_host, ours, owner_of};
use crate::case::clocks;
use model::event::{Event, Seen};
use model::evidence::Evidence;
use std::collections::BTreeMap;

/// Namespaces that were not looked into, and in which packets of attempts that failed were met for themselves: what a bridge
/// copies to everybody is thrown away by those who are not meant, and tells nothing of them.
#[must_use]
pub fn strays(evidence: &Evidence) -> Vec<u32> {
    let evidence = &*clocks::aligned(evidence);
    let case = Case::new(evidence);
    if case.failed().is_empty() && !evidence.passive {
        return Vec::new();
    }
    let (known, _) = crate::case::attribution::learn(evidence, &ours(evidence));
    let failed = |event: &Event| {
        let owner = owner_of(&known, event);
        owner.is_some_and(|(attempt, _)| evidence.passive || case.failed_ids().contains(&attempt))
    };
    let elsewhere = |event: &&Event| event.netns != 0 && evidence.netns(event.netns).is_none();
    // Taken at least once, not only thrown away.
    let mut taken: BTreeMap<u32, bool> = BTreeMap::new();
    for event in ours(evidence).into_iter().filter(elsewhere) {
        let met = matches!(
            event.seen,
            Seen::Hop { .. } | Seen::Drop { .. } | Seen::ResetSent { .. }
        );
        if met && failed(event) {
            let own = taken.entry(event.netns).or_insert(true);
            *own &= !of_another_host(event);
        }
    }
    taken
        .into_iter()
        .filter_map(|(netns, taken)| taken.then_some(netns))
        .collect()
}
