//! A conversation that suffers is followed: its other end is found, helpers are started where it goes, the facts of its path are
//! read, and its packets are watched hop by hop from then on.

use super::arming::{arm, now_ns};
use super::surroundings::Surroundings;
use crate::conversation::session::Session;
use crate::evidence::{both_ends, flow_forms, path_facts};
use crate::inquiry::known_ends::KnownEnds;
use diagnoses::conversations::{ConversationTable, Ends, Key, ObservedConnection, ObservedLookup, TargetRole};
use model::attempt::WatchedFlow;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::{Evidence, Intent};
use model::flow::{Flow, TCP, UDP, protocol_name};
use model::inventory::Inventory;
use model::missing::{Known, Missing};
use model::owner::Owner;
use model::protocol::{Filter, Request};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::time::Instant;

/// Connections of a conversation whose entries in connection tracking are asked for.
const FLOWS_OF_EACH: usize = 16;
/// The hop trail, and what is lost on it under another tuple than the one that the targets know.
const TRAIL: [&str; 2] = ["path", "drop"];
/// A namespace that there is none of (inodes of namespaces begin at `0xf000_0000`): nothing passes but what is watched.
const NOWHERE: u32 = 1;
/// The port of name servers.
const DNS: u16 = 53;
/// A helper of a further node is waited for at most this long.
const JOIN: Duration = Duration::from_secs(10);

/// A conversation, and who takes part in it.
#[derive(Clone, Debug)]
pub struct Followed {
    /// Which one.
    pub key: Key,
    /// Its ends.
    pub ends: Ends,
    /// What the API says of them.
    pub inventory: Known<Inventory>,
    /// Since when its packets were watched hop by hop, by the clock of the target's node; `None` where they were not.
    pub since_ns: Option<u64>,
}

/// A server whose packets are watched hop by hop.
#[derive(Debug)]
struct WatchedServer {
    to: SocketAddr,
    protocol: u8,
    /// Whether packets of all clients are watched, not of one.
    any: bool,
}

/// All that are followed in one window.
#[derive(Debug)]
pub struct Followers {
    followed: Vec<Followed>,
    /// The window of the hop trail, where it is open at a node.
    trails: Vec<(usize, u32)>,
    /// Servers whose packets are watched: by their places the packets are known.
    servers: Vec<WatchedServer>,
    /// Windows of the probes of rare events, at each node.
    windows: Vec<(usize, u32)>,
    deadline: Instant,
    opened: Instant,
    closed: bool,
}

impl Followers {
    /// No conversation is followed yet; the window was opened just now.
    pub fn until(deadline: Instant, windows: Vec<(usize, u32)>) -> Self {
        Self {
            followed: Vec::new(),
            trails: Vec::new(),
            servers: Vec::new(),
            windows,
            deadline,
            opened: Instant::now(),
            closed: false,
        }
    }

    /// No conversation is followed yet, and the window has closed.
    pub fn after_window() -> Self {
        Self {
            closed: true,
            ..Self::until(Instant::now(), Vec::new())
        }
    }

    /// How many conversations are followed.
    pub fn len(&self) -> usize {
        self.followed.len()
    }

    /// The window has closed; nothing is watched any more.
    pub fn is_closed(&self) -> bool {
        self.closed
    }

    /// Whether this conversation is followed already.
    pub fn has(&self, key: &Key) -> bool {
        self.followed.iter().any(|followed| followed.key == *key)
    }

    /// All conversations that are followed.
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
    pub async fn follow(
        &mut self,
        session: &mut Session,
        around: &impl Surroundings,
        table: &ConversationTable,
        targets: &[Endpoint],
        key: Key,
    ) {
        let Some(target) = targets.get(key.target) else { return };
        let (ends, inventory) = self.find(session, around, target, &key).await;
        let is_lookup = (key.protocol, key.port) == (UDP, DNS);
        let evidence = &mut session.state.evidence;
        evidence.intent = if is_lookup { Intent::Dns } else { Intent::PodToPod };
        evidence.protocol = protocol_name(key.protocol).into_owned();
        evidence.watched = flows(table, &key, ends.client.netns);
        let is_open = !self.closed;
        if is_open {
            self.trail(session, &key, ends.client.netns);
        }
        path_facts::walk_one_more(session).await;
        // By now the trail is armed: helpers answer in the order in which they are asked, but for what takes long to read.
        let since_ns = is_open.then(|| {
            let elapsed = session.look(self.opened.elapsed());
            now_ns(&session.state, &target.node, elapsed)
        });
        self.followed.push(Followed {
            key,
            ends,
            inventory,
            since_ns,
        });
    }

