//! The window of a capture: opened at all nodes that have something to show, and closed again.

use super::filter::{CaptureFilter, ResolvedEndpoint};
use crate::conversation::session::{STEP, Session, WaitEnd};
use crate::render::note;
use anyhow::{Result, anyhow};
use model::event::Event;
use model::protocol::Request;
use tokio::time::Instant;

/// A window that is open at all nodes.
#[derive(Debug)]
#[must_use]
pub struct CaptureWindow {
    id: u32,
}

impl CaptureWindow {
    /// Arms these probes at every node, for what is wanted there, and opens the window when they are armed.
    pub async fn open(
        session: &mut Session,
        wanted: &CaptureFilter,
        endpoints: &[ResolvedEndpoint],
        probes: &[String],
    ) -> Result<Self> {
        let id = session.number();
        let residents = wanted.residents(endpoints);
        for index in 0..session.state.nodes.len() {
            let name = &session.state.evidence.nodes[index].name;
            let own = endpoints.iter().filter(|found| found.wanted && found.index == index);
            let netns: Vec<u32> = own.filter_map(|found| found.endpoint.netns).collect();
            let asked_for = wanted.endpoints.get(name).is_some_and(|asked| !asked.is_empty());
            // A node where none of the pods asked for is left has nothing to show.
            if asked_for && netns.is_empty() {
                session.ask_at(index, Request::Bye);
                continue;
            }
            let filter = wanted.filter(netns, residents.clone(), probes)?;
            let probes = probes.to_vec();
            session.ask_at(index, Request::Arm { id, probes, filter });
            session.ask_at(index, Request::Go { id });
        }
        let armed = session
            .until(Some(Instant::now() + STEP), |state| {
                state.all(|node| node.going == Some(id))
            })
            .await;
        usable(session, probes, armed)?;
        Ok(Self { id })
    }

    /// Closes it. The events that were still on their way, in time order.
    pub async fn close(self, session: &mut Session) -> Vec<Event> {
        session.close(self.id).await;
        session.state.order();
        std::mem::take(&mut session.state.evidence.events)
    }
}

/// At least one probe runs; those that do not are noted.
fn usable(session: &Session, probes: &[String], armed: WaitEnd) -> Result<()> {
    match armed {
        WaitEnd::Met => {}
        WaitEnd::Interrupted => return Err(anyhow!("arming the probes was ended by Ctrl-C")),
        WaitEnd::Bound | WaitEnd::Cut => {
            let why = session
                .state
                .why_cut()
                .map_or("it took too long", |missing| missing.why.as_str());
            return Err(anyhow!("arming the probes failed: {why}; run it again with -v"));
        }
    }
    let mut off: Vec<String> = session
        .state
        .evidence
        .nodes
        .iter()
        .flat_map(|node| &node.probes)
        .filter(|status| probes.contains(&status.name))
        .filter_map(|status| {
            let missing = status.unsupported.as_ref()?;
            Some(format!("probe {} is off: {}", status.name, missing.reason()))
        })
        .collect();
    off.sort();
    off.dedup();
    if off.len() >= probes.len() {
        return Err(anyhow!("no probe can run here: {}", off.join("; ")));
    }
    for line in &off {
        note(line);
    }
    Ok(())
}
