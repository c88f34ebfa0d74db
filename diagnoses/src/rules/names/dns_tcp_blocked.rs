//! A truncated answer asks for TCP, but port 53 of the server cannot be reached over TCP.
//!
//! Why it happens: a rule or a policy allows only UDP 53, or the server does not listen on TCP. Small answers work, large ones
//! do not.
//!
//! How it knows: the watched lookup got a truncated answer over UDP, repeated the query over TCP, and failed there.
//!
//! Remedy: allow TCP port 53 as well as UDP, and let the server listen on it.
//!
//! Silent on: truncated answers that TCP completes.

use crate::case::Case;
use crate::case::lookups::{answered, lookups};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use model::flow::TCP;

pub const NEEDS: &[Need] = &[Need::Probe("dns"), Need::Probe("path"), Need::Probe("drop")];

pub fn check(case: &Case<'_>) -> Checked {
    for lookup in lookups(case) {
        let Some(cut) = lookup.dns.queries.iter().find(|query| query.truncated) else {
            continue;
        };
        let over_tcp: Vec<_> = lookup
            .dns
            .queries
            .iter()
            .filter(|query| query.flow.protocol == TCP)
            .collect();
        if lookup.found() || over_tcp.is_empty() || over_tcp.iter().any(|query| answered(query)) {
            continue;
        }
        let server = cut.flow.dst();
        let met = over_tcp
            .iter()
            .find_map(|query| query.errno.as_ref())
            .map_or_else(|| "no answer".to_owned(), |errno| errno.name.clone());
        return Ok(vec![
            fatal(
                "dns-tcp-blocked",
                format!("name server {server} truncates its answer, and TCP port 53 is shut ({met})"),
            )
            .of([lookup.id()])
            .remedy(format!(
                "allow TCP port 53 to {server} beside UDP, and let the server listen on it"
            ))
            .because(format!(
                "the answer for {} ({}) over UDP was truncated",
                cut.name, cut.qtype
            ))
            .and(format!("the same query over TCP met {met}")),
        ]);
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::dns::LookupScene;
    use model::errno::Errno;
    use model::flow::TCP;

    #[test]
    fn a_truncated_answer_and_a_shut_port_are_it() {
        let mut scene = LookupScene::of("big").says("big", "NOERROR", 0).silence("big").scene();
        let queries = &mut scene.evidence.attempts[0].dns.as_mut().unwrap().queries;
        queries[0].truncated = true;
        queries[1].flow.protocol = TCP;
        queries[1].errno = Some(Errno {
            number: 111,
            name: "ECONNREFUSED".to_owned(),
        });
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["dns-tcp-blocked"]);
    }

    #[test]
    fn a_truncated_answer_that_tcp_completes_is_not() {
        let mut scene = LookupScene::of("big")
            .says("big", "NOERROR", 0)
            .says("big", "NOERROR", 1)
            .scene();
        let queries = &mut scene.evidence.attempts[0].dns.as_mut().unwrap().queries;
        queries[0].truncated = true;
        queries[1].flow.protocol = TCP;
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
