//! Facts of every namespace on the way: both ends first, then what they say lies between, and all of them again after the window.

use crate::look::Look;
use crate::session::{Ended, STEP, Session};
use model::evidence::Evidence;
use model::facts::Phase;
use model::missing::Missing;
use model::protocol::{Ask, Request};
use tokio::time::Instant;

/// Namespaces that are read, at most: a path has few, and a machine may have thousands.
const NETNS_MAX: usize = 16;
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

/// Reads both ends, then whatever the facts say lies between them, until nothing new turns up.
pub async fn walk(session: &mut Session) {
    session.progress.stage("reading facts of the path");
    find(session).await;
    let Evidence {
        netns,
        source,
        destination,
        ..
    } = &mut session.look.evidence;
    // Source, what lies between, destination: namespaces of one reading come in any order.
    netns.sort_by_key(|known| match Some(known.id) {
        id if id == source.netns => 0,
        id if id == destination.netns => 2,
        _ => 1,
    });
}

async fn find(session: &mut Session) {
    read(session, Phase::Before).await;
    loop {
        let evidence = &session.look.evidence;
        let new: Vec<u32> = diagnoses::walk::next(evidence)
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
        if room == 0 || !read_netns(session, Phase::Before, new.into_iter().take(room).collect()).await {
            return;
        }
    }
}

/// Reads the facts of a phase: first of both ends, afterwards of all that is known.
pub async fn read(session: &mut Session, phase: Phase) {
    let evidence = &session.look.evidence;
    let mut netns: Vec<u32> = match phase {
        Phase::Before => [evidence.source.netns, evidence.destination.netns]
            .into_iter()
            .flatten()
            .collect(),
        Phase::After => evidence.netns.iter().map(|netns| netns.id).collect(),
    };
    netns.dedup();
    read_netns(session, phase, netns).await;
}

async fn read_netns(session: &mut Session, phase: Phase, netns: Vec<u32>) -> bool {
    let id = session.number();
    let Evidence {
        source,
        destination,
        watched,
        intent,
        processes,
        netns: known,
        ..
    } = &session.look.evidence;
    let mut facts: Vec<&str> = diagnoses::needs(*intent).facts;
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
    let holds = |look: &mut Look| look.read.contains(&id);
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
