//! Connection tracking has lost the connection: it calls the packets INVALID, or they go to a backend that does not know the
//! connection.
//!
//! Why it happens: the entry timed out while the connection was idle. Or the table was flushed, or the connection moved to
//! another node. Or only one direction passes this node (asymmetric routing, NOTRACK), so that the tracker never saw the
//! beginning.
//!
//! How it knows: a rule with `ctstate INVALID` dropped the watched packets. Or they reached a listener that does not know the
//! connection, and it answered with a reset (`TCP_FLAGS`, socket state LISTEN).
//!
//! Remedy: send keep-alives more often than `nf_conntrack_tcp_timeout_established`. Route both directions through the same
//! node. Track what must be tracked, or accept INVALID where asymmetry is intended.
//!
//! Silent on: INVALID packets of other flows (single late segments are normal), segments that were still under way when one end
//! had reset the connection, rules that drop new connections, and services whose backend is gone.

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::kernel::firewall::NetfilterStop;
use crate::kernel::firewall::culprit::of_drop;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{at, count, the};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("tcpreset"),
    Need::Probe("path"),
    Need::Fact("conntrack"),
    Need::Fact("netfilter"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let unknown = case.drops(Class::UnknownConnection);
    if let Some(first) = unknown.first() {
        let event = first.event;
        let netns = case.name(event.netns);
        // Who translates it now is who should have remembered.
        let leg = case.leg(first.attempt, first.direction);
        let translator = leg.and_then(|leg| leg.stops.iter().find(|stop| stop.translated_from.is_some()));
        let (place, of) = match translator.map(|stop| stop.netns).filter(|by| *by != event.netns) {
            Some(by) => (by, format!("its translation in {} was lost", case.name(by))),
            None => (event.netns, "its translation was lost".to_owned()),
        };
        return Ok(vec![
            fatal(
                "conntrack-lost",
                format!("the connection was moved to {netns}, which does not know it: {of}"),
            )
            .at(case.node(place), case.name(place))
            .of(unknown.iter().map(|drop| drop.attempt))
            .remedy("send keep-alives more often than the tracker's time-out, or raise nf_conntrack_tcp_timeout_established")
            .because(format!(
                "{} of {} met a listener in {netns} that knows no such connection ({})",
                count(unknown.len(), "segment"),
                event.flow,
                first.words()
            )),
        ]);
    }
    let drops = case.drops(Class::Netfilter);
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let event = first.event;
    let Some(of) = case.evidence.netns(event.netns) else {
        return Ok(Vec::new());
    };
    let same = drops
        .iter()
        .filter(|drop| drop.event.netns == event.netns && drop.event.flow == event.flow);
    let culprit = of_drop(of, event, first.direction, same.count() as u64);
    if !culprit.all(NetfilterStop::wants_invalid) {
        return Ok(Vec::new());
    }
    let (netns, interface) = (case.name(event.netns), case.interface(event));
    let what = the(first.direction);
    let invalid = case.conntrack_growth(event.netns, "invalid").unwrap_or(0);
    let mut claim = fatal(
        "conntrack-lost",
        format!("connection tracking in {netns} does not know the connection, and {what} is dropped as INVALID"),
    )
    .at(case.node(event.netns), &netns)
    .interface(interface.clone());
    if let Some(place) = culprit.place() {
        claim = claim.rule(place);
    }
    Ok(vec![
        claim
            .of(drops.iter().map(|drop| drop.attempt))
            .remedy(format!(
                "let both directions pass {netns} and be tracked there (no NOTRACK, symmetric routes), or accept INVALID for them"
            ))
            .because(format!(
                "{} of {} dropped at {} ({})",
                count(drops.len(), "packet"),
                event.flow,
                at(&netns, Some(&interface)),
                first.words()
            ))
            .and(culprit.words())
            .and_if((invalid > 0).then(|| format!("packets called invalid in the window: {invalid}"))),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene, tcp};
    use model::attempt::Outcome;
    use model::event::{Seen, TcpState};
    use model::facts::{Action, Match, NetfilterRule};
    use model::flow::{ACK, RST};
    use model::missing::Known;

    fn rule_for(scene: &mut Scene, state: &str) {
        let rule = NetfilterRule {
            text: format!("-m conntrack --ctstate {state} -j DROP"),
            matches: vec![Match::CtState {
                any: vec![state.to_owned()],
                not: false,
            }],
            action: Action::Drop,
            ..NetfilterRule::default()
        };
        let rules = scenes::one_rule("filter", "FORWARD", rule);
        scene.facts(scenes::X, |facts| facts.netfilter = Known::Known(rules.clone()));
    }

    fn answers_dropped(scene: &mut Scene) {
        scene.vanishes(3, scenes::C, "eth0");
        for watched in scene.evidence.watched.clone() {
            let answer = watched.flow.reversed();
            scene.hop(scenes::C, "eth0", answer, 60 + u64::from(watched.attempt));
            scene.drop(scenes::X, "up0", answer, "NETFILTER_DROP", "nf_hook_slow");
        }
    }

    #[test]
    fn an_answer_dropped_as_invalid_is_a_lost_connection() {
        let mut scene = Scene::two_nodes();
        rule_for(&mut scene, "INVALID");
        answers_dropped(&mut scene);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::cause(&judgement), "conntrack-lost");
        assert_eq!(
            judgement.verdicts[0].place.rule.as_ref().and_then(|rule| rule.handle),
            Some(1)
        );
    }

    #[test]
    fn a_segment_that_meets_a_strange_listener_is_a_lost_connection() {
        let mut scene = Scene::two_nodes();
        scene.dropped(1, scenes::C, "eth0", "TCP_FLAGS", "tcp_v4_do_rcv");
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "conntrack-lost");
    }

    #[test]
    fn segments_that_come_after_a_reset_are_no_lost_connection() {
        let reset = |scene: &mut Scene, active| {
            for watched in scene.evidence.watched.clone() {
                let seen = Seen::ResetSent {
                    reason: Some("TCP_ABORT_ON_CLOSE".to_owned()),
                    state: TcpState::Established,
                    active,
                };
                scene.saw(scenes::A, "eth0", watched.flow, seen);
            }
        };
        let late = |active| {
            let mut scene = Scene::two_nodes();
            scene.connects(1);
            reset(&mut scene, active);
            let flow = scene.evidence.watched[0].flow;
            scene.drop(scenes::C, "eth0", flow, "TCP_FLAGS", "tcp_v4_do_rcv");
            scene.evidence.passive = true;
            scene.evidence.attempts.clear();
            scenes::causes(&judge(&scene.evidence))
        };
        assert_eq!(late(true), Vec::<String>::new());
        assert_eq!(late(false), ["conntrack-lost"]);
    }

    #[test]
    fn a_reset_that_finds_nothing_to_reset_is_no_lost_connection() {
        let found = |tcp_flags| {
            let mut scene = Scene::two_nodes();
            scene.dropped(1, scenes::C, "eth0", "TCP_FLAGS", "tcp_v4_do_rcv");
            for packet in scene
                .evidence
                .events
                .iter_mut()
                .filter_map(|event| event.packet.as_mut())
            {
                packet.tcp_flags = tcp_flags;
            }
            scenes::causes(&judge(&scene.evidence))
        };
        assert!(!found(RST | ACK).contains(&"conntrack-lost".to_owned()));
        assert_eq!(found(ACK), ["conntrack-lost"]);
    }

    #[test]
    fn who_translates_it_is_who_forgot_it() {
        let mut scene = Scene::two_nodes();
        let asked = tcp("10.90.1.2:40001", "10.96.0.10:80");
        let moved = tcp("10.90.1.2:40001", "10.90.2.2:80");
        scene.watch(0, asked);
        scene
            .hop(scenes::A, "eth0", asked, 7)
            .hop_learned(scenes::X, "up0", moved, 7)
            .hop(scenes::C, "eth0", moved, 7)
            .drop(scenes::C, "eth0", moved, "TCP_FLAGS", "tcp_v4_do_rcv");
        let during = "connect".to_owned();
        scene.attempt(0, asked, Outcome::TimedOut { during });
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::cause(&judgement), "conntrack-lost");
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/x"));
    }

    #[test]
    fn a_rule_against_established_packets_is_no_lost_connection() {
        let mut scene = Scene::two_nodes();
        rule_for(&mut scene, "ESTABLISHED");
        answers_dropped(&mut scene);
        assert_ne!(scenes::cause(&judge(&scene.evidence)), "conntrack-lost");
    }
}