    /// Both ends, with what helpers know of them; the evidence has them, too.
    async fn find(
        &mut self,
        session: &mut Session,
        around: &impl Surroundings,
        target: &Endpoint,
        key: &Key,
    ) -> (Ends, Known<Inventory>) {
        let mut inventory = session.state.evidence.inventory.clone();
        session.state.backends.clear();
        match around.ends(target, key).await {
            Ok(mut known) => {
                if known.source.kind == EndpointKind::Address {
                    known.source = who(session, target, key.client).await.unwrap_or(known.source);
                }
                let new: Vec<String> = known
                    .nodes
                    .iter()
                    .filter(|node| !node.is_empty() && session.state.named(node).is_none())
                    .cloned()
                    .collect();
                if !new.is_empty() && !self.closed {
                    self.join(session, around, &known, new).await;
                }
                if both_ends::complete(session, Intent::PodToPod, known).await.is_ok() {
                    inventory = session.state.evidence.inventory.clone();
                    let Evidence {
                        source, destination, ..
                    } = &mut session.state.evidence;
                    // Of several addresses, those that this conversation is about.
                    (destination.addresses, destination.port) = (vec![key.server], Some(key.port));
                    let ends = Ends {
                        client: source.clone(),
                        server: destination.clone(),
                    };
                    return (ends, inventory);
                }
            }
            Err(error) => {
                let what = format!("who has {}", key.peer());
                session
                    .state
                    .evidence
                    .missing
                    .push(Missing::new(what, format!("{error:#}")));
            }
        }
        let peer = Endpoint {
            asked: key.peer().to_string(),
            kind: EndpointKind::Address,
            addresses: vec![key.peer()],
            name: key.peer().to_string(),
            ..Endpoint::default()
        };
        let (client, mut server) = match key.role {
            TargetRole::Client => (target.clone(), peer),
            TargetRole::Server => (peer, target.clone()),
        };
        (server.addresses, server.port) = (vec![key.server], Some(key.port));
        let evidence = &mut session.state.evidence;
        (evidence.source, evidence.destination) = (client.clone(), server.clone());
        (Ends { client, server }, inventory)
    }

    /// Starts helpers on further nodes. They watch what happens there to packets of both ends, from when they are there.
    async fn join(&mut self, session: &mut Session, around: &impl Surroundings, known: &KnownEnds, nodes: Vec<String>) {
        let left = self.deadline.saturating_duration_since(Instant::now());
        let links = match around.helpers(known, nodes, left) {
            Ok(links) => links,
            Err(error) => {
                let missing = Missing::new("what happens on the nodes of its peers", format!("{error:#}"));
                return session.state.evidence.missing.push(missing);
            }
        };
        let joined = session.join(links);
        session
            .until(Some(Instant::now() + JOIN), |state| {
                joined
                    .iter()
                    .all(|node| state.nodes[*node].hello.is_some() || state.nodes[*node].over())
            })
            .await;
        let ends = [&known.source, &known.destination];
        let addresses = ends
            .into_iter()
            .chain(&known.backends)
            .flat_map(|end| end.addresses.iter().copied());
        let residents: Vec<_> = addresses.filter(|address| !address.is_loopback()).collect();
        for node in joined {
            if session.state.nodes[node].hello.is_none() {
                let why = "its helper did not greet in time";
                session.state.miss(node, vec![Missing::new("what happens there", why)]);
                continue;
            }
            let id = session.number();
            let netns = vec![session.state.evidence.nodes[node].host_netns];
            arm(session, node, id, netns, residents.clone());
            self.windows.push((node, id));
        }
    }

