//! The seam to the rules: what they need, when they have seen enough, and what they conclude.

use model::evidence::{Evidence, Intent};
use model::missing::Missing;
use model::report::{API_VERSION, NodeReport, Outcome, Report, Timing};

/// Probes and facts that the rules of an intent listen to.
pub fn needs(_intent: Intent) -> (Vec<&'static str>, Vec<&'static str>) {
    (
        vec![
            "drop",
            "tcpreset",
            "tcpretrans",
            "tcpstate",
            "icmp",
            "neigh",
            "dns",
            "path",
        ],
        Vec::new(),
    )
}

/// Namespaces on the way that were not read yet.
pub fn next(_evidence: &Evidence) -> Vec<u32> {
    Vec::new()
}

/// Nothing more can change the answer.
pub fn settled(_evidence: &Evidence) -> bool {
    false
}

/// The report, without its times.
pub fn judge(evidence: &Evidence) -> Report {
    Report {
        api_version: API_VERSION.to_owned(),
        kind: "Diagnosis".to_owned(),
        intent: evidence.intent,
        source: evidence.source.clone(),
        destination: evidence.destination.clone(),
        outcome: Outcome::Inconclusive,
        headline: "no rule has looked at this".to_owned(),
        verdicts: Vec::new(),
        proven: Vec::new(),
        path: Vec::new(),
        attempts: evidence.attempts.clone(),
        missing: evidence
            .missing
            .iter()
            .cloned()
            .chain(evidence.nodes.iter().filter_map(|node| node.truncated.clone()))
            .chain([Missing::new("a verdict", "this build has no rules")])
            .collect(),
        nodes: evidence
            .nodes
            .iter()
            .map(|node| NodeReport {
                name: node.name.clone(),
                kernel: node.kernel.clone(),
                boot_id: node.boot_id.clone(),
                probes: node.probes.clone(),
                events: node.events,
                lost: node.lost.clone(),
                bpf: node.bpf,
            })
            .collect(),
        timing: Timing::default(),
    }
}
