//! A shaper or a short queue on the path limits the bandwidth: it delays packets, and drops what does not fit.
//!
//! Why it happens: a bandwidth annotation on the pod, a `tbf` or `htb` queueing discipline set by hand, or a queue that is too
//! short for its bursts. TCP adapts to the limit; the path is slower, but not broken.
//!
//! How it knows: the queue of an interface that is up dropped the watched packets, or held them for long. And the queueing
//! discipline of this interface has a rate, or reached its limit in the window.
//!
//! Remedy: raise the rate (`kubernetes.io/ingress-bandwidth`, `tc qdisc change`), or send less.
//!
//! Silent on: queues of interfaces that are down, drops of other flows, and rates that the watched flow did not reach.

use crate::case::trail::Dropped;
use crate::case::{Case, Fate};
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{fatal, warning};
use crate::verdict::remedy::Remedy;
use crate::words::{at, count, time};
use model::event::Seen;
use model::facts::{Link, NetnsFacts, Qdisc};
use model::word::Hook;
use std::collections::HashMap;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Probe("transmit"),
    Need::Fact("links"),
];

/// A shorter wait in a queue is everyday, in nanoseconds.
const WAIT_LEAST_NS: u64 = 20_000_000;

pub fn check(case: &Case<'_>) -> Checked {
    let drops: Vec<_> = case
        .all_drops(Class::Qdisc)
        .into_iter()
        .filter(|drop| {
            case.link(drop.event.netns, drop.event.ifindex)
                .is_some_and(|link| link.up && link.carrier)
        })
        .collect();
    let (netns, ifindex, waited) = match (drops.first(), longest_wait(case)) {
        (Some(drop), _) => (drop.event.netns, drop.event.ifindex, None),
        (None, Some((netns, ifindex, waited))) if is_shaped(case, netns, ifindex) => (netns, ifindex, Some(waited)),
        _ => return Ok(Vec::new()),
    };
    let name = case.name(netns);
    let interface = case
        .link(netns, ifindex)
        .map_or_else(String::new, |link| link.name.clone());
    let place = at(&name, Some(&interface));
    let shaper = shaper(case, netns, ifindex);
    let rate = shaper.and_then(|qdisc| qdisc.rate_bits);
    let says = match rate {
        Some(bits) => format!("{place} is limited to {} (qdisc {})", rate_words(bits), kind(shaper)),
        None => format!("the queue of {place} overflows (qdisc {})", kind(shaper)),
    };
    // What the queue dropped of other attempts explains none that failed.
    let failed = case.failed_ids();
    let hit = waited.is_some() || drops.iter().any(|drop| failed.contains(&drop.attempt));
    let claim = if failed.is_empty() || !hit {
        warning("bandwidth-limited", says)
    } else {
        fatal("bandwidth-limited", says)
    };
    let seen = match (drops.first(), waited) {
        (Some(drop), _) => format!(
            "{} of the watched flow dropped by the queue of {place} ({})",
            count(drops.len(), "packet"),
            drop.words()
        ),
        (None, waited) => format!(
            "packets of the watched flow waited up to {} in the queue of {place}",
            time(waited.unwrap_or_default())
        ),
    };
    Ok(vec![
        claim
            .at(case.node(netns), &name)
            .interface(interface.clone())
            .of(drops.iter().map(|drop| drop.attempt))
            .of(delayed(case, &drops, netns, ifindex))
            .remedy(
                Remedy::from(format!("raise the rate or the limit in {name}"))
                    .run(
                        ", shown by ",
                        case.command(netns, "tc -s qdisc show dev {}", &[&interface]),
                    )
                    .say(" (tc qdisc change); or the pod's bandwidth annotation"),
            )
            .because(seen)
            .and_if(grown(case, netns, ifindex)),
    ])
}

fn kind(qdisc: Option<&Qdisc>) -> &str {
    qdisc.map_or("unknown", |qdisc| qdisc.kind.as_str())
}

fn rate_words(bits: u64) -> String {
    match bits {
        0..1_000_000 => format!("{} kbit/s", bits / 1_000),
        1_000_000..1_000_000_000 => format!("{:.1} Mbit/s", bits as f64 / 1e6),
        _ => format!("{:.1} Gbit/s", bits as f64 / 1e9),
    }
}

/// The queueing discipline that limits: the one with a rate, else the one that dropped.
fn shaper<'a>(case: &Case<'a>, netns: u32, ifindex: u32) -> Option<&'a Qdisc> {
    let link: &Link = case.link(netns, ifindex)?;
    let mut all = link.qdiscs.iter();
    all.clone()
        .find(|qdisc| qdisc.rate_bits.is_some())
        .or_else(|| all.find(|qdisc| qdisc.drops > 0))
        .or(link.qdiscs.first())
}

/// It has a rate, and packets met it in the window.
fn is_shaped(case: &Case<'_>, netns: u32, ifindex: u32) -> bool {
    shaper(case, netns, ifindex).is_some_and(|qdisc| qdisc.rate_bits.is_some())
}

