//! What a capture shows by the way of whose traffic suffers: its events become conversations, and when its window has closed, those
//! that suffered are judged by the same rules. Nothing more is watched for it.

use super::answer::questions;
use super::arming::PROBES;
use super::follow::Followers;
use super::kept_events::KeptEvents;
use super::surroundings::Surroundings;
use super::triage::{Triage, felt};
use crate::conversation::session::Session;
use crate::evidence::path_facts;
use diagnoses::conversations::{ConversationTable, Cost, Key, proven_causes, suffering};
use model::endpoint::Endpoint;
use model::event::Event;
use model::evidence::{Evidence, Limits};
use model::facts::Phase;
use model::flow::TCP;
use model::report::{API_VERSION, CausesReport};
use std::collections::BTreeSet;
use std::time::Duration;

/// Events of conversations that are well are kept for so long.
const KEPT: Duration = Duration::from_secs(30);
/// Conversations whose path is read: those that suffered most.
const WORST: usize = 5;

/// Looks on while a capture shows its events.
#[derive(Debug)]
pub struct Onlooker {
    targets: Vec<Endpoint>,
    /// Namespaces of which the capture shows all that happens; `None` where it shows all of its nodes.
    watched: Option<BTreeSet<u32>>,
    probes: Vec<String>,
    table: ConversationTable,
    kept: KeptEvents,
    slow_ns: u64,
}

impl Onlooker {
    /// At the traffic of these targets, as far as these probes tell of it in these namespaces (or everywhere); `None` where they
    /// tell of nothing that proves a cause.
    pub fn at(
        targets: Vec<Endpoint>,
        watched: Option<BTreeSet<u32>>,
        probes: &[String],
        nodes: &[u32],
    ) -> Option<Self> {
        let tells = probes.iter().any(|probe| PROBES.contains(&probe.as_str()));
        if targets.is_empty() || !tells {
            return None;
        }
        // What listened before the window was not read: which end a target is of connections that it had then, ports tell.
        let mut table = ConversationTable::of(&targets, |_| Vec::new()).told_by(probes);
        table.look_at(nodes.iter().copied());
        Some(Self {
            targets,
            watched,
            probes: probes.to_vec(),
            table,
            kept: KeptEvents::for_ns(KEPT.as_nanos() as u64),
            slow_ns: Limits::default().slow_ms * 1_000_000,
        })
    }

    /// One event that the capture was told.
    pub fn take(&mut self, event: Event) {
        self.table.take(&event);
        let at_ns = event.at_ns;
        self.kept.push(event);
        if self.kept.is_due() {
            let worst = suffering(&self.table, at_ns, self.slow_ns);
            self.kept.tidy(&self.table, &felt(&worst), at_ns);
        }
    }

    /// The window has closed: judges what suffered.
    pub async fn causes(mut self, session: &mut Session, around: &impl Surroundings) -> CausesReport {
        let end_ns = self.table.end(&self.targets, &session.state.evidence);
        let mut suffering = suffering(&self.table, end_ns, self.slow_ns);
        suffering.retain(|(key, cost)| self.is_certain(key, *cost));
        suffering.truncate(WORST);
        let (verdicts, unexplained) = if suffering.is_empty() {
            (Vec::new(), Vec::new())
        } else {
            self.judged(session, around, suffering).await
        };
        CausesReport {
            api_version: API_VERSION.to_owned(),
            kind: "Causes".to_owned(),
            verdicts,
            unexplained,
        }
    }

    /// Whether it suffers whatever was not told. Where the end of a connection is not told, segments that come after it look lost.
    fn is_certain(&self, key: &Key, cost: Cost) -> bool {
        let told = key.protocol != TCP || self.probes.iter().any(|probe| probe == "tcpstate");
        cost.failed > 0 || (told && cost.is_felt())
    }

    async fn judged(
        self,
        session: &mut Session,
        around: &impl Surroundings,
        suffering: Vec<(Key, Cost)>,
    ) -> (Vec<model::report::Verdict>, Vec<model::report::ConversationReport>) {
        session.progress.stage("reading facts of what suffered");
        // What was read to know the targets is not all that the rules need.
        session.state.evidence.netns.clear();
        let mut followers = Followers::after_window();
        for (key, _) in &suffering {
            followers
                .follow(session, around, &self.table, &self.targets, *key)
                .await;
        }
        session.state.further_ports = followers.ports();
        session.state.evidence.watched = followers.flows(&self.table);
        session.state.evidence.events = self.kept.all();
        path_facts::read(session, Phase::After).await;
        let mut seen = std::mem::take(&mut session.state.evidence);
        forget_unwatched(&mut seen, self.watched.as_ref());
        let triage = Triage {
            targets: self.targets,
            table: self.table,
            suffering,
            followed: followers.all(),
            took: Duration::ZERO,
            stages: [Duration::ZERO; 4],
        };
        let causes = proven_causes(&questions(&triage, &seen));
        // The nodes' totals are still to be told.
        session.state.evidence = Evidence {
            netns: Vec::new(),
            events: Vec::new(),
            ..seen
        };
        session.progress.clear();
        causes
    }
}

/// Where the capture did not look, nothing that was not seen is known not to have happened.
fn forget_unwatched(seen: &mut Evidence, watched: Option<&BTreeSet<u32>>) {
    if let Some(watched) = watched {
        seen.netns.retain(|netns| watched.contains(&netns.id));
    }
}
