//! What a helper has said so far, taken in line by line. Pure: nothing here waits or asks.

use model::endpoint::Endpoint;
use model::event::Event;
use model::evidence::{Evidence, NetnsEvidence, NodeEvidence, Window};
use model::facts::{NetnsFacts, Phase, ProcessFacts};
use model::missing::{Known, Missing};
use model::protocol::{Hello, Reply};
use std::collections::BTreeSet;

/// Most events kept of one window: more are counted, not kept.
const EVENTS_MAX: usize = 200_000;

/// All that was said.
#[derive(Debug)]
pub struct Look {
    /// What the rules will read; always of one node.
    pub evidence: Evidence,
    /// Who the helper is.
    pub hello: Option<Hello>,
    /// Endpoints, in the order in which they were asked for.
    pub resolved: Vec<Known<Endpoint>>,
    /// Reads that are complete, by number.
    pub read: BTreeSet<u32>,
    /// The window that was armed last.
    pub armed: Option<u32>,
    /// The window that was opened last.
    pub going: Option<u32>,
    /// The window that was closed last.
    pub stopped: Option<u32>,
    /// Requests that could not be carried out, by name.
    pub failed: Vec<String>,
    /// The last line came.
    pub done: bool,
    /// The stream was cut.
    pub cut: bool,
    /// Counts what was taken in that can change a verdict.
    pub news: u64,
    unkept: usize,
}

impl Default for Look {
    fn default() -> Self {
        Self {
            evidence: Evidence {
                nodes: vec![NodeEvidence::default()],
                ..Evidence::default()
            },
            hello: None,
            resolved: Vec::new(),
            read: BTreeSet::new(),
            armed: None,
            going: None,
            stopped: None,
            failed: Vec::new(),
            done: false,
            cut: false,
            news: 0,
            unkept: 0,
        }
    }
}

impl Look {
    /// What the node brought.
    pub fn node(&mut self) -> &mut NodeEvidence {
        if self.evidence.nodes.is_empty() {
            self.evidence.nodes.push(NodeEvidence::default());
        }
        &mut self.evidence.nodes[0]
    }

    /// Takes in a word.
    pub fn take(&mut self, reply: Reply) {
        match reply {
            Reply::Hello(hello) => {
                let node = self.node();
                node.name.clone_from(&hello.node);
                node.kernel.clone_from(&hello.kernel);
                node.boot_id.clone_from(&hello.boot_id);
                self.hello = Some(hello);
            }
            Reply::Resolved(endpoint) => self.resolved.push(endpoint),
            Reply::Facts { name, phase, facts, .. } => self.facts(name, phase, facts),
            Reply::Process { phase, facts, .. } => self.process(phase, facts),
            Reply::Node {
                phase: Phase::Before,
                facts,
                ..
            } => self.node().before = facts,
            Reply::Node {
                phase: Phase::After,
                facts,
                ..
            } => self.node().after = facts,
            Reply::Read { id } => {
                self.read.insert(id);
            }
            Reply::Planned { flows, missing, .. } => {
                self.evidence.watched.extend(flows);
                self.evidence.missing.extend(missing);
            }
            Reply::Armed { id, probes } => {
                self.node().probes = probes;
                self.armed = Some(id);
            }
            Reply::Going { id, at_ns } => {
                // What is sent later belongs to the same window.
                if self.evidence.window.start_ns == 0 {
                    self.evidence.window.start_ns = at_ns;
                }
                self.going = Some(id);
            }
            Reply::Event(event) => self.event(event),
            Reply::Attempt(attempt) => {
                self.news += 1;
                let attempts = &mut self.evidence.attempts;
                // One may be said again: a DNS answer that came late belongs to a lookup that had ended.
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
                totals,
                bpf,
            } => {
                let node = self.node();
                node.events = events;
                node.lost = lost;
                node.totals = totals;
                node.bpf = bpf;
                self.evidence.window.end_ns = at_ns;
                self.stopped = Some(id);
                if self.unkept > 0 {
                    let what = format!("{} of {} events", self.unkept, self.unkept + EVENTS_MAX);
                    let missing = Missing::new(what, "one run keeps no more").remedy("look for a shorter time");
                    self.evidence.missing.push(missing);
                }
            }
            Reply::Alive => {}
            Reply::Failed { request, missing } => {
                self.failed.push(request);
                self.evidence.missing.push(missing);
            }
            Reply::Done { .. } => self.done = true,
        }
    }

    /// A request of this name could not be carried out.
    pub fn has_failed(&self, request: &str) -> bool {
        self.failed.iter().any(|failed| failed == request)
    }

    /// Takes in that there will be no more.
    pub fn cut(&mut self, missing: Missing) {
        self.cut = true;
        self.node().truncated.get_or_insert(missing);
    }

    /// Forgets a round that went well, to make room for the next.
    pub fn forget_round(&mut self) {
        self.evidence.attempts.clear();
        self.evidence.events.clear();
        self.evidence.watched.clear();
        self.evidence.window = Window::default();
        self.unkept = 0;
    }

    /// Events come from several rings, each in order: the place of one is at or near the end.
    fn event(&mut self, event: Event) {
        self.news += 1;
        let events = &mut self.evidence.events;
        if events.len() < EVENTS_MAX {
            let later = events
                .iter()
                .rev()
                .take_while(|other| other.at_ns > event.at_ns)
                .count();
            events.insert(events.len() - later, event);
        } else {
            self.unkept += 1;
        }
    }

    fn facts(&mut self, name: String, phase: Phase, facts: NetnsFacts) {
        let node = self.node().name.clone();
        let known = &mut self.evidence.netns;
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
            Phase::Before => netns.before = facts,
            Phase::After => netns.after = facts,
        }
    }

    fn process(&mut self, phase: Phase, facts: ProcessFacts) {
        let processes = &mut self.evidence.processes;
        match (processes.iter_mut().find(|(before, _)| before.pid == facts.pid), phase) {
            (Some((before, _)), Phase::Before) => *before = facts,
            (Some((_, after)), Phase::After) => *after = Some(facts),
            (None, _) => processes.push((facts, None)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Look;
    use model::facts::{NetnsFacts, Phase};
    use model::protocol::Reply;

    #[test]
    fn a_namespace_is_one_before_and_after() {
        let mut look = Look::default();
        for phase in [Phase::Before, Phase::After] {
            look.take(Reply::Facts {
                id: 1,
                name: "netns/a".into(),
                phase,
                facts: NetnsFacts {
                    netns: 7,
                    at_ns: 1 + phase as u64,
                    ..NetnsFacts::default()
                },
            });
        }
        let [netns] = &look.evidence.netns[..] else {
            panic!("{:?}", look.evidence.netns)
        };
        assert_eq!(
            (netns.name.as_str(), netns.before.at_ns, netns.after.at_ns),
            ("netns/a", 1, 2)
        );
    }

    #[test]
    fn events_of_several_probes_stand_in_time_order() {
        let mut look = Look::default();
        for at_ns in [5, 9, 7, 1, 9] {
            let said = format!(
                r#"{{"event":{{"at_ns":{at_ns},"probe":"drop","netns":0,"seen":{{"what":"retransmit-syn-ack"}},
                    "flow":{{"src":"::","sport":0,"dst":"::","dport":0,"protocol":"tcp"}}}}}}"#
            );
            look.take(serde_json::from_str(&said).unwrap());
        }
        let times: Vec<u64> = look.evidence.events.iter().map(|event| event.at_ns).collect();
        assert_eq!(times, [1, 5, 7, 9, 9]);
    }
}
