//! The name server answers with an error (SERVFAIL, REFUSED).
//!
//! Why it happens: SERVFAIL: its own upstream server does not answer, or DNSSEC fails. REFUSED: it does not serve this client
//! or zone. NOTIMP and FORMERR: it does not understand the query.
//!
//! How it knows: the answers to the watched lookup carry one of these codes, and no name was found.
//!
//! Remedy: look into the log of the name server, and at its upstream server (`CoreDNS`: the `forward` plug-in).
//!
//! Silent on: errors of one server when another one answered the lookup, and names that do not exist.

use crate::case::Case;
use crate::case::lookups::{lookups, server_words};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::count;

pub const NEEDS: &[Need] = &[Need::Probe("dns")];

pub fn check(case: &Case<'_>) -> Checked {
    for lookup in lookups(case) {
        if lookup.found() && lookup.tried.attempt.kind != "dns-query" {
            continue;
        }
        let failed: Vec<_> = lookup
            .dns
            .queries
            .iter()
            .filter(|query| {
                matches!(
                    query.rcode.as_deref(),
                    Some("SERVFAIL" | "REFUSED" | "NOTIMP" | "FORMERR" | "NOTAUTH")
                )
            })
            .collect();
        let Some(first) = failed.first() else { continue };
        let rcode = first.rcode.as_deref().unwrap_or_default();
        let mut servers: Vec<_> = failed.iter().map(|query| query.flow.dst()).collect();
        servers.dedup();
        let why = match rcode {
            "SERVFAIL" => "its own upstream or zone fails",
            "REFUSED" => "it does not serve this client or zone",
            _ => "it does not understand the query",
        };
        return Ok(vec![
            fatal(
                "dns-server-error",
                format!(
                    "name server {} answers {rcode} for {}: {why}",
                    server_words(&servers),
                    first.name
                ),
            )
            .of([lookup.id()])
            .remedy(match rcode {
                "REFUSED" => "allow this client in the name server's access list, or ask another server",
                _ => "look into the name server's log and at its upstream",
            })
            .because(format!(
                "{} of {} answered {rcode} by {}",
                count(failed.len(), "query").replace("querys", "queries"),
                lookup.dns.queries.len(),
                server_words(&servers)
            )),
        ]);
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::dns::LookupScene;

    #[test]
    fn an_error_of_the_server_names_it() {
        for rcode in ["SERVFAIL", "REFUSED"] {
            let scene = LookupScene::of("web").says("web", rcode, 0).scene();
            let judgement = judge(&scene.evidence);
            assert_eq!(scenes::causes(&judgement), ["dns-server-error"], "{rcode}");
            assert!(judgement.verdicts[0].says.contains(rcode));
        }
    }

    #[test]
    fn an_error_before_an_answer_is_not_it() {
        let scene = LookupScene::of("web")
            .says("web", "SERVFAIL", 0)
            .says("web", "NOERROR", 1)
            .scene();
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
