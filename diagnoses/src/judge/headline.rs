//! The answer in one plain sentence.

use crate::case::lookups::lookups;
use crate::case::{Case, Fate, Tried};
use model::attempt;
use model::evidence::Intent;
use model::missing::Missing;
use model::report::{Conclusion, Verdict};

/// The answer, with the first cause or the first proof behind it.
pub fn headline(
    case: &Case<'_>,
    outcome: Conclusion,
    verdicts: &[Verdict],
    proven: &[String],
    missing: &[Missing],
) -> String {
    let (source, target) = (case.source(), case.target());
    let first = verdicts.iter().find(|verdict| verdict.cause);
    let dns = case.evidence.intent == Intent::Dns;
    let name = dns_name(case);
    let (does, does_not) = if dns {
        (
            format!("{source} resolves {name}"),
            format!("{source} cannot resolve {name}"),
        )
    } else {
        (
            format!("{source} reaches {target}"),
            format!("{source} cannot reach {target}"),
        )
    };
    match outcome {
        Conclusion::Healthy => match proven.first() {
            Some(first) => format!("{does}: {first}"),
            None => does,
        },
        Conclusion::Fault => {
            let says = first.map_or("it failed, and nothing seen says why", |verdict| verdict.says.as_str());
            if dns && in_part(case) {
                format!("{source} resolves {name} late or not at all: {says}")
            } else if case.worked().is_empty() {
                format!("{does_not}: {says}")
            } else if case.failed().is_empty() {
                format!("{does}, but {says}")
            } else if let Some((works, fails)) = families(case) {
                format!("{does} over {works} and not over {fails}: {says}")
            } else {
                let (failed, all) = (case.failed().len(), case.asked().count());
                format!("{does} only sometimes ({failed} of {all} attempts failed): {says}")
            }
        }
        Conclusion::Inconclusive => {
            let untried = case.asked().next().is_none() && case.inventory().is_some();
            if untried && first.is_none() && missing.len() == 1 {
                return format!("{source} should reach {target} by what the API says, but nothing was sent to see it");
            }
            let why = missing.first().map_or_else(
                || "too little was seen".to_owned(),
                |lack| format!("{}: {}", lack.what, lack.why),
            );
            if let Some(first) = first {
                format!("{source} should not reach {target}: {}; {why}", first.says)
            } else if case.all_worked() {
                format!("{does} as far as was seen, but not all was: {why}")
            } else if dns {
                format!("cannot tell whether {source} resolves {name}: {why}")
            } else {
                format!("cannot tell whether {source} reaches {target}: {why}")
            }
        }
    }
}

/// A lookup that failed, or was cut short, while some answer had come or a name server was left to ask.
fn in_part(case: &Case<'_>) -> bool {
    let servers = case
        .evidence
        .source
        .resolv
        .ok()
        .map_or(&[][..], |resolv| &resolv.nameservers);
    lookups(case).iter().any(|lookup| {
        let asked = lookup.servers();
        let cut_short = lookup.tried.attempt.outcome == attempt::Outcome::Cancelled;
        let left = cut_short && servers.iter().any(|server| !asked.contains(server));
        lookup.tried.fate == Fate::Failed && (left || lookup.dns.queries.iter().any(|query| query.answers > 0))
    })
}

/// The address family that works and the one that does not, where that is the difference.
fn families(case: &Case<'_>) -> Option<(&'static str, &'static str)> {
    let v6 = |tried: &&Tried<'_>| tried.attempt.flow.dst().is_ipv6();
    let (failed, worked) = (case.failed(), case.worked());
    if failed.iter().all(v6) && !worked.iter().any(v6) {
        Some(("IPv4", "IPv6"))
    } else if worked.iter().all(v6) && !failed.iter().any(v6) {
        Some(("IPv6", "IPv4"))
    } else {
        None
    }
}

fn dns_name(case: &Case<'_>) -> String {
    let lookups = case.asked().filter_map(|tried| tried.attempt.dns.as_ref());
    lookups
        .map(|lookup| lookup.name.clone())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| case.evidence.destination.asked.clone())
}
