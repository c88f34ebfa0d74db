//! The report: what the rules concluded, and what was looked at and for how long.

use model::evidence::{Evidence, NodeEvidence};
use model::report::{API_VERSION, NodeReport, Report, Timing};

/// Lets the rules judge and adds the frame of the contract.
pub fn of(evidence: Evidence, timing: Timing) -> Report {
    let judged = diagnoses::judge(&evidence);
    Report {
        api_version: API_VERSION.to_owned(),
        kind: "Diagnosis".to_owned(),
        intent: evidence.intent,
        source: evidence.source,
        destination: evidence.destination,
        outcome: judged.outcome,
        headline: judged.headline,
        verdicts: judged.verdicts,
        proven: judged.proven,
        path: judged.path,
        attempts: evidence.attempts,
        missing: judged.missing,
        nodes: evidence.nodes.into_iter().map(node).collect(),
        timing,
    }
}

/// What a node brought, as it is reported.
pub fn node(node: NodeEvidence) -> NodeReport {
    NodeReport {
        name: node.name,
        kernel: node.kernel,
        boot_id: node.boot_id,
        probes: node.probes,
        events: node.events,
        lost: node.lost,
        bpf: node.bpf,
    }
}
