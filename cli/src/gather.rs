//! From a question to evidence: both ends, the facts of every namespace on the way, the window, the facts after it.

use crate::ends::Ends;
use crate::plan::{self, Family, From, Wish};
use crate::session::{Ended, Session};
use crate::target::Target;
use crate::{ends, passive, walk, watch};
use anyhow::{Result, anyhow};
use model::attempt::{AttemptSpec, Sending};
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::{Evidence, Intent, Limits};
use model::facts::{Phase, ResolvConf};
use model::missing::{Known, Missing};
use model::report::Timing;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// What the user asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// What for.
    pub intent: Intent,
    /// The end that sends.
    pub source: Target,
    /// The end that should answer; for a lookup its name.
    pub destination: Target,
    /// How to try.
    pub wish: Wish,
    /// One IP version only.
    pub family: Option<Family>,
    /// Send nothing; watch the user's own traffic.
    pub passive: bool,
    /// Look this long.
    pub length: Option<Duration>,
    /// Begin anew every second until an attempt fails.
    pub until_fault: bool,
    /// What counts as slow.
    pub limits: Limits,
}

impl Question {
    /// The longest that asking it may take, with all facts around the window: a lookup of the name first, then the attempts.
    pub fn longest(&self) -> Duration {
        const FACTS: Duration = Duration::from_secs(20);
        let wish = &self.wish;
        let window = self
            .length
            .unwrap_or_else(|| wish.timeout * 2 + Duration::from_secs(wish.rounds.max(1).into()));
        window + wish.timeout * 2 + Duration::from_millis(100) * wish.attempts + FACTS
    }
}

/// Gathers all that can be seen about a question.
pub async fn gather(
    session: &mut Session,
    question: &Question,
    ends: Ends,
    started: Instant,
) -> Result<(Evidence, Timing)> {
    let mut timing = Timing::default();
    let since = |then: Instant| then.elapsed().as_millis() as u64;
    session.look.evidence.intent = question.intent;
    session.look.evidence.limits = question.limits;
    session.look.evidence.passive = question.passive;
    question
        .wish
        .protocol
        .name()
        .clone_into(&mut session.look.evidence.protocol);

    ends::complete(session, question.intent, ends).await?;
    timing.hello_ms = since(started);
    let source = &session.look.evidence.source;
    let resolv = source.resolv.clone();
    // Where the source is on no node that answers, what the site knows is all there is.
    let from = source.netns.map(|netns| From { netns, pid: source.pid });
    match from {
        Some(from) if question.intent == Intent::Dns => {
            let spec = lookup(from, &question.destination.asked(), ends::usable(&resolv)?, question);
            let again = |round: u32| AttemptSpec {
                id: spec.id + round,
                start_ms: u64::from(round) * 1_000,
                ..spec.clone()
            };
            let specs = (0..question.wish.rounds).map(again).collect();
            ends::name_server(session, ends::usable(&resolv)?).await?;
            session.look.evidence.destination.port = Some(53);
            look(session, question, specs, &mut timing).await;
        }
        Some(from) => {
            if session.look.evidence.destination.kind == EndpointKind::Name {
                find_by_name(session, question, from, &resolv, &mut timing).await?;
            }
            // A name that does not resolve is the answer already.
            if !session.look.evidence.destination.addresses.is_empty() {
                let specs = if question.passive {
                    Vec::new()
                } else {
                    specs(session, question, from)?
                };
                look(session, question, specs, &mut timing).await;
            } else if session.look.evidence.destination.netns.is_some() {
                // Nothing can be sent to it; what it has instead of an address is read.
                walk::walk(session).await;
            }
        }
        None => {}
    }
    session.dismiss().await;
    session.look.order();
    if question.passive {
        passive::tell_apart(&mut session.look.evidence);
    }
    session.look.evidence.attempts.sort_by_key(|attempt| attempt.id);
    Ok((std::mem::take(&mut session.look.evidence), timing))
}

/// Resolves the destination's name from the source, as its own programs would.
async fn find_by_name(
    session: &mut Session,
    question: &Question,
    from: From,
    resolv: &Known<ResolvConf>,
    timing: &mut Timing,
) -> Result<()> {
    let resolv = ends::usable(resolv)?;
    let asked = std::mem::take(&mut session.look.evidence.destination);
    let name = &asked.asked.clone();
    ends::name_server(session, resolv).await?;
    session.look.evidence.destination.port = Some(53);
    look(session, question, vec![lookup(from, name, resolv, question)], timing).await;
    let addresses: Vec<IpAddr> = session
        .look
        .evidence
        .attempts
        .iter()
        .filter_map(|attempt| attempt.dns.as_ref())
        .flat_map(|lookup| lookup.addresses.iter().copied())
        .collect();
    let Some(first) = addresses.first() else { return Ok(()) };
    let owner = ends::at_source(session, *first).await?;
    session.look.evidence.destination = Endpoint {
        addresses,
        node: owner.node,
        netns: owner.netns,
        pid: owner.pid,
        owner: owner.owner,
        ..asked
    };
    session.look.forget_round();
    Ok(())
}

fn lookup(from: From, name: &str, resolv: &ResolvConf, question: &Question) -> AttemptSpec {
    let types = match question.family {
        None => vec!["A".to_owned(), "AAAA".to_owned()],
        Some(Family::V4) => vec!["A".to_owned()],
        Some(Family::V6) => vec!["AAAA".to_owned()],
    };
    AttemptSpec {
        id: 1,
        netns: from.netns,
        pid: from.pid,
        start_ms: 0,
        timeout_ms: question.wish.timeout.as_millis() as u64,
        send: Sending::Dns {
            name: name.to_owned(),
            resolv: resolv.clone(),
            types,
        },
    }
}

fn specs(session: &Session, question: &Question, from: From) -> Result<Vec<AttemptSpec>> {
    let Evidence {
        source, destination, ..
    } = &session.look.evidence;
    let to = plan::families(&source.addresses, &destination.addresses, question.family);
    if to.is_empty() {
        let wanted = match question.family {
            Some(Family::V4) => "IPv4 ",
            Some(Family::V6) => "IPv6 ",
            None => "",
        };
        return Err(anyhow!("{} has no {wanted}address to send to", destination.asked));
    }
    Ok(plan::attempts(from, &to, destination.port, &question.wish))
}

/// Facts before, the window, facts after.
async fn look(session: &mut Session, question: &Question, specs: Vec<AttemptSpec>, timing: &mut Timing) {
    let began = Instant::now();
    walk::walk(session).await;
    timing.facts_ms += began.elapsed().as_millis() as u64;
    session.look.evidence.specs = specs;
    let deadline = question.length.map(|length| Instant::now() + length);
    loop {
        let round = Instant::now();
        let healthy = watch::window(session, question, deadline, timing).await;
        let over = deadline.is_none_or(|deadline| Instant::now() + Duration::from_secs(1) > deadline);
        if !question.until_fault || !healthy || over || session.interrupted() {
            break;
        }
        session
            .progress
            .stage("every attempt went well; waiting for one that fails");
        if session.until(Some(round + Duration::from_secs(1)), |_| false).await != Ended::Bound {
            break;
        }
        session.look.forget_round();
    }
    if session.interrupted() {
        let missing = Missing::new("the rest of the window", "Ctrl-C ended it").remedy("let it run to its end");
        session.look.evidence.missing.push(missing);
    }
    let began = Instant::now();
    walk::read(session, Phase::After).await;
    timing.verdict_ms += began.elapsed().as_millis() as u64;
}
