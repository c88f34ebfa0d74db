//! Some of the packets are lost on the way; says where.
//!
//! Why it happens: a bad cable or port, a full queue in the fabric, or a program that drops some of its packets (NFQUEUE). Or a
//! rule that drops at random (`statistic`, `numgen random`), which was used for a test and forgotten.
//!
//! How it knows: such a rule or program dropped some packets of the watched flows while others passed. Or part of the echo
//! train was lost, and the hop trail says where each lost packet was last seen.
//!
//! Remedy: look at the place that is named. If a rule drops at random, delete it.
//!
//! Silent on: single lost echoes, ICMP that is filtered or limited altogether, rules and queues that lose everything or limit
//! by rate, retransmissions without loss (tail probes, spurious ones), and requests that arrive and get no answer.

use crate::case::clocks;
use crate::case::trail::Dropped;
use crate::case::{Case, Fate, Tried, echo_train, node_agents};
use crate::kernel::drops::Class;
use crate::kernel::firewall::NetfilterStop;
use crate::kernel::firewall::culprit::of_drop;
use crate::kubernetes::agents;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, fatal, warning};
use crate::words::{at, count};
use model::event::{Event, Seen};
use model::flow::Flow;
use model::report::{Direction, RulePlace};
use std::collections::{BTreeMap, HashMap};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Probe("tcpretrans"),
    Need::Fact("netfilter"),
];

/// Fewer lost echoes than this say nothing.
const LOST_LEAST: usize = 2;

pub fn check(case: &Case<'_>) -> Checked {
    if let Some(finding) = at_random(case) {
        return Ok(vec![finding]);
    }
    if let Some(finding) = by_a_program(case) {
        return Ok(vec![finding]);
    }
    Ok(of_echoes(case).into_iter().collect())
}

/// It is fatal where it hit an attempt that failed.
fn severity(case: &Case<'_>, hit: &[u32], says: String) -> Claim {
    if case.failed_ids().iter().any(|id| hit.contains(id)) {
        fatal("packet-loss", says)
    } else {
        warning("packet-loss", says)
    }
}

/// A rule that drops by chance met watched packets.
fn at_random(case: &Case<'_>) -> Option<crate::verdict::finding::Finding> {
    let drops = case.all_drops(Class::Netfilter);
    let first = drops.first()?;
    let of = case.evidence.netns(first.event.netns)?;
    let culprit = of_drop(of, first.event, first.direction, 1);
    if !culprit.all(NetfilterStop::random) {
        return None;
    }
    let (netns, interface) = (case.name(of.id), case.interface(first.event));
    let hit: Vec<u32> = drops.iter().map(|drop| drop.attempt).collect();
    let mut claim = severity(case, &hit, format!("a rule in {netns} drops packets at random"))
        .at(case.node(of.id), &netns)
        .interface(interface.clone());
    let place: Option<RulePlace> = culprit.place();
    let agent = place.as_ref().and_then(|place| agents::owner(place, None));
    let remedy = match agent {
        Some(agent) => node_agents::look_at(case, of.id, agent),
        None => format!("delete the rule in {netns}").into(),
    };
    if let Some(place) = place {
        claim = claim.rule(place);
    }
    Some(
        claim
            .of(drops.iter().map(|drop| drop.attempt))
            .remedy(remedy)
            .because(format!(
                "{} of the watched flows dropped at {} ({}), others passed",
                count(drops.len(), "packet"),
                at(&netns, Some(&interface)),
                first.words()
            ))
            .and(culprit.words()),
    )
}

