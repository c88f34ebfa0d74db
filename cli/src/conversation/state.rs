//! The state of the conversations: what the replies of all helpers have come to so far, applied one by one. Pure: nothing here
//! waits or asks.

use super::event_buffer::EventBuffer;
use super::helper_conversation::HelperConversation;
use super::kernels::Kernels;
use super::numbers::Numbers;
use super::retention::RetainedBytes;
use model::endpoint::Endpoint;
use model::event::Event;
use model::evidence::{Evidence, NetnsEvidence, NodeEvidence, Window};
use model::facts::{NetnsFacts, Phase, ProcessFacts};
use model::missing::{Known, Missing};
use model::protocol::{Hello, ProbeStatus, Reply};
use std::collections::BTreeSet;
use std::time::Duration;

/// Namespaces and processes that are kept, at most: a client asks for fewer.
const NETNS_MAX: usize = 256;
const PROCESSES_MAX: usize = 4_096;
/// Requests whose answer is remembered: the latest.
const ANSWERS_MAX: usize = 1_024;

/// What all replies so far have come to.
#[derive(Debug)]
pub struct ConversationState {
    /// What the rules will read.
    pub evidence: Evidence,
    /// How far the conversation with each node is, in the order of the evidence's nodes.
    pub nodes: Vec<HelperConversation>,
    /// What the destination may be translated to, as far as it is known.
    pub backends: Vec<Endpoint>,
    /// Ports whose listeners are looked for beside those of the destination and its backends.
    pub further_ports: Vec<u16>,
    /// Which namespaces and events are whose.
    pub kernels: Kernels,
    /// Numbers over time.
    pub numbers: Numbers,
    /// Counts what was taken in that can change a verdict.
    pub news: u64,
    /// What is kept of all but events, in bytes.
    kept: RetainedBytes,
    /// How the events of the evidence are kept.
    events: EventBuffer,
}

impl ConversationState {
    /// Without any reply yet, for these nodes. A node without a name gets the one that its helper gives.
    pub fn of(names: impl IntoIterator<Item = String>) -> Self {
        let silent = |name| NodeEvidence {
            name,
            ..NodeEvidence::default()
        };
        let nodes: Vec<NodeEvidence> = names.into_iter().map(silent).collect();
        Self {
            kernels: Kernels::of(nodes.len()),
            nodes: nodes
                .iter()
                .map(|node| HelperConversation {
                    named: !node.name.is_empty(),
                    ..HelperConversation::default()
                })
                .collect(),
            evidence: Evidence {
                nodes,
                ..Evidence::default()
            },
            backends: Vec::new(),
            further_ports: Vec::new(),
            numbers: Numbers::default(),
            news: 0,
            kept: RetainedBytes::default(),
            events: EventBuffer::default(),
        }
    }

    /// One more node, whose helper is about to greet. Its place.
    pub fn join(&mut self, name: String) -> usize {
        self.kernels.join();
        self.nodes.push(HelperConversation {
            named: true,
            joined: true,
            ..HelperConversation::default()
        });
        self.evidence.nodes.push(NodeEvidence {
            name,
            ..NodeEvidence::default()
        });
        self.nodes.len() - 1
    }

    /// Every node fulfils it or has gone, and at least one fulfils it.
    pub fn all(&self, holds: impl Fn(&HelperConversation) -> bool) -> bool {
        self.nodes.iter().all(|node| holds(node) || node.over()) && self.nodes.iter().any(holds)
    }

    /// No further reply will come from any node.
    pub fn over(&self) -> bool {
        self.nodes.iter().all(HelperConversation::over)
    }

