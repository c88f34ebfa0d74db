//! A conversation that suffers is followed: its other end is found, the facts of its path are read, and its packets are watched
//! hop by hop from then on.

use crate::conversation::session::Session;
use crate::evidence::{both_ends, path_facts};
use diagnoses::conversations::{ConversationTable, Ends, Key, ObservedLookup, Role};
use model::attempt::WatchedFlow;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::Intent;
use model::flow::{Flow, protocol_name};
use model::protocol::{Filter, Request};
use std::net::{IpAddr, SocketAddr};

/// Connections of a conversation whose entries in connection tracking are asked for.
const FLOWS_OF_EACH: usize = 16;
/// The hop trail.
const TRAIL: [&str; 1] = ["path"];

/// A conversation, and who takes part in it.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Which one.
    pub key: Key,
    /// Its ends.
    pub ends: Ends,
}

/// All that are followed in one window.
#[derive(Debug, Default)]
pub struct Followers {
    followed: Vec<Followed>,
    /// The window of the hop trail, once it is open.
    window: Option<u32>,
    closed: bool,
}

impl Followers {
    /// So many.
    pub fn len(&self) -> usize {
        self.followed.len()
    }

    /// It is followed already.
    pub fn has(&self, key: &Key) -> bool {
        self.followed.iter().any(|followed| followed.key == *key)
    }

    /// All of them.
    pub fn all(self) -> Vec<Followed> {
        self.followed
    }

    /// The ports of their servers.
    pub fn ports(&self) -> Vec<u16> {
        self.followed.iter().map(|followed| followed.key.port).collect()
    }

    /// The tuples of their last connections.
    pub fn flows(&self, table: &ConversationTable) -> Vec<WatchedFlow> {
        let of_one = |followed: &Followed| flows(table, &followed.key, followed.ends.client.netns);
        self.followed.iter().flat_map(of_one).collect()
    }

    /// Finds the other end, reads the facts of the path, and watches it hop by hop while the window is open.
    pub async fn follow(&mut self, session: &mut Session, table: &ConversationTable, targets: &[Endpoint], key: Key) {
        let Some(target) = targets.get(key.target) else { return };
        let other = match key.role {
            Role::Client => key.server,
            Role::Server => key.client,
        };
        let peer = who(session, target, other).await;
        let (client, mut server) = match key.role {
            Role::Client => (target.clone(), peer),
            Role::Server => (peer, target.clone()),
        };
        server.port = Some(key.port);
        // Of several addresses, the one that this conversation is about.
        server.addresses = vec![key.server];
        let is_lookup = table.conversations.get(&key).is_some_and(|own| !own.lookups.is_empty());
        let evidence = &mut session.state.evidence;
        evidence.intent = if is_lookup { Intent::Dns } else { Intent::PodToPod };
        evidence.protocol = protocol_name(key.protocol).into_owned();
        (evidence.source, evidence.destination) = (client.clone(), server.clone());
        evidence.watched = flows(table, &key, client.netns);
        if !self.closed {
            self.trail(session, &key, client.netns);
        }
        path_facts::walk_one_more(session).await;
        self.followed.push(Followed {
            key,
            ends: Ends { client, server },
        });
    }

    /// Watches packets of this conversation from now on.
    fn trail(&mut self, session: &mut Session, key: &Key, client: Option<u32>) {
        let flow = Flow::new(
            key.protocol,
            SocketAddr::new(key.client, 0),
            SocketAddr::new(key.server, key.port),
        );
        let number = self.followed.len() as u32 + 1;
        let home = client.and_then(|netns| session.state.home(netns));
        let known = self.window;
        let id = known.unwrap_or_else(|| session.number());
        self.window = Some(id);
        for node in session.living() {
            // It starts in none of the namespaces of another node.
            let netns = client.filter(|_| home == Some(node)).unwrap_or(0);
            let flows = vec![WatchedFlow {
                attempt: number,
                netns,
                flow,
            }];
            if known.is_some() {
                session.ask_at(node, Request::Watch { id, flows });
                continue;
            }
            let filter = Filter {
                netns: vec![session.state.evidence.nodes[node].host_netns],
                flows,
                ..Filter::default()
            };
            let probes = TRAIL.iter().map(|name| (*name).to_owned()).collect();
            session.ask_at(node, Request::Arm { id, probes, filter });
            session.ask_at(node, Request::Go { id });
        }
    }

    /// Ends watching.
    pub async fn close(&mut self, session: &mut Session) {
        self.closed = true;
        if let Some(id) = self.window {
            session.close(id).await;
        }
    }
}

/// The tuples of a conversation's last connections and lookups.
fn flows(table: &ConversationTable, key: &Key, netns: Option<u32>) -> Vec<WatchedFlow> {
    let Some(conversation) = table.conversations.get(key) else {
        return Vec::new();
    };
    let connections = conversation
        .connections
        .values()
        .rev()
        .map(|connection| connection.flow);
    let lookups = conversation.lookups.iter().rev().filter_map(ObservedLookup::flow);
    let netns = netns.unwrap_or(0);
    connections
        .chain(lookups)
        .take(FLOWS_OF_EACH)
        .map(|flow| WatchedFlow {
            attempt: 1,
            netns,
            flow,
        })
        .collect()
}

/// Who has this address, as seen from the target.
async fn who(session: &mut Session, target: &Endpoint, address: IpAddr) -> Endpoint {
    session.state.evidence.source = target.clone();
    let nobody = Endpoint {
        asked: address.to_string(),
        kind: EndpointKind::Address,
        addresses: vec![address],
        name: address.to_string(),
        ..Endpoint::default()
    };
    if address.is_loopback() || target.addresses.contains(&address) {
        return target.clone();
    }
    match both_ends::at_source(session, address).await {
        Ok(found) if found.netns.is_some() => found,
        _ => nobody,
    }
}
