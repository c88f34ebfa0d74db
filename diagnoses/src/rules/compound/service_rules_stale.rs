//! The node's rules for a service are older than its `EndpointSlice`: they name an end that is gone.
//!
//! Why it happens: kube-proxy on that node hangs, has lost its way to the API server, or is late. Connections that its rules send
//! to a pod which was deleted meanwhile are lost; those to the other pods of the service work.
//!
//! How it knows: the watched connection failed, and was translated on the source's node to an address that no `EndpointSlice` of the
//! service lists. The rules of that node would send it there again today.
//!
//! Remedy: see whether kube-proxy runs on that node and reaches the API server, and restart it.
//!
//! Silent on: addresses that a slice lists, whoever owns them (`endpoint-dead`), entries of connection tracking that the rules do
//! not name any more (`conntrack-stale`), IPVS, and nodes whose rules could not be read.

use crate::case::Case;
use crate::case::observations;
use crate::case::services::{AskedService, failed_at, services};
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::list;
use crate::words::shell::command;
use model::evidence::{Evidence, NetnsEvidence};
use model::flow::Flow;

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Fact("netfilter")];

pub fn check(case: &Case<'_>) -> Checked {
    let evidence = case.evidence;
    let Some(host) = evidence.host(&evidence.source.node) else {
        return Ok(Vec::new());
    };
    let mut findings = services(case)
        .into_iter()
        .filter(|asked| !asked.service.headless)
        .filter_map(|asked| {
            let mut failed = case.failed().into_iter();
            failed.find_map(|tried| {
                let to = case.trail.forms(tried.attempt.id).last().copied()?;
                old_rule(case, &asked, host, tried.attempt.flow, to)
            })
        });
    Ok(findings.next().into_iter().collect())
}

/// The rules send the tuple to where it went, and no slice of the service lists that.
fn old_rule(case: &Case<'_>, asked: &AskedService<'_>, host: &NetnsEvidence, flow: Flow, to: Flow) -> Option<Finding> {
    let backends = asked.backends();
    if to.dst() == flow.dst() || backends.iter().any(|backend| backend.address == to.dst()) || asked.port.is_none() {
        return None;
    }
    host.after
        .netfilter
        .ok()
        .filter(|netfilter| netfilter.unread.is_empty())?;
    // What the rules alone would do: asked without the tables that remember.
    let arrives = (case.evidence.source.netns != Some(host.id)).then_some(0);
    let now = translate::destinations(&Evidence::default(), &[], host.id, &host.after, arrives, flow);
    if !now.iter().any(|one| one.dst() == to.dst()) {
        return None;
    }
    let node = &case.evidence.source.node;
    let listed: Vec<String> = backends
        .iter()
        .take(4)
        .map(|backend| format!("{}:{}", backend.address, backend.port))
        .collect();
    let ids = failed_at(case, to.dst());
    let met = ids.first().and_then(|id| case.attempt(*id)).map(observations::met);
    let finding = fatal(
        "service-rules-stale",
        format!(
            "node {node} still sends connections of {} ({}) to {}, which is no endpoint of it any more",
            asked.words(),
            flow.dst(),
            to.dst()
        ),
    )
    .at(node.clone(), case.name(host.id))
    .object(asked.service.object())
    .of(ids)
    .remedy(
        Remedy::from(format!(
            "see whether kube-proxy runs on {node} and reaches the API server"
        ))
        .run(
            ": ",
            command(
                "kubectl -n kube-system get pods -o wide --field-selector {}",
                &[&format!("spec.nodeName={node}")],
            ),
        )
        .say(", and restart it"),
    )
    .because(format!(
        "{flow} was sent on to {}:{}, which no EndpointSlice lists",
        to.dst(),
        to.dport
    ))
    .and(if listed.is_empty() {
        "its EndpointSlices list nobody".to_owned()
    } else {
        format!("its EndpointSlices list {}", list(&listed))
    })
    .and_if(met);
    Some(finding)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::Cluster;

    /// The connection is translated to 10.90.2.2, while the slice lists this address.
    fn listed(address: &str) -> Cluster {
        let mut cluster = Cluster::web();
        cluster.slice("web").endpoints[0].addresses = vec![scenes::ip(address)];
        cluster.pod("shop/web-1").addresses = vec![scenes::ip(address)];
        cluster.sent_on("10.90.2.2");
        cluster
    }

    #[test]
    fn a_rule_that_leads_to_an_address_no_longer_listed_is_old() {
        let mut cluster = listed("10.90.2.9");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-rules-stale"]);
        let verdict = &judgement.verdicts[0];
        assert!(
            verdict.says.contains("10.90.2.2, which is no endpoint"),
            "{}",
            verdict.says
        );
        assert_eq!(verdict.place.node.as_deref(), Some("x"));
        // Others of the service work.
        cluster.scene.connects_once(5);
        assert_eq!(scenes::cause(&judge(cluster.evidence())), "service-rules-stale");
    }

    #[test]
    fn an_endpoint_that_is_listed_is_none() {
        let mut cluster = listed("10.90.2.2");
        let causes = scenes::causes(&judge(cluster.evidence()));
        assert!(!causes.contains(&"service-rules-stale".to_owned()), "{causes:?}");
    }
}