    /// Applies a reply of a node, which takes about so many bytes of memory. A node that sends too much is cut off.
    pub fn take(&mut self, node: usize, reply: Reply, bytes: usize) {
        if let Some(helper) = self.nodes.get_mut(node) {
            helper.taken += 1;
        }
        if let Err(why) = self.kept.make_room(node, &reply, bytes) {
            self.cut(node, the_rest(why).remedy("look at fewer ends at once"));
            return;
        }
        let reply = self.kernels.inward(node, reply);
        let (Some(helper), Some(brought)) = (self.nodes.get_mut(node), self.evidence.nodes.get_mut(node)) else {
            return;
        };
        match reply {
            Reply::Hello(hello) => {
                if brought.name.is_empty() {
                    brought.name.clone_from(&hello.node);
                }
                brought.kernel.clone_from(&hello.kernel);
                brought.boot_id.clone_from(&hello.boot_id);
                helper.hello = Some(hello);
                self.settle_kernels();
            }
            Reply::Resolved(mut endpoint) => {
                if let Known::Known(endpoint) = &mut endpoint
                    && !endpoint.node.is_empty()
                {
                    endpoint.node.clone_from(&brought.name);
                    endpoint
                        .netns
                        .into_iter()
                        .for_each(|netns| self.kernels.claim(node, netns));
                }
                helper.resolved.push_back(endpoint);
            }
            Reply::Facts { name, phase, facts, .. } => self.facts(node, name, phase, facts),
            Reply::Process { phase, mut facts, .. } => {
                facts.node.clone_from(&brought.name);
                self.process(node, phase, facts);
            }
            Reply::Node {
                phase: Phase::Before,
                facts,
                ..
            } => brought.before = facts,
            Reply::Node {
                phase: Phase::After,
                facts,
                ..
            } => brought.after = facts,
            Reply::Read { id } => remember(&mut helper.read, id),
            Reply::Planned { id, flows, missing } => {
                remember(&mut helper.planned, id);
                self.evidence.watched.extend(flows);
                self.miss(node, missing);
            }
            Reply::Armed { id, probes } => {
                let anew = |known: &ProbeStatus| !probes.iter().any(|probe| probe.name == known.name);
                brought.probes.retain(anew);
                brought.probes.extend(probes);
                helper.armed = Some(id);
            }
            Reply::Going { id, at_ns } => {
                helper.going = Some(id);
                let opened = &mut brought.window.start_ns;
                *opened = if *opened == 0 { at_ns } else { at_ns.min(*opened) };
                helper.open.insert(id);
                // What is sent later belongs to the same window, and so does what another node sees.
                let start = &mut self.evidence.window.start_ns;
                if *start == 0 || at_ns < *start {
                    *start = at_ns;
                }
            }
            Reply::Event(mut event) if self.kernels.keeps(node, &event) => {
                if self.nodes.len() > 1 {
                    event.node.clone_from(&self.evidence.nodes[node].name);
                }
                self.event(event, bytes);
            }
            Reply::Event(_) => helper.foreign_events += 1,
            Reply::Describe(series) => self.numbers.describe(node, series),
            Reply::Series(sample) => {
                self.news += 1;
                if let Err(why) = self.numbers.take(node, sample) {
                    self.cut(node, the_rest(why));
                }
            }
            Reply::Round(round) => self.numbers.end_round(node, round),
            Reply::Attempt(attempt) => {
                self.news += 1;
                let attempts = &mut self.evidence.attempts;
                // One may be reported again: a DNS answer that came late belongs to a lookup that had ended.
                match attempts.iter_mut().find(|known| known.id == attempt.id) {
                    Some(known) => *known = attempt,
                    None => attempts.push(attempt),
                }
            }
            Reply::Stopped {
                id,
                at_ns,
                events,
                lost,
                mut totals,
                bpf,
            } => {
                totals.retain(|total| self.kernels.reports(node, total.netns));
                helper.told_events.insert(id, events);
                let told: u64 = helper.told_events.values().sum();
                brought.events = told.saturating_sub(helper.foreign_events);
                // Of several windows each has probes of its own.
                brought
                    .lost
                    .retain(|known| !lost.iter().any(|new| new.probe == known.probe));
                brought.lost.extend(lost);
                brought
                    .totals
                    .retain(|known| !totals.iter().any(|new| new.probe == known.probe));
                brought.totals.extend(totals);
                helper.costs.extend(bpf.map(|cost| (id, cost)));
                brought.bpf = (!helper.costs.is_empty()).then(|| helper.costs.values().copied().sum());
                helper.stopped = Some(id);
                brought.window.end_ns = at_ns.max(brought.window.end_ns);
                helper.open.remove(&id);
                let end = &mut self.evidence.window.end_ns;
                *end = at_ns.max(*end);
                self.report_unkept();
            }
            Reply::Alive => {}
            Reply::Failed { request, missing } => {
                helper.failed.push(request);
                self.miss(node, vec![missing]);
            }
            Reply::Done { skipped, exit, why, .. } => {
                helper.done = true;
                let (asked, is_open) = (helper.dismissed, !helper.open.is_empty());
                if skipped > 0 {
                    let why = "the helper did not understand them";
                    let requests = Missing::new(format!("the answers to {skipped} requests"), why);
                    self.miss(node, vec![requests.remedy("use the helper built with this client")]);
                }
                let unasked = || the_rest("the helper ended although nobody asked it to");
                let failed = || the_rest(format!("the helper ended with exit code {exit}"));
                let open = || the_rest("the helper ended and had not closed its window");
                let cut = why
                    .or_else(|| (!asked).then(unasked))
                    .or_else(|| (exit != 0).then(failed))
                    .or_else(|| is_open.then(open));
                if let Some(missing) = cut {
                    self.cut(node, missing);
                }
            }
        }
    }

