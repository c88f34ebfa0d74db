//! Lookups as a target's resolver makes them: the queries for one name with its search list, put together from messages.

use super::key::{Cost, TargetRole};
use model::attempt::{Attempt, DnsExchange, DnsLookup, Outcome};
use model::endpoint::Endpoint;
use model::errno::Errno;
use model::event::{Event, Seen};
use model::flow::Flow;
use std::collections::VecDeque;
use std::net::IpAddr;

/// A resolver goes on with the next name of its search list within this time of an answer.
const NEXT_NAME_NS: u64 = 1_500_000_000;
/// A resolver that gets no answer asks again, or gives up, within this time (resolv.conf(5): five seconds, unless told otherwise).
const PATIENCE_NS: u64 = 5_500_000_000;
/// The time within which one message is seen at two devices of one namespace.
const SAME_MESSAGE_NS: u64 = 1_000_000;
/// Lookups that are waited for at once, of all targets.
const OPEN_MAX: usize = 1_024;
/// Above this a lookup is slow, unless the user says otherwise; the rules decide about the limit that was set.
const SLOW_NS: u64 = 1_000_000_000;

/// Answers whose loss is told before they are.
const EARLY_MAX: usize = 256;
/// Events of one probe may come so much later than those of another.
const OUT_OF_ORDER_NS: u64 = 500_000_000;

const ECONNREFUSED: u16 = 111;

/// One lookup.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ObservedLookup {
    /// Which end the target is.
    pub role: TargetRole,
    /// The name without the search list's domain, as far as that can be told.
    pub name: String,
    /// When its first query was sent or arrived.
    pub started_ns: u64,
    /// When something of it was seen last.
    pub last_ns: u64,
    /// Its queries in order.
    pub queries: Vec<DnsExchange>,
    /// For each query, the packet that its answer came in.
    packets: Vec<u64>,
}

impl ObservedLookup {
    /// The tuple of its first query.
    #[must_use]
    pub fn flow(&self) -> Option<Flow> {
        self.queries.first().map(|query| query.flow)
    }

    /// An address was found; where the target answers, an answer left.
    #[must_use]
    pub fn found(&self) -> bool {
        match self.role {
            TargetRole::Client => self.queries.iter().any(|query| query.answers > 0),
            TargetRole::Server => self.queries.iter().all(|query| query.rcode.is_some()),
        }
    }

    /// It found something, soon, and every query was answered.
    #[must_use]
    pub fn is_well(&self) -> bool {
        let refused = |query: &DnsExchange| matches!(query.rcode.as_deref(), Some("SERVFAIL" | "REFUSED"));
        self.found()
            && self.cost() == Cost::default()
            && !(self.role == TargetRole::Server && self.queries.iter().any(refused))
    }

    /// What it has cost.
    #[must_use]
    pub fn cost(&self) -> Cost {
        let silent = |query: &&DnsExchange| query.rcode.is_none() && query.errno.is_none();
        let unanswered = self.queries.iter().filter(silent).count();
        let took_ns = self.last_ns.saturating_sub(self.started_ns);
        let late = took_ns > SLOW_NS || unanswered > 0;
        Cost {
            failed: u32::from(!self.found()),
            lost: unanswered as u32,
            waited_ns: if late { took_ns } else { 0 },
        }
    }

