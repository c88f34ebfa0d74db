//! From a question to evidence: both ends, the facts of every namespace on the way, the window, the facts after it.

use crate::exit::Usage;
use crate::plan::{self, Family, From, Wish};
use crate::session::{Ended, Session};
use crate::target::{Place, Target};
use crate::verdict;
use anyhow::{Result, anyhow};
use model::attempt::{AttemptSpec, Outcome, Sending, WatchedFlow};
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::{Evidence, Intent, Limits};
use model::facts::{Phase, ResolvConf};
use model::flow::{self, Flow};
use model::missing::{Known, Missing};
use model::protocol::{Ask, Filter, Request};
use model::report::Timing;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Namespaces that are read, at most: a path has few, and a machine may have thousands.
const NETNS_MAX: usize = 16;
/// A helper that reads facts or attaches probes for longer than this is stuck.
const STEP: Duration = Duration::from_secs(20);
/// Beyond the time the attempts need, the window stays open this long for what follows from them.
const AFTERMATH: Duration = Duration::from_millis(300);
/// Between two looks at whether the answer is settled.
const SETTLED_EVERY: Duration = Duration::from_millis(20);
/// Facts that traffic changes, so that they are read again after the window.
const CHANGED_BY_TRAFFIC: [&str; 8] = [
    "links",
    "neighbours",
    "fdb",
    "sockets",
    "socket_counts",
    "counters",
    "conntrack",
    "netfilter",
];

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

/// Gathers all that can be seen about a question.
pub async fn gather(session: &mut Session, question: &Question, started: Instant) -> Result<(Evidence, Timing)> {
    let mut timing = Timing::default();
    let since = |then: Instant| then.elapsed().as_millis() as u64;
    session.look.evidence.intent = question.intent;
    session.look.evidence.limits = question.limits;
    session.look.evidence.passive = question.passive;
    session.look.evidence.protocol = question.wish.protocol.name().to_owned();

    let (source, destination) = ends(session, question).await?;
    timing.hello_ms = since(started);
    let from = From {
        netns: source.netns.unwrap_or_default(),
        pid: source.pid,
    };
    session.look.evidence.source = source;
    session.look.evidence.destination = destination;
    let resolv = session.look.evidence.source.resolv.clone();

    if question.intent == Intent::Dns {
        let spec = lookup(from, &question.destination.asked(), usable(&resolv)?, question);
        name_server(session, usable(&resolv)?).await?;
        session.look.evidence.destination.port = Some(53);
        look(session, question, vec![spec], &mut timing).await;
    } else {
        if let Place::Name(name) = &question.destination.place {
            find_by_name(session, question, name, from, &resolv, &mut timing).await?;
        }
        // A name that does not resolve is the answer already.
        if !session.look.evidence.destination.addresses.is_empty() {
            let specs = if question.passive {
                Vec::new()
            } else {
                specs(session, question, from)?
            };
            look(session, question, specs, &mut timing).await;
        }
    }
    session.ask(Request::Bye);
    session.finish(|look| look.done).await;
    Ok((std::mem::take(&mut session.look.evidence), timing))
}

/// Resolves both ends at once.
async fn ends(session: &mut Session, question: &Question) -> Result<(Endpoint, Endpoint)> {
    session.progress.stage("finding both ends");
    session.ask(Request::Resolve {
        endpoint: question.source.asked(),
    });
    let helper_knows = question.intent == Intent::PodToPod
        && match &question.destination.place {
            Place::Site(_) => true,
            Place::Address(address) => !address.is_loopback(),
            Place::Name(_) => false,
        };
    if helper_knows {
        session.ask(Request::Resolve {
            endpoint: question.destination.asked(),
        });
    }
    let hello = session.hello().await?;
    let wanted = if helper_knows { 2 } else { 1 };
    wait(session, "finding both ends", |look| look.resolved.len() >= wanted).await?;
    let mut resolved = std::mem::take(&mut session.look.resolved).into_iter();
    let source = found(resolved.next(), &question.source.asked())?;
    if source.netns.is_none() {
        return Err(Usage::error(format!(
            "{} has no network namespace on this machine to send from",
            source.asked
        )));
    }
    let mut destination = match &question.destination.place {
        _ if helper_knows => found(resolved.next(), &question.destination.asked())?,
        // A loopback address is the source's own.
        Place::Address(address) => Endpoint {
            asked: address.to_string(),
            kind: EndpointKind::Address,
            node: hello.node,
            netns: source.netns,
            name: address.to_string(),
            pid: source.pid,
            addresses: vec![*address],
            owner: source.owner.clone(),
            ..Endpoint::default()
        },
        Place::Name(name) | Place::Site(name) => Endpoint {
            asked: name.clone(),
            kind: EndpointKind::Name,
            name: name.clone(),
            ..Endpoint::default()
        },
    };
    destination.port = question.destination.port;
    Ok((source, destination))
}

