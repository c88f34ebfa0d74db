//! Rules: pure functions from evidence to verdicts. No I/O, no clock, no kernel, no Kubernetes.
//!
//! [`needs`] says what a run must bring, [`settled()`] when it may stop early, [`tunnel_way_to_try()`] what else it should try,
//! [`judge()`] what it means.

pub mod case;
pub mod conversations;
mod judge;
pub mod kernel;
pub mod kubernetes;
pub mod rules;
pub mod verdict;
pub mod words;

#[cfg(test)]
mod scenes;

pub use case::tunnel_way::{TunnelWay, tunnel_way_to_try};
pub use judge::early_end::{answer_due, settled};
pub use judge::{Judgement, judge};

use model::evidence::{Evidence, Intent};

/// What the rules of an intent must be given.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Probes by name, sorted.
    pub probes: Vec<&'static str>,
    /// Facts by the names of the fields of [`model::facts::NetnsFacts`], sorted.
    pub facts: Vec<&'static str>,
}

/// The probes that a node's helper is to arm: all that the rules need, less what can tell nothing there.
#[must_use]
pub fn probes_at(evidence: &Evidence, node: &str) -> Vec<&'static str> {
    let mut probes = needs(evidence.intent).probes;
    let own = evidence
        .netns
        .iter()
        .filter(|netns| netns.node.is_empty() || netns.node == node);
    let mut links = own.map(|netns| netns.before.links.ok());
    // What leaves a queue at once says no more than that it came there, and costs every packet of the node as much again.
    let waits = links.any(|links| links.is_none_or(|links| links.iter().any(kernel::interfaces::may_hold_back)));
    probes.retain(|probe| *probe != "transmit" || waits);
    probes
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

#[cfg(test)]
mod tests {
    use super::probes_at;
    use crate::scenes::{self, Scene};
    use model::facts::Qdisc;
    use model::missing::Known;

    #[test]
    fn what_leaves_queues_is_watched_where_a_queue_may_hold_it_back() {
        let mut scene = Scene::two_machines();
        let watches = |scene: &Scene, node| probes_at(&scene.evidence, node).contains(&"transmit");
        let queue = |kind: &str| Qdisc {
            kind: kind.to_owned(),
            ..Qdisc::default()
        };
        let give = |scene: &mut Scene, kind: &str| {
            scene.facts(scenes::Y, |facts| {
                if let Known::Known(links) = &mut facts.links {
                    links[0].qdiscs = vec![queue(kind)];
                }
            });
        };
        give(&mut scene, "fq_codel");
        assert!(!watches(&scene, "n1") && !watches(&scene, "n2"));
        give(&mut scene, "netem");
        assert!(!watches(&scene, "n1") && watches(&scene, "n2"));
        scene.facts(scenes::X, |facts| facts.links = Known::default());
        assert!(watches(&scene, "n1"), "nobody knows its queues");
    }
}
