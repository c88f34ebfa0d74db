//! A domain of the search list answers for a name that exists as it was meant.
//!
//! Why it happens: Kubernetes sets `ndots:5`, so most names are first tried with each domain of the search list. If one of these
//! domains has a wildcard record (`*.corp.example`), it has an answer for every name, and the name itself is never asked for.
//! Programs then talk to a wrong server: wrong pages, TLS errors, refused connections.
//!
//! How it knows: the watched lookup was answered under a domain of the search list. The name itself was asked for once more, as
//! if it had a final dot, and it has other addresses. Where such a name is only what a connection is made to, it is a cause if
//! the connection fails, else worth knowing.
//!
//! Remedy: write the name with a final dot, lower `ndots` (`dnsConfig` of the pod), or take the domain or its wildcard away.
//!
//! Silent on: names that exist under the search list alone, names that have an address in common with what was found, and the
//! names of a cluster's own services.

use crate::case::Case;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal, info};
use crate::words::list;
use model::attempt::{DnsLookup, Outcome};
use model::evidence::Intent;

/// A lookup tells all of it.
pub const NEEDS: &[Need] = &[];

pub fn check(case: &Case<'_>) -> Checked {
    if case.evidence.intent == Intent::Dns {
        let mut asked = case.asked();
        let finding = asked.find_map(|tried| {
            let worked = tried.attempt.outcome == Outcome::Ok;
            finding(
                case,
                tried.attempt.dns.as_ref().filter(|_| worked)?,
                Some(tried.attempt.id),
            )
        });
        return Ok(finding.into_iter().collect());
    }
    let found_by = case.evidence.found_by.as_ref();
    Ok(found_by.and_then(|dns| finding(case, dns, None)).into_iter().collect())
}

/// The attempt is that of the lookup; without one it is a connection's name.
fn finding(case: &Case<'_>, dns: &DnsLookup, attempt: Option<u32>) -> Option<Finding> {
    let found = dns.found.as_ref()?;
    let absolute = dns
        .absolute
        .as_ref()
        .filter(|absolute| !absolute.addresses.is_empty())?;
    let name = dns.name.trim_end_matches('.');
    let domain = found.strip_prefix(name)?.strip_prefix('.')?;
    let shared = absolute.addresses.iter().any(|address| dns.addresses.contains(address));
    if shared || dns.addresses.is_empty() || is_of_services(domain) {
        return None;
    }
    let words = |addresses: &[std::net::IpAddr]| list(&addresses.iter().map(ToString::to_string).collect::<Vec<_>>());
    let says = format!("the search domain {domain} answers for {name}, which has another address of its own");
    let failed = case.failed_ids();
    let claim = if attempt.is_some() || !failed.is_empty() {
        fatal("dns-search-captures-name", says)
    } else {
        info("dns-search-captures-name", says)
    };
    let netns = case.evidence.source.netns;
    let claim = match netns {
        Some(netns) => claim.at(case.node(netns), case.name(netns)),
        None => claim,
    };
    let ndots = case.evidence.source.resolv.ok().map(|resolv| resolv.ndots);
    let finding = claim
        .of(attempt.map_or(failed, |id| vec![id]))
        .remedy(format!(
            "write {name}. with a final dot, set ndots lower in the pod's dnsConfig, or take {domain} (or its wildcard) away"
        ))
        .because(format!("{found} is {}", words(&dns.addresses)))
        .and(format!("{name}. is {}", words(&absolute.addresses)))
        .and_if(ndots.map(|ndots| format!("ndots is {ndots}, so that the search list comes first")));
    Some(finding)
}

/// `svc.cluster.local`, `shop.svc.cluster.local`: whoever finds a service there has meant it.
fn is_of_services(domain: &str) -> bool {
    domain.split('.').take(2).any(|label| label == "svc")
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::dns::LookupScene;
    use crate::scenes::{self, Scene};
    use model::attempt::AbsoluteName;
    use model::report::Conclusion;

    fn found_under(domain: &str, absolute: &[&str]) -> Scene {
        let found = format!("www.example.net.{domain}");
        let mut scene = LookupScene::of("www.example.net").says(&found, "NOERROR", 1).scene();
        let dns = scene.evidence.attempts[0].dns.as_mut().unwrap();
        dns.absolute = Some(AbsoluteName {
            queries: Vec::new(),
            addresses: absolute.iter().map(|address| scenes::ip(address)).collect(),
        });
        scene
    }

    #[test]
    fn a_wildcard_answers_for_a_name_of_the_world() {
        let judgement = judge(&found_under("corp.example", &["203.0.113.80"]).evidence);
        assert_eq!(scenes::causes(&judgement), ["dns-search-captures-name"]);
        assert_eq!(judgement.outcome, Conclusion::Fault);
        let said = &judgement.verdicts[0].says;
        assert!(said.contains("corp.example answers for www.example.net"), "{said}");
    }

    #[test]
    fn a_name_that_is_nowhere_else_was_meant() {
        for (domain, absolute) in [
            ("corp.example", &[][..]),
            ("corp.example", &["10.96.0.1", "10.96.0.2"]),
            ("shop.svc.cluster.local", &["203.0.113.80"]),
        ] {
            let judgement = judge(&found_under(domain, absolute).evidence);
            assert_eq!(judgement.outcome, Conclusion::Healthy, "{domain} {absolute:?}");
        }
    }

    #[test]
    fn a_connection_to_it_is_a_fault_only_where_it_fails() {
        let dns = found_under("corp.example", &["203.0.113.80"]).evidence.attempts[0]
            .dns
            .clone();
        let mut scene = Scene::two_nodes();
        scene.evidence.found_by.clone_from(&dns);
        scene.connects(3);
        assert_eq!(judge(&scene.evidence).outcome, Conclusion::Healthy);
        let mut scene = Scene::two_nodes();
        scene.evidence.found_by = dns;
        scene.vanishes(3, scenes::X, "up0");
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "dns-search-captures-name");
    }
}
