//! Two hosts send the packet to each other until its time to live is used up.
//!
//! Why it happens: each has a default or aggregate route that points at the other, and neither has the specific route. A
//! service address that no node handles often ends like this.
//!
//! How it knows: the watched packet was freed because of its TTL (`IP_INHDR` in `ip_forward`), or an ICMP "time exceeded" was
//! sent for it. It had left its sender with a normal TTL, and the same places saw it again and again with a lower one.
//!
//! Remedy: give one of the two hosts the route that leads on.
//!
//! Silent on: a TTL that was too small from the start (`ttl-too-small`).

use crate::case::Case;
use crate::case::observations;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{at, list};
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("path"),
    Need::Probe("drop"),
    Need::Probe("icmp"),
    Need::Fact("routes"),
];

/// A place that saw a packet again with a TTL this much lower has seen it go round.
const ROUND: u8 = 4;

pub fn check(case: &Case<'_>) -> Checked {
    for tried in case.failed() {
        let id = tried.attempt.id;
        if !observations::expired(case, id) {
            continue;
        }
        for direction in [Direction::Request, Direction::Answer] {
            let Some(leg) = case.leg(id, direction) else {
                continue;
            };
            let round: Vec<_> = leg.stops.iter().filter(|stop| stop.ttl_spread() >= ROUND).collect();
            let Some(stop) = round.first() else {
                continue;
            };
            let mut hosts: Vec<String> = round.iter().map(|stop| case.name(stop.netns)).collect();
            hosts.dedup();
            hosts.sort();
            hosts.dedup();
            let target = stop.flow.dst();
            let finding = fatal(
                "routing-loop",
                format!(
                    "packets to {target} go round between {} until their TTL is used up",
                    list(&hosts)
                ),
            )
            .at(case.node(stop.netns), case.name(stop.netns))
            .interface(stop.interface.clone().unwrap_or_default())
            .of(case.failed_ids())
            .remedy(format!(
                "give one of {} the route to {target} that leads on",
                list(&hosts)
            ))
            .because(format!(
                "{} saw packets of this attempt {} times, with a TTL from {} down to {}",
                at(&case.name(stop.netns), stop.interface.as_deref()),
                stop.packets,
                stop.ttl.1,
                stop.ttl.0
            ));
            return Ok(vec![finding.and(observations::met(tried))]);
        }
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn a_packet_that_comes_by_again_and_again_goes_round() {
        let mut scene = Scene::two_nodes();
        scene.goes_round(3);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["routing-loop"]);
        assert!(
            judgement.verdicts[0].says.contains("netns/x and netns/y"),
            "{}",
            judgement.verdicts[0].says
        );
    }
}
