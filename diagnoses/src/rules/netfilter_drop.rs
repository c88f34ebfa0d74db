//! A netfilter rule (iptables or nftables) drops the packets.
//!
//! Why it happens: a network policy or a firewall written by hand forbids the flow, a chain's default policy is DROP and no
//! rule accepts it, or a rule meant for other traffic matches too widely.
//!
//! How it knows: the kernel freed the watched packets with `NETFILTER_DROP` (or in netfilter's own functions, on kernels
//! before 5.17), which says the namespace, the interface and, by the direction of the packet, whether the request or its
//! answer is meant. Which rule it was is found by matching the packet's tuple in its form at that place against the rules of
//! that namespace, and confirmed by the counters before and after the window.
//!
//! Remedy: delete the rule, or accept the flow before it.
//!
//! Silent on: drops of other flows, connection tracking that is full or clashes (no rule matches and its counters of drops
//! grow), rules that limit or drop at random, and rules that answer (`netfilter-reject`).

use super::{Checked, Need};
use crate::case::Case;
use crate::finding::{Claim, fatal};
use crate::firewall::Stop;
use crate::firewalled::{Blocked, blocked, mixed, tracking_dropped};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("conntrack"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    for blocked in blocked(case) {
        let elsewhere = blocked.answered(case)
            || blocked.all(Stop::limited)
            || blocked.all(Stop::random)
            || blocked.all(Stop::wants_invalid);
        let by_tracking = blocked.unnamed() && tracking_dropped(case, blocked.netns);
        let by_chance = blocked.unnamed() && mixed(case, &blocked);
        if elsewhere || by_tracking || by_chance {
            continue;
        }
        let finding = claim(case, &blocked).because(blocked.seen(case));
        findings.push(
            finding
                .and_if(blocked.rule_words())
                .and_if(blocked.rewritten(case))
                .and_if(blocked.counted())
                .and_if(blocked.comment()),
        );
    }
    Ok(findings)
}

fn claim(case: &Case<'_>, blocked: &Blocked<'_>) -> Claim {
    let name = case.name(blocked.netns);
    let mut claim = fatal(
        "netfilter-drop",
        format!("{} in {name} drops {}{}", blocked.who(), blocked.what(), blocked.named()),
    )
    .at(case.node(blocked.netns), &name)
    .interface(case.interface(blocked.first().event))
    .of(blocked.attempts())
    .remedy(blocked.remedy(case));
    if let Some(place) = blocked.place() {
        claim = claim.rule(place);
    }
    claim
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scene::{self, Scene};
    use crate::scene_dns::Lookup;
    use model::facts::{Action, Match};

    #[test]
    fn a_dropped_syn_names_the_rule() {
        let mut scene = Scene::two_nodes();
        let tests = vec![Match::DestinationPort {
            any: vec![(80, 80)],
            not: false,
        }];
        scene.filter(scene::X, "FORWARD", "-p tcp --dport 80 -j DROP", &tests, &Action::Drop, 3);
        scene.dropped(3, scene::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scene::causes(&judgement), ["netfilter-drop"]);
        let place = &judgement.verdicts[0].place;
        assert_eq!(place.netns.as_deref(), Some("netns/x"));
        assert_eq!(place.rule.as_ref().unwrap().chain, "FORWARD");
        assert!(judgement.verdicts[0].remedy.contains("iptables-legacy -t filter -D FORWARD 1"));
    }

    #[test]
    fn a_dropped_answer_is_told_from_a_dropped_request() {
        let mut scene = Scene::two_nodes();
        scene.answer_dropped(2, scene::C, "", "NETFILTER_DROP", "nft_do_chain");
        let judgement = judge(&scene.evidence);
        assert_eq!(scene::causes(&judgement), ["netfilter-drop"]);
        assert!(judgement.verdicts[0].says.contains("drops the answer"));
    }

    #[test]
    fn a_drop_by_connection_tracking_is_not_a_rule() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scene::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        scene.tracking(scene::X, "drop", 3);
        assert!(!scene::causes(&judge(&scene.evidence)).contains(&"netfilter-drop".to_owned()));
    }

    #[test]
    fn a_drop_of_another_flow_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let foreign = scene::tcp("10.90.1.9:1000", "10.90.2.2:80");
        scene.drop(scene::X, "cbr0", foreign, "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scene::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn a_lookup_that_waits_for_one_dropped_question_of_two_is_late() {
        let mut scene = Lookup::of("web").says("web", "NOERROR", 1).silence("web").scene();
        let query = scene.evidence.watched[0].flow;
        scene.drop(scene::X, "cbr0", query, "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scene::causes(&judgement), ["netfilter-drop"]);
        assert!(judgement.headline.contains("late or not at all"), "{}", judgement.headline);
        scene.evidence.attempts[0].took_ns = 3_000_000;
        assert_eq!(scene::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
