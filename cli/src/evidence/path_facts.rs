//! The facts of every network namespace on the way: of both ends first, then of those that these facts lead to, and of all of
//! them again after the window.

use crate::conversation::session::{STEP, Session, WaitEnd};
use crate::conversation::state::ConversationState;
use model::evidence::Evidence;
use model::facts::Phase;
use model::flow::Flow;
use model::missing::Missing;
use model::protocol::{Ask, Request};
use tokio::time::Instant;

/// Namespaces that are read for one path, at most: a path has few, and a machine may have thousands.
const NETNS_MAX: usize = 16;
/// Namespaces that are read for all paths of one end, at most.
const NETNS_OF_ALL_MAX: usize = 64;
/// Facts about a flow, read anew for each flow that passes a namespace.
const OF_A_FLOW: [&str; 3] = ["lookups", "sockets", "conntrack"];
/// Flows whose connection tracking is asked for, at most.
const FLOWS_MAX: usize = 256;
/// Facts that traffic changes, so that they are read again after the window.
const CHANGED_BY_TRAFFIC: [&str; 10] = [
    "links",
    "neighbours",
    "fdb",
    "sockets",
    "socket_counts",
    "counters",
    "conntrack",
    "netfilter",
    "queues",
    "cilium_metrics",
];

/// Reads both ends, then whatever namespaces the facts lead to, until nothing new turns up.
pub async fn walk(session: &mut Session) {
    session.progress.stage("reading facts of the path");
    read(session, Phase::Before).await;
    find(session, NETNS_MAX).await;
    let Evidence {
        netns,
        source,
        destination,
        ..
    } = &mut session.state.evidence;
    // Source, what lies between, destination: namespaces of one reading come in any order.
    netns.sort_by_key(|known| match Some(known.id) {
        id if id == source.netns => 0,
        id if id == destination.netns => 2,
        _ => 1,
    });
}

/// Reads what one more path passes: all of the namespaces that are not known yet, and of the others what is about its flow.
pub async fn walk_one_more(session: &mut Session) {
    let on_the_way = first(&session.state);
    let is_known = |id: &u32| session.state.evidence.netns(*id).is_some();
    let (known, new): (Vec<u32>, Vec<u32>) = on_the_way.into_iter().partition(is_known);
    read_netns(session, Phase::Before, known, Some(&OF_A_FLOW)).await;
    read_netns(session, Phase::Before, new, None).await;
    find(session, NETNS_OF_ALL_MAX).await;
}

/// Reads anew what is asked for of these namespaces, as it is now.
pub async fn read_now(session: &mut Session, netns: Vec<u32>, facts: &[&str]) {
    read_netns(session, Phase::After, netns, Some(facts)).await;
}

/// Reads these facts of namespaces before the window once more.
pub async fn read_again(session: &mut Session, netns: Vec<u32>, facts: &[&str]) {
    read_netns(session, Phase::Before, netns, Some(facts)).await;
}

/// Reads these namespaces.
pub async fn read_these(session: &mut Session, netns: Vec<u32>) {
    read_netns(session, Phase::Before, netns, None).await;
}

async fn find(session: &mut Session, most: usize) {
    loop {
        let evidence = &session.state.evidence;
        let new: Vec<u32> = diagnoses::kernel::walk::next(evidence)
            .into_iter()
            .filter(|id| evidence.netns(*id).is_none() && session.state.home(*id).is_some())
            .collect();
        let room = most.saturating_sub(evidence.netns.len());
        if new.is_empty() || session.state.over() {
            return;
        }
        if new.len() > room {
            let what = format!("{} network namespaces on the way", new.len() - room);
            session
                .state
                .evidence
                .missing
                .push(Missing::new(what, format!("no more than {most} are read")));
        }
        if room == 0 || !read_netns(session, Phase::Before, new.into_iter().take(room).collect(), None).await {
            return;
        }
    }
}

/// Reads the facts of a phase: first of both ends and of the nodes they are known to be on, afterwards of all that is known.
pub async fn read(session: &mut Session, phase: Phase) {
    let state = &session.state;
    let mut netns: Vec<u32> = match phase {
        Phase::Before => first(state),
        Phase::After => state.evidence.netns.iter().map(|netns| netns.id).collect(),
    };
    netns.dedup();
    read_netns(session, phase, netns, None).await;
}

/// Reads where the watched packets went astray to, which no fact before the window led to.
pub async fn read_strays(session: &mut Session) {
    session.state.order();
    let state = &session.state;
    let room = NETNS_MAX.saturating_sub(state.evidence.netns.len());
    let new: Vec<u32> = diagnoses::case::strays(&state.evidence)
        .into_iter()
        .filter(|id| state.home(*id).is_some())
        .take(room)
        .collect();
    if !new.is_empty() {
        read_netns(session, Phase::Before, new, None).await;
    }
}

