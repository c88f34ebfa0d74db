//! What a denial by network policies says to a reader: the sentence, the object and its remedy, and why no rule of it fits. And
//! who is there to enforce it, which is not everybody who enforces some kinds of policies.

use crate::case::policy_rulings::{by_agent, of_attempt};
use crate::case::{Case, Tried, node_agents};
use crate::kubernetes::agents::{Agent, PolicyKnowledge};
use crate::kubernetes::policy::{Denial, DenialForm, Ruling, Side, group};
use crate::verdict::finding::{Claim, Finding};
use crate::verdict::remedy::Remedy;
use crate::words::shell::{Command, command};
use model::object_ref::ObjectRef;

/// Who has to deny an attempt that policies deny, surely: an agent on the node of a pod that this is about, with what it has to deny
/// there by the kinds of policies that it knows.
pub fn engine<'a>(case: &Case<'a>, tried: &Tried<'a>) -> Option<(&'static Agent, Vec<Denial<'a>>)> {
    let Ruling::Denied(denials) = of_attempt(case, tried)? else {
        return None;
    };
    denials.iter().find_map(|denial| {
        let node = &denial.pod.node;
        node_agents::enforcing(case, node).into_iter().find_map(|agent| {
            let Ruling::Denied(mut own) = by_agent(case, tried, agent)? else {
                return None;
            };
            own.retain(|own| own.pod.node == *node);
            (!own.is_empty()).then_some((agent, own))
        })
    })
}

/// The denials that something there can have made: who enforces policies on a pod's node denies by the kinds that it knows, or may
/// know. Where nobody is known to, all of them.
pub fn heeded<'a>(case: &Case<'a>, tried: &Tried<'a>, denials: &[Denial<'a>]) -> Vec<Denial<'a>> {
    denials
        .iter()
        .filter_map(|denial| {
            let agents = node_agents::enforcing(case, &denial.pod.node);
            if agents.is_empty() {
                return Some(denial.clone());
            }
            agents.into_iter().find_map(|agent| match by_agent(case, tried, agent) {
                Some(Ruling::Allowed { .. }) => None,
                Some(Ruling::Denied(own)) => {
                    let own = own.into_iter().find(|own| own.side == denial.side)?;
                    let may_know = |policy: &ObjectRef| knowledge(case, agent, policy) != PolicyKnowledge::No;
                    Some(if denial.policies.iter().all(may_know) {
                        denial.clone()
                    } else {
                        own
                    })
                }
                Some(Ruling::Unknown(_)) | None => Some(denial.clone()),
            })
        })
        .collect()
}

/// Of the policies that deny, those of kinds that nothing on the pod's node is known to heed.
pub fn unheeded<'d>(case: &Case<'_>, denial: &'d Denial<'_>) -> Vec<&'d ObjectRef> {
    let agents = node_agents::enforcing(case, &denial.pod.node);
    let unknown = |policy: &&ObjectRef| {
        agents
            .iter()
            .all(|agent| knowledge(case, agent, policy) != PolicyKnowledge::Yes)
    };
    denial.policies.iter().filter(unknown).collect()
}

/// Whether an agent heeds policies of this one's kind.
fn knowledge(case: &Case<'_>, agent: &Agent, policy: &ObjectRef) -> PolicyKnowledge {
    case.inventory()
        .map_or(PolicyKnowledge::No, |inventory| agent.knows(group(inventory, policy)))
}