/// A program dropped some watched packets and let others of the same kind pass.
fn by_a_program(case: &Case<'_>) -> Option<crate::verdict::finding::Finding> {
    let mut drops = case.all_drops(Class::Queue);
    // Without a program behind the queue all are lost; a namespace off the path is none of ours.
    drops.retain(|drop| !drop.location().starts_with("nf_queue") && case.evidence.netns(drop.event.netns).is_some());
    let first = drops.first()?;
    let kind = &case.attempt(first.attempt)?.attempt.kind;
    let passed = case
        .tried
        .iter()
        .filter(|tried| tried.attempt.kind == *kind)
        .any(|tried| tried.fate == Fate::Worked || answered(tried) > 0 || tried.connected());
    if !passed || only_echoes_waited(case, &drops) {
        return None;
    }
    let event = first.event;
    let (netns, interface) = (case.name(event.netns), case.interface(event));
    let hit: Vec<u32> = drops.iter().map(|drop| drop.attempt).collect();
    Some(
        severity(
            case,
            &hit,
            format!("a program behind NFQUEUE in {netns} drops part of the packets"),
        )
        .at(case.node(event.netns), &netns)
        .interface(interface.clone())
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(format!(
            "look at the program that takes packets from NFQUEUE in {netns} (/proc/net/netfilter/nfnetlink_queue)"
        ))
        .because(format!(
            "{} of the watched flows dropped at {} ({}), others passed",
            count(drops.len(), "packet"),
            at(&netns, Some(&interface)),
            first.words()
        )),
    )
}

/// Nothing but echoes beside what was asked was dropped, while all of that worked: those that were sent before the first was answered,
/// or that connection tracking dropped, or more of them than passed, which is a filter or a limit.
///
/// The packets of a train that wait together for the program's word about the first are of one connection that is not known yet. It
/// becomes known with the first that passes; the others are dropped as they leave the queue (`__nf_conntrack_confirm`).
fn only_echoes_waited(case: &Case<'_>, drops: &[Dropped<'_>]) -> bool {
    let is_asked = |id| case.asked().any(|tried| tried.attempt.id == id);
    if !case.all_worked() || drops.iter().any(|drop| is_asked(drop.attempt)) {
        return false;
    }
    let mut hit = case
        .tried
        .iter()
        .filter(|tried| drops.iter().any(|drop| drop.attempt == tried.attempt.id));
    if hit.all(|tried| lost_together(case, tried)) {
        return true;
    }
    let mut dropped: BTreeMap<u32, u64> = BTreeMap::new();
    for drop in drops {
        *dropped.entry(drop.event.netns).or_default() += 1;
    }
    let mut places = dropped.iter();
    let untracked = |netns, drops| {
        case.conntrack_growth(netns, "insert_failed")
            .is_ok_and(|failed| failed >= drops)
    };
    if places.all(|(netns, drops)| untracked(*netns, *drops)) {
        return true;
    }
    let trains = case
        .tried
        .iter()
        .filter_map(|tried| Some((tried, tried.attempt.echo.as_ref()?)));
    let (sent, back) = trains.fold((0, 0), |(sent, back), (tried, echo)| {
        (sent + echo.rtt_ns.len(), back + answered(tried))
    });
    back * 2 < sent
}

/// Every echo of the train that was lost was sent before the first answer came: whatever drops at random hits later ones, too.
fn lost_together(case: &Case<'_>, tried: &Tried<'_>) -> bool {
    let waited = echo_train::before_first_answer(case, tried.attempt);
    let rtts = tried.attempt.echo.iter().flat_map(|echo| &echo.rtt_ns);
    (0..)
        .zip(rtts)
        .filter(|(_, rtt)| rtt.is_none())
        .all(|(number, _)| waited(number))
}

fn answered(tried: &Tried<'_>) -> usize {
    tried
        .attempt
        .echo
        .as_ref()
        .map_or(0, |echo| echo.rtt_ns.iter().flatten().count())
}

