//! The TTL (hop limit) of packets ends before the target, or that of answers before the sender: it was too small from the
//! start, or something on the way lowered it.
//!
//! Why it happens: a program sets `IP_TTL`, a firewall rule rewrites it, or `net.ipv4.ip_default_ttl` was lowered.
//!
//! How it knows: a router freed the watched packet because of its TTL, or sent "time exceeded" for it. And the packet had left
//! its sender with a small TTL and passed each place once; or it was seen with a small TTL that the routers before had not
//! counted down step by step.
//!
//! Remedy: raise the TTL where it is set.
//!
//! Silent on: packets that go round in a loop (`routing-loop`).

use crate::case::Case;
use crate::case::observations;
use crate::case::trail::{Leg, Stop};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::at;
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("path"),
    Need::Probe("drop"),
    Need::Probe("icmp"),
    Need::Fact("sysctls"),
];

/// No sane sender starts below this, and no sane path is this long.
const SMALL: u8 = 32;

pub fn check(case: &Case<'_>) -> Checked {
    for tried in case.failed() {
        let id = tried.attempt.id;
        if !observations::expired(case, id) {
            continue;
        }
        // The answer, where it is the one that was lost: there is none to a request that was.
        let (direction, sends, end) = if observations::expired_towards(case, id, Direction::Answer) {
            (Direction::Answer, "answers", "the sender")
        } else {
            (Direction::Request, "sends", "the target")
        };
        let Some(leg) = case.leg(id, direction) else { continue };
        let Some(first) = leg.stops.first() else { continue };
        let ttl = first.ttl.1;
        if ttl >= SMALL
            && let Some(finding) = lowered(case, leg, end)
        {
            return Ok(vec![observations::last_seen(case, finding, id)]);
        }
        if ttl == 0 || ttl >= SMALL {
            continue;
        }
        let name = case.name(first.netns);
        let key = "net.ipv4.ip_default_ttl";
        let default = case.sysctl(first.netns, key).ok().flatten();
        let finding = fatal(
            "ttl-too-small",
            format!("{name} {sends} with a TTL of {ttl}, which ends before {end}"),
        )
        .at(case.node(first.netns), &name)
        .interface(first.interface.clone().unwrap_or_default())
        .of(case.failed_ids())
        .remedy(format!(
            "raise it where it is set: {key} in {name}, the program's IP_TTL, or a firewall rule that rewrites it"
        ))
        .because(format!(
            "the packet had a TTL of {ttl} when it was first seen in {name}"
        ))
        .and_if(default.map(|value| format!("{key} is {} in {name}", value.trim())));
        return Ok(vec![observations::last_seen(case, finding, id)]);
    }
    Ok(Vec::new())
}

/// Between two places where it was seen next to each other, the TTL fell by more than the one step of a router.
fn lowered(case: &Case<'_>, leg: &Leg<'_>, end: &str) -> Option<Finding> {
    let (before, after) = leg.stops.iter().zip(leg.stops.iter().skip(1)).find(|(before, after)| {
        let (from, to) = (before.ttl.0, after.ttl.1);
        to != 0 && to < SMALL && from > to.saturating_add(1)
    })?;
    let (from, to) = (before.ttl.0, after.ttl.1);
    let name = case.name(after.netns);
    let place = |stop: &Stop| at(&case.name(stop.netns), stop.interface.as_deref());
    Some(
        fatal(
            "ttl-too-small",
            format!("the TTL is lowered from {from} to {to} in {name}, which ends before {end}"),
        )
        .at(case.node(after.netns), &name)
        .interface(after.interface.clone().unwrap_or_default())
        .of(case.failed_ids())
        .remedy(
            Remedy::from(format!(
                "find what rewrites it in {name}: a rule with the target TTL or HL"
            ))
            .run(" in ", case.command(after.netns, "iptables-save -t mangle", &[]))
            .say(", an nftables rule that sets ip ttl, a tc program"),
        )
        .because(format!(
            "the packet had a TTL of {from} at {} and one of {to} at {}",
            place(before),
            place(after)
        )),
    )
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::event::Seen;

    #[test]
    fn a_ttl_of_one_ends_at_the_first_router() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "IP_INHDR", "ip_forward");
        for event in &mut scene.evidence.events {
            event.packet.as_mut().unwrap().ttl = 1;
        }
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["ttl-too-small"]);
    }

    #[test]
    fn a_router_that_lowers_it_is_named() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::Y, "up0", "IP_INHDR", "ip_forward");
        let places = scene
            .evidence
            .events
            .iter_mut()
            .filter(|event| matches!(event.seen, Seen::Hop { .. }));
        for event in places {
            event.packet.as_mut().unwrap().ttl = if event.netns == scenes::A || event.netns == scenes::X {
                64
            } else {
                1
            };
        }
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["ttl-too-small"]);
        assert!(
            judgement.verdicts[0].says.contains("from 64 to 1"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    #[test]
    fn answers_may_be_the_ones_that_end() {
        let mut scene = Scene::two_nodes();
        scene.answer_dropped(3, scenes::Y, "vethc", "IP_INHDR", "ip_forward");
        for event in scene.evidence.events.iter_mut().filter(|event| event.flow.sport == 80) {
            event.packet.as_mut().unwrap().ttl = 1;
        }
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["ttl-too-small"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
    }

    #[test]
    fn no_route_over_ipv6_is_not_time_exceeded() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, scenes::X, "cbr0");
        let flow = scene.evidence.watched[0].flow;
        scene.saw(
            scenes::X,
            "cbr0",
            flow,
            Seen::IcmpSent {
                kind: 3,
                code: 0,
                info: 0,
            },
        );
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["unexplained-timeout"]);
    }
}
