//! Packets of the flow were dropped, and no rule knows why.
//!
//! Why it happens: the kernel has a path that no rule names, a module drops, or this version does not know the fault yet.
//!
//! How it knows: the kernel freed watched packets as a loss at a known place. The reason and the function are shown as the
//! kernel has them.
//!
//! Remedy: look at the place that is named. Search for the kernel's reason and function.
//!
//! Silent on: drops that another rule explains, drops of other flows, and drops of attempts that worked in the end.

use crate::case::Case;
use crate::kernel::drops::{Class, meaning};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use crate::words::{at, the};

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path")];

pub fn check(case: &Case<'_>) -> Checked {
    let drops: Vec<_> = case.accusing().collect();
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let place = at(&case.name(first.event.netns), Some(&case.interface(first.event)));
    let what = the(first.direction);
    let mut finding = fatal(
        "unexplained-drop",
        format!(
            "the kernel drops {what} in {place} ({}): {}",
            first.words(),
            meaning(first.class)
        ),
    )
    .at(case.node(first.event.netns), case.name(first.event.netns))
    .interface(case.interface(first.event))
    .of(drops.iter().map(|drop| drop.attempt))
    .remedy(
        Remedy::from(format!("look at {place}; "))
            .run("", command("kubectl skoop capture --probe drop", &[]))
            .say(" shows what else is dropped there"),
    )
    .because(format!(
        "{} was dropped in {place}: {}",
        first.event.flow,
        first.words()
    ));
    for drop in &drops[1..] {
        let place = at(&case.name(drop.event.netns), Some(&case.interface(drop.event)));
        finding = finding.and(format!("{} was dropped in {place}: {}", drop.event.flow, drop.words()));
    }
    // What the state of an object leads to has a name of its own among the reasons.
    let nameless = drops.iter().all(|drop| drop.class == Class::Other);
    Ok(vec![if nameless { finding.beside_objects() } else { finding }])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::cluster::Cluster;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;
    use model::event::Packet;

    #[test]
    fn a_reason_nobody_knows_is_shown_as_it_is() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::Y, "up0", "A_NEW_REASON", "a_new_function");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::cause(&judgement), "unexplained-drop");
        assert!(judgement.verdicts[0].says.contains("A_NEW_REASON in a_new_function"));
    }

    #[test]
    fn a_drop_that_nobody_knows_stands_beside_a_fault_of_the_service() {
        let mut cluster = Cluster::web();
        cluster.no_endpoints("web");
        cluster
            .scene
            .dropped(3, scenes::X, "cbr0", "A_NEW_REASON", "a_new_function");
        let causes = scenes::causes(&judge(cluster.evidence()));
        assert_eq!(causes, ["service-without-endpoints", "unexplained-drop"]);
        // What follows from the service's fault is no second one.
        let mut cluster = Cluster::web();
        cluster.no_endpoints("web");
        cluster.scene.vanishes(3, scenes::X, "cbr0");
        assert_eq!(
            scenes::causes(&judge(cluster.evidence())),
            ["service-without-endpoints"]
        );
    }

    /// Three connections whose SYN is dropped at the listener, with or without an answer that left before.
    fn syns_dropped_at_the_listener(answered: bool) -> Scene {
        let mut scene = Scene::two_nodes();
        for id in 0..3 {
            let flow = scene.flow(id);
            scene.walk_to(id, flow, scenes::C, "eth0");
            if answered {
                for (netns, interface) in [(scenes::C, "eth0"), (scenes::Y, "vethc"), (scenes::Y, "up0")] {
                    scene.hop(netns, interface, flow.reversed(), u64::from(id) * 100 + 2);
                }
            }
            scene.drop(scenes::C, "eth0", flow, "NOT_SPECIFIED", "tcp_v4_rcv");
            let syn = Packet {
                tcp_flags: 2,
                ..Packet::default()
            };
            scene.evidence.events.last_mut().unwrap().packet = Some(syn);
            let during = "connect".to_owned();
            scene.attempt(id, flow, Outcome::TimedOut { during });
        }
        scene
    }

    #[test]
    fn a_syn_that_comes_again_because_its_answer_was_lost_is_no_drop() {
        let judgement = judge(&syns_dropped_at_the_listener(false).evidence);
        assert_eq!(scenes::cause(&judgement), "unexplained-drop");
        let judgement = judge(&syns_dropped_at_the_listener(true).evidence);
        assert!(
            !scenes::causes(&judgement).contains(&"unexplained-drop".to_owned()),
            "{judgement:?}"
        );
        assert!(judgement.verdicts[0].says.contains("answer"), "{judgement:?}");
    }
}