    /// Notes that no further reply of a node will come or be taken.
    pub fn cut(&mut self, node: usize, mut missing: Missing) {
        let several = self.nodes.len() > 1;
        if let (Some(helper), Some(brought)) = (self.nodes.get_mut(node), self.evidence.nodes.get_mut(node)) {
            helper.cut = true;
            if several && !missing.what.contains(&brought.name) {
                missing.what = format!("{} on {}", missing.what, brought.name);
            }
            brought.truncated.get_or_insert(missing);
        }
    }

    /// Nodes of which the totals are not known, as the helper did not close its window or did not live to do it.
    pub fn without_totals(&self) -> impl Iterator<Item = &str> {
        let nodes = self.evidence.nodes.iter().zip(&self.nodes);
        nodes
            .filter(|(_, helper)| !helper.open.is_empty())
            .map(|(node, _)| node.name.as_str())
    }

    /// All that was not seen of what was asked for.
    pub fn gaps(&self) -> impl Iterator<Item = &Missing> {
        let cuts = self.evidence.nodes.iter().filter_map(|node| node.truncated.as_ref());
        cuts.chain(&self.evidence.missing)
    }

    /// All was seen of what was asked for.
    pub fn is_whole(&self) -> bool {
        self.gaps().next().is_none()
    }

    /// Why nothing more came: of the first node that was cut.
    pub fn why_cut(&self) -> Option<&Missing> {
        self.evidence.nodes.iter().find_map(|node| node.truncated.as_ref())
    }

    /// The node of that name.
    pub fn named(&self, name: &str) -> Option<usize> {
        self.evidence.nodes.iter().position(|node| node.name == name)
    }

    /// The node that looks into this namespace; `None` for one that is nobody's.
    pub fn home(&self, netns: u32) -> Option<usize> {
        if self.nodes.len() == 1 {
            return Some(0);
        }
        self.kernels.owner(netns).or_else(|| {
            // What was found through an interface of a namespace lives where that one does. Of a kernel that nodes share, it
            // may as well lie between them.
            let leads = |known: &&NetnsEvidence| {
                let links = known.before.links.ok().into_iter().flatten();
                links
                    .filter_map(|link| link.peer.as_ref())
                    .any(|peer| peer.netns == Some(netns))
            };
            let node = self.named(&self.evidence.netns.iter().find(leads)?.node)?;
            (!self.kernels.shared(node)).then_some(node)
        })
    }

    /// Which kernels there are, as far as the helpers have greeted.
    fn settle_kernels(&mut self) {
        let hellos: Vec<Option<&Hello>> = self.nodes.iter().map(|node| node.hello.as_ref()).collect();
        self.kernels.settle(&hellos);
        for (node, (hello, brought)) in hellos.into_iter().zip(&mut self.evidence.nodes).enumerate() {
            brought.host_netns = hello.map_or(0, |hello| self.kernels.netns(node, hello.netns));
        }
    }