    /// How long the answers took that came.
    pub fn answered_after_ns(&self) -> impl Iterator<Item = u64> + '_ {
        self.queries.iter().filter_map(|query| query.latency_ns)
    }

    /// It as an attempt, as if it had been made to find out.
    #[must_use]
    pub fn attempt(&self, id: u32) -> Attempt {
        let found = self.queries.iter().find(|query| query.answers > 0);
        let rcode = self.queries.iter().rev().find_map(|query| query.rcode.clone());
        let unanswered = self.queries.iter().any(|query| query.rcode.is_none());
        let outcome = match rcode {
            _ if self.found() => Outcome::Ok,
            Some(rcode) if !unanswered => Outcome::Error {
                during: "lookup".into(),
                errno: Errno {
                    number: 0,
                    name: if rcode == "NOERROR" { "NODATA".to_owned() } else { rcode },
                },
            },
            _ => Outcome::TimedOut { during: "read".into() },
        };
        Attempt {
            id,
            kind: "dns".to_owned(),
            flow: self.flow().unwrap_or_default(),
            started_ns: self.started_ns,
            took_ns: self.last_ns.saturating_sub(self.started_ns),
            outcome,
            first_answer_ns: self
                .queries
                .iter()
                .find_map(|query| Some(query.sent_ns + query.latency_ns?)),
            dns: Some(DnsLookup {
                name: self.name.clone(),
                queries: self.queries.clone(),
                found: found.map(|query| query.name.clone()),
                ..DnsLookup::default()
            }),
            ..Attempt::default()
        }
    }

    /// Nobody waits for longer.
    #[must_use]
    pub fn has_waited_long(&self, now_ns: u64) -> bool {
        let refused = self.queries.iter().all(|query| query.errno.is_some());
        self.found() || refused || now_ns.saturating_sub(self.started_ns) >= PATIENCE_NS
    }

    fn is_over(&self, now_ns: u64) -> bool {
        let answered = |query: &DnsExchange| query.rcode.is_some() || query.errno.is_some();
        let all_answered = self.queries.iter().all(answered);
        let quiet_ns = now_ns.saturating_sub(self.last_ns);
        // A resolver asks for both families at once; the second question may not have been seen yet. And that an answer was lost after
        // it was met is told by another probe.
        match (all_answered, self.found()) {
            (true, true) => quiet_ns > OUT_OF_ORDER_NS,
            (true, false) => quiet_ns > NEXT_NAME_NS,
            (false, _) => quiet_ns > PATIENCE_NS,
        }
    }
}

/// Lookups whose end is waited for.
#[derive(Debug, Default)]
pub struct Lookups {
    targets: Vec<LookupEnd>,
    open: Vec<(usize, ObservedLookup)>,
    /// Packets that were dropped before the answer in them was told: the tuple, the packet, and when it was dropped.
    early: VecDeque<(Flow, u64, u64)>,
}

#[derive(Debug)]
struct LookupEnd {
    netns: u32,
    addresses: Vec<IpAddr>,
    search: Vec<String>,
}

impl Lookups {
    /// The lookups of these targets; none yet.
    pub fn of(targets: &[Endpoint]) -> Self {
        let end = |target: &Endpoint| LookupEnd {
            netns: target.netns.unwrap_or_default(),
            addresses: target.addresses.clone(),
            search: target
                .resolv
                .ok()
                .map(|resolv| resolv.search.clone())
                .unwrap_or_default(),
        };
        Self {
            targets: targets.iter().map(end).collect(),
            open: Vec::new(),
            early: VecDeque::new(),
        }
    }

    /// Takes in a message that was met in a target's namespace. Tells the lookups that have come to their end.
    pub fn take(&mut self, event: &Event) -> Vec<(usize, ObservedLookup)> {
        let mut over = Vec::new();
        if let Some(target) = self.targets.iter().position(|target| target.netns == event.netns) {
            over = self.over(target, event.at_ns);
            match &event.seen {
                Seen::DnsQuery { id, name, qtype } => self.query(target, event, (*id, name, qtype)),
                Seen::DnsAnswer {
                    id,
                    rcode,
                    answers,
                    truncated,
                    ..
                } => {
                    let was_lost = self.was_lost(event);
                    if let Some((lookup, query)) = self.waiting(target, event.flow.reversed(), *id) {
                        let sent_ns = lookup.started_ns + lookup.queries[query].sent_ns;
                        if lookup.queries[query].rcode.is_some() {
                            // The first one counts.
                            return over;
                        }
                        lookup.packets[query] = event.skb;
                        lookup.last_ns = event.at_ns;
                        if was_lost {
                            return over;
                        }
                        let query = &mut lookup.queries[query];
                        query.latency_ns = Some(event.at_ns.saturating_sub(sent_ns));
                        query.rcode = Some(rcode.clone());
                        (query.answers, query.truncated) = (*answers, *truncated);
                    }
                }
                _ => {}
            }
        }
        over
    }

