//! An `IPsec` policy blocks the packets, or requires encryption that they do not have.
//!
//! Why it happens: only one of two nodes encrypts, keys were changed on one side only, or there is a policy with `action
//! block`.
//!
//! How it knows: the kernel freed the watched packets with `XFRM_POLICY`. Or it refused to send them, and a policy of the
//! source blocks. The policies of that namespace are listed.
//!
//! Remedy: make policies and keys of both ends agree (`ip xfrm policy`, `ip xfrm state`), or restart the encryption agent.
//!
//! Silent on: policies that let the watched packets pass.

use crate::case::observations;
use crate::case::{Case, Failure};
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::count;

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("xfrm")];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.drops(Class::Ipsec);
    if let Some(first) = drops.first() {
        let netns = first.event.netns;
        let name = case.name(netns);
        let finding = fatal(
            "ipsec-mismatch",
            format!("the IPsec policy of {name} rejects the packets"),
        )
        .at(case.node(netns), &name)
        .interface(case.interface(first.event))
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(remedy(case, netns))
        .because(format!(
            "{} freed in {name}: {}",
            count(drops.len(), "watched packet"),
            first.words()
        ));
        return Ok(vec![policies(case, netns, finding)]);
    }
    Ok(at_source(case).into_iter().collect())
}

/// The source's own policy blocks: nothing is sent.
fn at_source(case: &Case<'_>) -> Option<Finding> {
    let source = case.evidence.source.netns?;
    let failed = case.failed();
    let tried = failed
        .iter()
        .find(|tried| matches!(tried.failure(), Some(Failure::Forbidden)))?;
    let policies_out = case.before(source, "IPsec policies", |facts| &facts.xfrm).ok()?;
    if case
        .drops(Class::Netfilter)
        .iter()
        .any(|drop| drop.event.netns == source)
    {
        return None;
    }
    let blocking = |line: &&String| line.contains("dir out") && line.contains("block");
    policies_out.iter().find(blocking)?;
    let name = case.name(source);
    let finding = fatal(
        "ipsec-mismatch",
        format!("an IPsec policy of {name} blocks what it sends"),
    )
    .at(case.node(source), &name)
    .of(case.failed_ids())
    .remedy(remedy(case, source))
    .because(observations::met(tried));
    Some(policies(case, source, finding))
}

fn remedy(case: &Case<'_>, netns: u32) -> Remedy {
    Remedy::from("compare policies and states with the other end")
        .run(": ", case.command(netns, "ip xfrm policy", &[]))
        .run(", ", case.command(netns, "ip xfrm state", &[]))
        .say("; or restart the encryption agent")
}

fn policies(case: &Case<'_>, netns: u32, finding: Finding) -> Finding {
    let lines = case.before(netns, "IPsec policies", |facts| &facts.xfrm);
    lines
        .map_or(&[] as &[String], Vec::as_slice)
        .iter()
        .take(4)
        .fold(finding, |finding, line| {
            finding.and(format!("policy in {}: {line}", case.name(netns)))
        })
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::missing::Known;

    #[test]
    fn a_plain_packet_meets_a_policy() {
        let mut scene = Scene::two_nodes();
        scene.facts(scenes::C, |facts| {
            facts.xfrm = Known::Known(vec!["src 0.0.0.0/0 dst 0.0.0.0/0 dir in action block".to_owned()]);
        });
        scene.dropped(3, scenes::C, "eth0", "XFRM_POLICY", "tcp_v4_rcv");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["ipsec-mismatch"]);
        assert!(
            judgement.verdicts[0]
                .because
                .iter()
                .any(|fact| fact.contains("action block"))
        );
    }
}
