//! An old entry of connection tracking and the rules of today disagree: it sends the flow to a backend that is gone, or sends it
//! on untranslated.
//!
//! Why it happens: a client keeps sending from one port to a service. The entry sends what comes to the backend that was chosen
//! first, also after the rules have changed, and each packet keeps the entry alive. Or the first packet of the flow came before
//! the node knew the service: then the flow counts as untranslated, and so do all its later packets and retries.
//!
//! How it knows: before the window, the table had an entry for exactly the tuple of the watched flow. None of the rules there
//! would make its translation today, or one of them is certain to translate what the entry leaves as it is; and the flow got no
//! answer.
//!
//! Remedy: delete the entry (`conntrack -D -p udp --orig-dst ADDRESS`). A program that waits for its connection may connect again.
//!
//! Silent on: entries that the rules would make again, flows that get answers, and tuples that are new to the table.

use crate::case::Case;
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use model::evidence::Evidence;
use model::flow::Flow;
use model::report::{Direction, Happened};

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Fact("conntrack"), Need::Fact("netfilter")];

pub fn check(case: &Case<'_>) -> Checked {
    let mut flows: Vec<(u32, Flow)> = case
        .failed()
        .iter()
        .map(|tried| (tried.attempt.id, tried.attempt.flow))
        .collect();
    if case.evidence.passive {
        let silent = |attempt: u32| {
            case.leg(attempt, Direction::Answer)
                .is_none_or(|leg| leg.stops.is_empty())
        };
        flows.extend(
            case.evidence
                .watched
                .iter()
                .filter(|watched| silent(watched.attempt))
                .map(|watched| (watched.attempt, watched.flow)),
        );
    }
    for (id, flow) in flows {
        for netns in &case.evidence.netns {
            let (Ok(table), Ok(_)) = (netns.before.conntrack.get(), netns.before.netfilter.get()) else {
                continue;
            };
            let Some(entry) = table.entries.iter().find(|entry| entry.original == flow) else {
                continue;
            };
            let backend = entry.reply.src();
            // What the rules alone would do: asked without the tables that remember.
            let nothing = Evidence::default();
            let arrives = comes_in(case, id, netns.id);
            let now = translate::destinations(&nothing, &[], netns.id, &netns.before, arrives, flow);
            if now.iter().any(|to| to.dst() == backend) {
                continue;
            }
            let targets: Vec<String> = now.iter().map(|to| to.dst().to_string()).collect();
            let name = case.name(netns.id);
            let (says, held) = if backend == flow.dst() {
                (
                    format!(
                        "{name} sends the flow on untranslated: it began before the rule that translates {}",
                        flow.dst()
                    ),
                    "untranslated".to_owned(),
                )
            } else {
                (
                    format!("an old entry in {name} still sends the flow to {backend}, which the rules no longer name"),
                    format!("translated to {backend}"),
                )
            };
            return Ok(vec![
                fatal("conntrack-stale", says)
                    .at(&netns.node, &name)
                    .of([id])
                    .remedy(
                        Remedy::from(format!("delete the entry in {name}"))
                            .run(
                                ": ",
                                case.command(
                                    netns.id,
                                    "conntrack -D --orig-dst {} --orig-port-src {}",
                                    &[&flow.dst(), &flow.sport],
                                ),
                            )
                            .say("; a new connection is translated by the rules of today"),
                    )
                    .because(format!("the table held {flow} before the window, {held}"))
                    .and(format!("the rules would send it to {}", targets.join(", "))),
            ]);
        }
    }
    Ok(Vec::new())
}

/// The interface by which the flow comes into a namespace: the last at which it was met there; `None` where it is made.
fn comes_in(case: &Case<'_>, attempt: u32, netns: u32) -> Option<u32> {
    if case.evidence.source.netns == Some(netns) {
        return None;
    }
    let leg = case.leg(attempt, Direction::Request);
    let mut stops = leg.into_iter().flat_map(|leg| leg.stops.iter().rev());
    let met = stops.find(|stop| stop.netns == netns && stop.happened == Happened::Arrived);
    Some(met.map_or(0, |stop| stop.ifindex))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{Action, ConntrackEntry, Match, NetfilterRule};
    use model::missing::Known;

    fn remembered(backend: &str, rules_say: &str) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, scenes::X, "up0");
        let flow = scene.evidence.watched[0].flow;
        let reply = scenes::tcp(&format!("{backend}:80"), &format!("10.90.1.2:{}", flow.sport));
        let rules_say = rules_say.to_owned();
        scene.facts(scenes::X, |facts| {
            if let Known::Known(table) = &mut facts.conntrack {
                table.entries.push(ConntrackEntry {
                    original: flow,
                    reply,
                    seen_reply: false,
                    state: String::new(),
                    timeout_s: 30,
                });
            }
            let rule = NetfilterRule {
                matches: vec![Match::DestinationPort {
                    any: vec![(80, 80)],
                    not: false,
                }],
                action: Action::Nat {
                    kind: "DNAT".to_owned(),
                    to: rules_say.clone(),
                },
                ..NetfilterRule::default()
            };
            facts.netfilter = Known::Known(scenes::one_rule("nat", "PREROUTING", rule));
        });
        scene
    }

    #[test]
    fn an_entry_that_no_rule_would_make_is_stale() {
        assert_eq!(
            scenes::cause(&judge(&remembered("10.90.2.77", "10.90.2.2:80").evidence)),
            "conntrack-stale"
        );
    }

    #[test]
    fn an_entry_that_leaves_untranslated_what_a_rule_translates_is_stale() {
        let judgement = judge(&remembered("10.90.2.2", "10.90.2.7:80").evidence);
        assert_eq!(scenes::causes(&judgement), ["conntrack-stale"]);
        let said = &judgement.verdicts[0].says;
        assert!(said.contains("untranslated"), "{said}");
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/x"));
    }

    #[test]
    fn a_rule_that_only_may_translate_accuses_nobody() {
        let mut scene = remembered("10.90.2.2", "10.90.2.7:80");
        scene.facts(scenes::X, |facts| {
            if let Known::Known(netfilter) = &mut facts.netfilter {
                let text = "-m owner --uid-owner 7".to_owned();
                netfilter.chains[0].rules[0].matches.push(Match::Opaque { text });
            }
        });
        assert_ne!(scenes::cause(&judge(&scene.evidence)), "conntrack-stale");
    }

    #[test]
    fn an_entry_that_the_rules_would_make_again_is_not() {
        assert_ne!(
            scenes::cause(&judge(&remembered("10.90.2.2", "10.90.2.2:80").evidence)),
            "conntrack-stale"
        );
    }
}
