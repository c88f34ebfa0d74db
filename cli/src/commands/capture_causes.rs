//! Whose traffic a capture shows: the ends of which it says at its end what was wrong with them.

use super::surroundings::SiteSurroundings;
use crate::capture::filter::{CaptureFilter, ResolvedEndpoint};
use crate::conversation::session::Session;
use crate::kubernetes::resolved_ends::pod_end;
use crate::one_end::{Onlooker, with_neighbours};
use crate::recording::OpenRecording;
use crate::site::Site;
use anyhow::Result;
use model::endpoint::Endpoint;
use model::inventory::{Inventory, Pod};
use model::owner::Owner;
use model::report::CausesReport;
use std::collections::BTreeSet;

/// The facts that tell which pod of a node a namespace belongs to.
const OF_NEIGHBOURS: [&str; 3] = ["links", "addresses", "sysctls"];

/// The onlooker of the ends that were asked for; on a node where none was, of the whole node. `None` where these probes see nothing
/// that proves a cause.
pub async fn onlooker(
    session: &mut Session,
    wanted: &CaptureFilter,
    endpoints: &[ResolvedEndpoint],
    probes: &[String],
) -> Option<Onlooker> {
    let mut targets = Vec::new();
    let mut is_whole = wanted.inventory.is_some();
    for index in session.living() {
        let own = endpoints.iter().filter(|found| found.index == index);
        let (asked, host): (Vec<&ResolvedEndpoint>, Vec<&ResolvedEndpoint>) = own.partition(|found| found.wanted);
        if asked.is_empty() {
            is_whole = true;
            for host in host {
                targets.extend(with_neighbours(session, host.endpoint.clone(), Some(&OF_NEIGHBOURS)).await);
            }
        } else {
            targets.extend(asked.into_iter().map(|found| found.endpoint.clone()));
        }
    }
    targets.retain(|target| target.netns.is_some());
    if let Some(inventory) = &wanted.inventory {
        targets = targets.into_iter().map(|target| as_pod(inventory, target)).collect();
    }
    let watched: BTreeSet<u32> = targets.iter().filter_map(|target| target.netns).collect();
    let nodes: Vec<u32> = session
        .state
        .evidence
        .nodes
        .iter()
        .map(|node| node.host_netns)
        .collect();
    session.state.evidence.inventory = match &wanted.inventory {
        Some(inventory) => model::missing::Known::Known(inventory.clone()),
        None => model::missing::Known::default(),
    };
    Onlooker::at(targets, (!is_whole).then_some(watched), probes, &nodes)
}

/// The pod that an end is, where the API knows it.
fn as_pod(inventory: &Inventory, target: Endpoint) -> Endpoint {
    let is_it = |pod: &&Pod| match &target.owner {
        Owner::Pod { uid, .. } => pod.uid == *uid,
        _ => !pod.host_network && pod.addresses.iter().any(|address| target.addresses.contains(address)),
    };
    match inventory.pods.iter().find(is_it) {
        Some(pod) => Endpoint {
            netns: target.netns,
            pid: target.pid,
            resolv: target.resolv,
            ..pod_end(pod, pod.full_name())
        },
        None => target,
    }
}

/// The causes that were proven of what the onlooker saw.
pub async fn causes(
    onlooker: Onlooker,
    session: &mut Session,
    site: &Site,
    recording: &OpenRecording,
) -> Result<CausesReport> {
    let around = SiteSurroundings::of(site, session.interrupt(), recording.recorder())?;
    session.go_on();
    // What is lacking for this is nothing that the capture was asked for.
    let lacking = session.state.evidence.missing.clone();
    let causes = Box::pin(onlooker.causes(session, &around)).await;
    session.state.evidence.missing = lacking;
    Ok(causes)
}
