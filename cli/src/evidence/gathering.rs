//! From a question to evidence: both ends, the facts of every namespace on the way, the window, the facts after it.

use super::{attempt_window, both_ends, passive_connections, path_facts};
use crate::conversation::session::{Session, WaitEnd};
use crate::inquiry::attempt_plan::{self, AttemptSource, IpFamily};
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::question::DiagnosisQuestion;
use anyhow::{Result, anyhow};
use model::attempt::{AttemptSpec, Sending};
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::{Evidence, Intent};
use model::facts::{Phase, ResolvConf};
use model::missing::{Known, Missing};
use model::report::Timing;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// Gathers all that can be seen about a question.
pub async fn gather(
    session: &mut Session,
    question: &DiagnosisQuestion,
    ends: KnownEnds,
    started: Instant,
) -> Result<(Evidence, Timing)> {
    let mut timing = Timing::default();
    let since = |then: Instant| then.elapsed().as_millis() as u64;
    session.state.evidence.intent = question.intent;
    session.state.evidence.limits = question.limits;
    session.state.evidence.passive = question.passive;
    question
        .plan
        .protocol
        .name()
        .clone_into(&mut session.state.evidence.protocol);

    both_ends::complete(session, question.intent, ends).await?;
    timing.hello_ms = since(started);
    let destination = session.state.evidence.destination.kind;
    session.state.evidence.every_family = question.family.is_none()
        && !matches!(
            destination,
            EndpointKind::Service | EndpointKind::Name | EndpointKind::Address
        );
    let source = &session.state.evidence.source;
    let resolv = source.resolv.clone();
    // Where the source is on no node that answers, what the site knows is all there is.
    let from = source.netns.map(|netns| AttemptSource { netns, pid: source.pid });
    match from {
        Some(from) if question.intent == Intent::Dns => {
            let spec = lookup(
                from,
                &question.destination.asked(),
                both_ends::usable(&resolv)?,
                question,
            );
            let again = |round: u32| AttemptSpec {
                id: spec.id + round,
                start_ms: u64::from(round) * 1_000,
                ..spec.clone()
            };
            let specs = (0..question.plan.rounds).map(again).collect();
            both_ends::name_server(session, both_ends::usable(&resolv)?).await?;
            session.state.evidence.destination.port = Some(53);
            observe(session, question, specs, &mut timing).await;
        }
        Some(from) => {
            if session.state.evidence.destination.kind == EndpointKind::Name {
                find_by_name(session, question, from, &resolv, &mut timing).await?;
            }
            // A name that does not resolve is the answer already.
            if !session.state.evidence.destination.addresses.is_empty() {
                let specs = if question.passive {
                    Vec::new()
                } else {
                    specs(session, question, from)?
                };
                observe(session, question, specs, &mut timing).await;
            } else if session.state.evidence.destination.netns.is_some() {
                // Nothing can be sent to it; what it has instead of an address is read.
                path_facts::walk(session).await;
            }
        }
        None => {}
    }
    session.dismiss().await;
    session.state.order();
    if question.passive {
        passive_connections::separate_connections(&mut session.state.evidence);
    }
    session.state.evidence.attempts.sort_by_key(|attempt| attempt.id);
    Ok((std::mem::take(&mut session.state.evidence), timing))
}

/// Resolves the destination's name from the source, as its own programs would.
async fn find_by_name(
    session: &mut Session,
    question: &DiagnosisQuestion,
    from: AttemptSource,
    resolv: &Known<ResolvConf>,
    timing: &mut Timing,
) -> Result<()> {
    let resolv = both_ends::usable(resolv)?;
    let asked = std::mem::take(&mut session.state.evidence.destination);
    let name = &asked.asked.clone();
    both_ends::name_server(session, resolv).await?;
    session.state.evidence.destination.port = Some(53);
    observe(session, question, vec![lookup(from, name, resolv, question)], timing).await;
    let addresses: Vec<IpAddr> = session
        .state
        .evidence
        .attempts
        .iter()
        .filter_map(|attempt| attempt.dns.as_ref())
        .flat_map(|lookup| lookup.addresses.iter().copied())
        .collect();
    let Some(first) = addresses.first() else { return Ok(()) };
    let owner = both_ends::at_source(session, *first).await?;
    session.state.evidence.destination = Endpoint {
        addresses,
        node: owner.node,
        netns: owner.netns,
        pid: owner.pid,
        owner: owner.owner,
        ..asked
    };
    let mut attempts = session.state.evidence.attempts.iter_mut();
    session.state.evidence.found_by = attempts.find_map(|attempt| attempt.dns.take());
    session.state.forget_round();
    Ok(())
}

fn lookup(from: AttemptSource, name: &str, resolv: &ResolvConf, question: &DiagnosisQuestion) -> AttemptSpec {
    let types = match question.family {
        None => vec!["A".to_owned(), "AAAA".to_owned()],
        Some(IpFamily::V4) => vec!["A".to_owned()],
        Some(IpFamily::V6) => vec!["AAAA".to_owned()],
    };
    AttemptSpec {
        id: 1,
        netns: from.netns,
        pid: from.pid,
        start_ms: 0,
        timeout_ms: question.plan.timeout.as_millis() as u64,
        send: Sending::Dns {
            name: name.to_owned(),
            resolv: resolv.clone(),
            types,
        },
    }
}

/// The attempts of a question, from there.
pub fn specs(session: &Session, question: &DiagnosisQuestion, from: AttemptSource) -> Result<Vec<AttemptSpec>> {
    let Evidence {
        source, destination, ..
    } = &session.state.evidence;
    let to = attempt_plan::families(&source.addresses, &destination.addresses, question.family);
    if to.is_empty() {
        let wanted = match question.family {
            Some(IpFamily::V4) => "IPv4 ",
            Some(IpFamily::V6) => "IPv6 ",
            None => "",
        };
        return Err(anyhow!("{} has no {wanted}address to send to", destination.asked));
    }
    Ok(attempt_plan::attempts(from, &to, destination.port, &question.plan))
}

/// Facts before, the window, facts after.
async fn observe(session: &mut Session, question: &DiagnosisQuestion, specs: Vec<AttemptSpec>, timing: &mut Timing) {
    let began = Instant::now();
    session.begin_window();
    if question.passive {
        // What connection tracking remembers of it is read, too.
        session.state.evidence.watched = attempt_window::users_own_flow(&session.state.evidence);
    }
    path_facts::walk(session).await;
    timing.facts_ms += began.elapsed().as_millis() as u64;
    session.state.evidence.specs = specs;
    let deadline = question.length.map(|length| Instant::now() + length);
    loop {
        let round = Instant::now();
        let healthy = attempt_window::window(session, question, deadline, timing).await;
        let over = deadline.is_none_or(|deadline| Instant::now() + Duration::from_secs(1) > deadline);
        if !question.until_fault || !healthy || over || session.interrupted() {
            break;
        }
        session
            .progress
            .stage("every attempt went well; waiting for one that fails");
        if session.until(Some(round + Duration::from_secs(1)), |_| false).await != WaitEnd::Bound {
            break;
        }
        session.state.forget_round();
    }
    session.end_window();
    if session.interrupted() {
        let missing = Missing::new("the rest of the window", "Ctrl-C ended it").remedy("let it run to its end");
        session.state.evidence.missing.push(missing);
    }
    let began = Instant::now();
    path_facts::read(session, Phase::After).await;
    path_facts::read_strays(session).await;
    timing.verdict_ms += began.elapsed().as_millis() as u64;
}
