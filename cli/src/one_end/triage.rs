//! The window: the probes of rare events watch the targets, events become conversations, and those that suffer are followed.

use super::arming::{arm, now_ns};
use super::follow::{Followed, Followers};
use super::kept_events::KeptEvents;
use super::overflow_watch::OverflowWatch;
use super::own_place;
use super::question::OneEndQuestion;
use super::surroundings::Surroundings;
use crate::capture::event_order::EventOrder;
use crate::conversation::session::{STEP, Session, WaitEnd};
use crate::evidence::{both_ends, path_facts};
use crate::inquiry::known_ends::KnownEnds;
use anyhow::{Result, anyhow};
use diagnoses::conversations::{
    ConversationTable, Cost, Key, look_at_unread, open_connections, suffering, window_end_ns,
};
use model::attempt::WatchedFlow;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::{Evidence, Intent, NetnsEvidence};
use model::facts::Phase;
use model::missing::Missing;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// It is looked so often for conversations that suffer.
const LOOK_EVERY: Duration = Duration::from_millis(150);
/// Open connections whose sockets are looked at for what is unread.
const OPEN_MAX: usize = 32;
/// A fault that was waited for is watched for so long.
const AFTER_FAULT: Duration = Duration::from_secs(3);

/// What was seen of one end.
#[derive(Debug)]
pub struct Triage {
    /// The targets: one pod, or all of a workload, a service, a node.
    pub targets: Vec<Endpoint>,
    /// Their conversations.
    pub table: ConversationTable,
    /// Conversations that suffered until the window closed, the most expensive first.
    pub suffering: Vec<(Key, Cost)>,
    /// Conversations that were followed.
    pub followed: Vec<Followed>,
    /// How long was looked.
    pub took: Duration,
    /// What facts took, arming, the window, and facts again.
    pub stages: [Duration; 4],
}

/// Watches the targets for as long as was asked.
pub async fn watch(
    session: &mut Session,
    question: &OneEndQuestion,
    ends: KnownEnds,
    around: &impl Surroundings,
) -> Result<Triage> {
    let began = Instant::now();
    session.state.evidence.limits = question.limits;
    session.state.evidence.intent = question.intent;
    both_ends::complete(session, question.intent, ends).await?;
    let mut targets = std::mem::take(&mut session.state.backends);
    if targets.is_empty() {
        targets.push(session.state.evidence.source.clone());
    }
    targets.retain(|target| target.netns.is_some());
    if targets.is_empty() {
        let asked = &session.state.evidence.source.asked;
        return Err(anyhow!(
            "{asked} has no network namespace that could be looked into; see whether it runs"
        ));
    }
    session.progress.stage("reading facts");
    read_targets(session, &targets).await;
    if question.intent == Intent::Node && targets.len() == 1 {
        let node = targets.remove(0);
        targets = with_neighbours(session, node, None).await;
    }
    let facts = began.elapsed();
    let mut table = ConversationTable::of(&targets, |netns| {
        let known = session.state.evidence.netns(netns);
        known
            .and_then(|known| known.before.sockets.ok())
            .cloned()
            .unwrap_or_default()
    });
    table.look_at(places(session));
    let arming = Instant::now();
    let windows = open(session, &targets).await?;
    let armed = arming.elapsed();
    session.progress.stage("watching its traffic");
    let mut triage = Triage {
        targets,
        table,
        suffering: Vec::new(),
        followed: Vec::new(),
        took: Duration::ZERO,
        stages: [facts, armed, Duration::ZERO, Duration::ZERO],
    };
    let opened = Instant::now();
    let deadline = opened + question.length;
    let mut followers = Followers::until(deadline, windows);
    let mut kept = triage.window(session, question, &mut followers, deadline, around).await;
    triage.took = opened.elapsed();
    session.go_on();
    followers.close(session).await;
    session.state.order();
    let rest = std::mem::take(&mut session.state.evidence.events);
    for event in rest {
        triage.table.take(&event);
        kept.push(event);
    }
    let end_ns = triage.table.end(&triage.targets, &session.state.evidence);
    triage.suffering = suffering(&triage.table, end_ns, question.slow_ns());
    let after = Instant::now();
    let worst = triage.suffering.as_slice();
    triage.follow(session, question, &mut followers, worst, around).await;
    // Of what is slow or was sent again, the events that are left tell enough: the rules judge what came since these begin.
    let failing = worst.iter().filter(|(_, cost)| cost.failed > 0);
    let missed = kept.missed(&failing.map(|(key, _)| *key).collect());
    if missed > 0 {
        let what = format!("{missed} events of conversations in which something failed");
        let missing = Missing::new(what, "one run keeps no more").remedy("look for a shorter time");
        session.state.evidence.missing.push(missing);
    }
    session.state.further_ports = followers.ports();
    session.state.evidence.watched = followers.flows(&triage.table);
    triage.followed = followers.all();
    for followed in &mut triage.followed {
        let whole_ns = |since_ns| kept.whole_since(&followed.key, since_ns);
        followed.since_ns = followed.since_ns.map(whole_ns);
    }
    session.state.evidence.events = kept.all();
    path_facts::read(session, Phase::After).await;
    triage.stages[2] = triage.took;
    triage.stages[3] = after.elapsed();
    Ok(triage)
}