/// What the interface's queueing disciplines counted in the window.
fn grown(case: &Case<'_>, netns: u32, ifindex: u32) -> Option<String> {
    let of = case.evidence.netns(netns)?;
    let sums = |facts: &NetnsFacts| {
        let link = facts.links.ok()?.iter().find(|link| link.index == ifindex)?;
        let drops: u64 = link.qdiscs.iter().map(|qdisc| qdisc.drops).sum();
        let limits: u64 = link.qdiscs.iter().map(|qdisc| qdisc.overlimits).sum();
        Some((drops, limits))
    };
    let (before, after) = (sums(&of.before)?, sums(&of.after)?);
    let (drops, limits) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    (drops + limits > 0).then(|| {
        format!(
            "its queue dropped {} in the window and met its limit {}",
            count(drops as usize, "packet"),
            count(limits as usize, "time")
        )
    })
}

/// The longest that a watched packet waited between queue and driver of one interface.
fn longest_wait(case: &Case<'_>) -> Option<(u32, u32, u64)> {
    let mut queued: HashMap<(u32, u32, model::flow::Flow, u32, u32), u64> = HashMap::new();
    let mut longest: Option<(u32, u32, u64)> = None;
    let mut events: Vec<_> = case.evidence.events.iter().collect();
    events.sort_by_key(|event| event.at_ns);
    for event in events {
        let (Seen::Hop { hook, .. }, Some(packet)) = (&event.seen, event.packet) else {
            continue;
        };
        let key = (event.netns, event.ifindex, event.flow, packet.seq, packet.ack);
        match hook {
            Hook::Queue => {
                queued.insert(key, event.at_ns);
            }
            Hook::Transmit => {
                if let Some(since) = queued.remove(&key) {
                    let waited = event.at_ns.saturating_sub(since);
                    if waited >= WAIT_LEAST_NS && longest.is_none_or(|(.., most)| waited > most) {
                        longest = Some((event.netns, event.ifindex, waited));
                    }
                }
            }
            _ => {}
        }
    }
    longest
}

/// Attempts that did not fail, but whose packets waited in the queue that dropped the packets of others.
fn delayed<'a>(
    case: &'a Case<'_>,
    drops: &[Dropped<'_>],
    netns: u32,
    ifindex: u32,
) -> impl Iterator<Item = u32> + use<'a> {
    let dropped = !drops.is_empty();
    let waits = move |id: u32| {
        let mut legs = case.trail.legs.iter().filter(|leg| leg.attempt == id);
        legs.any(|leg| {
            leg.stops
                .iter()
                .any(|stop| (stop.netns, stop.ifindex) == (netns, ifindex))
        })
    };
    let others = case
        .tried
        .iter()
        .filter(move |tried| dropped && tried.fate != Fate::Failed);
    others.map(|tried| tried.attempt.id).filter(move |id| waits(*id))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;
    use model::errno::Errno;
    use model::facts::Qdisc;
    use model::report::Severity;

    fn shaped(scene: &mut Scene) {
        scene.link(scenes::X, "vetha", |link| {
            link.qdiscs = vec![Qdisc {
                kind: "tbf".to_owned(),
                rate_bits: Some(1_000_000),
                ..Qdisc::default()
            }];
        });
    }

    #[test]
    fn a_drop_by_a_shaper_is_a_limit_and_no_break() {
        let mut scene = Scene::two_nodes();
        shaped(&mut scene);
        scene.connects(3);
        let answer = scene.evidence.watched[0].flow.reversed();
        scene.drop(scenes::X, "vetha", answer, "QDISC_DROP", "__dev_queue_xmit");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["bandwidth-limited"]);
        assert_eq!(judgement.verdicts[0].severity, Severity::Warning);
        assert!(judgement.verdicts[0].says.contains("1.0 Mbit/s"));
    }

    #[test]
    fn a_shaper_that_nothing_of_ours_met_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        shaped(&mut scene);
        scene.connects(3);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn the_queue_of_an_interface_that_is_down_is_not_a_limit() {
        let mut scene = Scene::two_nodes();
        scene.link(scenes::X, "up0", |link| link.carrier = false);
        scene.dropped(3, scenes::X, "up0", "QDISC_DROP", "__dev_queue_xmit");
        assert_ne!(scenes::cause(&judge(&scene.evidence)), "bandwidth-limited");
    }

    #[test]
    fn what_failed_without_meeting_the_queue_is_not_broken_by_it() {
        let mut scene = Scene::two_nodes();
        shaped(&mut scene);
        scene.connects(3);
        let (number, name) = (104, "ECONNRESET".to_owned());
        scene.evidence.attempts[2].outcome = Outcome::Error {
            during: "read".to_owned(),
            errno: Errno { number, name },
        };
        let severity = |scene: &Scene, of: usize| {
            let mut scene = scene.clone();
            let answer = scene.evidence.watched[of].flow.reversed();
            scene.drop(scenes::X, "vetha", answer, "QDISC_DROP", "__dev_queue_xmit");
            let verdicts = judge(&scene.evidence).verdicts;
            verdicts
                .into_iter()
                .find(|verdict| verdict.rule == "bandwidth-limited")
                .unwrap()
                .severity
        };
        assert_eq!(severity(&scene, 0), Severity::Warning);
        assert_eq!(severity(&scene, 2), Severity::Fatal);
    }
}