    /// A query or an answer was dropped on its way. An answer that `nobody` waits for any more came too late.
    pub fn lose(&mut self, event: &Event, nobody: bool) {
        for flow in [event.flow, event.flow.reversed()] {
            let is_answer = flow != event.flow;
            let found = self.open.iter_mut().rev().find_map(|(_, lookup)| {
                let at = lookup.queries.iter().rposition(|query| query.flow == flow)?;
                Some((lookup, at))
            });
            let Some((lookup, at)) = found else { continue };
            if is_answer && lookup.packets[at] != event.skb {
                // A second answer, which nobody waits for; or the first one, which is not told yet.
                break;
            }
            let query = &mut lookup.queries[at];
            query.late_ns = query.latency_ns.filter(|_| nobody && is_answer);
            (query.rcode, query.latency_ns, query.answers) = (None, None, 0);
            // Nothing listens where it was asked.
            if nobody && !is_answer {
                query.errno = Some(Errno::of(ECONNREFUSED));
            }
            return;
        }
        if !nobody && event.skb != 0 {
            self.early.truncate(EARLY_MAX - 1);
            self.early.push_front((event.flow, event.skb, event.at_ns));
        }
    }

    /// The packet of this answer was dropped, as was told before.
    fn was_lost(&self, answer: &Event) -> bool {
        let dropped = answer.at_ns..answer.at_ns.saturating_add(OUT_OF_ORDER_NS);
        let mut early = self.early.iter();
        early.any(|(flow, skb, at_ns)| (*flow, *skb) == (answer.flow, answer.skb) && dropped.contains(at_ns))
    }

    /// All that are left, where the window has closed.
    pub fn close(&mut self, until_ns: impl Fn(usize) -> u64) -> Vec<(usize, ObservedLookup)> {
        let mut rest = std::mem::take(&mut self.open);
        for (target, lookup) in &mut rest {
            let now_ns = until_ns(*target);
            if !lookup.found() {
                lookup.last_ns = lookup.last_ns.max(now_ns.min(lookup.last_ns + PATIENCE_NS));
            }
        }
        // What was asked at the very end may still be answered.
        rest.retain(|(target, lookup)| {
            let now_ns = until_ns(*target);
            lookup.has_waited_long(now_ns) || now_ns.saturating_sub(lookup.started_ns) > SLOW_NS
        });
        rest
    }

    /// Lookups whose resolver has waited for an answer for too long by now: their first query, and how long.
    pub fn waiting_long(
        &self,
        until_ns: impl Fn(usize) -> u64,
    ) -> impl Iterator<Item = (usize, TargetRole, Flow, u64)> {
        self.open.iter().filter_map(move |(target, lookup)| {
            let silent = |query: &&DnsExchange| query.rcode.is_none() && query.errno.is_none();
            let query = lookup.queries.iter().find(silent)?;
            let waited_ns = until_ns(*target).saturating_sub(lookup.started_ns + query.sent_ns);
            (waited_ns > SLOW_NS).then_some((*target, lookup.role, query.flow, waited_ns))
        })
    }

    /// Those of this target that have come to their end by its node's clock; where there are too many, also the oldest of all that
    /// were answered.
    fn over(&mut self, target: usize, now_ns: u64) -> Vec<(usize, ObservedLookup)> {
        let mut surplus = self.open.len().saturating_sub(OPEN_MAX / 2);
        let (over, open) = std::mem::take(&mut self.open).into_iter().partition(|(of, lookup)| {
            let is_well = surplus > 0 && lookup.is_well();
            surplus -= usize::from(is_well);
            is_well || (*of == target && lookup.is_over(now_ns))
        });
        self.open = open;
        over
    }

