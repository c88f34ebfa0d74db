//! The name server answers, but the answer does not arrive.
//!
//! Why it happens: a rule drops answers, or large answers are cut into fragments and a filter drops those, or the way back is
//! broken. If one of these is proven, it is the cause, and this is its symptom.
//!
//! How it knows: an answer to the watched query was seen leaving the server (or on the way), and the lookup never got it.
//!
//! Remedy: look at the place where the answer was last seen. For large answers, allow fragments, or make the EDNS buffer
//! smaller.
//!
//! Silent on: answers that arrive after the lookup gave up (`dns-upstream-slow`), and servers that do not answer.

use crate::case::Case;
use crate::case::clocks;
use crate::case::lookups::{Lookup, answers_seen, is_piece, lookups};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::words::{at, count};
use model::attempt::DnsExchange;
use model::event::Event;
use model::report::Direction;

pub const NEEDS: &[Need] = &[Need::Probe("dns"), Need::Probe("path"), Need::Probe("drop")];

pub fn check(case: &Case<'_>) -> Checked {
    let source = case.evidence.source.netns;
    for lookup in lookups(case) {
        let lost: Vec<_> = lookup
            .unanswered()
            .into_iter()
            .filter(|query| query.late_ns.is_none() && query.errno.is_none())
            .filter(|query| {
                let seen = answers_seen(case, query);
                !seen.is_empty()
                    && !seen
                        .iter()
                        .any(|event| Some(event.netns) == source && !is_piece(case, event))
            })
            .collect();
        let in_pieces = |query: &DnsExchange| {
            let pieces = answers_seen(case, query)
                .into_iter()
                .filter(|event| is_piece(case, event));
            let attempt = lookup.tried.attempt;
            let in_time = |event: &&Event| event.at_ns < attempt.started_ns + attempt.took_ns;
            pieces.filter(in_time).find(|event| Some(event.netns) == source)
        };
        let dropped = case
            .leg(lookup.id(), Direction::Answer)
            .is_some_and(|leg| !leg.stops.is_empty() && source.is_none_or(|source| !arrived(leg, source)));
        if lookup.found() || (lost.is_empty() && !dropped) || case.overran(lookup.id()) {
            continue;
        }
        let Some(query) = lost.first().copied().or_else(|| lookup.unanswered().first().copied()) else {
            continue;
        };
        if let Some(piece) = in_pieces(query) {
            return Ok(vec![lost_in_pieces(case, &lookup, query, piece)]);
        }
        let farthest = case.leg(lookup.id(), Direction::Answer).and_then(|leg| leg.farthest());
        let place = farthest.map_or_else(
            || {
                let event = answers_seen(case, query)
                    .into_iter()
                    .max_by_key(|event| clocks::order(case.evidence, event, Direction::Answer));
                event.map_or_else(String::new, |event| {
                    at(&case.name(event.netns), event.interface.as_deref())
                })
            },
            |stop| at(&case.name(stop.netns), stop.interface.as_deref()),
        );
        return Ok(vec![
            fatal(
                "dns-answer-lost",
                format!(
                    "name server {} answers, and the answer is lost after {place}",
                    query.flow.dst()
                ),
            )
            .of([lookup.id()])
            .remedy(format!("look at what lies between {place} and {}", case.source()))
            .because(format!(
                "{} for {} went unanswered in {}",
                count(lookup.unanswered().len(), "query").replace("querys", "queries"),
                query.name,
                case.source()
            ))
            .and(format!("its answer was last seen at {place}")),
        ]);
    }
    Ok(Vec::new())
}

/// The first piece of the answer arrived, and the whole never did.
fn lost_in_pieces(case: &Case<'_>, lookup: &Lookup<'_>, query: &DnsExchange, piece: &Event) -> Finding {
    let place = at(&case.name(piece.netns), piece.interface.as_deref());
    let server = query.flow.dst();
    fatal(
        "dns-answer-lost",
        format!("name server {server} answers in pieces (IP fragments), and not all of them arrive at {}", case.source()),
    )
    .of([lookup.id()])
    .remedy(format!(
        "let fragments pass between {server} and {}, or let answers be smaller: a lower EDNS buffer size at the name server (1232 bytes), or none in the client",
        case.source()
    ))
    .because(format!("the first piece of the answer for {} was seen at {place}", query.name))
    .and(format!("the lookup never got the answer; {} went unanswered", count(lookup.unanswered().len(), "query").replace("querys", "queries")))
}

fn arrived(leg: &crate::case::trail::Leg<'_>, source: u32) -> bool {
    leg.stops.iter().any(|stop| stop.netns == source)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::dns::LookupScene;

    #[test]
    fn an_answer_that_left_the_server_and_never_came_is_lost() {
        let mut scene = LookupScene::of("web").silence("web").scene();
        let answer = scene.evidence.watched[0].flow.reversed();
        scene
            .hop(scenes::C, "eth0", answer, 90)
            .hop(scenes::Y, "vethc", answer, 90);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["dns-answer-lost"]);
        assert!(judgement.verdicts[0].says.contains("netns/y"));
    }

    #[test]
    fn silence_is_not_a_lost_answer() {
        let scene = LookupScene::of("web").silence("web").scene();
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"dns-answer-lost".to_owned()));
    }
}
