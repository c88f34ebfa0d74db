//! The window in which attempts are sent and watched: ports are reserved, probes armed and the window opened; it ends when
//! everything was answered, the rules need no more, or time is up.

use super::flow_forms;
use super::later_attempts;
use super::translated_target;
use super::tunnel_way;
use crate::conversation::helper_conversation::HelperConversation;
use crate::conversation::session::{STEP, Session, WaitEnd};
use crate::conversation::state::ConversationState;
use crate::inquiry::attempt_plan;
use crate::inquiry::question::DiagnosisQuestion;
use model::attempt::{AttemptSpec, Outcome, Sending, WatchedFlow};
use model::evidence::{Evidence, Intent, NetnsEvidence};
use model::flow::{self, Flow};
use model::missing::Missing;
use model::numbers;
use model::protocol::{Filter, Request};
use model::report::Timing;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Beyond the time the attempts need, the window stays open this long for what follows from them.
const AFTERMATH: Duration = Duration::from_millis(300);
/// An address that stands for another is translated in the first packet; no longer is waited for it.
const TRANSLATED_WITHIN: Duration = Duration::from_millis(150);
/// A lookup that got no answer is given this long more, to distinguish a late answer from none.
const LATE_ANSWER: Duration = Duration::from_secs(2);
/// What makes an answer slow may wait for several things, one after the other; each that takes this part of what is called slow is told.
const PARTS_OF_SLOW: u64 = 10;
/// Between two looks at whether the answer is settled.
const SETTLED_EVERY: Duration = Duration::from_millis(20);

/// Opens one and sees it through. True when every attempt went well.
pub async fn window(
    session: &mut Session,
    question: &DiagnosisQuestion,
    deadline: Option<Instant>,
    timing: &mut Timing,
) -> bool {
    let began = Instant::now();
    if session.state.over() || session.interrupted() {
        return false;
    }
    session.progress.stage("arming probes");
    let id = session.number();
    let evidence = &session.state.evidence;
    // Nobody here owns the address: it may stand for another, which answers echoes in its place.
    let unowned = evidence.destination.netns.is_none() && evidence.protocol != "icmp";
    let (later, specs): (Vec<AttemptSpec>, Vec<AttemptSpec>) = evidence
        .specs
        .iter()
        .cloned()
        .partition(|spec| unowned && matches!(spec.send, Sending::Echo { .. }));
    if question.passive {
        session.state.evidence.watched = users_own_flow(evidence);
    }
    let armed = arm(session, question, id, specs).await;
    timing.armed_ms += began.elapsed().as_millis() as u64;
    if armed == WaitEnd::Bound {
        let why = "the helper did not arm its probes in time";
        session
            .state
            .evidence
            .missing
            .push(Missing::new("the window", why).remedy("run it again with -v"));
    }
    let opened = Instant::now();
    let mut second = None;
    if armed == WaitEnd::Met {
        session.progress.stage(if question.passive {
            "watching your traffic"
        } else {
            "sending and watching"
        });
        let needed = Duration::from_millis(attempt_plan::bound_ms(&session.state.evidence.specs)) + AFTERMATH;
        let bound = match deadline {
            Some(deadline) if question.passive || !question.until_fault => deadline.max(opened + needed),
            _ => opened + needed,
        };
        // Whoever gave a length wants to see all of it.
        let whole = question.length.is_some() && !question.until_fault;
        let mut settled = Settled::default();
        if !later.is_empty() && !question.passive {
            second = send_later(session, id, later, bound, &mut settled).await;
        }
        session
            .until(Some(bound), |state| {
                let evidence = &state.evidence;
                let all = !evidence.specs.is_empty() && evidence.attempts.len() >= evidence.specs.len();
                all || (!whole && settled.check(state))
            })
            .await;
        if question.intent == Intent::Dns && diagnoses::answer_due(&session.state.evidence) {
            let late = Instant::now() + LATE_ANSWER;
            session
                .until(Some(late), |state| !diagnoses::answer_due(&state.evidence))
                .await;
        }
        if !question.passive && !session.interrupted() {
            tunnel_way::try_it(session, id).await;
        }
    }
    if let Some(id) = second {
        session.ask_at(source(session), Request::Stop { id });
    }
    session.close(id).await;
    timing.window_ms += opened.elapsed().as_millis() as u64;
    session
        .state
        .evidence
        .attempts
        .iter()
        .all(|attempt| attempt.outcome == Outcome::Ok)
}