    /// What the site calls what lives in this namespace.
    fn name_of(&self, node: usize, netns: u32) -> Option<String> {
        let brought = self.evidence.nodes.get(node).filter(|_| self.nodes[node].named)?;
        if netns == brought.host_netns {
            return Some(brought.name.clone());
        }
        let ends = [&self.evidence.source, &self.evidence.destination];
        let mut ends = ends.into_iter().chain(&self.backends);
        let end = ends.find(|end| end.netns == Some(netns) && !end.name.is_empty())?;
        Some(end.name.clone())
    }

    /// Notes what could not be seen, on which node where there are several.
    pub fn miss(&mut self, node: usize, missing: Vec<Missing>) {
        let several = self.nodes.len() > 1;
        let name = self.evidence.nodes.get(node).map(|node| node.name.clone());
        self.evidence.missing.extend(missing.into_iter().map(|missing| Missing {
            node: missing.node.or_else(|| name.clone().filter(|_| several)),
            ..missing
        }));
    }

    /// A window was not closed in time: what it came to is not known.
    pub fn not_closed(&mut self, node: usize) {
        let what = "what was lost, and the totals";
        let missing = Missing::new(what, "the helper did not answer when the window closed");
        self.miss(
            node,
            vec![missing.remedy("run it again; with -v the helper's own messages are shown")],
        );
        self.report_unkept();
    }

    /// It was told to go and did not say its last word within this time: more may have been on its way.
    pub fn not_ended(&mut self, node: usize, within: Duration) {
        let why = format!(
            "the helper did not say its last word within {} s of being told to go",
            within.as_secs()
        );
        let rest = the_rest(why);
        self.cut(
            node,
            rest.remedy("run it again; with -v the helper's own messages are shown"),
        );
    }

    fn report_unkept(&mut self) {
        let missing = self.events.unkept(self.evidence.events.len());
        self.evidence.missing.extend(missing);
    }

    /// Forgets what was read in windows that are closed: the next ones read by other probes.
    pub fn forget_readings(&mut self) {
        self.numbers.forget();
        for node in &mut self.evidence.nodes {
            node.probes.clear();
            node.totals.clear();
        }
    }

    /// Forgets a round that went well, to make room for the next.
    pub fn forget_round(&mut self) {
        self.evidence.attempts.clear();
        self.evidence.events.clear();
        self.evidence.watched.clear();
        self.evidence.window = Window::default();
        for node in &mut self.evidence.nodes {
            node.window = Window::default();
            (node.lost, node.totals) = (Vec::new(), Vec::new());
        }
        for helper in &mut self.nodes {
            helper.told_events.clear();
            helper.costs.clear();
        }
        self.events.forget();
        self.kept.forget_round();
    }

    /// Lets the first events go, in time order.
    pub fn let_go(&mut self, count: usize) -> Vec<Event> {
        self.events.let_go(&mut self.evidence.events, count)
    }

    /// Puts events in time order; to be called before they are read.
    pub fn order(&mut self) {
        self.events.order(&mut self.evidence.events);
    }

    fn event(&mut self, event: Event, bytes: usize) {
        self.news += 1;
        self.events.insert(&mut self.evidence.events, event, bytes);
    }

    fn facts(&mut self, node: usize, name: String, phase: Phase, facts: NetnsFacts) {
        self.kernels.claim(node, facts.netns);
        let name = self.name_of(node, facts.netns).unwrap_or(name);
        let index_of = node;
        let node = self.evidence.nodes[node].name.clone();
        let known = &mut self.evidence.netns;
        if known.len() >= NETNS_MAX && !known.iter().any(|netns| netns.id == facts.netns) {
            let why = format!("the helper tells of more than {NETNS_MAX} network namespaces");
            return self.cut(index_of, the_rest(why));
        }
        let index = known
            .iter()
            .position(|netns| netns.id == facts.netns)
            .unwrap_or_else(|| {
                known.push(NetnsEvidence {
                    id: facts.netns,
                    node,
                    ..NetnsEvidence::default()
                });
                known.len() - 1
            });
        let netns = &mut known[index];
        if !name.is_empty() {
            netns.name = name;
        }
        match phase {
            Phase::Before => netns.before.update(facts),
            Phase::After => netns.after = facts,
        }
    }

