//! An old entry of connection tracking sends packets to a backend that is gone.
//!
//! Why it happens: a client keeps sending datagrams from one port to a service. The entry sends them to the backend that was
//! chosen first, also after the rules have changed, and each packet keeps the entry alive.
//!
//! How it knows: before the window, the table had an entry for exactly the tuple of the watched flow. None of the rules there
//! would make its translation today, and the flow got no answer.
//!
//! Remedy: delete the entry (`conntrack -D -p udp --orig-dst ADDRESS`).
//!
//! Silent on: entries that the rules would make again, flows that get answers, and tuples that are new to the table.

use crate::case::Case;
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use model::evidence::Evidence;
use model::flow::Flow;

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Fact("conntrack"), Need::Fact("netfilter")];

pub fn check(case: &Case<'_>) -> Checked {
    let mut flows: Vec<(u32, Flow)> = case
        .failed()
        .iter()
        .map(|tried| (tried.attempt.id, tried.attempt.flow))
        .collect();
    if case.evidence.passive {
        let silent = |attempt: u32| {
            case.leg(attempt, model::report::Direction::Answer)
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
            if backend == flow.dst() {
                continue;
            }
            // What the rules alone would do: asked without the tables that remember.
            let nothing = Evidence::default();
            let now = translate::destinations(&nothing, &[], netns.id, &netns.before, Some(0), flow);
            if now.iter().any(|to| to.dst() == backend) {
                continue;
            }
            let targets: Vec<String> = now.iter().map(|to| to.dst().to_string()).collect();
            return Ok(vec![
                fatal(
                    "conntrack-stale",
                    format!(
                        "an old entry in {} still sends the flow to {backend}, which the rules no longer name",
                        case.name(netns.id)
                    ),
                )
                .at(&netns.node, case.name(netns.id))
                .of([id])
                .remedy(
                    Remedy::from(format!("delete the entry in {}", case.name(netns.id))).run(
                        ": ",
                        case.command(
                            netns.id,
                            "conntrack -D --orig-dst {} --orig-port-src {}",
                            &[&flow.dst(), &flow.sport],
                        ),
                    ),
                )
                .because(format!(
                    "the table held {flow} before the window, translated to {backend}"
                ))
                .and(format!("the rules would send it to {}", targets.join(", "))),
            ]);
        }
    }
    Ok(Vec::new())
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
    fn an_entry_that_the_rules_would_make_again_is_not() {
        assert_ne!(
            scenes::cause(&judge(&remembered("10.90.2.2", "10.90.2.2:80").evidence)),
            "conntrack-stale"
        );
    }
}