/// Facts of the targets before the window, and of what their interfaces lead to: their nodes.
async fn read_targets(session: &mut Session, targets: &[Endpoint]) {
    let own: Vec<u32> = targets.iter().filter_map(|target| target.netns).collect();
    path_facts::read_these(session, own.clone()).await;
    own_place::place(session, targets).await;
    let evidence = &session.state.evidence;
    let mut around: Vec<u32> = evidence
        .nodes
        .iter()
        .map(|node| node.host_netns)
        .filter(|netns| *netns != 0)
        .collect();
    let read = own.iter().filter_map(|netns| evidence.netns(*netns));
    around.extend(read.flat_map(led_to));
    around.sort_unstable();
    around.dedup();
    around.retain(|netns| evidence.netns(*netns).is_none() && session.state.home(*netns).is_some());
    if !around.is_empty() {
        path_facts::read_these(session, around).await;
    }
}

/// The suffering conversations whose cost somebody feels.
pub fn felt(suffering: &[(Key, Cost)]) -> BTreeSet<Key> {
    let felt = suffering.iter().filter(|(_, cost)| cost.is_felt());
    felt.map(|(key, _)| *key).collect()
}

/// The namespaces that were read, and those that their interfaces lead to: on the way of the targets' packets.
fn places(session: &Session) -> Vec<u32> {
    let known = &session.state.evidence.netns;
    let own = known.iter().map(|netns| netns.id);
    own.chain(known.iter().flat_map(led_to)).collect()
}

/// Where the other ends of a namespace's interfaces are.
fn led_to(netns: &NetnsEvidence) -> impl Iterator<Item = u32> {
    let links = netns.before.links.ok().into_iter().flatten();
    links.filter_map(|link| link.peer.as_ref()?.netns)
}

/// A node with its pods: the namespaces that its interfaces lead to, and that forward nothing. Of those that were not read yet all
/// is read, or only these facts.
pub async fn with_neighbours(session: &mut Session, node: Endpoint, only: Option<&[&str]>) -> Vec<Endpoint> {
    let at = node.netns;
    let mut targets = vec![node];
    let Some(node) = at else { return targets };
    let is_known = session.state.evidence.netns(node).is_some();
    if let Some(facts) = only.filter(|_| !is_known) {
        path_facts::read_again(session, vec![node], facts).await;
    }
    let evidence = &session.state.evidence;
    let mut around: Vec<u32> = evidence
        .netns(node)
        .into_iter()
        .flat_map(led_to)
        .filter(|netns| *netns != node)
        .collect();
    around.sort_unstable();
    around.dedup();
    let unread: Vec<u32> = around
        .iter()
        .copied()
        .filter(|id| evidence.netns(*id).is_none())
        .collect();
    if !unread.is_empty() {
        match only {
            Some(facts) => path_facts::read_again(session, unread, facts).await,
            None => path_facts::read_these(session, unread).await,
        }
    }
    let evidence = &session.state.evidence;
    for netns in around.into_iter().filter_map(|id| evidence.netns(id)) {
        let forwards = netns.before.sysctls.ok().is_some_and(|sysctls| {
            let on = |name: &str| sysctls.get(name).is_some_and(|value| value == "1");
            on("net.ipv4.ip_forward") || on("net.ipv6.conf.all.forwarding")
        });
        if forwards {
            continue;
        }
        let own = netns.before.addresses.ok().into_iter().flatten();
        targets.push(Endpoint {
            asked: netns.name.clone(),
            kind: EndpointKind::Netns,
            node: netns.node.clone(),
            netns: Some(netns.id),
            name: netns.name.clone(),
            addresses: own
                .map(|own| own.address)
                .filter(|address| !address.is_loopback())
                .collect(),
            ..Endpoint::default()
        });
    }
    targets
}

