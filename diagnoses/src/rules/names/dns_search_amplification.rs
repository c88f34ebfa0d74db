//! The search list turns one lookup into many.
//!
//! Why it happens: Kubernetes sets `ndots:5`. A name with fewer dots is first tried with every domain of the search list, for
//! each record type. Only then is it tried as it is.
//!
//! How it knows: the watched lookup asked for several names that do not exist before the one that does. This is only worth
//! knowing, unless it makes the lookup slow: then it is a cause.
//!
//! Remedy: write the name with a final dot, or lower `ndots` (`dnsConfig` of the pod).
//!
//! Silent on: lookups that find their name at the first or second try, and names that are not found at all.

use crate::case::Case;
use crate::case::lookups::{lookups, waited_ns};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{info, warning};
use crate::words::{list, time};

pub const NEEDS: &[Need] = &[Need::Probe("dns")];

pub fn check(case: &Case<'_>) -> Checked {
    let limit_ns = case.evidence.limits.dns_slow_ms * 1_000_000;
    for lookup in lookups(case) {
        let dns = lookup.dns;
        if !lookup.found() || !lookup.unanswered().is_empty() {
            continue;
        }
        let in_vain: Vec<_> = dns
            .queries
            .iter()
            .filter(|query| query.rcode.as_deref() == Some("NXDOMAIN"))
            .collect();
        let mut names: Vec<String> = in_vain.iter().map(|query| query.name.clone()).collect();
        names.dedup();
        if names.len() < 2 {
            continue;
        }
        let took = lookup.tried.attempt.took_ns;
        let wasted: u64 = in_vain.iter().map(|query| waited_ns(query)).sum();
        let single = dns.queries.iter().map(waited_ns).max().unwrap_or(0);
        let slow = took > limit_ns && wasted * 2 > took && single * 2 <= limit_ns;
        let says = format!(
            "one lookup of {} became {} queries, {} of them in vain",
            dns.name,
            dns.queries.len(),
            in_vain.len()
        );
        let claim = if slow {
            warning("dns-search-amplification", format!("{says}, and takes {}", time(took)))
        } else {
            info("dns-search-amplification", says)
        };
        let ndots = case.evidence.source.resolv.ok().map(|resolv| resolv.ndots);
        return Ok(vec![
            claim
                .of([lookup.id()])
                .remedy(format!(
                    "write {}. with a final dot, or set ndots lower in the pod's dnsConfig",
                    dns.name
                ))
                .because(format!("NXDOMAIN for {}", list(&names)))
                .and_if(ndots.map(|ndots| format!("ndots is {ndots}"))),
        ]);
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::dns::LookupScene;
    use model::report::{Conclusion, Severity};

    fn through_the_list() -> LookupScene {
        LookupScene::of("example.org")
            .says("example.org.default.svc.cluster.local", "NXDOMAIN", 0)
            .says("example.org.svc.cluster.local", "NXDOMAIN", 0)
            .says("example.org.cluster.local", "NXDOMAIN", 0)
            .says("example.org", "NOERROR", 1)
    }

    #[test]
    fn on_a_healthy_lookup_it_is_only_worth_knowing() {
        let judgement = judge(&through_the_list().scene().evidence);
        assert_eq!(judgement.outcome, Conclusion::Healthy);
        assert_eq!(judgement.verdicts[0].rule, "dns-search-amplification");
        assert_eq!(judgement.verdicts[0].severity, Severity::Info);
    }

    #[test]
    fn it_is_a_cause_where_it_makes_the_lookup_slow() {
        let mut scene = through_the_list().scene();
        let attempt = &mut scene.evidence.attempts[0];
        attempt.took_ns = 1_700_000_000;
        for query in &mut attempt.dns.as_mut().unwrap().queries {
            query.latency_ns = Some(420_000_000);
        }
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["dns-search-amplification"]);
    }

    #[test]
    fn a_name_found_at_once_is_not_worth_a_word() {
        let judgement = judge(&LookupScene::of("web").says("web", "NOERROR", 1).scene().evidence);
        assert!(judgement.verdicts.is_empty());
    }
}