    fn process(&mut self, node: usize, phase: Phase, facts: ProcessFacts) {
        let processes = &mut self.evidence.processes;
        let room = processes.len() < PROCESSES_MAX;
        let same = |before: &ProcessFacts| before.pid == facts.pid && before.node == facts.node;
        match (processes.iter_mut().find(|(before, _)| same(before)), phase) {
            (Some((before, _)), Phase::Before) => *before = facts,
            (Some((_, after)), Phase::After) => *after = Some(facts),
            (None, _) if room => processes.push((facts, None)),
            (None, _) => {
                let why = format!("the helper tells of more than {PROCESSES_MAX} processes");
                self.cut(node, the_rest(why));
            }
        }
    }
}

/// What is missing of a helper of which no more is taken.
fn the_rest(why: impl Into<String>) -> Missing {
    Missing::new("the rest of what the helper saw", why)
}

/// Nobody waits for the answer to a request of long ago.
fn remember(answers: &mut BTreeSet<u32>, id: u32) {
    answers.insert(id);
    if answers.len() > ANSWERS_MAX {
        answers.pop_first();
    }
}

#[cfg(test)]
mod tests {
    use super::ConversationState;
    use model::facts::{NetnsFacts, Phase};
    use model::protocol::{Hello, Reply};

    #[test]
    fn a_namespace_is_one_before_and_after() {
        let mut state = ConversationState::of([String::new()]);
        for phase in [Phase::Before, Phase::After] {
            state.take(
                0,
                Reply::Facts {
                    id: 1,
                    name: "netns/a".into(),
                    phase,
                    facts: NetnsFacts {
                        netns: 7,
                        at_ns: 1 + phase as u64,
                        ..NetnsFacts::default()
                    },
                },
                0,
            );
        }
        let [netns] = &state.evidence.netns[..] else {
            panic!("{:?}", state.evidence.netns)
        };
        assert_eq!(
            (netns.name.as_str(), netns.before.at_ns, netns.after.at_ns),
            ("netns/a", 1, 2)
        );
    }

    #[test]
    fn of_several_nodes_each_event_tells_its_own() {
        let mut state = ConversationState::of(["n1".to_owned(), "n2".to_owned()]);
        for (node, boot) in [(0, "one"), (1, "two")] {
            let hello = Hello {
                boot_id: boot.into(),
                ..Hello::default()
            };
            state.take(node, Reply::Hello(hello), 0);
        }
        let said = r#"{"event":{"at_ns":600,"probe":"drop","netns":0,"seen":{"what":"retransmit-syn-ack"},
            "flow":{"src":"::","sport":0,"dst":"::","dport":0,"protocol":"tcp"}}}"#;
        state.take(1, serde_json::from_str(said).unwrap(), 0);
        let nodes: Vec<&str> = state.evidence.events.iter().map(|event| event.node.as_str()).collect();
        assert_eq!(nodes, ["n2"]);
    }

    #[test]
    fn events_of_several_probes_stand_in_time_order() {
        let mut state = ConversationState::of([String::new()]);
        for at_ns in [5, 9, 7, 1, 9] {
            let said = format!(
                r#"{{"event":{{"at_ns":{at_ns},"probe":"drop","netns":0,"seen":{{"what":"retransmit-syn-ack"}},
                    "flow":{{"src":"::","sport":0,"dst":"::","dport":0,"protocol":"tcp"}}}}}}"#
            );
            state.take(0, serde_json::from_str(&said).unwrap(), 0);
        }
        let times: Vec<u64> = state.evidence.events.iter().map(|event| event.at_ns).collect();
        assert_eq!(times, [1, 5, 7, 9, 9]);
    }

    #[test]
    fn a_node_that_is_heard_late_is_put_in_order_too() {
        let mut state = ConversationState::of([String::new()]);
        for at_ns in (1_000..2_000).chain(500..1_500) {
            let said = format!(
                r#"{{"event":{{"at_ns":{at_ns},"probe":"drop","netns":0,"seen":{{"what":"retransmit-syn-ack"}},
                    "flow":{{"src":"::","sport":0,"dst":"::","dport":0,"protocol":"tcp"}}}}}}"#
            );
            state.take(0, serde_json::from_str(&said).unwrap(), 0);
        }
        state.order();
        assert!(state.evidence.events.is_sorted_by_key(|event| event.at_ns));
        assert_eq!(state.evidence.events.len(), 2_000);
    }
}
