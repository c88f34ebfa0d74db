//! What is lost on the way from one node to the next, where nobody looks.

use crate::case::Case;
use crate::case::trail::Stop;
use crate::kernel::walk;
use crate::words::{at, the};
use model::report::{Direction, Happened};

/// A request, or an answer, that was last seen leaving a node and never came in at the next one, in words; `None` where the
/// next node may have missed it: it is not known, its helper did not watch to the end, or an XDP program stands before its hook.
pub fn lost(case: &Case<'_>, attempt: u32, direction: Direction, last: &Stop) -> Option<String> {
    let evidence = case.evidence;
    let node = |netns: u32| evidence.netns(netns).map(|netns| netns.node.as_str());
    let here = node(last.netns).filter(|_| last.happened == Happened::Left)?;
    let watched = evidence.watched.iter().find(|watched| watched.attempt == attempt)?;
    let way = walk::path_of(evidence, watched.flow);
    let mut onward = way
        .iter()
        .filter(|hop| hop.direction == direction)
        .skip_while(|hop| hop.netns != last.netns)
        .skip_while(|hop| node(hop.netns) == Some(here));
    let next = onward.next()?;
    let there = evidence
        .nodes
        .iter()
        .find(|other| Some(other.name.as_str()) == node(next.netns))?;
    let arrives = next.arrives.and_then(|index| case.link(next.netns, index))?;
    let looked = there.truncated.is_none()
        && there
            .probes
            .iter()
            .any(|probe| probe.name == "path" && probe.unsupported.is_none())
        && there.lost.iter().all(|lost| lost.of_watched_at_most() == 0);
    let leg = case.leg(attempt, direction)?;
    let met = leg.stops.iter().any(|stop| node(stop.netns) == Some(&there.name));
    (looked && !met && arrives.xdp.is_none()).then(|| {
        format!(
            "{} left {} and never came in at {}, where it was watched for: it is lost between {here} and {}",
            the(direction),
            at(&case.name(last.netns), last.interface.as_deref()),
            at(&case.name(next.netns), Some(&arrives.name)),
            there.name
        )
    })
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::missing::Missing;
    use model::protocol::Lost;

    fn says(scene: &Scene) -> String {
        judge(&scene.evidence).verdicts[0].says.clone()
    }

    #[test]
    fn what_left_one_node_and_never_came_in_at_the_next_is_lost_between_them() {
        let mut scene = Scene::two_machines();
        scene.vanishes(3, scenes::X, "up0");
        let says = says(&scene);
        assert!(says.contains("lost between n1 and n2"), "{says}");
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "unexplained-timeout");
    }

    #[test]
    fn an_answer_is_lost_between_them_as_well() {
        let mut scene = Scene::two_machines();
        scene.answers_vanish(3);
        let says = says(&scene);
        assert!(
            says.contains("the answer left") && says.contains("lost between n2 and n1"),
            "{says}"
        );
    }

    #[test]
    fn a_node_that_was_not_watched_to_the_end_proves_nothing() {
        let mut scene = Scene::two_machines();
        scene.vanishes(3, scenes::X, "up0");
        scene.evidence.nodes[1].truncated = Some(Missing::new("the rest", "its stream was cut"));
        assert!(!says(&scene).contains("lost between"));
        let mut scene = Scene::two_machines();
        scene.vanishes(3, scenes::X, "up0");
        scene.evidence.nodes[1].lost = vec![Lost {
            probe: "path".to_owned(),
            missed: 1,
            ..Lost::default()
        }];
        assert!(!says(&scene).contains("lost between"), "its probe was left out once");
        let mut scene = Scene::two_machines();
        scene.vanishes(3, scenes::X, "up0");
        scene.link(scenes::Y, "up0", |link| link.xdp = Some(7));
        assert!(
            !says(&scene).contains("lost between"),
            "it may be dropped before the hook"
        );
    }

    #[test]
    fn a_walk_goes_on_from_node_to_node_and_back() {
        let mut scene = Scene::two_machines();
        scene.connects(1);
        let way = crate::kernel::walk::path(&scene.evidence);
        let mut places: Vec<u32> = way.iter().map(|hop| hop.netns).collect();
        places.dedup();
        let there_and_back = [
            scenes::A,
            scenes::X,
            scenes::Y,
            scenes::C,
            scenes::Y,
            scenes::X,
            scenes::A,
        ];
        assert!(places.starts_with(&there_and_back), "{places:?}");
    }
}