/// Plans at the source's node and arms everywhere; opens the window when all are armed, or have reported why not.
async fn arm(session: &mut Session, question: &DiagnosisQuestion, id: u32, attempts: Vec<AttemptSpec>) -> WaitEnd {
    let node = source(session);
    let others = session.living_besides(node);
    if !question.passive {
        session.ask_at(node, Request::Plan { id, attempts });
    }
    let own = if question.passive {
        session.state.evidence.watched.clone()
    } else {
        Vec::new()
    };
    arm_at(session, node, id, own);
    if !others.is_empty() {
        if !question.passive {
            // Other nodes watch what was planned, and all that it may have become on its way there.
            session.planned(node, id).await;
        }
        for other in &others {
            let flows = flow_forms::flows(&session.state, &session.state.evidence.watched);
            arm_at(session, *other, id, flows);
        }
        // Their windows are open before the first packet is sent.
        for other in &others {
            session.ask_at(*other, Request::Go { id });
        }
        let ready = |at: usize, helper: &HelperConversation| {
            let armed = helper.armed == Some(id) || helper.has_failed("arm");
            let open = at == node || helper.going == Some(id) || helper.has_failed("go");
            (armed && open) || helper.over()
        };
        let ended = session
            .until(Some(Instant::now() + STEP), |state| {
                state.nodes.iter().enumerate().all(|(at, helper)| ready(at, helper))
            })
            .await;
        let ready_at_source = ready(node, &session.state.nodes[node]);
        if ended == WaitEnd::Interrupted || session.state.over() || !ready_at_source {
            return ended;
        }
        for other in others {
            if !ready(other, &session.state.nodes[other]) {
                let missing = Missing::new("what happens there", "its probes were not armed in time");
                session.state.miss(other, vec![missing.remedy("run it again with -v")]);
            }
        }
    }
    // Of one node the window may open as soon as it is armed.
    session.ask_at(node, Request::Go { id });
    let gone = |node: &HelperConversation| {
        (node.armed == Some(id) || node.has_failed("arm")) && (node.going == Some(id) || node.has_failed("go"))
    };
    session
        .until(Some(Instant::now() + STEP), |state| gone(&state.nodes[node]))
        .await
}

/// The node that sends.
fn source(session: &Session) -> usize {
    let state = &session.state;
    state.named(&state.evidence.source.node).unwrap_or(0)
}

/// Arms the probes at a node. It lets through what happens in the namespaces on the way there, and follows these flows.
fn arm_at(session: &mut Session, node: usize, id: u32, flows: Vec<WatchedFlow>) {
    let state = &session.state;
    let own = |netns: &&NetnsEvidence| state.home(netns.id) == Some(node);
    let mut netns: Vec<u32> = state.evidence.netns.iter().filter(own).map(|netns| netns.id).collect();
    if netns.is_empty() && state.nodes.len() > 1 {
        // None at all would let everything through.
        netns.push(state.evidence.nodes[node].host_netns);
    }
    let filter = Filter {
        netns,
        flows,
        slow_ns: state.evidence.limits.slow_ms * 1_000_000 / PARTS_OF_SLOW,
        ..Filter::default()
    };
    let probes = probes(session, node);
    session.ask_at(node, Request::Arm { id, probes, filter });
}

