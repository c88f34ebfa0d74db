//! The answer about an end that has no packets, by what the cluster's API says of it: a pod that does not run, a service without
//! endpoints. Pure.

use super::question::OneEndQuestion;
use crate::inquiry::known_ends::KnownEnds;
use diagnoses::judge;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::{Evidence, Intent};
use model::missing::Missing;
use model::report::{API_VERSION, Conclusion, OneEndReport, SeenTraffic, Timing, Verdict};

/// The report; `None` for an end that can be looked at, or of which the API says nothing.
#[must_use]
pub fn by_api(asked: &OneEndQuestion, ends: &KnownEnds, timing: Timing) -> Option<OneEndReport> {
    let inventory = ends.inventory.ok().filter(|_| ends.nodes.is_empty())?;
    let target = &ends.source;
    let of_service = target.kind == EndpointKind::Service;
    let own = inventory
        .services
        .iter()
        .filter(|service| of_service && target.object.as_ref() == Some(&service.object()));
    let mut ports: Vec<(Option<u16>, String)> = own
        .flat_map(|service| &service.ports)
        .map(|port| (Some(port.port), port.protocol.to_ascii_lowercase()))
        .collect();
    if ports.is_empty() {
        ports.push((None, "tcp".to_owned()));
    }
    let mut verdicts: Vec<Verdict> = Vec::new();
    let mut missing: Vec<Missing> = Vec::new();
    for (port, protocol) in ports {
        let judged = judge(&Evidence {
            intent: if of_service {
                Intent::PodToService
            } else {
                Intent::PodToPod
            },
            destination: Endpoint { port, ..target.clone() },
            protocol,
            inventory: ends.inventory.clone(),
            limits: asked.limits,
            ..Evidence::default()
        });
        let is_new = |verdict: &Verdict| {
            let same = |known: &Verdict| (&known.rule, &known.says) == (&verdict.rule, &verdict.says);
            !verdicts.iter().any(same)
        };
        let new: Vec<Verdict> = judged.verdicts.into_iter().filter(is_new).collect();
        verdicts.extend(new);
        let unknown: Vec<Missing> = judged
            .missing
            .into_iter()
            .filter(|lack| !missing.contains(lack))
            .collect();
        missing.extend(unknown);
    }
    let name = if target.name.is_empty() {
        &target.asked
    } else {
        &target.name
    };
    let cause = verdicts.iter().find(|verdict| verdict.cause);
    let (outcome, headline) = match cause {
        Some(cause) => (Conclusion::Fault, format!("{name}: {}", cause.says)),
        None => (
            Conclusion::Inconclusive,
            format!(
                "cannot tell what is wrong with {name}: it has no packets, and what the API says of it names no cause"
            ),
        ),
    };
    Some(OneEndReport {
        api_version: API_VERSION.to_owned(),
        kind: "Diagnosis".to_owned(),
        intent: asked.intent,
        source: target.clone(),
        outcome,
        headline,
        verdicts,
        seen: SeenTraffic::default(),
        missing,
        nodes: Vec::new(),
        timing,
    })
}
