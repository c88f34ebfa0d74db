//! One window: reserve ports, arm, go, and end when everything was answered, the answer is settled, or time is up.

use crate::gather::Question;
use crate::look::Look;
use crate::plan;
use crate::session::{Ended, STEP, Session};
use model::attempt::{Outcome, WatchedFlow};
use model::evidence::Evidence;
use model::flow::{self, Flow};
use model::missing::Missing;
use model::protocol::{Filter, Request};
use model::report::Timing;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Beyond the time the attempts need, the window stays open this long for what follows from them.
const AFTERMATH: Duration = Duration::from_millis(300);
/// Between two looks at whether the answer is settled.
const SETTLED_EVERY: Duration = Duration::from_millis(20);

/// Opens one and sees it through. True when every attempt went well.
pub async fn window(
    session: &mut Session,
    question: &Question,
    deadline: Option<Instant>,
    timing: &mut Timing,
) -> bool {
    let began = Instant::now();
    if session.look.cut || session.interrupted() {
        return false;
    }
    session.progress.stage("arming probes");
    let id = session.number();
    let evidence = &session.look.evidence;
    let specs = evidence.specs.clone();
    let filter = Filter {
        netns: evidence.netns.iter().map(|netns| netns.id).collect(),
        flows: if question.passive {
            users_own_flow(evidence)
        } else {
            Vec::new()
        },
        ..Filter::default()
    };
    if question.passive {
        session.look.evidence.watched.clone_from(&filter.flows);
    } else {
        session.ask(Request::Plan {
            id,
            attempts: specs.clone(),
        });
    }
    let probes = probes(session, question);
    session.ask(Request::Arm { id, probes, filter });
    // One node: its window may open as soon as it is armed.
    session.ask(Request::Go { id });
    let armed = session
        .until(Some(Instant::now() + STEP), |look| {
            (look.armed == Some(id) || look.has_failed("arm")) && (look.going == Some(id) || look.has_failed("go"))
        })
        .await;
    timing.armed_ms += began.elapsed().as_millis() as u64;
    if armed == Ended::Bound {
        let why = "the helper did not arm its probes in time";
        session
            .look
            .evidence
            .missing
            .push(Missing::new("the window", why).remedy("run it again with -v"));
    }
    let opened = Instant::now();
    if armed == Ended::Met {
        session.progress.stage(if question.passive {
            "watching your traffic"
        } else {
            "sending and watching"
        });
        let needed = Duration::from_millis(plan::bound_ms(&specs)) + AFTERMATH;
        let bound = match deadline {
            Some(deadline) if question.passive || !question.until_fault => deadline.max(opened + needed),
            _ => opened + needed,
        };
        // Who says how long to look wants to see all of it.
        let whole = question.length.is_some() && !question.until_fault;
        let mut settled = Settled::default();
        session
            .until(Some(bound), |look| {
                let evidence = &look.evidence;
                let all = !evidence.specs.is_empty() && evidence.attempts.len() >= evidence.specs.len();
                all || (!whole && settled.look(look))
            })
            .await;
    }
    session.ask(Request::Stop { id });
    session.finish(|look| look.stopped == Some(id)).await;
    timing.window_ms += opened.elapsed().as_millis() as u64;
    session
        .look
        .evidence
        .attempts
        .iter()
        .all(|attempt| attempt.outcome == Outcome::Ok)
}

/// The probes that the rules listen to; one that this helper does not have is missing, and the others run without it.
fn probes(session: &mut Session, question: &Question) -> Vec<String> {
    let look = &mut session.look;
    let known = look
        .hello
        .as_ref()
        .map(|hello| hello.probes.as_slice())
        .unwrap_or_default();
    let wanted = diagnoses::needs(question.intent).probes;
    let (there, lacking): (Vec<&str>, Vec<&str>) = wanted
        .into_iter()
        .partition(|name| known.iter().any(|probe| probe.name == *name));
    for name in lacking {
        let missing = Missing::new(format!("probe {name}"), "this helper does not have it");
        look.evidence
            .missing
            .push(missing.remedy("use the helper that was built with this client"));
    }
    there.into_iter().map(str::to_owned).collect()
}

/// Any flow from the source to the destination: a source port of 0 stands for all.
fn users_own_flow(evidence: &Evidence) -> Vec<WatchedFlow> {
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
    plan::families(&evidence.source.addresses, &evidence.destination.addresses, None)
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
    fn look(&mut self, look: &Look) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= SETTLED_EVERY);
        if look.news == self.news || !due {
            return false;
        }
        self.news = look.news;
        self.last = Some(Instant::now());
        diagnoses::settled(&look.evidence)
    }
}