/// Sends echoes to where the connections really go, as soon as the first packet showed it. Tells their window's number.
async fn send_later(
    session: &mut Session,
    window: u32,
    mut later: Vec<AttemptSpec>,
    bound: Instant,
    settled: &mut Settled,
) -> Option<u32> {
    let mut over = false;
    let shown = bound.min(Instant::now() + TRANSLATED_WITHIN);
    let all = later.clone();
    let ended = session
        .until(Some(shown), |state| {
            over = settled.check(state);
            state.order();
            over || all.iter().all(|spec| real_end(state, spec).is_some())
        })
        .await;
    if over || !matches!(ended, WaitEnd::Met | WaitEnd::Bound) {
        return None;
    }
    for spec in &mut later {
        let real = real_end(&session.state, spec);
        if let (Sending::Echo { to, .. }, Some(real)) = (&mut spec.send, real) {
            *to = real;
        }
        let planned = session
            .state
            .evidence
            .specs
            .iter_mut()
            .find(|planned| planned.id == spec.id);
        if let Some(planned) = planned {
            planned.send = spec.send.clone();
        }
    }
    let node = source(session);
    Some(later_attempts::send(session, node, window, later).await)
}

/// Where the packets to this echo's address were sent on to.
fn real_end(state: &ConversationState, spec: &AttemptSpec) -> Option<IpAddr> {
    let Sending::Echo { to, .. } = spec.send else {
        return None;
    };
    let ends: Vec<IpAddr> = state.backends.iter().flat_map(|end| &end.addresses).copied().collect();
    translated_target::of(&state.evidence, &ends, to)
}

/// The probes that the rules listen to; one that this helper does not have is missing, and the others run without it.
fn probes(session: &mut Session, node: usize) -> Vec<String> {
    let state = &mut session.state;
    let known = state.nodes[node]
        .hello
        .as_ref()
        .map(|hello| hello.probes.as_slice())
        .unwrap_or_default();
    let wanted = diagnoses::probes_at(&state.evidence, &state.evidence.nodes[node].name);
    let (there, lacking): (Vec<&str>, Vec<&str>) = wanted
        .into_iter()
        .partition(|name| known.iter().any(|probe| probe.name == *name));
    // How long things take explains what was late, and decides nothing else.
    for name in lacking.into_iter().filter(|name| !numbers::measures_times(name)) {
        let missing = Missing::new(format!("probe {name}"), "this helper does not have it");
        state.miss(
            node,
            vec![missing.remedy("use the helper that was built with this client")],
        );
    }
    there.into_iter().map(str::to_owned).collect()
}

/// Any flow from the source to the destination: a source port of 0 stands for all.
pub fn users_own_flow(evidence: &Evidence) -> Vec<WatchedFlow> {
    let Some(netns) = evidence.source.netns else {
        return Vec::new();
    };
    let protocol = match evidence.protocol.as_str() {
        "udp" => flow::UDP,
        "icmp" => flow::ICMP,
        _ => flow::TCP,
    };
    let unspecified = |like: IpAddr| -> IpAddr {
        if like.is_ipv4() {
            std::net::Ipv4Addr::UNSPECIFIED.into()
        } else {
            std::net::Ipv6Addr::UNSPECIFIED.into()
        }
    };
    attempt_plan::families(&evidence.source.addresses, &evidence.destination.addresses, None)
        .into_iter()
        .map(|to| {
            let from = evidence
                .source
                .addresses
                .iter()
                .find(|from| from.is_ipv4() == to.is_ipv4())
                .copied();
            WatchedFlow {
                attempt: 0,
                netns,
                flow: Flow::new(
                    protocol,
                    SocketAddr::new(from.unwrap_or_else(|| unspecified(to)), 0),
                    SocketAddr::new(to, evidence.destination.port.unwrap_or_default()),
                ),
            }
        })
        .collect()
}

/// Asks the rules, though not at every event, whether more could change the answer.
#[derive(Default)]
struct Settled {
    news: u64,
    last: Option<Instant>,
}

impl Settled {
    fn check(&mut self, state: &mut ConversationState) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= SETTLED_EVERY);
        if state.news == self.news || !due {
            return false;
        }
        self.news = state.news;
        self.last = Some(Instant::now());
        state.order();
        diagnoses::settled(&state.evidence)
    }
}