/// What is on the way for certain.
fn first(state: &ConversationState) -> Vec<u32> {
    let Evidence {
        source,
        destination,
        nodes,
        ..
    } = &state.evidence;
    let hosts = nodes
        .iter()
        .zip(&state.nodes)
        .filter(|(_, helper)| helper.named && helper.hello.is_some());
    let mut all: Vec<u32> = Vec::new();
    let wanted = [source.netns, destination.netns]
        .into_iter()
        .flatten()
        .chain(hosts.map(|(node, _)| node.host_netns))
        .chain(state.backends.iter().filter_map(|backend| backend.netns));
    for netns in wanted.take(NETNS_MAX) {
        if !all.contains(&netns) {
            all.push(netns);
        }
    }
    all
}

/// Reads of these namespaces all that the rules need, or only these facts. Whether anything came.
async fn read_netns(session: &mut Session, phase: Phase, netns: Vec<u32>, only: Option<&[&str]>) -> bool {
    if netns.is_empty() && only.is_some() {
        return false;
    }
    let id = session.number();
    let mut asked = Vec::new();
    for node in session.living() {
        let own = netns
            .iter()
            .copied()
            .filter(|netns| session.state.home(*netns) == Some(node));
        let ask = ask(
            &session.state,
            node,
            Ask {
                id,
                phase: Some(phase),
                netns: own.collect(),
                facts: only.unwrap_or_default().iter().map(|fact| (*fact).to_owned()).collect(),
                ..Ask::default()
            },
        );
        if !ask.netns.is_empty() || ask.node {
            session.ask_at(node, Request::Read(ask));
            asked.push(node);
        }
    }
    let holds = |state: &mut ConversationState| {
        let mut nodes = asked.iter().map(|node| &state.nodes[*node]);
        nodes.all(|node| node.read.contains(&id) || node.over())
    };
    let ended = match phase {
        Phase::Before => session.until(Some(Instant::now() + STEP), holds).await,
        Phase::After => session.finish(holds).await,
    };
    if ended != WaitEnd::Met && ended != WaitEnd::Cut {
        let when = if phase == Phase::Before { "before" } else { "after" };
        let why = if ended == WaitEnd::Interrupted {
            "Ctrl-C ended it"
        } else {
            "reading them took too long"
        };
        session
            .state
            .evidence
            .missing
            .push(Missing::new(format!("facts {when} the window"), why));
    }
    // A namespace without facts must not be asked for again and again.
    ended == WaitEnd::Met && netns.iter().any(|id| session.state.evidence.netns(*id).is_some())
}

/// What one node is asked of its own namespaces.
fn ask(state: &ConversationState, node: usize, ask: Ask) -> Ask {
    let Evidence {
        source,
        destination,
        intent,
        processes,
        netns: known,
        nodes,
        ..
    } = &state.evidence;
    let after = ask.phase == Some(Phase::After);
    let name = &nodes[node].name;
    let only = !ask.facts.is_empty();
    let mut facts: Vec<&str> = if only {
        ask.facts.iter().map(String::as_str).collect()
    } else {
        diagnoses::needs(*intent).facts
    };
    if after && !only {
        if facts.is_empty() {
            facts = CHANGED_BY_TRAFFIC.to_vec();
        }
        facts.retain(|fact| CHANGED_BY_TRAFFIC.contains(fact));
    }
    let pids = if after {
        let own = processes.iter().filter(|(before, _)| before.node == *name);
        own.map(|(before, _)| before.pid).collect()
    } else {
        let ends = [source, destination].into_iter().chain(&state.backends);
        let own = ends.filter(|end| end.netns.is_some() && end.node == *name);
        own.filter_map(|end| end.pid).collect()
    };
    let addresses = destination.addresses.iter().chain(&source.addresses);
    Ask {
        facts: facts.into_iter().map(str::to_owned).collect(),
        pids,
        ports: ports(state),
        flows: flows(state),
        lookups: if after {
            Vec::new()
        } else {
            addresses.map(|address| (*address, None)).collect()
        },
        node: after || (!only && !known.iter().any(|netns| netns.node == *name)),
        ..ask
    }
}

/// The watched flows, and the forms in which they were met on the way.
fn flows(state: &ConversationState) -> Vec<Flow> {
    let watched = state.evidence.watched.iter().map(|watched| watched.flow);
    let mut flows: Vec<Flow> = watched.collect();
    let met = state.evidence.events.iter().filter(|event| {
        let ours = |attempt| state.evidence.watched.iter().any(|watched| watched.attempt == attempt);
        event.attempt.is_some_and(ours) && event.quoted.is_none()
    });
    for event in met {
        let known = flows.contains(&event.flow) || flows.contains(&event.flow.reversed());
        if !known && flows.len() < FLOWS_MAX {
            flows.push(event.flow);
        }
    }
    flows
}

/// Ports whose listeners are looked for: the one asked for, and those it may be translated to.
fn ports(state: &ConversationState) -> Vec<u16> {
    let asked = state.evidence.destination.port;
    let backends = state.backends.iter().filter_map(|backend| backend.port);
    let further = state.further_ports.iter().copied();
    let mut ports: Vec<u16> = asked.into_iter().chain(backends).chain(further).collect();
    ports.sort_unstable();
    ports.dedup();
    ports
}
