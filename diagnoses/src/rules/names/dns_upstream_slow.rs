//! The name server answers too late.
//!
//! Why it happens: its upstream server is slow or half dead, or it is overloaded or throttled, or the path to it is slow. The
//! resolver gives up after its time-out and asks again. An application then sees pauses of whole seconds.
//!
//! How it knows: the answer to a watched query came after the resolver had given it up. Or the lookup took longer than the
//! limit, and waiting for answers took most of that time. If the server's namespace is watched, the rule also says how long the
//! query stayed there.
//!
//! Remedy: look at the upstream server, the cache and the CPU limit of the name server.
//!
//! Silent on: late answers that the lookup did not wait for, servers that never answer, answers of which only a part arrives
//! (`dns-answer-lost`), and slow search lists (`dns-search-amplification`).

use crate::case::Case;
use crate::case::foreign_answers;
use crate::case::lookups::{Lookup, answers_seen, is_piece, lookups, server_words, waited_ns};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{fatal, warning};
use crate::words::{count, time};
use model::attempt::DnsExchange;
use model::event::{Event, Seen};

pub const NEEDS: &[Need] = &[Need::Probe("dns"), Need::Probe("path")];

pub fn check(case: &Case<'_>) -> Checked {
    let limit_ns = case.evidence.limits.dns_slow_ms * 1_000_000;
    for lookup in lookups(case) {
        let took = lookup.tried.attempt.took_ns;
        let failed = !lookup.found();
        if !failed && took <= limit_ns {
            continue;
        }
        let late: Vec<&DnsExchange> = lookup
            .dns
            .queries
            .iter()
            .filter(|query| is_late(case, query, limit_ns))
            .collect();
        if late.is_empty() || (failed && answered_otherwise(&lookup)) || case.overran(lookup.id()) {
            continue;
        }
        let servers = {
            let mut servers: Vec<_> = late.iter().map(|query| query.flow.dst()).collect();
            servers.dedup();
            servers
        };
        let longest = late.iter().map(|query| latency_ns(case, query)).max().unwrap_or(0);
        let says = format!(
            "name server {} answers too late (after {})",
            server_words(&servers),
            time(longest)
        );
        let claim = if failed {
            fatal("dns-upstream-slow", says)
        } else {
            warning("dns-upstream-slow", says)
        };
        let stayed = late.iter().find_map(|query| stayed(case, query));
        let mut finding = claim
            .of([lookup.id()])
            .remedy(format!(
                "look at the upstream, the cache and the CPU limit of name server {}",
                server_words(&servers)
            ))
            .because(format!(
                "{} answered late, the slowest after {}",
                count(late.len(), "query").replace("querys", "queries"),
                time(longest)
            ))
            .and(if failed {
                format!("the lookup gave up after {}", time(took))
            } else {
                format!("the lookup took {}, the limit is {}", time(took), time(limit_ns))
            });
        if let Some((netns, ns)) = stayed {
            finding = finding.and(format!("the query stayed {} in {}", time(ns), case.name(netns)));
        }
        return Ok(vec![finding]);
    }
    Ok(Vec::new())
}

/// The lookup failed for what it was told, not for what came late.
fn answered_otherwise(lookup: &Lookup<'_>) -> bool {
    let in_time = |query: &DnsExchange| {
        let mut alike = lookup.of(&query.name).filter(|other| other.qtype == query.qtype);
        alike.any(|other| other.latency_ns.is_some())
    };
    lookup.dns.queries.iter().all(in_time)
}

/// It came after it had been given up, or took most of the limit.
fn is_late(case: &Case<'_>, query: &DnsExchange, limit_ns: u64) -> bool {
    // One that came from an address nobody asked was not taken, however early it came.
    let astray = || foreign_answers::answers(case.evidence, query.flow).next().is_some();
    let arrived = || {
        answers_seen(case, query)
            .iter()
            .any(|event| in_source(case, event) && !is_piece(case, event))
    };
    query.late_ns.is_some() || waited_ns(query) * 2 > limit_ns || (query.rcode.is_none() && arrived() && !astray())
}

fn in_source(case: &Case<'_>, event: &Event) -> bool {
    Some(event.netns) == case.evidence.source.netns
}

/// How long the answer took, as the sender or a probe saw it.
fn latency_ns(case: &Case<'_>, query: &DnsExchange) -> u64 {
    let seen = answers_seen(case, query)
        .into_iter()
        .filter_map(|event| match event.seen {
            Seen::DnsAnswer { latency_ns, .. } => Some(latency_ns),
            _ => None,
        });
    waited_ns(query).max(seen.max().unwrap_or(0))
}

/// Between the query's arrival in the server's namespace and its answer there.
fn stayed(case: &Case<'_>, query: &DnsExchange) -> Option<(u32, u64)> {
    let answer = answers_seen(case, query).into_iter().find(|event| {
        !in_source(case, event) && matches!(event.seen, Seen::DnsAnswer { latency_ns, .. } if latency_ns > 0)
    })?;
    match answer.seen {
        Seen::DnsAnswer { latency_ns, .. } => Some((answer.netns, latency_ns)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::dns::LookupScene;
    use model::event::Seen;
    use model::report::Severity;

    #[test]
    fn an_answer_after_the_time_out_is_a_slow_server() {
        let scene = LookupScene::of("web").late("web", 1_500).scene();
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["dns-upstream-slow"]);
    }

    #[test]
    fn a_lookup_that_works_but_waits_too_long_is_a_warning() {
        let scene = LookupScene::of("web").takes("web", 1_800).scene();
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["dns-upstream-slow"]);
        assert_eq!(judgement.verdicts[0].severity, Severity::Warning);
    }

    #[test]
    fn a_piece_of_an_answer_is_no_answer() {
        let mut scene = LookupScene::of("web").silence("web").scene();
        let query = scene.evidence.attempts[0].dns.as_ref().unwrap().queries[0].clone();
        let seen = Seen::DnsAnswer {
            id: query.id,
            name: query.name,
            qtype: query.qtype,
            rcode: "NOERROR".to_owned(),
            answers: 1,
            truncated: false,
            latency_ns: 6_000_000,
        };
        scene.saw(scenes::A, "eth0", query.flow.reversed(), seen);
        scene.hop(scenes::A, "eth0", query.flow.reversed(), 90);
        if let Some(packet) = scene.evidence.events.last_mut().and_then(|event| event.packet.as_mut()) {
            packet.fragment = 1;
        }
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["dns-answer-lost"]);
        assert!(
            judgement.verdicts[0].says.contains("pieces"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    #[test]
    fn a_late_second_answer_of_a_quick_lookup_is_not() {
        let mut scene = LookupScene::of("web").says("web", "NOERROR", 1).scene();
        let late = scene.evidence.watched[0].flow.reversed();
        scene.drop(scenes::A, "eth0", late, "NO_SOCKET", "__udp4_lib_rcv");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