/// Arms the probes at all nodes, for their targets, and opens the window: at each node one of its own.
async fn open(session: &mut Session, targets: &[Endpoint]) -> Result<Vec<(usize, u32)>> {
    let residents: Vec<IpAddr> = targets
        .iter()
        .flat_map(|target| target.addresses.iter().copied())
        .filter(|address| !address.is_loopback())
        .collect();
    let mut windows = Vec::new();
    for node in session.living() {
        let own = targets.iter().filter_map(|target| target.netns);
        let mut netns: Vec<u32> = own.filter(|netns| session.state.home(*netns) == Some(node)).collect();
        if netns.is_empty() {
            // None at all would let everything through.
            netns.push(session.state.evidence.nodes[node].host_netns);
        }
        let id = session.number();
        arm(session, node, id, netns, residents.clone());
        windows.push((node, id));
    }
    let ended = session
        .until(Some(Instant::now() + STEP), |state| {
            let open = |(node, id): &(usize, u32)| {
                let helper = &state.nodes[*node];
                helper.open.contains(id) || helper.has_failed("go") || helper.over()
            };
            windows.iter().all(open)
        })
        .await;
    match ended {
        WaitEnd::Met => Ok(windows),
        WaitEnd::Interrupted => Err(anyhow!("arming the probes was ended by Ctrl-C")),
        WaitEnd::Bound | WaitEnd::Cut => {
            let why = session
                .state
                .why_cut()
                .map_or("it took too long", |missing| missing.why.as_str());
            Err(anyhow!("arming the probes failed: {why}; run it again with -v"))
        }
    }
}

impl Triage {
    /// When the window closed, by the clock of the targets' nodes: that of another may be ahead.
    pub fn end_ns(&self, evidence: &Evidence) -> u64 {
        window_end_ns(&self.targets, evidence)
    }

    /// Takes in events until the time is up, or a fault was seen long enough where one is waited for, and follows what suffers.
    async fn window(
        &mut self,
        session: &mut Session,
        question: &OneEndQuestion,
        followers: &mut Followers,
        deadline: Instant,
        around: &impl Surroundings,
    ) -> KeptEvents {
        let mut kept = KeptEvents::for_ns(question.keep_last.as_nanos() as u64);
        let mut order = EventOrder::default();
        let opened = Instant::now();
        let mut until = deadline;
        let mut listeners = OverflowWatch::default();
        loop {
            let next = until.min(Instant::now() + LOOK_EVERY);
            let is_replayed = session.looks.next().is_some();
            let ended = session.until_look(next).await;
            let elapsed = session.look(opened.elapsed());
            for event in order.ready_at(&mut session.state, elapsed) {
                self.table.take(&event);
                kept.push(event);
            }
            let is_last = if is_replayed {
                session.looks.next().is_none()
            } else {
                Instant::now() >= until
            };
            if ended != WaitEnd::Bound || is_last {
                return kept;
            }
            let now_ns = self.look_until(session, elapsed);
            let worst = suffering(&self.table, now_ns, question.slow_ns());
            if question.until_fault && until == deadline && worst.iter().any(|(_, cost)| cost.failed > 0) {
                session.progress.stage("a fault was seen; watching it");
                until = deadline.min(Instant::now() + AFTER_FAULT);
            }
            // What only looks odd (a reset) is not kept at any price.
            kept.tidy(&self.table, &felt(&worst), now_ns);
            if listeners.is_due(elapsed, question.until_fault) {
                session.state.evidence.watched = self.open_flows();
                listeners.look(session, &self.targets, followers).await;
                self.look_for_unread(session);
            }
            self.follow(session, question, followers, &worst, around).await;
            self.table.look_at(places(session));
        }
    }

    /// Each target was looked at until now; the earliest of these times, which differ as the clocks of nodes do.
    fn look_until(&mut self, session: &Session, elapsed: Duration) -> u64 {
        let times = self
            .targets
            .iter()
            .map(|target| now_ns(&session.state, &target.node, elapsed));
        let times: Vec<u64> = times.collect();
        for (target, at_ns) in times.iter().enumerate() {
            self.table.look_until(target, *at_ns);
        }
        times.into_iter().min().unwrap_or_default()
    }

    /// Connections to targets whose sockets are looked at.
    fn open_flows(&self) -> Vec<WatchedFlow> {
        let open = open_connections(&self.table, OPEN_MAX).into_iter();
        let of_target = open.map(|(target, flow)| WatchedFlow {
            attempt: 1,
            netns: self.targets[target].netns.unwrap_or_default(),
            flow,
        });
        of_target.collect()
    }

    /// What targets leave unread is seen in their sockets alone.
    fn look_for_unread(&mut self, session: &Session) {
        for (at, target) in self.targets.iter().enumerate() {
            let known = target.netns.and_then(|netns| session.state.evidence.netns(netns));
            if let Some(sockets) = known.and_then(|known| known.after.sockets.ok()) {
                look_at_unread(&mut self.table, at, sockets);
            }
        }
    }

    /// Follows the worst of the conversations that suffer, as far as that was not done yet. When the window has closed, those that
    /// suffered more than the ones that came first are still looked at.
    async fn follow(
        &self,
        session: &mut Session,
        question: &OneEndQuestion,
        followers: &mut Followers,
        worst: &[(Key, Cost)],
        around: &impl Surroundings,
    ) {
        for (key, _) in worst.iter().take(question.worst) {
            let room = followers.is_closed() || followers.len() < question.worst;
            if room && !followers.has(key) {
                followers
                    .follow(session, around, &self.table, &self.targets, *key)
                    .await;
            }
        }
    }
}
