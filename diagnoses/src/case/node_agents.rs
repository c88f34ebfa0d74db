//! The agents that program the nodes of a run: whose a rule is, who enforces policies there, who programs services, and what to
//! do about one that is behind.

use crate::case::Case;
use crate::kubernetes::agents::{self, Agent};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use model::facts::NetnsFacts;

/// The agents that enforce network policies on a node.
pub fn enforcing(case: &Case<'_>, node: &str) -> Vec<&'static Agent> {
    let enforcing = |facts: &NetnsFacts| agents::enforcing(facts, case.inventory(), node);
    of_node(case, node, &enforcing)
}

/// The agents that program services on a node.
pub fn serving(case: &Case<'_>, node: &str) -> Vec<&'static Agent> {
    let serving = |facts: &NetnsFacts| agents::serving(facts, case.inventory(), node);
    of_node(case, node, &serving)
}

/// What would show an agent on this node was read.
pub fn would_be_seen(case: &Case<'_>, node: &str) -> bool {
    case.evidence.host(node).is_some_and(|host| {
        let whole = host
            .before
            .netfilter
            .ok()
            .is_some_and(|netfilter| netfilter.unread.is_empty());
        whole && host.before.bpf.ok().is_some() && host.before.links.ok().is_some()
    })
}

fn of_node(case: &Case<'_>, node: &str, told: &dyn Fn(&NetnsFacts) -> Vec<&'static Agent>) -> Vec<&'static Agent> {
    let host = case.evidence.host(node);
    host.map_or_else(|| told(&NetnsFacts::default()), |host| told(&host.before))
}

/// What to look at where an agent's own rules are not what they should be: nobody deletes what it would write again.
pub fn look_at(case: &Case<'_>, netns: u32, agent: &Agent) -> Remedy {
    let node = case.node(netns);
    let place = if node.is_empty() {
        case.name(netns)
    } else {
        node.clone()
    };
    let logs = case.inventory().and_then(|inventory| {
        let pod = agent.pod(inventory, &node)?;
        command(
            "kubectl -n {} logs {} --all-containers --tail=50",
            &[&pod.namespace, &pod.name],
        )
    });
    Remedy::from(format!(
        "see whether {} runs on {place} and is up to date",
        agent.process
    ))
    .run(": ", logs)
}