/// Part of an echo train was lost, without a drop that says why.
fn of_echoes(case: &Case<'_>) -> Option<crate::verdict::finding::Finding> {
    for tried in case.tried.iter().filter(|tried| tried.attempt.kind == "echo") {
        let echo = tried.attempt.echo.as_ref()?;
        let (all, back) = (echo.rtt_ns.len(), answered(tried));
        let dropped = case.trail.drops().any(|drop| drop.attempt == tried.attempt.id);
        if back == 0 || all - back < LOST_LEAST || dropped {
            continue;
        }
        let lost: Vec<u32> = (0..)
            .zip(&echo.rtt_ns)
            .filter(|(_, rtt)| rtt.is_none())
            .map(|(seq, _)| seq)
            .collect();
        let place = last_seen(case, tried.attempt.id, &lost);
        let wher = place
            .as_ref()
            .map_or_else(|| "on the way".to_owned(), |(place, _)| format!("after {place}"));
        let mut ids = vec![tried.attempt.id];
        ids.extend(case.failed_ids());
        return Some(
            severity(case, &ids, format!("{} of {all} packets are lost {wher}", lost.len()))
                .of(ids.iter().copied())
                .remedy("look at the place after which they are lost: cables and ports, queues, programs on the way")
                .because(format!("{back} of {all} echoes were answered"))
                .and_if(place.map(|(place, times)| format!("{times} of the lost ones were last seen at {place}"))),
        );
    }
    None
}

