//! The name does not exist: the servers answer, and they know none of the names that were tried.
//!
//! Why it happens: a typing error, a service in another namespace, a name that was never created, or a search list without the
//! domain that the name needs.
//!
//! How it knows: every query of the lookup was answered, and every answer was NXDOMAIN or had no record. This includes the
//! answer for the last name.
//!
//! Remedy: check the name and its namespace (`service.namespace.svc.cluster.local`). The names that were tried are listed.
//!
//! Silent on: names of the search list that are not found before one that is found (`dns-search-amplification`), servers that
//! fail (`dns-server-error`), and servers that do not answer.

use crate::case::Case;
use crate::case::lookups::{answered, lookups, server_words};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::list;

pub const NEEDS: &[Need] = &[Need::Probe("dns")];

pub fn check(case: &Case<'_>) -> Checked {
    for lookup in lookups(case) {
        let dns = lookup.dns;
        if lookup.found() || dns.queries.is_empty() || lookup.tried.attempt.kind == "dns-query" {
            continue;
        }
        let none = |rcode: &str, answers: u16| rcode == "NXDOMAIN" || (rcode == "NOERROR" && answers == 0);
        let all = dns
            .queries
            .iter()
            .all(|query| query.rcode.as_deref().is_some_and(|rcode| none(rcode, query.answers)));
        if !all {
            continue;
        }
        let exists = dns
            .queries
            .iter()
            .any(|query| answered(query) && query.rcode.as_deref() == Some("NOERROR"));
        let names: Vec<String> = lookup.names().into_iter().map(str::to_owned).collect();
        let types: Vec<String> = {
            let mut types: Vec<String> = dns.queries.iter().map(|query| query.qtype.clone()).collect();
            types.sort_unstable();
            types.dedup();
            types
        };
        let says = if exists {
            format!("{} exists but has no record of type {}", dns.name, list(&types))
        } else {
            format!("the name {} does not exist", dns.name)
        };
        let servers = lookup.servers();
        return Ok(vec![
            fatal("dns-name-not-found", says)
                .of([lookup.id()])
                .remedy(format!("check the name and its namespace; tried were {}", list(&names)))
                .because(format!(
                    "{} answered every query: {}",
                    server_words(&servers),
                    if exists { "no such record" } else { "NXDOMAIN" }
                ))
                .and(format!("tried: {}", list(&names))),
        ]);
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::dns::LookupScene;
    use model::report::Conclusion;

    #[test]
    fn nxdomain_for_the_last_name_too_is_it_and_what_was_tried_is_told() {
        let scene = LookupScene::of("web")
            .says("web.default.svc.cluster.local", "NXDOMAIN", 0)
            .says("web", "NXDOMAIN", 0)
            .scene();
        let judgement = judge(&scene.evidence);
        assert_eq!(judgement.outcome, Conclusion::Fault);
        assert_eq!(scenes::causes(&judgement), ["dns-name-not-found"]);
        assert!(
            judgement.verdicts[0]
                .because
                .iter()
                .any(|fact| fact.contains("web.default.svc"))
        );
    }

    #[test]
    fn a_name_found_after_some_that_are_not_is_not_it() {
        let scene = LookupScene::of("web")
            .says("web.default.svc.cluster.local", "NXDOMAIN", 0)
            .says("web", "NOERROR", 1)
            .scene();
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