fn found(resolved: Option<Known<Endpoint>>, asked: &str) -> Result<Endpoint> {
    match resolved {
        Some(Known::Known(endpoint)) => Ok(endpoint),
        Some(Known::Missing(missing)) => {
            let remedy = if missing.remedy.is_empty() {
                String::new()
            } else {
                format!("; {}", missing.remedy)
            };
            Err(Usage::error(format!("{asked} was not found: {}{remedy}", missing.why)))
        }
        None => Err(anyhow!("the helper did not say what {asked} is; run it again with -v")),
    }
}

fn usable(resolv: &Known<ResolvConf>) -> Result<&ResolvConf> {
    match resolv {
        Known::Known(resolv) if resolv.nameservers.is_empty() => Err(anyhow!(
            "{} names no name server; write one there, as `nameserver ADDRESS`",
            resolv.path
        )),
        Known::Known(resolv) => Ok(resolv),
        Known::Missing(missing) => Err(anyhow!("the source's resolv.conf could not be read: {}", missing.why)),
    }
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

/// For a lookup the other end is the first name server.
async fn name_server(session: &mut Session, resolv: &ResolvConf) -> Result<()> {
    let Some(&server) = resolv.nameservers.first() else {
        return Ok(());
    };
    let source = session.look.evidence.source.clone();
    let mut endpoint = Endpoint {
        asked: server.to_string(),
        kind: EndpointKind::Address,
        name: format!("name server {server}"),
        addresses: vec![server],
        ..Endpoint::default()
    };
    if server.is_loopback() {
        (endpoint.node, endpoint.netns, endpoint.owner) = (source.node, source.netns, source.owner);
    } else {
        session.ask(Request::Resolve {
            endpoint: server.to_string(),
        });
        wait(session, "finding the name server", |look| !look.resolved.is_empty()).await?;
        // A server that nobody here owns is looked at from outside.
        if let Some(Known::Known(known)) = session.look.resolved.pop() {
            endpoint = known;
        }
    }
    session.look.evidence.destination = endpoint;
    Ok(())
}

/// Resolves the destination's name from the source, as its own programs would.
async fn find_by_name(
    session: &mut Session,
    question: &Question,
    name: &str,
    from: From,
    resolv: &Known<ResolvConf>,
    timing: &mut Timing,
) -> Result<()> {
    let resolv = usable(resolv)?;
    let asked = std::mem::take(&mut session.look.evidence.destination);
    name_server(session, resolv).await?;
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
    session.ask(Request::Resolve {
        endpoint: first.to_string(),
    });
    wait(session, "finding the destination", |look| !look.resolved.is_empty()).await?;
    let owner = session
        .look
        .resolved
        .pop()
        .and_then(|known| known.ok().cloned())
        .unwrap_or_default();
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
    walk(session, question).await;
    timing.facts_ms += began.elapsed().as_millis() as u64;
    session.look.evidence.specs = specs;
    let deadline = question.length.map(|length| Instant::now() + length);
    loop {
        let round = Instant::now();
        let healthy = window(session, question, deadline, timing).await;
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
    read(session, question, Phase::After).await;
    timing.verdict_ms += began.elapsed().as_millis() as u64;
}

/// Reads both ends, then whatever the facts say lies between them, until nothing new turns up.
async fn walk(session: &mut Session, question: &Question) {
    session.progress.stage("reading facts of the path");
    read(session, question, Phase::Before).await;
    loop {
        let evidence = &session.look.evidence;
        let new: Vec<u32> = verdict::next(evidence)
            .into_iter()
            .filter(|id| evidence.netns(*id).is_none())
            .collect();
        let room = NETNS_MAX.saturating_sub(evidence.netns.len());
        if new.is_empty() || session.look.cut {
            return;
        }
        if new.len() > room {
            let what = format!("{} network namespaces on the way", new.len() - room);
            session
                .look
                .evidence
                .missing
                .push(Missing::new(what, format!("no more than {NETNS_MAX} are read")));
        }
        if room == 0 || !read_netns(session, question, Phase::Before, new.into_iter().take(room).collect()).await {
            return;
        }
    }
}

/// Reads the facts of a phase: first of both ends, afterwards of all that is known.
async fn read(session: &mut Session, question: &Question, phase: Phase) {
    let evidence = &session.look.evidence;
    let mut netns: Vec<u32> = match phase {
        Phase::Before => [evidence.source.netns, evidence.destination.netns]
            .into_iter()
            .flatten()
            .collect(),
        Phase::After => evidence.netns.iter().map(|netns| netns.id).collect(),
    };
    netns.dedup();
    read_netns(session, question, phase, netns).await;
}

async fn read_netns(session: &mut Session, question: &Question, phase: Phase, netns: Vec<u32>) -> bool {
    let id = session.number();
    let Evidence {
        source,
        destination,
        watched,
        processes,
        netns: known,
        ..
    } = &session.look.evidence;
    let mut facts: Vec<&str> = verdict::needs(question.intent).1;
    if phase == Phase::After {
        facts = if facts.is_empty() {
            CHANGED_BY_TRAFFIC.to_vec()
        } else {
            facts
        };
        facts.retain(|fact| CHANGED_BY_TRAFFIC.contains(fact));
    }
    let mut pids: Vec<u32> = [source.pid, destination.pid].into_iter().flatten().collect();
    if phase == Phase::After {
        pids = processes.iter().map(|(before, _)| before.pid).collect();
    }
    let lookups = destination
        .addresses
        .iter()
        .map(|address| (*address, None))
        .chain(source.addresses.iter().map(|address| (*address, None)))
        .collect();
    let ask = Ask {
        id,
        phase: Some(phase),
        netns: netns.clone(),
        facts: facts.into_iter().map(str::to_owned).collect(),
        pids,
        ports: destination.port.into_iter().collect(),
        flows: watched.iter().map(|watched| watched.flow).collect(),
        lookups: if phase == Phase::Before { lookups } else { Vec::new() },
        node: phase == Phase::After || known.is_empty(),
    };
    session.ask(Request::Read(ask));
    let holds = |look: &mut crate::look::Look| look.read.contains(&id);
    let ended = match phase {
        Phase::Before => session.until(Some(Instant::now() + STEP), holds).await,
        Phase::After => session.finish(holds).await,
    };
    if ended != Ended::Met && ended != Ended::Cut {
        let when = if phase == Phase::Before { "before" } else { "after" };
        let why = if ended == Ended::Interrupted {
            "Ctrl-C ended it"
        } else {
            "reading them took too long"
        };
        session
            .look
            .evidence
            .missing
            .push(Missing::new(format!("facts {when} the window"), why));
    }
    // A namespace that said nothing must not be asked for again and again.
    ended == Ended::Met && netns.iter().any(|id| session.look.evidence.netns(*id).is_some())
}

/// One window: reserve ports, arm, go, until everything was answered, is settled, or time is up. True when all went well.
async fn window(session: &mut Session, question: &Question, deadline: Option<Instant>, timing: &mut Timing) -> bool {
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
    let probes = verdict::needs(question.intent)
        .0
        .into_iter()
        .map(str::to_owned)
        .collect();
    session.ask(Request::Arm { id, probes, filter });
    // One node: its window may open as soon as it is armed.
    session.ask(Request::Go { id });
    let armed = session
        .until(Some(Instant::now() + STEP), |look| {
            look.armed == Some(id) && look.going == Some(id)
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
        let whole = question.length.is_some() && !question.until_fault;
        let mut settled = Settled::default();
        session
            .until(Some(bound), |look| {
                let all = !specs.is_empty() && look.evidence.attempts.len() >= specs.len();
                (all && (!whole || rounds_done(&look.evidence))) || settled.look(look)
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

/// All rounds of a bounded watch are planned at once, so the last attempt is also the end.
fn rounds_done(evidence: &Evidence) -> bool {
    evidence.attempts.len() >= evidence.specs.len()
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
    fn look(&mut self, look: &crate::look::Look) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= SETTLED_EVERY);
        if look.news == self.news || !due {
            return false;
        }
        self.news = look.news;
        self.last = Some(Instant::now());
        verdict::settled(&look.evidence)
    }
}

/// Waits for an answer without which there is nothing to look at.
async fn wait(session: &mut Session, what: &str, holds: impl Fn(&crate::look::Look) -> bool) -> Result<()> {
    match session.until(Some(Instant::now() + STEP), |look| holds(look)).await {
        Ended::Met => Ok(()),
        Ended::Bound => Err(anyhow!(
            "{what} took more than {} s; run it again with -v",
            STEP.as_secs()
        )),
        Ended::Interrupted => Err(anyhow!("{what} was ended by Ctrl-C")),
        Ended::Cut => {
            let why = session
                .look
                .node()
                .truncated
                .as_ref()
                .map_or("it ended early", |missing| missing.why.as_str());
            Err(anyhow!("{what} failed: {why}"))
        }
    }
}