/// Where most of the lost packets were seen last, and how many of them.
fn last_seen(case: &Case<'_>, attempt: u32, lost: &[u32]) -> Option<(String, usize)> {
    let forms: Vec<Flow> = case.trail.forms(attempt);
    // Whatever the times, an answer comes after what it answers.
    let order = |event: &Event| {
        let answers = !forms.contains(&event.flow);
        let direction = if answers { Direction::Answer } else { Direction::Request };
        (answers, clocks::order(case.evidence, event, direction))
    };
    let ours = |flow: &Flow| forms.contains(flow) || forms.contains(&flow.reversed());
    // Trains may count from 0 or from 1; the least number seen is the first.
    let hops: Vec<_> = case
        .evidence
        .events
        .iter()
        .filter(|event| matches!(event.seen, Seen::Hop { .. }) && ours(&event.flow))
        .filter_map(|event| Some((event.packet?.seq, event)))
        .collect();
    let base = hops.iter().map(|(seq, _)| *seq).min()?;
    let mut places: HashMap<String, usize> = HashMap::new();
    for seq in lost {
        let final_sight = hops
            .iter()
            .filter(|(own, _)| *own == base + seq)
            .max_by_key(|(_, event)| order(event));
        if let Some((_, event)) = final_sight {
            let place = at(&case.name(event.netns), Some(&case.interface(event)));
            *places.entry(place).or_default() += 1;
        }
    }
    places.into_iter().max_by_key(|(_, times)| *times)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::{EchoTrain, Outcome};
    use model::facts::{Action, Match, NetfilterRule};
    use model::missing::Known;

    fn random_rule(scene: &mut Scene) {
        let rule = NetfilterRule {
            matches: vec![Match::Random {
                text: "statistic mode random probability 0.2".to_owned(),
            }],
            action: Action::Drop,
            ..NetfilterRule::default()
        };
        let rules = scenes::one_rule("filter", "FORWARD", rule);
        scene.facts(scenes::X, |facts| facts.netfilter = Known::Known(rules.clone()));
    }

    fn train(scene: &mut Scene, lost: &[usize]) {
        let flow = scenes::tcp("10.90.1.2:9", "10.90.2.2:0");
        let rtt_ns = (0..20).map(|seq| (!lost.contains(&seq)).then_some(300_000)).collect();
        let attempt = scene.attempt(90, flow, Outcome::Ok);
        "echo".clone_into(&mut attempt.kind);
        attempt.echo = Some(EchoTrain {
            packet_bytes: 64,
            rtt_ns,
            order: vec![],
        });
    }

    #[test]
    fn a_rule_that_drops_at_random_is_loss_even_where_all_got_through() {
        let mut scene = Scene::two_nodes();
        random_rule(&mut scene);
        scene.connects(3);
        let flow = scene.evidence.watched[1].flow;
        scene.drop(scenes::X, "cbr0", flow, "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["packet-loss"]);
    }

    #[test]
    fn a_train_with_holes_is_loss() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        train(&mut scene, &[3, 7, 12]);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["packet-loss"]);
    }

    #[test]
    fn a_single_hole_or_no_answer_at_all_is_not() {
        for lost in [vec![4], (0..20).collect()] {
            let mut scene = Scene::two_nodes();
            scene.connects(3);
            train(&mut scene, &lost);
            assert_eq!(
                scenes::causes(&judge(&scene.evidence)),
                Vec::<String>::new(),
                "{lost:?}"
            );
        }
    }

    #[test]
    fn a_program_that_drops_all_of_one_kind_is_not_loss_because_echoes_pass() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "nfqnl_reinject");
        train(&mut scene, &[]);
        assert_ne!(scenes::cause(&judge(&scene.evidence)), "packet-loss");
    }

    /// So many echoes of a train were dropped as they left a queue.
    fn train_through_a_queue(lost: usize) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        train(&mut scene, &(0..lost).collect::<Vec<_>>());
        let flow = scenes::icmp("10.90.1.2", "10.90.2.2");
        scene.evidence.attempts.last_mut().unwrap().flow = flow;
        scene.watch(90, flow);
        for _ in 0..lost {
            scene.drop(scenes::X, "cbr0", flow, "NOT_SPECIFIED", "nfqnl_reinject");
        }
        scene
    }

    #[test]
    fn a_program_that_lets_few_echoes_pass_and_all_connections_filters_them() {
        for (lost, causes) in [(19, vec![]), (6, vec!["packet-loss"])] {
            let scene = train_through_a_queue(lost);
            assert_eq!(scenes::causes(&judge(&scene.evidence)), causes, "{lost}");
        }
    }

    #[test]
    fn echoes_that_connection_tracking_drops_as_they_leave_a_queue_are_no_loss() {
        let mut scene = train_through_a_queue(6);
        scene.after(scenes::X, |facts| {
            if let Known::Known(table) = &mut facts.conntrack {
                table.stats.insert("insert_failed".to_owned(), 6);
            }
        });
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn echoes_that_waited_for_a_decision_about_the_first_of_them_are_no_loss() {
        // The first answer comes after 100 ms: those that were sent meanwhile waited together.
        for (interval_ms, causes) in [(20, vec![]), (200, vec!["packet-loss"])] {
            let mut scene = train_through_a_queue(4);
            scene.echoes(90, 20, interval_ms);
            let train = scene.evidence.attempts.last_mut().unwrap().echo.as_mut().unwrap();
            train.rtt_ns.swap(0, 4);
            train.rtt_ns[0] = Some(100_000_000);
            train.order = [0].into_iter().chain(5..20).collect();
            assert_eq!(scenes::causes(&judge(&scene.evidence)), causes, "{interval_ms}");
        }
    }

    #[test]
    fn a_program_that_drops_everything_is_not_loss() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "nfqnl_reinject");
        assert_ne!(scenes::cause(&judge(&scene.evidence)), "packet-loss");
    }

    #[test]
    fn a_rule_that_hit_none_that_failed_broke_none() {
        let mut scene = Scene::two_nodes();
        random_rule(&mut scene);
        scene.connects(3);
        let during = "read".to_owned();
        scene.evidence.attempts[2].outcome = Outcome::TimedOut { during };
        let flow = scene.evidence.watched[0].flow;
        scene.drop(scenes::X, "cbr0", flow, "NETFILTER_DROP", "nf_hook_slow");
        let verdicts = judge(&scene.evidence).verdicts;
        let loss = verdicts.iter().find(|verdict| verdict.rule == "packet-loss").unwrap();
        assert_eq!(loss.severity, model::report::Severity::Warning);
    }
}