/// `network policy shop/deny-all forbids it (Ingress of shop/db-0)`.
pub fn says(denials: &[Denial<'_>], verb: &str) -> String {
    let denial = &denials[0];
    let plain = denial.policies.iter().all(|policy| policy.kind == "NetworkPolicy");
    let names: Vec<String> = denial.policies.iter().map(|policy| name(policy, plain)).collect();
    let (one_policy, policies) = if plain {
        ("network policy ", "network policies ")
    } else {
        ("", "")
    };
    let what = match (names.as_slice(), verb.strip_prefix("forbids")) {
        ([one], _) => format!("{one_policy}{one} {verb}"),
        ([one, another], Some(rest)) => format!("{policies}{one} and {another} together forbid{rest}"),
        ([one, more @ ..], Some(rest)) => format!("{policies}{one} and {} more together forbid{rest}", more.len()),
        _ => format!("a network policy {verb}"),
    };
    format!("{what} ({} of {})", denial.side.name(), denial.pod.full_name())
}

/// `shop/web`; with its kind, where that is not plain from what stands before it.
fn name(policy: &ObjectRef, plain: bool) -> String {
    let kind = if plain {
        String::new()
    } else {
        format!("{} ", policy.kind)
    };
    match policy.namespace.as_str() {
        "" => format!("{kind}{}", policy.name),
        namespace => format!("{kind}{namespace}/{}", policy.name),
    }
}

/// With the first policy as its object, and how to let the connection through.
pub fn described(case: &Case<'_>, claim: Claim, denials: &[Denial<'_>]) -> Claim {
    let denial = &denials[0];
    let Some(policy) = denial.policies.first() else {
        return claim;
    };
    let pod = denial.pod.full_name();
    let how = match (denial.form, denial.side) {
        (DenialForm::NothingAllows, Side::Ingress) if translated(case, denial) => format!(
            "let {} in at {pod} by an ipBlock, or reach {pod} at an address of its own or of its service, so that the source is kept",
            denial.other.address
        ),
        (DenialForm::NothingAllows, Side::Ingress) => format!("let it in at {pod} by a rule of its own"),
        (DenialForm::NothingAllows, Side::Egress) => format!("let it out of {pod} by a rule of its own"),
        (DenialForm::Rule { first: true }, _) => {
            "take it out of the rule that denies it, or allow it by a rule that comes before".to_owned()
        }
        (DenialForm::Rule { first: false }, _) => {
            "take it out of the rule that denies it: no rule that allows can come before".to_owned()
        }
    };
    claim
        .object(policy.clone())
        .remedy(Remedy::from(how).run(": ", edit(policy)))
}

/// `kubectl -n shop edit networkpolicy web`; the API takes a kind with its group as the name of the resource.
fn edit(policy: &ObjectRef) -> Option<Command> {
    let resource = policy.kind.to_lowercase();
    match policy.namespace.as_str() {
        "" => command("kubectl edit {} {}", &[&resource, &policy.name]),
        namespace => command("kubectl -n {} edit {} {}", &[&namespace, &resource, &policy.name]),
    }
}

/// With the reasons why no rule of these policies fits.
pub fn with_reasons(case: &Case<'_>, mut finding: Finding, denials: &[Denial<'_>]) -> Finding {
    for denial in denials {
        if translated(case, denial) {
            finding = finding.and(seen_as(case, denial));
        }
        for why in denial.why.iter().take(4) {
            finding = finding.and(format!("{}: {why}", denial.side.name()));
        }
    }
    finding
}

/// What judges the connection sees another source than the one that opened it.
fn translated(case: &Case<'_>, denial: &Denial<'_>) -> bool {
    let source = &case.evidence.source;
    denial.side == Side::Ingress && !source.addresses.is_empty() && !source.addresses.contains(&denial.other.address)
}

fn seen_as(case: &Case<'_>, denial: &Denial<'_>) -> String {
    let (node, address) = (denial.other.node, denial.other.address);
    let own = crate::kubernetes::pods::pod_of(case.evidence, &case.evidence.source);
    let whose = if own.is_some_and(|pod| !pod.host_network) {
        "the pod's"
    } else {
        "the source's own"
    };
    if node.is_empty() {
        format!("it sees address {address}, not {whose}: the source was translated on the way")
    } else {
        format!("it sees {node}'s address ({address}), not {whose}: the source was translated on the way")
    }
}
