//! Queries get no answer from the name server.
//!
//! Why it happens: the server is down, does not listen, is blocked by a rule or a route, or its address is wrong. If one of
//! these is proven, it is the cause, and this is its symptom.
//!
//! How it knows: every query of the watched lookup to that server got no answer (or an ICMP error), and no answer from it was
//! seen anywhere on the way. An error that a firewall rule sent in the server's name is not taken for the server's.
//!
//! Remedy: check that the server runs and listens on port 53, and that the path to it is open (`diagnose pod-to-pod SOURCE
//! SERVER:53 --protocol udp`).
//!
//! Silent on: servers that answer late (`dns-upstream-slow`), servers whose answers are lost (`dns-answer-lost`), and single
//! lost queries.

use crate::case::firewall_drops::Rejections;
use crate::case::lookups::{answers_seen, lookups, server_words, waited_ns};
use crate::case::{Case, Fate};
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{fatal, info, warning};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use crate::words::{count, time};

pub const NEEDS: &[Need] = &[
    Need::Probe("dns"),
    Need::Probe("path"),
    Need::Probe("drop"),
    Need::Fact("netfilter"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let limit_ns = case.evidence.limits.dns_slow_ms * 1_000_000;
    for lookup in lookups(case) {
        let silent: Vec<_> = lookup
            .servers()
            .into_iter()
            .filter(|server| lookup.silent(*server))
            .filter(|server| {
                let asked = lookup.dns.queries.iter().filter(|query| query.flow.dst() == *server);
                asked
                    .clone()
                    .all(|query| waited_ns(query) == 0 && answers_seen(case, query).is_empty())
            })
            .collect();
        // What our own socket had no room for may have been its answer.
        if silent.is_empty() || lookup.tried.fate == Fate::Unknown || case.overran(lookup.id()) {
            continue;
        }
        let queries: Vec<_> = lookup
            .dns
            .queries
            .iter()
            .filter(|query| silent.contains(&query.flow.dst()))
            .collect();
        let refused = queries.iter().find_map(|query| query.errno.as_ref());
        // An answer that the kernel left out may have come.
        if refused.is_none() && !case.saw_all_by(&["dns", "path"]) {
            continue;
        }
        let servers = server_words(&silent);
        let says = match refused {
            Some(errno) if errno.name == "ECONNREFUSED" => refusal(case, lookup.id(), &servers),
            Some(errno) => format!("queries to name server {servers} fail with {}", errno.name),
            None => format!("name server {servers} does not answer"),
        };
        let took = lookup.tried.attempt.took_ns;
        let claim = if lookup.found() && took <= limit_ns {
            info("dns-server-unreachable", format!("{says}, another one does"))
        } else if lookup.found() {
            let wait = time(took);
            warning(
                "dns-server-unreachable",
                format!("{says}, so that lookups wait for it ({wait})"),
            )
        } else {
            fatal("dns-server-unreachable", says)
        };
        return Ok(vec![
            claim
                .of([lookup.id()])
                .remedy(
                    Remedy::from(format!(
                        "see whether a name server runs at {servers} and the way is open"
                    ))
                    .run(
                        ": ",
                        command(
                            if case.evidence.inventory.ok().is_some() {
                                "kubectl skoop diagnose pod-to-pod {} {} --protocol udp"
                            } else {
                                "kubectl-skoop diagnose pod-to-pod {} {} --protocol udp --local"
                            },
                            &[&case.evidence.source.asked, &std::net::SocketAddr::new(silent[0], 53)],
                        ),
                    ),
                )
                .because(format!(
                    "{} to {servers}, none answered",
                    count(queries.len(), "query").replace("querys", "queries")
                ))
                .and_if(refused.map(|errno| format!("the sender's socket got {}", errno.name))),
        ]);
    }
    Ok(Vec::new())
}

/// Who refused the queries: whoever sent the ICMP error in the server's name, or its host where no socket is bound.
fn refusal(case: &Case<'_>, attempt: u32, servers: &str) -> String {
    let drops = || case.trail.drops().filter(|drop| drop.attempt == attempt);
    let rejections = Rejections::of(case);
    if drops().any(|drop| rejections.tell(case, drop)) {
        format!("queries to name server {servers} are rejected on their way, not by the server")
    } else if drops().any(|drop| drop.class == Class::NoSocket) {
        format!("name server {servers} refuses queries: nothing listens there")
    } else {
        format!("queries to name server {servers} are refused, by the server's host or on their way")
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::dns::LookupScene;

    #[test]
    fn a_server_that_never_answers_is_the_cause_when_nothing_deeper_is_proven() {
        let scene = LookupScene::of("web").silence("web").silence("web").scene();
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["dns-server-unreachable"]);
    }

    #[test]
    fn it_is_a_symptom_of_a_rule_that_drops_the_queries() {
        let mut scene = LookupScene::of("web").silence("web").scene();
        let flow = scene.evidence.watched[0].flow;
        scene.drop(scenes::X, "cbr0", flow, "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        let symptom = judgement
            .verdicts
            .iter()
            .find(|verdict| verdict.rule == "dns-server-unreachable");
        assert!(symptom.is_some_and(|symptom| !symptom.cause));
    }

    #[test]
    fn a_dead_server_that_is_passed_over_at_once_is_only_worth_knowing() {
        let mut scene = LookupScene::of("web").silence("web").says("web", "NOERROR", 1).scene();
        let attempt = &mut scene.evidence.attempts[0];
        attempt.dns.as_mut().unwrap().queries[0].flow.daddr = model::flow::bytes(scenes::ip("10.90.1.1"));
        attempt.took_ns = 3_000_000;
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
        scene.evidence.attempts[0].took_ns = 2_003_000_000;
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["dns-server-unreachable"]);
    }

    #[test]
    fn where_the_kernel_left_a_probe_out_an_answer_may_have_come() {
        let mut scene = LookupScene::of("web").silence("web").silence("web").scene();
        scene.misses("dns", 1);
        let causes = scenes::causes(&judge(&scene.evidence));
        assert!(!causes.contains(&"dns-server-unreachable".to_owned()), "{causes:?}");
    }

    #[test]
    fn a_late_answer_is_no_silence() {
        let scene = LookupScene::of("web").late("web", 1_500).scene();
        let causes = scenes::causes(&judge(&scene.evidence));
        assert!(!causes.contains(&"dns-server-unreachable".to_owned()), "{causes:?}");
    }

    #[test]
    fn a_refusal_is_laid_to_whom_it_was_seen_to_come_from() {
        let refused = || {
            let mut scene = LookupScene::of("web").silence("web").scene();
            scene.evidence.attempts[0].dns.as_mut().unwrap().queries[0].errno = Some(model::errno::Errno {
                number: 111,
                name: "ECONNREFUSED".to_owned(),
            });
            scene
        };
        let says = |scene: &scenes::Scene| {
            let verdicts = judge(&scene.evidence).verdicts;
            let own = verdicts
                .into_iter()
                .find(|verdict| verdict.rule == "dns-server-unreachable");
            own.unwrap().says
        };
        let scene = refused();
        assert!(
            says(&scene).contains("by the server's host or on their way"),
            "{}",
            says(&scene)
        );
        let mut scene = refused();
        let flow = scene.evidence.watched[0].flow;
        scene.drop(scenes::C, "eth0", flow, "NO_SOCKET", "__udp4_lib_rcv");
        let listens_not = judge(&scene.evidence);
        assert!(
            listens_not
                .verdicts
                .iter()
                .any(|verdict| verdict.says.contains("nothing listens"))
                || scenes::cause(&listens_not) == "port-closed",
            "{listens_not:?}"
        );
        // A policy's REJECT answers in the server's name.
        let mut scene = refused();
        let with = "icmp-port-unreachable".to_owned();
        let reject = model::facts::Action::Reject { with };
        scene.agents_rule(scenes::X, "KUBE-POD-FW-ABC", "-j REJECT", &reject, 1);
        scene.drop(scenes::X, "cbr0", flow, "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["netfilter-reject"]);
        assert!(
            says(&scene).contains("rejected on their way, not by the server"),
            "{}",
            says(&scene)
        );
    }
}
