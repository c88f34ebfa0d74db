//! What became of connections beyond what their own kernel told: by the sockets at the far end, by resets that nobody sent, and by
//! what TCP tells of those that are still there.

use super::connection::{ObservedConnection, reset_outcome};
use super::conversation::Conversation;
use model::attempt::Outcome;
use model::event::Seen;
use model::evidence::Evidence;
use model::facts::Socket;
use model::flow::{Flow, RST, SYN};
use model::protocol::Lost;
use std::collections::{BTreeMap, BTreeSet};

/// Resets that neither end sent, before it is said that somebody between them does.
const FORGED_MIN: usize = 3;

/// Completes the attempts of a question; resets only where packets were watched hop by hop.
pub fn complete(question: &mut Evidence, conversation: &Conversation, hop_by_hop: bool) {
    wait_in_vain(question, conversation);
    if hop_by_hop {
        kept_from_sending(question, conversation);
        reset_by_nobody(question, conversation);
    }
    measure(question);
}

/// Whoever sent something and got no answer waited in vain, where the far end's program has not even read it.
fn wait_in_vain(question: &mut Evidence, conversation: &Conversation) {
    let servers = servers(question);
    let listens = |socket: &Socket| socket.state == "LISTEN";
    let mut sockets: Vec<&Socket> = Vec::new();
    for (netns, port) in servers {
        let Some(server) = question.netns(netns) else { continue };
        // When it began to be followed, and when the window had closed.
        let told = [&server.before, &server.after].into_iter();
        let own = told.filter_map(|facts| facts.sockets.ok()).flatten();
        sockets.extend(own.filter(|socket| socket.flow.sport == port && socket.rx_queue > 0));
    }
    let unaccepted = sockets.iter().any(|socket| listens(socket));
    // A service's address is translated, and the client's port is not.
    let client = |flow: Flow| (flow.src(), flow.sport);
    let unread: BTreeSet<_> = sockets
        .iter()
        .filter(|socket| !listens(socket))
        .map(|socket| client(socket.flow.reversed()))
        .collect();
    let one_sided: BTreeSet<Flow> = conversation
        .connections
        .values()
        .filter(|connection| connection.is_one_sided())
        .map(|connection| connection.flow)
        .collect();
    for attempt in &mut question.attempts {
        // One that is read at last may be reset by the client, which has gone.
        let silent = matches!(attempt.outcome, Outcome::Ok | Outcome::Cancelled);
        if silent && one_sided.contains(&attempt.flow) && (unaccepted || unread.contains(&client(attempt.flow))) {
            attempt.outcome = Outcome::TimedOut { during: "read".into() };
        }
    }
}

/// Whoever sends to a program that reads nothing may not go on, where the last packet from there has closed the window.
fn kept_from_sending(question: &mut Evidence, conversation: &Conversation) {
    let of_client = |flow: Flow| (flow.src(), flow.sport);
    let connections = conversation.connections.values();
    let waiting: BTreeSet<_> = connections
        .filter(|connection| connection.unread.stays() || connection.is_one_sided())
        .map(|connection| of_client(connection.flow))
        .collect();
    let servers = servers(question);
    let mut windows: BTreeMap<_, (u64, u16)> = BTreeMap::new();
    for event in &question.events {
        let answer = event.flow;
        let met = matches!(event.seen, Seen::Hop { .. }) && servers.contains(&(event.netns, answer.sport));
        // Those of SYN and RST say nothing.
        let packet = event.packet.filter(|packet| met && packet.tcp_flags & (SYN | RST) == 0);
        if let Some(packet) = packet {
            let last = windows.entry(of_client(answer.reversed())).or_default();
            *last = (*last).max((event.at_ns, packet.window));
        }
    }
    for attempt in &mut question.attempts {
        let silent = match &attempt.outcome {
            Outcome::Ok | Outcome::Cancelled => true,
            Outcome::TimedOut { during } => during == "read",
            _ => false,
        };
        let client = of_client(attempt.flow);
        let closed = windows.get(&client).is_some_and(|(_, window)| *window == 0);
        if silent && closed && waiting.contains(&client) {
            attempt.outcome = Outcome::TimedOut { during: "send".into() };
        }
    }
}

/// Where the far end's program listens: the namespace and the port that were asked for, and those to which a service's were translated.
fn servers(question: &Evidence) -> BTreeSet<(u32, u16)> {
    let asked = question.destination.netns.zip(question.destination.port);
    let client = question.source.netns.unwrap_or_default();
    let met = question.events.iter().filter(|event| {
        let attempt = question
            .attempts
            .iter()
            .find(|attempt| Some(attempt.id) == event.attempt);
        event.netns != client && attempt.is_some_and(|attempt| attempt.flow.sport == event.flow.sport)
    });
    asked
        .into_iter()
        .chain(met.map(|event| (event.netns, event.flow.dport)))
        .collect()
}

/// Connections that were reset, and neither end's kernel had sent the reset: somebody between them did.
fn reset_by_nobody(question: &mut Evidence, conversation: &Conversation) {
    let watched = |netns: Option<u32>| netns.is_some_and(|netns| question.netns(netns).is_some());
    if !watched(question.source.netns) || !watched(question.destination.netns) {
        return;
    }
    let sent: BTreeSet<Flow> = question
        .events
        .iter()
        .filter(|event| matches!(event.seen, Seen::ResetSent { .. }))
        .flat_map(|event| [event.flow, event.flow.reversed()])
        .collect();
    // What a kernel sends in vain may be missed once; then nothing is said of any.
    let missed = question.nodes.iter().flat_map(|node| &node.lost);
    let missed = missed.filter(|lost| lost.probe == "tcpreset");
    let missed: u64 = missed.map(Lost::untold).sum();
    let asked: BTreeSet<Flow> = question.attempts.iter().map(|attempt| attempt.flow).collect();
    let reset = |connection: &&ObservedConnection| {
        connection.reset.is_some() && connection.connected_ns.is_some() && asked.contains(&connection.flow)
    };
    let resets: Vec<&ObservedConnection> = conversation.connections.values().filter(reset).collect();
    let is_forged = |connection: &&ObservedConnection| !sent.contains(&connection.flow) && connection.is_unserved();
    if missed * 2 >= resets.len() as u64 || resets.len() < FORGED_MIN || !resets.iter().all(is_forged) {
        return;
    }
    let forged: BTreeSet<Flow> = resets.iter().map(|connection| connection.flow).collect();
    for attempt in &mut question.attempts {
        if attempt.outcome == Outcome::Cancelled && forged.contains(&attempt.flow) {
            attempt.outcome = reset_outcome();
        }
    }
}

/// What TCP tells of connections that are still there.
fn measure(question: &mut Evidence) {
    let client = question.source.netns.and_then(|netns| question.netns(netns));
    let Some(sockets) = client.and_then(|client| client.after.sockets.ok()).cloned() else {
        return;
    };
    for attempt in &mut question.attempts {
        let own = sockets.iter().find(|socket| socket.flow == attempt.flow);
        attempt.tcp = own.and_then(|socket| socket.tcp);
    }
}
