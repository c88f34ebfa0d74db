//! Whether traffic of a target is to be expected: then silence is no proof that all is well.

use crate::kubernetes::selector;
use model::endpoint::Endpoint;
use model::evidence::Evidence;
use model::inventory::{Inventory, Pod};

/// Somebody expects something of one of these targets: a service selects it, or it had peers before the window.
#[must_use]
pub fn is_expected(evidence: &Evidence, targets: &[Endpoint]) -> bool {
    targets.iter().any(|target| {
        let selected = evidence
            .inventory
            .ok()
            .is_some_and(|inventory| is_selected(inventory, target));
        selected || had_peers(evidence, target)
    })
}

fn is_selected(inventory: &Inventory, target: &Endpoint) -> bool {
    let is_it = |pod: &&Pod| target.object.as_ref() == Some(&pod.object());
    let Some(pod) = inventory.pods.iter().find(is_it) else {
        return false;
    };
    let mut services = inventory.services.iter();
    services.any(|service| {
        service.namespace == pod.namespace
            && !service.selector.is_empty()
            && selector::has_all(&service.selector, &pod.labels)
    })
}

fn had_peers(evidence: &Evidence, target: &Endpoint) -> bool {
    let netns = target.netns.and_then(|netns| evidence.netns(netns));
    let counts = netns.and_then(|netns| netns.before.socket_counts.ok());
    counts.is_some_and(|counts| counts.get("tcp ESTABLISHED").is_some_and(|count| *count > 0))
}