    /// Watches who asks a target for connections on this port, and whether the packets arrive.
    pub fn listen(&mut self, session: &mut Session, address: IpAddr, port: u16) {
        let to = SocketAddr::new(address, port);
        let whole = |known: &WatchedServer| (known.to, known.protocol) == (to, TCP) && known.any;
        if !self.servers.iter().any(whole) {
            self.watch(session, (to, TCP), None, None);
        }
    }

    /// Watches packets of this conversation from now on, at every node.
    fn trail(&mut self, session: &mut Session, key: &Key, client: Option<u32>) {
        let server = (SocketAddr::new(key.server, key.port), key.protocol);
        self.watch(session, server, Some(key.client), client);
    }

    /// Watches packets to a server from now on: of this client, or of all where several are followed.
    fn watch(&mut self, session: &mut Session, server: (SocketAddr, u8), from: Option<IpAddr>, client: Option<u32>) {
        let (to, protocol) = server;
        let known = self
            .servers
            .iter()
            .position(|known| (known.to, known.protocol) == server);
        let at = known.unwrap_or_else(|| {
            let any = from.is_none();
            self.servers.push(WatchedServer { to, protocol, any });
            self.servers.len() - 1
        });
        let attempt = at as u32 + 1;
        // A second client of it, or all.
        self.servers[at].any |= known.is_some();
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let from = from.filter(|_| known.is_none());
        let client = client.filter(|_| from.is_some());
        let flow = Flow::new(protocol, SocketAddr::new(from.unwrap_or(any), 0), to);
        let home = client.and_then(|netns| session.state.home(netns));
        for node in session.living() {
            let starts_here = client.filter(|_| home == Some(node));
            let own = WatchedFlow {
                attempt,
                netns: starts_here.unwrap_or(0),
                flow,
            };
            // It starts in none of the namespaces of another node, and may have been translated on its way there.
            let flows = if starts_here.is_some() || session.living().len() == 1 {
                vec![own]
            } else {
                flow_forms::flows(&session.state, &[own])
            };
            if let Some((_, id)) = self.trails.iter().find(|(at, _)| *at == node) {
                session.ask_at(node, Request::Watch { id: *id, flows });
                continue;
            }
            let id = session.number();
            self.trails.push((node, id));
            let filter = Filter {
                netns: vec![NOWHERE],
                flows,
                ..Filter::default()
            };
            let probes = TRAIL.iter().map(|name| (*name).to_owned()).collect();
            session.ask_at(node, Request::Arm { id, probes, filter });
            session.ask_at(node, Request::Go { id });
        }
    }

    /// Closes all windows.
    pub async fn close(&mut self, session: &mut Session) {
        self.closed = true;
        let all: Vec<(usize, u32)> = self.trails.iter().chain(&self.windows).copied().collect();
        session.close_each(&all).await;
    }
}

/// Who has this address, as seen from the target.
async fn who(session: &mut Session, target: &Endpoint, address: IpAddr) -> Option<Endpoint> {
    session.state.evidence.source = target.clone();
    let found = both_ends::at_source(session, address).await.ok()?;
    // Found by an address; it is asked for by what it is from now on.
    let asked = match &found.owner {
        Owner::Netns { name } => format!("netns/{name}"),
        Owner::Host => "host".to_owned(),
        _ => return None,
    };
    let kind = if asked == "host" {
        EndpointKind::Host
    } else {
        EndpointKind::Netns
    };
    Some(Endpoint {
        name: asked.clone(),
        asked,
        kind,
        addresses: vec![address],
        ..found
    })
}

/// The tuples of a conversation's last connections and lookups.
fn flows(table: &ConversationTable, key: &Key, netns: Option<u32>) -> Vec<WatchedFlow> {
    let Some(conversation) = table.conversations.get(key) else {
        return Vec::new();
    };
    // Those first that did not go well.
    let well = |connection: &ObservedConnection| {
        connection.errno.is_none() && connection.dropped == 0 && !connection.is_one_sided()
    };
    let mut latest: Vec<&ObservedConnection> = conversation.connections.values().rev().collect();
    latest.sort_by_key(|connection| well(connection));
    let connections = latest.into_iter().map(|connection| connection.flow);
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