    fn query(&mut self, target: usize, event: &Event, (id, name, qtype): (u16, &str, &str)) {
        if !matches!(qtype, "A" | "AAAA") {
            return;
        }
        if let Some((lookup, query)) = self.waiting(target, event.flow, id) {
            // Met at a second device, or sent again.
            let sent_ns = lookup.started_ns + lookup.queries[query].sent_ns;
            if event.at_ns.saturating_sub(sent_ns) > SAME_MESSAGE_NS {
                lookup.last_ns = event.at_ns;
            }
            return;
        }
        let end = &self.targets[target];
        let role = if end.addresses.contains(&event.flow.dst()) {
            TargetRole::Server
        } else if end.addresses.contains(&event.flow.src()) || event.flow.src().is_loopback() {
            TargetRole::Client
        } else {
            // It only passes through.
            return;
        };
        let asked = match role {
            TargetRole::Client => without_domain(name, &end.search),
            TargetRole::Server => name,
        };
        let same = |lookup: &ObservedLookup| {
            let same_client =
                role == TargetRole::Client || lookup.flow().is_some_and(|flow| flow.src() == event.flow.src());
            // The same question from another port, or once it is answered, is another lookup.
            let again = |query: &DnsExchange| {
                query.name.eq_ignore_ascii_case(name)
                    && query.qtype == qtype
                    && query.flow.dst() == event.flow.dst()
                    && (query.flow.sport != event.flow.sport || (query.id != id && query.rcode.is_some()))
            };
            lookup.role == role
                && same_client
                && lookup.name.eq_ignore_ascii_case(asked)
                && !lookup.queries.iter().any(again)
        };
        // The next server may be asked under the same id.
        let goes_on = |lookup: &ObservedLookup| {
            let same_id =
                |query: &DnsExchange| query.id == id && query.qtype == qtype && query.flow.dst() != event.flow.dst();
            lookup.queries.iter().any(same_id)
        };
        let open = || self.open.iter().map(|(own, lookup)| *own == target && same(lookup));
        let continued = open()
            .zip(&self.open)
            .rposition(|(fits, (_, lookup))| fits && goes_on(lookup));
        // Else who has waited longest for an answer asks the next one.
        let waiting = open()
            .zip(&self.open)
            .position(|(fits, (_, lookup))| fits && !lookup.found());
        let known = continued.or(waiting).or_else(|| open().rposition(|fits| fits));
        let at = known.unwrap_or_else(|| {
            if self.open.len() >= OPEN_MAX {
                self.open.remove(0);
            }
            self.open.push((
                target,
                ObservedLookup {
                    role,
                    name: asked.to_owned(),
                    started_ns: event.at_ns,
                    ..ObservedLookup::default()
                },
            ));
            self.open.len() - 1
        });
        let lookup = &mut self.open[at].1;
        lookup.last_ns = event.at_ns;
        lookup.packets.push(0);
        lookup.queries.push(DnsExchange {
            flow: event.flow,
            id,
            name: name.to_owned(),
            qtype: qtype.to_owned(),
            sent_ns: event.at_ns.saturating_sub(lookup.started_ns),
            ..DnsExchange::default()
        });
    }

    /// The open lookup and query of a message.
    fn waiting(&mut self, target: usize, flow: Flow, id: u16) -> Option<(&mut ObservedLookup, usize)> {
        let of_target = self.open.iter_mut().filter(|(own, _)| *own == target);
        of_target.map(|(_, lookup)| lookup).find_map(|lookup| {
            let is_it = |query: &DnsExchange| query.id == id && query.flow == flow;
            let query = lookup.queries.iter().rposition(is_it)?;
            Some((lookup, query))
        })
    }
}

/// A name without the longest domain of the search list that it ends with.
fn without_domain<'a>(name: &'a str, search: &[String]) -> &'a str {
    let bare = |domain: &String| {
        let domain = domain.trim_matches('.');
        let length = name.len().checked_sub(domain.len() + 1)?;
        let is_it = name.is_char_boundary(length)
            && name[length..].starts_with('.')
            && name[length + 1..].eq_ignore_ascii_case(domain);
        (is_it && length > 0).then(|| &name[..length])
    };
    search
        .iter()
        .filter_map(bare)
        .min_by_key(|bare| bare.len())
        .unwrap_or(name)
}
